package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sealport/sealport/transport"
)

// flushEvery is how long a line waits at most to be shown.
const flushEvery = 20 * time.Millisecond

// host is the host's process: it shows what arrives until its client has gone.
func host(endpoint string) error {
	out := &screen{w: bufio.NewWriter(os.Stdout)}
	gone := make(chan struct{})
	end := sync.OnceFunc(func() { close(gone) })
	var lines uint64 // one client, so one handler at a time

	h, err := transport.NewHost(endpoint, func(m transport.Message[note]) {
		switch m.Body.kind {
		case line:
			if lines == 0 {
				fmt.Fprintf(os.Stderr, "host: I am pid %d; the lines come from %v\n", os.Getpid(), m.Peer)
			}
			lines++
			out.line(m.Body.text)
		case count:
			out.flush()
			if err := m.Reply(context.Background(), note{kind: count, number: lines}); err != nil {
				fmt.Fprintln(os.Stderr, "hello:", err)
			}
		case bye:
			end()
		}
	}, &transport.Config{OnError: func(err error) {
		fmt.Fprintln(os.Stderr, "hello:", err)
		if errors.Is(err, transport.ErrPeerGone) {
			end() // the client was killed
		}
	}})
	if err != nil {
		return err
	}
	// Tell the client's process, which waits for it, that we serve.
	ready := os.NewFile(3, "ready")
	if _, err := ready.Write([]byte{1}); err != nil {
		return errors.Join(err, h.Close())
	}
	for serving := true; serving; {
		select {
		case <-gone:
			serving = false
		case <-time.After(flushEvery):
			out.flush()
		}
	}
	err = h.Shutdown(context.Background())
	return errors.Join(err, out.flush())
}

// screen is standard output with a buffer that several goroutines use.
type screen struct {
	mu  sync.Mutex
	w   *bufio.Writer
	err error
}

func (s *screen) line(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := fmt.Fprintf(s.w, "host: %s\n", text)
	s.err = errors.Join(s.err, err)
}

func (s *screen) flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.w.Flush(); err != nil && s.err == nil {
		s.err = err
	}
	return s.err
}
