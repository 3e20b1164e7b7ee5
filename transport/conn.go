package transport

import (
	"context"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// Conn is a duplex, ordered, reliable connection that carries messages as bytes.
// [Dial] and [Listener.Accept] make it. It is what [Host] and [Client] are built on.
//
// All methods may be called concurrently, except that Receive must be used by one
// goroutine at a time.
type Conn struct{ c *conn.Conn }

// Dial connects to the host of an endpoint whose messages have the content name
// "bytes": a [Listener], or a [Host] of []byte. It blocks until the host has accepted
// or refused the connection, ctx ends, or [Config.HandshakeTimeout] has passed.
//
// Errors: [ErrInvalidEndpoint], [ErrNoHost], [ErrPermission], [ErrNotEndpoint],
// [ErrUnsafeDir], [ErrConfig], [ErrVersion], [ErrMode], [ErrType], [ErrRefused],
// [ErrBusy], [ErrExhausted], [*peer.RefusedError] if [Config.Peer] refuses the host,
// [ErrProtocol] if the other side does not use sealport's protocol, [ErrPeerGone] if
// the host ended first, and ctx.Err(). No error leaves anything open. ctx covers
// connecting only: it does not end the Conn.
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
// full, until ctx ends; then it returns ctx.Err() and the message does not arrive. The
// caller may change p after Send has returned.
//
// Other errors: [ErrMessageTooLarge], after which the Conn is as before;
// [ErrPeerGone], [ErrProtocol] and [ErrClosed], which are final for sending.
func (c *Conn) Send(ctx context.Context, p []byte) error { return c.c.Send(ctx, p) }

// SendBatch sends messages in order, as Send does one by one, and returns how many
// it has sent: all of them if the error is nil. Small messages share frames of up to
// 16 KiB; each frame takes one lock, one publication, and at most one wake-up. The
// caller may change the slices after SendBatch has returned. It returns the errors of
// Send.
func (c *Conn) SendBatch(ctx context.Context, messages [][]byte) (sent int, err error) {
	return c.c.SendBatch(ctx, messages)
}

// Receive waits for the next message. The slice is valid until the next call of
// Receive, and the caller may write to it.
//
// It returns [io.EOF] after the peer has closed, a [*CloseError] if the peer gave a
// reason, and [ErrPeerGone] if the peer ended without closing; each of them only after
// all messages sent before. It returns ctx.Err() if ctx has ended, also if messages wait:
// the next Receive returns them. The other errors are [ErrProtocol], [ErrPeerChanged] and [ErrClosed]. All
// errors except ctx.Err() are final for receiving.
func (c *Conn) Receive(ctx context.Context) ([]byte, error) { return c.c.Receive(ctx) }

// Flush sends coalesced messages. Only attested and secure connections, and those over
// Mach ports, coalesce messages: at most 16 KiB of them, and only while the peer is
// backlogged. When the peer has caught up they are sent without Flush. Flush blocks
// while the peer's buffer is full, until ctx ends; after ctx.Err() the messages are
// still coalesced. Other errors are the final ones of Send. On connections that do not
// coalesce, Flush does nothing and returns ctx.Err().
func (c *Conn) Flush(ctx context.Context) error { return c.c.Flush(ctx) }

// CloseWrite flushes and then ends this side's messages: the peer receives what was
// sent, then [io.EOF]. This side can still receive; Send returns [ErrClosed], and so
// does a second CloseWrite.
//
// CloseWrite blocks as long as Flush. If ctx ends while it waits for another call that
// sends, nothing has changed. If ctx ends later, this side's messages have ended, what
// was coalesced is lost, and a secure connection does not end gracefully: the peer gets
// an error. Both return ctx.Err(). Other errors are the final ones of Send.
func (c *Conn) CloseWrite(ctx context.Context) error { return c.c.CloseWrite(ctx) }

// Close flushes, which blocks for at most 5 seconds, ends this side's messages,
// unblocks every call and frees the connection's resources. What was sent before still
// arrives.
//
// It returns [context.DeadlineExceeded] if the peer's buffer stayed full for 5 seconds,
// after which coalesced messages are lost; [ErrProtocol] if the peer violated the
// protocol; or an error of the system. It returns nil if the peer had gone before. The
// Conn is closed in any case, and later calls return the same as the first.
func (c *Conn) Close() error { return c.c.Close() }

// CloseWithReason is Close with a reason for the peer, whose Receive returns a
// [*CloseError]. The reason is truncated to 256 bytes, and bytes in it that are not
// UTF-8 become "?". It blocks for at most 5 seconds, while the peer's buffer is full,
// and returns the errors of Close. After Close it does nothing. The reason is not sent if the
// peer has asked for the end ([Conn.GoAway]), since this side's messages have ended then.
func (c *Conn) CloseWithReason(reason string) error { return c.c.CloseWithReason(reason) }

// Peer returns the kernel-verified identity of the process at the other end, as of its
// hello. The identity is closed with the Conn; after that it has only what was looked
// up before.
func (c *Conn) Peer() *peer.Identity { return c.c.Peer() }

// PeerKey returns the static key that the peer has proved to hold. It is zero for
// plain connections and for anonymous clients.
func (c *Conn) PeerKey() keys.PublicKey { return c.c.PeerKey() }

// HandshakeHash returns the hash of the handshake with which a secure connection began:
// 64 bytes that are the same on both sides and unique to this connection, so that an
// application can bind its own protocol to it (Noise §11.2). It is nil for plain
// connections. The caller owns the slice.
func (c *Conn) HandshakeHash() []byte { return c.c.HandshakeHash() }

// Endpoint returns the name of the endpoint.
func (c *Conn) Endpoint() string { return c.c.Endpoint() }

// MaxMessageSize returns the size in bytes of the largest message that Send accepts:
// the smaller value of the two sides.
func (c *Conn) MaxMessageSize() int { return c.c.MaxMessageSize() }

// GoAway asks the peer, which must have dialed, to end its messages. A [Conn] or
// [Client] flushes and does so: this side receives everything that was sent, then
// [io.EOF], while the peer's Send returns [ErrPeerGone]. So a host that ends loses
// nothing. GoAway does not block, and does not wait for the peer. It does nothing on the
// side that has dialed, and after Close.
func (c *Conn) GoAway() { c.c.GoAway() }

// Gone returns a channel that is closed when the peer has died or closed. Messages
// that it sent before may still wait for Receive.
func (c *Conn) Gone() <-chan struct{} { return c.c.Gone().Done() }

// Stats returns what the connection has carried. Each number is exact while its
// direction is idle and lags by at most 255 messages while it is busy.
func (c *Conn) Stats() Stats { return statsOf(c.c) }
