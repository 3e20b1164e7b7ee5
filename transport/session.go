package transport

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// Message is what a [Host]'s handler gets.
type Message[T any] struct {
	// Body is the message. A []byte is valid until the handler returns.
	Body T

	// Session is the client that sent it.
	Session *Session[T]
}

// Reply sends a message to the client, whose Receive returns it; it is
// m.Session.Send.
func (m Message[T]) Reply(ctx context.Context, v T) error { return m.Session.Send(ctx, v) }

// Session is a [Host]'s side of one client, from its connection to its end. All
// methods may be called concurrently, also by handlers and after the end.
type Session[T any] struct {
	h *Host[T]
	c *typed[T]

	id     uint64
	ctx    context.Context // ended with the session
	cancel context.CancelFunc
	reason atomic.Pointer[string] // given to Close; nil before
	left   atomic.Bool            // the client has ended the session
	value  atomic.Value
	out    outbox
}

// boxed makes values of different types one type for atomic.Value.
type boxed struct{ v any }

// ID is the number of the session, from 1, unique in its Host.
func (s *Session[T]) ID() uint64 { return s.id }

// Peer is the kernel-verified identity of the client, as of its hello, and in
// attested mode as of each frame. It is closed when the session ends, after which it
// knows no more than it had looked up before.
func (s *Session[T]) Peer() *peer.Identity { return s.c.Peer() }

// PeerKey is the static key that the client has proved to hold; see [Conn.PeerKey].
func (s *Session[T]) PeerKey() keys.PublicKey { return s.c.PeerKey() }

// HandshakeHash is that of a secure session; see [Conn.HandshakeHash].
func (s *Session[T]) HandshakeHash() []byte { return s.c.HandshakeHash() }

// Context ends when the session does: the client is gone, or this side has closed
// it, or [Host.Shutdown] has run out of time. Handlers of the session get it. What
// a client has sent before it went is still handled, with a context that has ended;
// use [context.WithoutCancel] for work that must be done all the same.
func (s *Session[T]) Context() context.Context { return s.ctx }

// Stats returns what the session has carried; see [Conn.Stats].
func (s *Session[T]) Stats() Stats {
	stats := statsOf(s.c.Counters())
	stats.Dropped = s.out.dropped.Load()
	return stats
}

// Value returns what SetValue was last given, or nil: the application's own state
// of this client.
func (s *Session[T]) Value() any {
	b, _ := s.value.Load().(boxed)
	return b.v
}

// SetValue sets what Value returns.
func (s *Session[T]) SetValue(v any) { s.value.Store(boxed{v}) }

// Send sends a message to the client, whose Receive returns it. Messages that one
// goroutine sends arrive in order. It blocks while the client's buffer is full,
// until ctx ends: a client that never receives delays only who sends to it. v is
// the caller's again when Send returns. For errors see [Conn.Send]; [ErrEncode],
// after which the session is as before.
func (s *Session[T]) Send(ctx context.Context, v T) error {
	err := s.c.send(ctx, v)
	if err == ErrClosed && s.left.Load() {
		return ErrPeerGone // this side has closed after the client
	}
	return err
}

// Close ends the session and tells the client why: it gets a [*CloseError] with the
// reason, or, if that is empty, what [Host.Close] would tell it. What was sent to it
// before still arrives; what it has sent and no handler has seen is lost, and the
// client is told how much. A [Client] connects again, unless [Service.OnConnect]
// refuses it. Close blocks for at most 5 seconds, while the client's buffer is full;
// it does not wait for the session's handler. Idempotent.
func (s *Session[T]) Close(reason string) error {
	// Before anything ends: serve closes with the same reason, if it comes first.
	s.reason.CompareAndSwap(nil, &reason)
	s.cancel()
	return s.c.CloseWithReason(*s.reason.Load())
}

// watch ends the session's context when the client is gone. Host.serve starts it;
// it ends with the context.
func (s *Session[T]) watch() {
	select {
	case <-s.c.Gone():
		s.cancel()
	case <-s.ctx.Done():
	}
}

// why is what OnDisconnect gets for the error that ended receiving.
func (s *Session[T]) why(err error) error {
	switch {
	case err == io.EOF:
		return nil
	case s.reason.Load() != nil, s.h.drain.Err() != nil && errors.Is(err, s.h.drain.Err()):
		return ErrClosed
	}
	return err
}

// sessions are those of a Host.
type sessions[T any] struct {
	mu    sync.Mutex
	last  uint64 // ID
	begun uint64
	live  map[*Session[T]]struct{}
	past  Stats // of those that have ended
}

func (all *sessions[T]) nextID() uint64 {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.last++
	return all.last
}

func (all *sessions[T]) add(s *Session[T]) {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.begun++
	all.live[s] = struct{}{}
}

// remove is called when a session has ended. It keeps its numbers.
func (all *sessions[T]) remove(s *Session[T]) {
	all.mu.Lock()
	defer all.mu.Unlock()
	delete(all.live, s)
	all.past.add(s.Stats())
}
