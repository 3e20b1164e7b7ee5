package transport

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// Client sends messages to the host of an endpoint and receives its replies.
//
// A Client reconnects: when its host ends, it tries to connect to the next one until
// Close, with pauses that grow to 1 second, or to 1 minute while a host refuses it or the
// handshake fails: so it may be a minute late when that host is replaced.
// [Config.Logger] logs why an attempt has failed.
//
// Messages that may have been lost with a host, and the reason if the host gave one, are
// reported once, as a [*DisconnectedError], by the next Send, SendBatch, Flush, Receive
// or Close. With several goroutines, a Send may get the number of lost messages and a
// Receive not. Receive also returns a DisconnectedError at the end of each connection,
// even if nothing was lost. The other calls then do so only if they find the connection
// ended.
//
// What a host had sent is received after it has ended, then its end, then what the next
// host sends. A Client keeps this for the last 4 connections that have ended.
//
// All methods may be called concurrently, except that Receive and Messages must be used
// by one goroutine at a time.
type Client[T any] struct {
	endpoint string
	s        *settings
	engine   *conn.Config
	k        coder[T]

	current atomic.Pointer[attachment[T]] // nil while there is no host
	loss    atomic.Pointer[DisconnectedError]

	ctx    context.Context // ended by Close
	cancel context.CancelFunc
	kept   chan struct{} // closed when keep has ended

	mu      sync.Mutex
	made    uint64        // connections
	changed chan struct{} // closed and replaced when current becomes non-nil
	dialErr error         // of the last attempt to connect again
	leaving []*attachment[T]
	last    *attachment[T] // that Close closes; nil before and after
	past    Stats

	closing sync.Once
}

// attachment is one connection of a Client.
type attachment[T any] struct {
	*typed[T]
	generation uint64
	detached   chan struct{} // closed when it is no longer current

	// Guarded by Client.mu:
	received bool      // by Receive, which may have returned a slice of its memory
	drained  bool      // Receive has returned how it ended
	left     *leftover // what is to be received, of a connection that is freed
	freed    bool
}

// maxLeaving is how many connections to ended hosts are kept for the replies
// that arrived before.
const maxLeaving = 4

// NewClient connects to the host of an endpoint whose messages are of type T,
// encoded by [CodecOf][T]. It blocks as long as [Dial] and returns the same errors,
// after which nothing is open. ctx covers connecting only. Without a host it returns
// [ErrNoHost]: a Client waits for a host only after it has been connected to one.
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
	c := &Client[T]{
		endpoint: endpoint, s: s, engine: s.engine(content), k: k,
		kept:    make(chan struct{}),
		changed: make(chan struct{}),
	}
	first, err := c.dial(ctx)
	if err != nil {
		return nil, err
	}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	c.attach(first)
	go c.keep()
	return c, nil
}

func (c *Client[T]) dial(ctx context.Context) (*typed[T], error) {
	conn, err := conn.Dial(ctx, c.endpoint, c.engine)
	if err != nil {
		return nil, err
	}
	return newTyped(conn, c.k), nil
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
	for {
		if c.loss.Load() != nil {
			if lost := c.takeLoss(true); lost != nil {
				return lost
			}
		}
		a := c.current.Load()
		if a == nil {
			if err := c.await(ctx, true); err != nil {
				return err
			}
			continue
		}
		err := a.send(ctx, v)
		if err == nil || !isEnd(err) {
			return err
		}
		if !errors.Is(err, message.ErrGoingAway) {
			return c.ended(a, err, true)
		}
		if err := c.awaitEnd(ctx, a); err != nil {
			return err
		}
	}
}

