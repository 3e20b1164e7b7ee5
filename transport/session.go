package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// Message is a received message, as a [Host]'s handler gets it.
type Message[T any] struct {
	// Body is the message. A []byte is valid until the handler returns.
	Body T

	// Session is the client that sent it.
	Session *Session[T]
}

// Reply sends a message to the client, whose Receive returns it. It is the same as
// [Session.Send] of m.Session, and may be called after the handler has returned.
func (m Message[T]) Reply(ctx context.Context, v T) error { return m.Session.Send(ctx, v) }

// Session is a [Host]'s side of one client, as long as the client is connected. All
// methods may be called concurrently, by handlers too, and after the session has
// ended. They do not block unless they say so.
type Session[T any] struct {
	h *Host[T]
	c *typed[T]

	id     uint64
	ctx    context.Context // ended with the session
	cancel context.CancelFunc
	reason atomic.Pointer[string] // given to Close; nil before
	left   atomic.Pointer[error]  // why the session has ended, if not by this side
	value  atomic.Value
	out    outbox
}

// boxed makes values of different types one type for atomic.Value.
type boxed struct{ v any }

// ID returns the number of the session, which counts from 1 and is unique in its Host.
func (s *Session[T]) ID() uint64 { return s.id }

// Peer returns the kernel-verified identity of the client, as of its hello, and in
// attested mode as of each frame. The identity is closed when the session ends; after
// that it has only what was looked up before.
func (s *Session[T]) Peer() *peer.Identity { return s.c.Peer() }

// PeerKey returns the static key that the client has proved to hold; see [Conn.PeerKey].
func (s *Session[T]) PeerKey() keys.PublicKey { return s.c.PeerKey() }

// HandshakeHash returns the handshake hash of a secure session; see [Conn.HandshakeHash].
func (s *Session[T]) HandshakeHash() []byte { return s.c.HandshakeHash() }

// Context returns the context that handlers of the session get. It ends with the
// session: the client is gone, this side has closed the session, or the context of
// [Host.Shutdown] has ended. Messages that a client sent before it went are still
// handled, with a context that has ended; use [context.WithoutCancel] for work that
// must be done even then.
func (s *Session[T]) Context() context.Context { return s.ctx }

// Stats returns what the session has carried; see [Conn.Stats].
func (s *Session[T]) Stats() Stats {
	stats := statsOf(s.c.Conn)
	stats.Dropped = s.out.dropped.Load()
	return stats
}

// Value returns the last value given to SetValue, or nil. It holds the application's
// own state for this client.
func (s *Session[T]) Value() any {
	b, _ := s.value.Load().(boxed)
	return b.v
}

// SetValue sets the value that Value returns.
func (s *Session[T]) SetValue(v any) { s.value.Store(boxed{v}) }

// Send sends a message to the client, whose Receive returns it. Messages that one
// goroutine sends arrive in order. It blocks while the client's buffer is full,
// until ctx ends: a client that never receives delays only calls that send to it. The
// caller may change v after Send has returned. It returns the errors of [Conn.Send],
// and [ErrEncode], after which the session is as before. If the client has ended the
// session with a reason, that is in the error, as a [*CloseError].
func (s *Session[T]) Send(ctx context.Context, v T) error {
	err := s.c.send(ctx, v)
	if left := s.left.Load(); left != nil && err == ErrClosed {
		return *left // this side has closed after the client
	}
	return err
}

// leftBy is what Send returns when the client has ended the session, or it has failed, with
// why.
func leftBy(why error) *error {
	var closed *CloseError
	switch {
	case why == ErrClosed:
		return nil
	case why == nil:
		why = ErrPeerGone
	case errors.As(why, &closed):
		why = fmt.Errorf("%w: %w", ErrPeerGone, closed)
	}
	return &why
}

// Close ends the session. The client gets a [*CloseError] with the reason, or, if the
// reason is empty, the same as after [Host.Close]. What was sent to the client before
// still arrives. Messages of the client that were not handled yet are lost, and the
// client learns how many. A [Client] reconnects. If [Service.OnConnect] then refuses it,
// it keeps trying, with pauses that grow to 1 minute, until its own Close.
//
// Close blocks for at most 5 seconds, while the client's buffer is full, and does not
// wait for the session's handler. It returns the errors of [Conn.Close]; the session has
// ended in any case. A later call changes nothing, not even the reason, and returns
// the same.
func (s *Session[T]) Close(reason string) error {
	// Before anything ends: serve closes with the same reason, if it comes first.
	s.reason.CompareAndSwap(nil, &reason)
	s.cancel()
	return s.c.CloseWithReason(*s.reason.Load())
}

// why returns the error that OnDisconnect gets when receiving has ended with err.
func (s *Session[T]) why(err error) error {
	over := s.h.drain.Err() != nil // so the client was asked to end
	switch {
	case err == io.EOF && !over:
		return nil
	case s.reason.Load() != nil, over && (err == io.EOF || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)):
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
