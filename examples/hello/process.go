package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/sealport/sealport/keys"
)

// partVariable tells the re-executed program that it is a host: its part as JSON.
const partVariable = "SEALPORT_HELLO_HOST"

// A host reports that it serves with this word, and its public key if it has one, on
// this descriptor.
const (
	readyDescriptor = 3
	serving         = "serving"
)

// process is a host's process, as seen from the client's.
type process struct {
	pid   int
	stdin io.Closer      // closed: the host ends
	key   keys.PublicKey // zero for the plain host
	ended <-chan struct{}
	err   error // how it ended; read after ended is closed
}

// start runs this program again as a host and waits until it serves. gone is
// called when its process has ended: otherwise the client would wait for the next
// host of its endpoint, and there will be none.
//
// No secret leaves a process: the host gets the client's public key in its
// environment, and generates its own key, whose public half it sends through a
// pipe that only the two have.
func start(p part, gone func(error)) (*process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	ready, signal, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ready.Close()
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), partVariable+"="+string(text))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{signal} // readyDescriptor there
	stdin, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	_ = signal.Close()
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	h := &process{pid: cmd.Process.Pid, stdin: stdin, ended: ended}
	go func() {
		defer close(ended)
		if err := cmd.Wait(); err != nil {
			h.err = fmt.Errorf("the %s host's process: %w", p.Name, err)
		}
		gone(h.err)
	}()
	if h.key, err = heard(ready); err != nil {
		return nil, errors.Join(fmt.Errorf("the %s host's process: %w", p.Name, err), h.end())
	}
	return h, nil
}

// heard waits for what tellReady writes.
func heard(ready io.Reader) (key keys.PublicKey, err error) {
	said, err := io.ReadAll(ready)
	if err != nil {
		return key, err
	}
	text, ok := strings.CutPrefix(string(said), serving)
	if !ok {
		return key, errors.New("it ended before it served")
	}
	if text = strings.TrimSpace(text); text == "" {
		return key, nil
	}
	return keys.ParsePublicKey(text)
}

// end lets the host finish and returns an error if it did not end properly.
func (h *process) end() error {
	_ = h.stdin.Close() // it is closed already if the process has ended
	<-h.ended
	return h.err
}
