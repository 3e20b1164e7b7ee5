package transport

import (
	"context"
	"sync"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// Message is what a Host's handler gets.
type Message[T any] struct {
	// Peer is who sent it: the kernel's word when the connection was made,
	// and in attested mode with each frame.
	Peer *peer.Identity

	// Body is the message. A []byte is valid until the handler returns.
	Body T

	from replier[T]
}

// Reply sends a message to the client, whose Receive returns it. Messages of one
// handler arrive in order. It blocks while the client's buffer is full, until
// ctx ends: a client that never receives stalls its own messages only. It may be
// called after the handler has returned, and by several goroutines. For errors
// see Conn.Send; ErrEncode.
func (m Message[T]) Reply(ctx context.Context, v T) error { return m.from.reply(ctx, v) }

// PeerKey is the static key that the sender has proved to hold; see Conn.PeerKey.
func (m Message[T]) PeerKey() keys.PublicKey { return m.from.peerKey() }

type replier[T any] interface {
	reply(ctx context.Context, v T) error
	peerKey() keys.PublicKey
}

// session is a Client's way to its host, until that is gone.
type session[T any] interface {
	send(ctx context.Context, v T) error
	receive(ctx context.Context) (T, error)
	flush(ctx context.Context) error
	gone() <-chan struct{}
	hungUp() bool   // like gone, but the system is asked
	interrupt()     // ends calls that wait, and later ones, and frees nothing
	unread() uint64 // frames that the host is not known to have dealt with
	peer() *peer.Identity
	hostKey() keys.PublicKey
	stats() Stats
	close() error
	abort()
}

// typed is a Conn with a codec: a Client's session, and a Host's side of it.
type typed[T any] struct {
	conn *Conn
	k    coder[T]
	bufs sync.Pool // of *[]byte, for encoding
}

func newTyped[T any](c *Conn, k coder[T]) *typed[T] {
	return &typed[T]{conn: c, k: k, bufs: sync.Pool{New: func() any { return new([]byte) }}}
}

// keptEncoding is the size in bytes up to which buffers for encoding are kept.
const keptEncoding = 64 << 10

func (t *typed[T]) send(ctx context.Context, v T) error {
	if t.k.bytes != nil {
		return t.conn.m.Send(ctx, t.k.bytes(v))
	}
	buf := t.bufs.Get().(*[]byte)
	b, err := t.k.encode((*buf)[:0], v)
	if err == nil {
		err = t.conn.m.Send(ctx, b)
	}
	if cap(b) <= keptEncoding && b != nil {
		*buf = b
	}
	t.bufs.Put(buf)
	return err
}

func (t *typed[T]) reply(ctx context.Context, v T) error { return t.send(ctx, v) }

func (t *typed[T]) receive(ctx context.Context) (v T, err error) {
	b, err := t.conn.m.Receive(ctx)
	if err != nil {
		return v, err
	}
	if v, err = t.k.decode(b); err != nil {
		err = &MessageError{Peer: t.conn.id, Size: len(b), Err: err}
	}
	return v, err
}

func (t *typed[T]) flush(ctx context.Context) error { return t.conn.m.Flush(ctx) }
func (t *typed[T]) interrupt()                      { t.conn.m.Interrupt() }
func (t *typed[T]) gone() <-chan struct{}           { return t.conn.m.Gone() }
func (t *typed[T]) hungUp() bool                    { return t.conn.m.HungUp() }
func (t *typed[T]) unread() uint64                  { return t.conn.m.Unacknowledged() }
func (t *typed[T]) peer() *peer.Identity            { return t.conn.id }
func (t *typed[T]) peerKey() keys.PublicKey         { return t.conn.PeerKey() }
func (t *typed[T]) hostKey() keys.PublicKey         { return t.conn.PeerKey() }
func (t *typed[T]) stats() Stats                    { return t.conn.Stats() }
func (t *typed[T]) close() error                    { return t.conn.Close() }
func (t *typed[T]) abort()                          { t.conn.abort() }
