package transport

import (
	"context"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// Conn is a duplex, ordered, reliable connection that carries messages as bytes:
// what [Host] and [Client] are made of. [Dial] and [Listener.Accept] make it.
//
// All methods may be called concurrently, but Receive by one goroutine at a time.
type Conn struct{ c *conn.Conn }

// Dial connects to the host of an endpoint, whose messages have the content
// "bytes": a [Listener], or a Host of []byte. It blocks until the host has accepted
// or refused, ctx ends or [Config.HandshakeTimeout] is over.
//
// Errors: [ErrInvalidEndpoint], [ErrNoHost], [ErrPermission], [ErrNotEndpoint],
// [ErrUnsafeDir], [ErrConfig], [ErrVersion], [ErrMode], [ErrType], [ErrRefused],
// [ErrBusy], [ErrExhausted], [*peer.RefusedError] if [Config.Peer] does not admit
// the host, [ErrProtocol] if what answers is not sealport, [ErrPeerGone] if the host
// went meanwhile, and ctx.Err().
func Dial(ctx context.Context, endpoint string, cfg *Config) (*Conn, error) {
	s, err := cfg.resolve(client)
	if err != nil {
		return nil, err
	}
	c, err := conn.Dial(ctx, endpoint, s.engine(bytesContent))
	if err != nil {
		return nil, err
	}
	return &Conn{c}, nil
}

// Send sends one message, which may be empty. It blocks while the peer's buffer is
// full, until ctx ends; then it returns ctx.Err() and the message does not arrive. p
// is the caller's again when Send returns.
//
// Other errors: [ErrMessageTooLarge], after which the Conn is as before;
// [ErrPeerGone], [ErrProtocol] and [ErrClosed], which are final for sending.
func (c *Conn) Send(ctx context.Context, p []byte) error { return c.c.Send(ctx, p) }

// SendBatch sends messages in order, as Send does one by one, and returns how many
// it has sent: all of them if the error is nil. Small ones share frames of up to
// 16 KiB; each frame takes one lock, one publication, and one wake-up at most. The
// slices are the caller's again when SendBatch returns. Errors are those of Send.
func (c *Conn) SendBatch(ctx context.Context, messages [][]byte) (sent int, err error) {
	return c.c.SendBatch(ctx, messages)
}

// Receive waits for the next message. The slice is valid until the next call of
// Receive, and the caller may write to it.
//
// It returns [io.EOF] after the peer has closed, or a [*CloseError] if the peer said
// why, and [ErrPeerGone] after it vanished; all of them only when everything sent
// before has been returned. It returns ctx.Err() if ctx ends first, which it looks
// at only when there is nothing to return. [ErrProtocol], [ErrPeerChanged] and
// [ErrClosed] are the other errors. All but ctx.Err() are final for receiving.
func (c *Conn) Receive(ctx context.Context) ([]byte, error) { return c.c.Receive(ctx) }

// Flush pushes out what is coalesced. Only attested and secure connections, and
// those over Mach ports, coalesce messages: at most 16 KiB of them, and only while
// the peer is backlogged; they are pushed out without Flush when it has caught up.
// Flush blocks while the peer's buffer is full, until ctx ends.
func (c *Conn) Flush(ctx context.Context) error { return c.c.Flush(ctx) }

// CloseWrite ends this side's messages, after a Flush: the peer receives what was
// sent, then [io.EOF]. Receiving goes on. ctx bounds the Flush.
func (c *Conn) CloseWrite(ctx context.Context) error { return c.c.CloseWrite(ctx) }

// Close flushes, for at most 5 seconds, ends this side's messages, unblocks every
// call and frees what the connection holds. What was sent before still arrives.
// Idempotent.
func (c *Conn) Close() error { return c.c.Close() }

// CloseWithReason is Close, and tells the peer why: its Receive returns a
// [*CloseError]. The reason is cut to 256 bytes, and what is not UTF-8 in it becomes
// "?". It blocks for at most 5 seconds.
func (c *Conn) CloseWithReason(reason string) error { return c.c.CloseWithReason(reason) }

// Peer is the kernel-verified identity of the process at the other end, as of its
// hello. It is closed with the Conn, after which it knows no more than it had
// looked up before.
func (c *Conn) Peer() *peer.Identity { return c.c.Peer() }

// PeerKey is the static key that the peer has proved to hold. It is zero for
// plain connections and for anonymous clients.
func (c *Conn) PeerKey() keys.PublicKey { return c.c.PeerKey() }

// HandshakeHash is the hash of the handshake with which a secure connection began:
// 64 bytes that both sides have and no other connection has, to bind what an
// application does above it (Noise §11.2). It is nil for plain connections. The
// caller owns the slice.
func (c *Conn) HandshakeHash() []byte { return c.c.HandshakeHash() }

// Endpoint is the name of the endpoint.
func (c *Conn) Endpoint() string { return c.c.Endpoint() }

// MaxMessageSize is the size in bytes of the largest message that Send takes:
// the smaller of what both sides configured.
func (c *Conn) MaxMessageSize() int { return c.c.MaxMessageSize() }

// Gone is closed when the peer is known to be dead or to have closed. Messages
// that it sent before may still wait for Receive.
func (c *Conn) Gone() <-chan struct{} { return c.c.Gone() }

// Stats returns what the connection has carried. Each number is exact while its
// direction is idle and lags by at most 255 messages while it is busy.
func (c *Conn) Stats() Stats { return statsOf(c.c.Counters()) }