// SendBatch sends messages in order, as Send does one by one, and returns how many
// it has sent: all of them if the error is nil. Small messages share frames of up to
// 16 KiB; each frame takes one lock, one publication, and at most one wake-up. The
// caller may change vs after SendBatch has returned. It returns the errors of Send; if
// one message cannot be encoded or is too large, those before it were sent.
func (c *Client[T]) SendBatch(ctx context.Context, vs []T) (sent int, err error) {
	for {
		if c.loss.Load() != nil {
			if lost := c.takeLoss(true); lost != nil {
				return 0, lost
			}
		}
		a := c.current.Load()
		if a == nil {
			if err := c.await(ctx, true); err != nil {
				return 0, err
			}
			continue
		}
		sent, err := a.sendBatch(ctx, vs)
		if err == nil || !isEnd(err) {
			return sent, err
		}
		if sent > 0 || !errors.Is(err, message.ErrGoingAway) {
			return sent, c.ended(a, err, true)
		}
		if err := c.awaitEnd(ctx, a); err != nil {
			return 0, err
		}
	}
}

// ended handles a connection that ended with err and returns the error for the
// caller of Send, SendBatch, Flush or Receive.
func (c *Client[T]) ended(a *attachment[T], err error, notSent bool) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	err = c.detach(a, endOfHost(err))
	if lost := c.takeLoss(notSent); lost != nil {
		if err != ErrPeerGone {
			lost.Err = err // it was received after the loss was noted
		}
		return lost
	}
	return &DisconnectedError{Endpoint: c.endpoint, Generation: a.generation, NotSent: notSent, Err: err}
}

// awaitEnd waits until a host that is going away has handled everything and has ended:
// what is sent to the next host is not handled before that.
func (c *Client[T]) awaitEnd(ctx context.Context, a *attachment[T]) error {
	select {
	case <-a.detached:
		return nil
	case <-c.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takeLoss returns the loss that was not reported yet, once.
func (c *Client[T]) takeLoss(notSent bool) *DisconnectedError {
	lost := c.loss.Swap(nil)
	if lost == nil {
		return nil
	}
	lost.NotSent = notSent
	return lost
}

// await waits for a host.
func (c *Client[T]) await(ctx context.Context, notSent bool) error {
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		if c.current.Load() != nil {
			return nil
		}
		// detach is done, so the loss is known.
		if lost := c.takeLoss(notSent); lost != nil {
			return lost
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			c.mu.Lock()
			dialErr := c.dialErr
			c.mu.Unlock()
			if dialErr == nil {
				return ctx.Err()
			}
			return fmt.Errorf("%w; the last attempt to connect again: %w", ctx.Err(), dialErr)
		}
	}
}

// Receive waits for the next message that the host sends, also while there is no
// host, until ctx ends. A []byte is valid until the next Receive.
//
// Errors: ctx.Err(), which while there is no host is wrapped as by Send; [*MessageError]
// for a message that cannot be decoded; [*DisconnectedError] after the last message of a
// connection, see [Client]; [ErrClosed]. After all but ErrClosed the next Receive
// continues with the next message, of the next host if need be.
func (c *Client[T]) Receive(ctx context.Context) (v T, err error) {
	for {
		a, lost := c.reading()
		if lost != nil {
			return v, lost
		}
		if a == nil {
			if err := c.await(ctx, false); err != nil {
				return v, err
			}
			continue
		}
		if v, err = a.receiveNext(ctx); err == nil || !isEnd(err) {
			return v, err
		}
		c.read(a)
		return v, c.ended(a, err, false)
	}
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
			if err != nil && (errors.Is(err, ErrClosed) && c.ctx.Err() != nil || ctx.Err() != nil && errors.Is(err, ctx.Err())) {
				return
			}
			if !yield(v, err) {
				return
			}
		}
	}
}

// reading returns the connection to receive from: the oldest one that may still
// have messages. What was lost with earlier ones is reported first.
func (c *Client[T]) reading() (a *attachment[T], lost *DisconnectedError) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.leaving) > 0 {
		return c.leaving[0], nil
	}
	if c.loss.Load() != nil {
		lost = c.takeLoss(false)
	}
	if a = c.current.Load(); a != nil {
		a.received = true
	}
	return a, lost
}

