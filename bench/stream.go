package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// This is what people write: a Unix stream, a length in front of each message, a
// bufio.Writer that is flushed after each, a bufio.Reader. The batch variant
// flushes only when the buffer is full, or when it waits for an answer.

const (
	streamBuffer   = 64 << 10
	largestMessage = 64 << 20 // bytes
)

type streamServer struct {
	listener net.Listener
	received atomic.Uint64
	wg       sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	err   error
}

// newStreamServer serves connections by handle, which returns at the end of one
// with the number of messages received.
func newStreamServer(network, address string, handle func(net.Conn) (uint64, error)) (*streamServer, error) {
	l, err := net.Listen(network, address)
	if err != nil {
		return nil, err
	}
	s := &streamServer{listener: l, conns: make(map[net.Conn]struct{})}
	s.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // stop
			}
			s.mu.Lock()
			s.conns[c] = struct{}{}
			s.mu.Unlock()
			s.wg.Go(func() { s.serve(c, handle) })
		}
	})
	return s, nil
}

func (s *streamServer) serve(c net.Conn, handle func(net.Conn) (uint64, error)) {
	n, err := handle(c)
	s.received.Add(n)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.err = errors.Join(s.err, err, c.Close())
}

// stop is called when every client has closed: what they sent is still read.
func (s *streamServer) stop() (uint64, error) {
	err := s.listener.Close()
	s.wg.Wait()
	return s.received.Load(), errors.Join(err, s.err)
}

func serveStream(flush bool) func(string) (server, error) {
	return func(address string) (server, error) {
		return newStreamServer("unix", address, func(nc net.Conn) (uint64, error) {
			c := newStreamConn(nc, flush)
			return answer(c)
		})
	}
}

// answer is the loop of a server on one connection, until it ends.
func answer(c conn) (received uint64, err error) {
	for {
		p, err := c.receive()
		if err == io.EOF {
			return received, nil
		} else if err != nil {
			return received, err
		}
		received++
		if p[0] != ask {
			continue
		}
		if err := errors.Join(c.send(p), c.flush()); err != nil {
			return received, err
		}
	}
}

type streamConn struct {
	nc        net.Conn
	r         *bufio.Reader
	w         *bufio.Writer
	flushEach bool
	head      [4]byte
	buf       []byte
}

func newStreamConn(nc net.Conn, flushEach bool) *streamConn {
	return &streamConn{
		nc: nc, flushEach: flushEach,
		r: bufio.NewReaderSize(nc, streamBuffer),
		w: bufio.NewWriterSize(nc, streamBuffer),
	}
}

func dialStream(flushEach bool) func(string) (conn, error) {
	return func(address string) (conn, error) {
		nc, err := net.Dial("unix", address)
		if err != nil {
			return nil, err
		}
		return newStreamConn(nc, flushEach), nil
	}
}

func (c *streamConn) send(p []byte) error {
	binary.LittleEndian.PutUint32(c.head[:], uint32(len(p)))
	if _, err := c.w.Write(c.head[:]); err != nil {
		return err
	}
	if _, err := c.w.Write(p); err != nil {
		return err
	}
	if c.flushEach {
		return c.w.Flush()
	}
	return nil
}

func (c *streamConn) flush() error { return c.w.Flush() }

func (c *streamConn) receive() ([]byte, error) {
	if _, err := io.ReadFull(c.r, c.head[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(c.head[:]))
	if n == 0 || n > largestMessage {
		return nil, fmt.Errorf("message of %d bytes", n)
	}
	if n > cap(c.buf) {
		c.buf = make([]byte, n)
	}
	_, err := io.ReadFull(c.r, c.buf[:n])
	return c.buf[:n], err
}

func (c *streamConn) close() error { return errors.Join(c.w.Flush(), c.nc.Close()) }
