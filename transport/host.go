package transport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealport/sealport/internal/conn"
)

// closeWait is how long Close waits for handlers, and for published messages to be
// sent.
const closeWait = 5 * time.Second

// Host owns an endpoint and calls a handler for each message.
//
// Each client has a goroutine of its own: its messages are handled in order, one
// at a time, and those of different clients in parallel. All methods may be called
// concurrently.
type Host[T any] struct {
	l       *conn.Listener
	s       *settings
	k       coder[T]
	service Service[T]

	ctx    context.Context // ended by Close: sessions end at once
	cancel context.CancelFunc
	over   atomic.Bool     // ctx has ended, or is about to: cheaper for each message
	drain  context.Context // ended by Shutdown and Close: clients are asked to end
	stop   context.CancelFunc

	decodeErrors atomic.Uint64
	refused      atomic.Uint64 // by OnConnect
	sessions     sessions[T]

	wg sync.WaitGroup
}

// NewHost serves an endpoint with messages of type T, encoded by [CodecOf][T]. handle
// is called for each message, with the context of the message's session; see
// [Session.Context], and [Service] for how it is called. NewHost blocks no longer than
// [Listen], and returns the same errors, after which nothing is served. A nil handler
// is [ErrConfig].
func NewHost[T any](endpoint string, handle func(ctx context.Context, m Message[T]), cfg *Config) (*Host[T], error) {
	return NewHostWithService(endpoint, Service[T]{Handle: handle}, cfg)
}

// NewHostWithService is [NewHost] for a host that does more than handle messages. It
// copies service.
func NewHostWithService[T any](endpoint string, service Service[T], cfg *Config) (*Host[T], error) {
	s, err := cfg.resolve(host)
	if err != nil {
		return nil, err
	}
	k, content, err := service.coder()
	if err != nil {
		return nil, err
	}
	if err := s.tryPriority(); err != nil {
		return nil, err
	}
	h := &Host[T]{s: s, k: k, service: service}
	h.sessions.live = make(map[*Session[T]]struct{})
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.drain, h.stop = context.WithCancel(h.ctx)
	c := s.engine(content)
	c.Confirms = service.OnConnect != nil
	if h.l, err = s.listen(endpoint, c); err != nil {
		h.cancel()
		return nil, err
	}
	h.wg.Go(h.accept)
	if s.LogThroughput {
		h.wg.Go(func() { logThroughput(h.drain, s, endpoint, h.Stats) })
	}
	return h, nil
}

// Endpoint returns the name of the endpoint.
func (h *Host[T]) Endpoint() string { return h.l.Endpoint() }

// accept serves each connection.
func (h *Host[T]) accept() {
	for {
		c, err := h.l.Accept(h.ctx)
		if err != nil {
			return
		}
		h.wg.Go(func() { h.s.asReceiver(func() { h.serve(c) }) })
	}
}

// serve handles a connection's messages until it ends.
func (h *Host[T]) serve(c *conn.Conn) {
	s := &Session[T]{h: h, c: newTyped(c, h.k)}
	s.out.begin()
	s.ctx, s.cancel = context.WithCancel(h.ctx)
	defer s.cancel()
	unhook := context.AfterFunc(h.ctx, c.Abort)
	defer unhook()
	unask := context.AfterFunc(h.drain, func() {
		if h.ctx.Err() == nil { // else the connection ends at once
			c.GoAway()
		}
	})
	defer unask()
	defer context.AfterFunc(c.Gone(), s.cancel)()
	if !h.admit(s) {
		return
	}
	err := h.receive(s)
	h.finish(s)
	why := s.why(err)
	s.left.Store(leftBy(why))
	var closed *CloseError
	if why != nil && why != ErrClosed && !errors.As(why, &closed) {
		h.s.reportConn(h.Endpoint(), s.Peer(), why)
	}
	if h.service.OnDisconnect != nil {
		h.service.OnDisconnect(s, why)
	}
	if h.ctx.Err() != nil {
		c.Abort()
	} else if reason := s.reason.Load(); reason != nil {
		_ = c.CloseWithReason(*reason)
	} else {
		_ = c.Close()
	}
	h.sessions.remove(s)
}

// admit makes a session of a connection, unless OnConnect refuses.
func (h *Host[T]) admit(s *Session[T]) bool {
	s.id = h.sessions.nextID()
	if h.service.OnConnect == nil {
		h.sessions.add(s)
		return true
	}
	if err := h.service.OnConnect(s.ctx, s); err != nil {
		h.refused.Add(1)
		h.l.ReportRefused(s.Peer(), fmt.Errorf("refused by OnConnect: %w", err))
		ctx, cancel := context.WithTimeout(s.ctx, h.s.HandshakeTimeout)
		defer cancel()
		_ = s.c.Refuse(ctx, cmp.Or(err.Error(), "refused"))
		return false
	}
	// First, so that what is published after the client's constructor has returned
	// reaches it.
	h.sessions.add(s)
	// If the client has gone meanwhile, receiving says so.
	_ = s.c.Accept(s.ctx)
	return true
}

// endWait is how long Shutdown waits for a client that was asked to end: for the next
// frame, or for the end.
const endWait = 5 * time.Second

