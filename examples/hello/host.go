package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure"
	"github.com/sealport/sealport/transport"
)

// flushEvery is the longest time that a line waits to be printed.
const flushEvery = 20 * time.Millisecond

// part is what the client's process tells a host's process.
type part struct {
	Name     string // "plain" or "secure"
	Endpoint string
	Client   keys.PublicKey `json:",omitzero"` // the key that a secure host trusts
	Show     string         // what is printed before each line; "": no line is printed
}

// serve makes the host: plain, or secure with a new key that stays in this process.
// From here on the two are the same.
func (p part) serve(handle func(context.Context, transport.Message[note])) (*transport.Host[note], keys.PublicKey, error) {
	if p.Client.IsZero() {
		h, err := transport.NewHost(p.Endpoint, handle, nil)
		return h, keys.PublicKey{}, err
	}
	key := keys.Generate()
	h, err := secure.NewSecureHost(p.Endpoint, handle, &secure.Config{Key: key, Trust: keys.Allow(p.Client)})
	return h, key.Public(), err
}

// host is a host's process. It shows and counts what arrives until the client's
// process closes its standard input, or dies.
func host(p part) error {
	out := &screen{w: bufio.NewWriter(os.Stdout)}
	arrived := newTally() // one client, so one handler at a time

	h, public, err := p.serve(func(_ context.Context, m transport.Message[note]) {
		switch m.Body.kind {
		case line:
			if arrived.lines == 0 {
				introduce(p, m)
			}
			arrived.add(m.Body.text)
			if p.Show != "" {
				out.line(p.Show, m.Body.text)
			}
		case count:
			_ = out.flush() // the end of host reports it
			if err := m.Reply(context.Background(), arrived.note()); err != nil {
				fmt.Fprintln(os.Stderr, "hello:", err)
			}
		}
	})
	if err != nil {
		return err
	}
	if err := tellReady(public); err != nil {
		return errors.Join(err, h.Close())
	}

	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	for serving := true; serving; {
		select {
		case <-gone:
			serving = false
		case <-time.After(flushEvery):
			_ = out.flush()
		}
	}
	return errors.Join(h.Shutdown(context.Background()), out.flush())
}

// introduce prints who the client is: its kernel-verified identity and, if there is
// one, the key that it has proved to hold.
func introduce(p part, m transport.Message[note]) {
	key := ""
	if k := m.Session.PeerKey(); !k.IsZero() {
		key = "\n" + column + "with the key " + k.Fingerprint()
	}
	fmt.Fprintf(os.Stderr, label+"pid %d hears %v%s\n", p.Name+" host", os.Getpid(), m.Session.Peer(), key)
}

// tellReady tells the client's process, which waits for it, that the host serves,
// and its public key.
func tellReady(public keys.PublicKey) error {
	ready := os.NewFile(readyDescriptor, "ready")
	text := serving
	if !public.IsZero() {
		text += " " + public.String()
	}
	_, err := io.WriteString(ready, text)
	return errors.Join(err, ready.Close())
}

// screen is standard output with a buffer that several goroutines use.
type screen struct {
	mu sync.Mutex
	w  *bufio.Writer // repeats its first error
}

func (s *screen) line(prefix, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = s.w.WriteString(prefix)
	_, _ = s.w.WriteString(text)
	_ = s.w.WriteByte('\n')
}

func (s *screen) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Flush()
}
