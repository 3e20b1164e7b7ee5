package transport

import (
	"context"
	"errors"
	"iter"
	"runtime"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// Client sends messages to the host of an endpoint and receives its replies.
//
// Replies are not matched with messages: if two goroutines each Send and Receive, one gets
// the replies to the other. Use a Client for each of them, or number the messages, and have
// the host repeat the number in its answer.
//
// A Client reconnects: when its host ends, it tries to connect to the next one until
// Close, with pauses that grow to 1 second, or to 1 minute while a host refuses it or the
// handshake fails: so it may be a minute late when that host is replaced.
// [Config.Logger] logs why an attempt has failed.
//
// Each connection that has ended is reported once, as a [*DisconnectedError], by the next
// Send, SendBatch, Flush or Receive, even if nothing was lost: what the host kept for the
// connection, such as a login or a subscription, is gone with it. The error says how many
// messages may have been lost, and the host's reason if it gave one. With several goroutines,
// one of them gets the report. Close reports a connection only if something may have been
// lost or there is a reason. Of more than 4 that nobody has asked about, the oldest are
// reported together. See also [Client.Generation].
//
// In addition, Receive returns a DisconnectedError after the last message of each
// connection, in its place: before anything that the next host sends. If another call has
// reported that end already, this one has the same Generation and cause, but Unconfirmed is
// 0: a loss is reported once. So a program that waits for an answer compares Generations.
// If that of the error is not above one that was reported before the request was sent, the
// error is about an earlier connection, and the answer can still come; otherwise the answer
// will not come, and the host may or may not have handled the request. The example of
// [DisconnectedError] does this.
//
// A host that shuts down gracefully loses nothing (see [Host.Shutdown]): it asks the
// Client to end, handles all that was sent up to there, and closes. Meanwhile Send waits,
// so that the next host handles nothing before that, and then reports the end of the
// connection as above. As with a full buffer, a program whose host replies must Receive
// meanwhile, in another goroutine, or neither side may go on.
//
// What a host had sent is received after it has ended, then its end, then what the next
// host sends. A Client keeps this for the last 4 connections that have ended.
//
// A Client that is not used any more must be closed. One that becomes garbage before that
// is closed some time later, and [Config.Logger] says so.
//
// All methods may be called concurrently, except that Receive and Messages must be used
// by one goroutine at a time.
type Client[T any] struct {
	_       noCopy
	r       *reconnector[T]
	cleanup runtime.Cleanup // until Close
}

// noCopy has go vet complain about copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}

// NewClient connects to the host of an endpoint whose messages are of type T,
// encoded by [CodecOf][T]. It blocks as long as [Dial] and returns the same errors,
// after which nothing is open. ctx covers connecting only. Without a host it returns
// [ErrNoHost]: a Client waits for a host only after it has been connected to one. To wait
// for the first one, try again until ctx ends:
//
//	client, err := transport.NewClient[string](ctx, endpoint, cfg)
//	for errors.Is(err, transport.ErrNoHost) && ctx.Err() == nil {
//		time.Sleep(100 * time.Millisecond)
//		client, err = transport.NewClient[string](ctx, endpoint, cfg)
//	}
//
// Two structs that differ connect, and the client does not learn that the host cannot
// decode its messages: see [ErrType].
func NewClient[T any](ctx context.Context, endpoint string, cfg *Config) (*Client[T], error) {
	return NewClientWithCodec[T](ctx, endpoint, nil, cfg)
}

// NewClientWithCodec is [NewClient] with a custom codec, which it keeps. A nil codec
// means [CodecOf][T].
func NewClientWithCodec[T any](ctx context.Context, endpoint string, codec Codec[T], cfg *Config) (*Client[T], error) {
	s, err := cfg.resolve(client)
	if err != nil {
		return nil, err
	}
	k, content, err := coderOf(codec)
	if err != nil {
		return nil, err
	}
	r := &reconnector[T]{
		endpoint: endpoint, s: s, engine: s.engine(content), k: k,
		changed: make(chan struct{}),
	}
	first, err := r.dial(ctx)
	if err != nil {
		return nil, err
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	r.attach(first, firstPause)
	c := &Client[T]{r: r}
	c.cleanup = runtime.AddCleanup(c, (*reconnector[T]).abandoned, r)
	return c, nil
}

// Send sends one message. It blocks while the host's buffer is full, and while
// there is no host, until ctx ends; then the message does not arrive. The caller may
// change v after Send has returned.
//
// Errors: ctx.Err(), [ErrMessageTooLarge] and [ErrEncode], after which the Client is
// as before; [*DisconnectedError], which means that this message was not sent and
// others may be lost, and after which the next call sends to the next host, or waits for
// it; [ErrClosed].
//
// If ctx ends while there is no host, errors.Is holds for ctx.Err() and, if attempts to
// connect have failed, for the error of the last one, such as
// [ErrNoHost] or [ErrRefused], but not for [ErrDisconnected].
func (c *Client[T]) Send(ctx context.Context, v T) error {
	err := c.r.send(ctx, v)
	runtime.KeepAlive(c)
	return err
}

// SendBatch sends messages in order, as Send does one by one, and returns how many
// it has sent: all of them if the error is nil. Small messages share frames of up to
// 16 KiB; each frame takes one lock, one publication, and at most one wake-up. The
// caller may change vs after SendBatch has returned. It returns the errors of Send; if
// one message cannot be encoded or is too large, those before it were sent.
func (c *Client[T]) SendBatch(ctx context.Context, vs []T) (sent int, err error) {
	sent, err = c.r.sendBatch(ctx, vs)
	runtime.KeepAlive(c)
	return sent, err
}

// Receive waits for the next message that the host sends, also while there is no
// host, until ctx ends. A []byte is valid until the next Receive.
//
// Errors: ctx.Err(), which while there is no host is wrapped as by Send; [*MessageError]
// for a message that cannot be decoded; [*DisconnectedError] after the last message of a
// connection, see [Client]; [ErrClosed]. After all but ErrClosed the next Receive
// continues with the next message, of the next host if need be.
func (c *Client[T]) Receive(ctx context.Context) (v T, err error) {
	v, err = c.r.receive(ctx)
	runtime.KeepAlive(c)
	return v, err
}

// Messages iterates over the messages that the host sends, as Receive returns them,
// until ctx ends or the Client is closed, which yields no error. It yields a
// [*MessageError] or [*DisconnectedError] with a zero value, in order with the messages,
// and then continues. It blocks as Receive does. A []byte is valid until the loop's next
// iteration.
func (c *Client[T]) Messages(ctx context.Context) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			v, err := c.Receive(ctx)
			if err != nil && (errors.Is(err, ErrClosed) && c.r.ctx.Err() != nil || ctx.Err() != nil && errors.Is(err, ctx.Err())) {
				return
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// Flush sends coalesced messages; see [Conn.Flush]. It blocks as long as Send, also
// while there is no host, and returns the same errors with the same state afterwards.
// After ctx.Err() the messages are still coalesced.
func (c *Client[T]) Flush(ctx context.Context) error {
	defer runtime.KeepAlive(c)
	return c.r.flush(ctx)
}

// Generation returns how many connections this Client has made: 1 after its constructor,
// one more each time that it has connected again. What the host keeps for a connection,
// such as a login or a subscription, is gone when the generation changes. It does not
// block.
func (c *Client[T]) Generation() uint64 { return c.r.generation() }

// Peer returns the kernel-verified identity of the host, or nil while there is none.
// The identity is closed with the connection to that host. Peer does not block.
func (c *Client[T]) Peer() *peer.Identity { return c.r.peer() }

// PeerKey returns the static key that the host has proved to hold. It is zero while
// there is no host, and for plain clients. It does not block.
func (c *Client[T]) PeerKey() keys.PublicKey { return c.r.peerKey() }

// Endpoint returns the name of the endpoint.
func (c *Client[T]) Endpoint() string { return c.r.endpoint }

// Stats returns what the client has carried in all its connections.
func (c *Client[T]) Stats() Stats { return c.r.stats() }

// Close closes the connection gracefully: what was sent before still arrives if the
// host lives. Other calls return [ErrClosed]. Messages that were not received are
// dropped. Close blocks for at most 5 seconds, while the host's buffer is full.
//
// It returns a [*DisconnectedError] if messages may have been lost with a host, or a host
// gave a reason for closing, and no call has reported it, else the error of [Conn.Close]. The Client is closed in any
// case, and later calls of Close return nil.
func (c *Client[T]) Close() (err error) {
	defer runtime.KeepAlive(c)
	c.cleanup.Stop()
	c.r.closing.Do(func() { err = c.r.close() })
	return err
}
