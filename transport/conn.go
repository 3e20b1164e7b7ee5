package transport

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/upgrade"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// Conn is a duplex, ordered, reliable connection that carries messages: what
// Host and Client are made of. Dial and Listener.Accept make it.
//
// Send, Flush, Close, Stats and Peer may be called by several goroutines at a
// time, Receive by one.
type Conn struct {
	m        *message.Conn
	id       *peer.Identity
	proof    upgrade.Result // of a secure handshake
	endpoint string
	limit    int // bytes, both sides' MaxMessageSize considered

	close   sync.Once
	err     error  // of Close
	onClose func() // may be nil
}

// newConn makes a Conn of a link on which both sides have said hello, and shown
// proof if they are secure.
func newConn(l link.Link, s *settings, theirs message.Hello, id *peer.Identity, proof upgrade.Result, endpoint string, onClose func()) *Conn {
	limit := s.MaxMessageSize
	if theirs.MaxMessage < uint64(limit) {
		limit = int(theirs.MaxMessage)
	}
	m := message.NewConn(l, message.Config{
		MaxSend:    limit,
		MaxReceive: s.MaxMessageSize,
		// In shared memory a frame costs less than the question whether the
		// peer is behind.
		Coalesce: l.SyscallPerFrame(),
	})
	return &Conn{m: m, id: id, proof: proof, endpoint: endpoint, limit: limit, onClose: onClose}
}

// Send sends one message. It blocks while the peer's buffer is full, until ctx
// ends; then ctx.Err() is returned and the message will not arrive. p is the
// caller's again when Send returns. It may be empty.
//
// Other errors: ErrMessageTooLarge, after which the Conn is as before;
// ErrPeerGone, ErrProtocol and ErrClosed, which are final for sending.
func (c *Conn) Send(ctx context.Context, p []byte) error { return c.m.Send(ctx, p) }

// Receive waits for the next message. The slice is valid until the next call of
// Receive, and the caller may write to it.
//
// It returns io.EOF after the peer closed in good order, ErrPeerGone after it
// vanished, both only when everything sent before has been returned; ctx.Err()
// if ctx ends first, which it looks at only when there is nothing to return;
// ErrProtocol, ErrPeerChanged and ErrClosed. All but ctx.Err() are final for
// receiving.
func (c *Conn) Receive(ctx context.Context) ([]byte, error) { return c.m.Receive(ctx) }

// Flush pushes out what is held back. Only attested connections hold messages
// back, at most 16 KiB of them, and only while the peer is behind; they are
// pushed out without Flush when it has caught up. Flush blocks while the peer's
// buffer is full, until ctx ends.
func (c *Conn) Flush(ctx context.Context) error { return c.m.Flush(ctx) }

// CloseWrite ends this side's messages, after a Flush: the peer receives what
// was sent, then io.EOF. Receiving goes on. ctx bounds the Flush.
func (c *Conn) CloseWrite(ctx context.Context) error { return c.m.CloseWrite(ctx) }

// Close flushes (for 5 seconds at most), ends this side's messages, unblocks
// every call and frees what the connection holds. What was sent before still
// arrives. Idempotent.
func (c *Conn) Close() error {
	c.close.Do(func() { c.err = c.finish(c.m.Close()) })
	return c.err
}

// abort is Close without the flush.
func (c *Conn) abort() {
	c.close.Do(func() { c.err = c.finish(c.m.Abort()) })
}

func (c *Conn) finish(err error) error {
	if c.onClose != nil {
		c.onClose()
	}
	return errors.Join(err, c.id.Close())
}

// Peer is the kernel's word on the process at the other end when it said hello.
// It is closed with the Conn, after which it knows no more than it had looked
// up before.
func (c *Conn) Peer() *peer.Identity { return c.id }

// PeerKey is the static key that the peer has proved to hold. It is zero for
// plain connections and for anonymous clients.
func (c *Conn) PeerKey() keys.PublicKey { return c.proof.Key }

// HandshakeHash is the hash of the handshake with which a secure connection began:
// 64 bytes that both sides have and no other connection has, to bind what an
// application does above it (Noise §11.2). Nil for plain connections.
func (c *Conn) HandshakeHash() []byte { return bytes.Clone(c.proof.Hash) }

// Endpoint is the name of the endpoint.
func (c *Conn) Endpoint() string { return c.endpoint }

// MaxMessageSize is the size in bytes of the largest message that Send takes:
// the smaller of what both sides configured.
func (c *Conn) MaxMessageSize() int { return c.limit }

// Gone is closed when the peer is known to be dead or to have closed. Messages
// that it sent before may still wait for Receive.
func (c *Conn) Gone() <-chan struct{} { return c.m.Gone() }

// Stats returns what the connection has carried. Each number is exact while its
// direction is idle and lags by at most 255 messages while it is busy.
func (c *Conn) Stats() Stats { return statsOf(c.m.Counters()) }