// read is called when nothing more can be received from a connection. It interrupts
// a Send that waits there: the host may still live, but it has ended its side or
// violated the protocol, and detach needs the sender's lock.
func (c *Client[T]) read(a *attachment[T]) {
	a.Interrupt()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, b := range c.leaving {
		if a == b {
			c.leaving = append(c.leaving[:i], c.leaving[i+1:]...)
			c.endLocked(a)
			return
		}
	}
	// It is still current: detach must not keep it for its replies.
	a.drained = true
}

// Flush sends coalesced messages; see [Conn.Flush]. It blocks as long as Send, also
// while there is no host, and returns the same errors with the same state afterwards.
// After ctx.Err() the messages are still coalesced.
func (c *Client[T]) Flush(ctx context.Context) error {
	if lost := c.takeLoss(false); lost != nil {
		return lost
	}
	a := c.current.Load()
	if a == nil {
		return c.await(ctx, false)
	}
	err := a.Flush(ctx)
	if errors.Is(err, message.ErrGoingAway) {
		return nil // it has flushed
	}
	if err == nil || !isEnd(err) {
		return err
	}
	return c.ended(a, err, false)
}

// Generation returns how many connections this Client has made: 1 after its constructor,
// one more each time that it has connected again. What the host keeps for a connection,
// such as a login or a subscription, is gone when the generation changes. It does not
// block.
func (c *Client[T]) Generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made
}

// Peer returns the kernel-verified identity of the host, or nil while there is none.
// The identity is closed with the connection to that host. Peer does not block.
func (c *Client[T]) Peer() *peer.Identity {
	if a := c.current.Load(); a != nil {
		return a.Peer()
	}
	return nil
}

// PeerKey returns the static key that the host has proved to hold. It is zero while
// there is no host, and for plain clients. It does not block.
func (c *Client[T]) PeerKey() keys.PublicKey {
	if a := c.current.Load(); a != nil {
		return a.PeerKey()
	}
	return keys.PublicKey{}
}

// Endpoint returns the name of the endpoint.
func (c *Client[T]) Endpoint() string { return c.endpoint }

// Stats returns what the client has carried in all its connections.
func (c *Client[T]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.past
	for _, a := range c.leaving {
		if !a.freed {
			s.add(statsOf(a.Counters()))
		}
	}
	for _, a := range []*attachment[T]{c.current.Load(), c.last} {
		if a != nil {
			s.add(statsOf(a.Counters()))
		}
	}
	return s
}

// Close closes the connection gracefully: what was sent before still arrives if the
// host lives. Other calls return [ErrClosed]. Messages that were not received are
// dropped. Close blocks for at most 5 seconds, while the host's buffer is full.
//
// It returns a [*DisconnectedError] if messages may have been lost with a host and no
// call has reported it, else the error of [Conn.Close]. The Client is closed in any
// case, and later calls of Close return nil.
func (c *Client[T]) Close() (err error) {
	c.closing.Do(func() { err = c.close() })
	return err
}

func (c *Client[T]) close() error {
	c.cancel()
	<-c.kept
	err := c.closeLast()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range c.leaving {
		c.endLocked(a)
	}
	c.leaving = nil
	if lost := c.takeLoss(false); lost.matters() {
		return lost
	}
	return err
}

// closeLast closes the current connection: without the lock, since that may block.
func (c *Client[T]) closeLast() error {
	c.mu.Lock()
	a := c.current.Swap(nil)
	if a == nil {
		c.mu.Unlock()
		return nil
	}
	c.last = a
	// Before our own goodbye, which a host answers by going as well.
	gone := a.HungUp()
	cause := ErrPeerGone
	var lost uint64
	if gone {
		cause = c.drainLocked(a, cause)
		lost = c.noteLossLocked(a, cause)
	}
	c.mu.Unlock()
	if gone {
		c.logLoss(lost, cause)
	}
	err := a.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = nil
	c.past.add(statsOf(a.Counters()))
	return err
}
