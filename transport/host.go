package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Host owns an endpoint and has a handler called for each message.
//
// Each client has a goroutine of its own: its messages are handled in order, one
// at a time, and those of different clients in parallel. All methods may be
// called concurrently, but Shutdown and Close not by a handler, for which they
// wait.
type Host[T any] struct {
	l       *Listener
	s       *settings
	k       coder[T]
	handler func(Message[T])
	local   *localHost[T] // nil if it is not to be found within the process

	ctx    context.Context // ended by Close: handlers' connections end at once
	cancel context.CancelFunc
	drain  context.Context // ended by Shutdown and Close: connections end when they are idle
	stop   context.CancelFunc
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[*Conn]struct{}
	past  Stats // of connections that have ended
}

// NewHost serves an endpoint with messages of type T, encoded by CodecOf[T]. It
// does not block, but for 127 ms on Darwin if the endpoint is in use. For errors
// see Listen; a handler that is nil is ErrConfig.
func NewHost[T any](endpoint string, handler func(Message[T]), cfg *Config) (*Host[T], error) {
	codec, err := CodecOf[T]()
	if err != nil {
		return nil, err
	}
	return NewHostWithCodec(endpoint, codec, handler, cfg)
}

// NewHostWithCodec is NewHost with a codec of the caller's.
func NewHostWithCodec[T any](endpoint string, codec Codec[T], handler func(Message[T]), cfg *Config) (*Host[T], error) {
	s, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	if handler == nil || codec == nil {
		return nil, fmt.Errorf("%w: a host needs a handler and a codec", ErrConfig)
	}
	if err := s.tryPriority(); err != nil {
		return nil, err
	}
	l, err := listen(endpoint, s)
	if err != nil {
		return nil, err
	}
	h := &Host[T]{l: l, s: s, k: newCoder(codec), handler: handler, conns: make(map[*Conn]struct{})}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.drain, h.stop = context.WithCancel(h.ctx)
	if !s.NoInProcess {
		h.local = newLocalHost(h)
	}
	h.wg.Add(1)
	go h.accept()
	if s.LogThroughput {
		h.wg.Add(1)
		go func() {
			defer h.wg.Done()
			logThroughput(h.drain, s, endpoint, h.Stats)
		}()
	}
	return h, nil
}

// Endpoint is the name of the endpoint.
func (h *Host[T]) Endpoint() string { return h.l.endpoint }

// accept serves each connection. NewHost starts it, Shutdown and Close join it.
func (h *Host[T]) accept() {
	defer h.wg.Done()
	for {
		c, err := h.l.Accept(h.drain)
		if err != nil {
			return
		}
		h.mu.Lock()
		h.conns[c] = struct{}{}
		h.mu.Unlock()
		if h.ctx.Err() != nil {
			c.abort() // Close may not have seen it
		}
		h.wg.Add(1)
		go func() {
			defer h.wg.Done()
			h.s.asReceiver(func() { h.serve(c) })
		}()
	}
}

// serve handles a connection's messages until it ends.
func (h *Host[T]) serve(c *Conn) {
	err := h.receive(c)
	if err != io.EOF && h.drain.Err() == nil {
		h.s.report(&ConnError{Peer: c.id, Err: err})
	}
	if h.ctx.Err() != nil {
		c.abort()
	} else {
		_ = c.Close()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.conns, c)
	h.past.add(c.Stats())
}

func (h *Host[T]) receive(c *Conn) error {
	t := newTyped(c, h.k)
	for {
		// A context that has ended returns what is there, and only then its
		// error: so Shutdown drains.
		b, err := c.m.Receive(h.drain)
		if err != nil {
			return err
		}
		v, err := h.k.decode(b)
		if err != nil {
			h.l.counters.decodeErrors.Add(1)
			h.s.report(&MessageError{Peer: c.id, Size: len(b), Err: err})
			continue
		}
		h.handler(Message[T]{Peer: c.id, Body: v, from: t})
	}
}

// Shutdown gives the endpoint up, handles what clients have sent so far, closes
// their connections in good order, and waits for all of it, until ctx ends; then
// it does what Close does and returns ctx.Err().
func (h *Host[T]) Shutdown(ctx context.Context) error {
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = h.retire(h.l.finish)
		h.wg.Wait()
	}()
	select {
	case <-done:
		return err
	case <-ctx.Done():
		h.l.giveUp()
		h.abort()
		<-done
		return ctx.Err()
	}
}

// Close gives the endpoint up and ends every connection at once: what clients
// have sent and no handler has seen is lost, and they are told so. It waits for
// handlers that run. Idempotent.
func (h *Host[T]) Close() error {
	h.cancel()
	err := h.retire(h.l.Close)
	h.abort()
	h.wg.Wait()
	return err
}

// retire takes no more clients and has connections end when they are idle.
func (h *Host[T]) retire(listener func() error) error {
	err := listener()
	if h.local != nil {
		// Not before: a client of this process would look for the next host at
		// once, and find this one's socket.
		h.local.retire()
	}
	h.stop()
	return err
}

// abort ends every connection at once.
func (h *Host[T]) abort() {
	h.cancel()
	h.mu.Lock()
	conns := make([]*Conn, 0, len(h.conns))
	for c := range h.conns {
		conns = append(conns, c)
	}
	h.mu.Unlock()
	for _, c := range conns {
		c.abort()
	}
}

// Stats returns what the host has carried, clients within the process included.
// See Conn.Stats for how exact it is.
func (h *Host[T]) Stats() Stats {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.past
	for c := range h.conns {
		s.add(c.Stats())
	}
	n := &h.l.counters
	s.Connections = len(h.conns)
	s.Accepted = n.accepted.Load()
	s.Refused = n.refused.Load()
	s.DecodeErrors = n.decodeErrors.Load()
	s.SentMessages += n.localSent.Load()
	s.ReceivedMessages += n.localReceived.Load()
	return s
}

// isEnd reports whether err is how a connection ends rather than something that
// this call did wrong.
func isEnd(err error) bool {
	return err == io.EOF || errors.Is(err, ErrPeerGone) || errors.Is(err, ErrProtocol) ||
		errors.Is(err, ErrPeerChanged) || errors.Is(err, ErrClosed)
}