// receive handles messages until there are no more. When the host shuts down, the client
// is asked to end, and everything up to there is handled.
func (h *Host[T]) receive(s *Session[T]) error {
	var err error
	for err == nil {
		err = h.handleNext(h.drain, s)
	}
	if h.drain.Err() == nil || !errors.Is(err, h.drain.Err()) {
		return err
	}
	for {
		before := s.c.FramesRead()
		ctx, cancel := context.WithTimeout(h.ctx, endWait)
		err := h.handleNext(ctx, s)
		cancel()
		arriving := s.c.FramesRead() != before && errors.Is(err, context.DeadlineExceeded)
		if err != nil && !arriving {
			return err
		}
	}
}

// handleNext handles the next message. An error is the end of the session, or of ctx.
func (h *Host[T]) handleNext(ctx context.Context, s *Session[T]) error {
	v, err := s.c.receive(ctx)
	if h.over.Load() || s.reason.Load() != nil {
		return ErrClosed // what was sent and not handled is lost
	}
	if bad, ok := err.(*MessageError); ok {
		h.decodeErrors.Add(1)
		h.s.reportMessage(h.Endpoint(), bad)
		return nil
	}
	if err != nil {
		return err
	}
	h.service.Handle(s.ctx, Message[T]{Body: v, Session: s})
	return nil
}

// finish sends what was published to a session that ends gracefully, and stops
// publishing to it.
func (h *Host[T]) finish(s *Session[T]) {
	ctx, cancel := context.WithTimeout(s.ctx, closeWait)
	defer cancel()
	s.out.finish(ctx)
	s.cancel()
	s.out.abandon()
}

// Sessions iterates over the clients that are connected now. It may omit sessions that
// begin during the iteration, and yield some that have ended. Without [Service.OnConnect] a
// client becomes a session shortly after its constructor has returned, and may have sent
// messages before that: then it is not yielded yet. It does not block.
func (h *Host[T]) Sessions() iter.Seq[*Session[T]] {
	return func(yield func(*Session[T]) bool) {
		h.sessions.mu.Lock()
		live := make([]*Session[T], 0, len(h.sessions.live))
		for s := range h.sessions.live {
			live = append(live, s)
		}
		h.sessions.mu.Unlock()
		for _, s := range live {
			if !yield(s) {
				return
			}
		}
	}
}

// Shutdown stops serving the endpoint and ends every session gracefully: it asks the
// client to end, handles everything that the client has sent up to there, sends what was
// published, and closes. Nothing is lost, however fast clients send: a [Client] or [Conn]
// that is asked flushes, sends nothing more, and a Client goes on with the next host when
// this one has closed. A client that does not end, and sends nothing for 5 seconds, is
// disconnected; one that goes on sending, which sealport's do not, delays Shutdown until ctx
// ends. So does a client whose buffer is full of replies that it does not receive.
//
// When ctx ends, Shutdown ends every session's context and connection and returns ctx.Err()
// at once, whatever a handler does. No further handler is called then, except one that is
// just being called, and clients learn how many messages were not handled
// ([DisconnectedError].Unconfirmed). The endpoint is released in any case: another host can
// serve it when Shutdown has returned. A system's error in doing so is returned.
//
// In a handler, Shutdown waits for that handler, and so until ctx ends. It may be called
// again, to wait again. Close is not needed afterwards; after ctx.Err() it waits for
// the handlers that still run.
func (h *Host[T]) Shutdown(ctx context.Context) error {
	err := h.l.Release()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.l.Wait()
		h.l.Interrupt()
		h.stop()
		h.wg.Wait()
	}()
	select {
	case <-done:
		h.end()
		return err
	case <-ctx.Done():
		h.l.Interrupt()
		h.end()
		return ctx.Err()
	}
}

// end ends every session at once.
func (h *Host[T]) end() {
	h.over.Store(true)
	h.cancel()
}

// Close stops serving the endpoint and ends every session at once. Messages that were
// not handled yet are lost, and their clients learn how many. Messages to clients that
// are coalesced (see [Conn.Flush]) or published and not sent yet are lost, too.
//
// Close waits for running handlers for at most 5 seconds, and then returns
// [ErrHandlerRunning]; in a handler it always does. Other errors are the system's. The
// endpoint is released and the sessions have ended in any case. A later call waits again
// for handlers that still run.
func (h *Host[T]) Close() error {
	h.end()
	err := h.l.Release()
	h.l.Interrupt()
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.l.Wait()
		h.wg.Wait()
	}()
	t := time.NewTimer(closeWait)
	defer t.Stop()
	select {
	case <-done:
		return err
	case <-t.C:
		return errors.Join(err, fmt.Errorf("closing the host of %q: %w after %v", h.Endpoint(), ErrHandlerRunning, closeWait))
	}
}

// Stats returns what the host has carried. See [Conn.Stats] for how exact it is.
func (h *Host[T]) Stats() Stats {
	h.sessions.mu.Lock()
	defer h.sessions.mu.Unlock()
	stats := h.sessions.past
	for s := range h.sessions.live {
		stats.add(s.Stats())
	}
	stats.Connections = len(h.sessions.live)
	stats.Accepted = h.sessions.begun
	stats.Refused = h.l.Refused() + h.refused.Load()
	stats.DecodeErrors = h.decodeErrors.Load()
	stats.Fallbacks = h.l.Fallbacks()
	return stats
}

// isEnd reports whether err is how a connection ends rather than something that
// this call did wrong.
func isEnd(err error) bool {
	var closed *CloseError
	return err == io.EOF || err == errHostClosed || errors.As(err, &closed) || errors.Is(err, ErrPeerGone) || errors.Is(err, ErrProtocol) ||
		errors.Is(err, ErrPeerChanged) || errors.Is(err, ErrClosed)
}
