package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// Client sends messages to the host of an endpoint and receives its replies.
//
// It keeps the connection: when the host goes, it looks for the next one, with
// growing pauses, until Close. What may have been lost with a host is reported
// by the next Send, Flush, Receive or Close, once, as a *DisconnectedError.
//
// All methods may be called concurrently, but Receive by one goroutine at a
// time.
type Client[T any] struct {
	endpoint string
	s        *settings
	k        coder[T]

	current atomic.Pointer[attachment[T]] // nil while there is no host
	loss    atomic.Pointer[DisconnectedError]

	ctx    context.Context // ended by Close
	cancel context.CancelFunc
	kept   chan struct{} // closed when keep has ended

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when current becomes non-nil
	dialErr  error         // of the last attempt to connect again
	receives bool          // Receive was called
	leaving  []*attachment[T]
	past     Stats
}

// attachment is one session of a Client.
type attachment[T any] struct {
	session[T]
	detached chan struct{} // closed when it is no longer current
}

// maxLeaving is how many sessions whose host is gone are kept for the replies
// that came before.
const maxLeaving = 4

// NewClient connects to the host of an endpoint that takes messages of type T,
// encoded by CodecOf[T]. It blocks as Dial does, and has its errors. If there is
// no host yet that is ErrNoHost; a Client only waits for hosts that it had.
func NewClient[T any](ctx context.Context, endpoint string, cfg *Config) (*Client[T], error) {
	codec, err := CodecOf[T]()
	if err != nil {
		return nil, err
	}
	return NewClientWithCodec(ctx, endpoint, codec, cfg)
}

// NewClientWithCodec is NewClient with a codec of the caller's.
func NewClientWithCodec[T any](ctx context.Context, endpoint string, codec Codec[T], cfg *Config) (*Client[T], error) {
	s, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	if codec == nil {
		return nil, fmt.Errorf("%w: a client needs a codec", ErrConfig)
	}
	c := &Client[T]{
		endpoint: endpoint, s: s, k: newCoder(codec),
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

// dial makes a session: within the process if there is a host, else by Dial.
func (c *Client[T]) dial(ctx context.Context) (session[T], error) {
	if l, err := dialLocal[T](ctx, c.endpoint, c.s); l != nil || err != nil {
		return l, err
	}
	conn, err := dial(ctx, c.endpoint, c.s)
	if err != nil {
		return nil, err
	}
	return newTyped(conn, c.k), nil
}

// Send sends one message. It blocks while the host's buffer is full, and while
// there is no host, until ctx ends; the message will not arrive then. v is the
// caller's again when Send returns.
//
// Within the process, the handler has returned when Send returns; it gets v
// itself, so what v points to is shared. A handler must not Send by the Client
// whose message it handles.
//
// Errors: ctx.Err(), ErrMessageTooLarge and ErrEncode, after which all is as
// before; *DisconnectedError: this message was not sent, and others may be lost;
// ErrClosed.
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
		return c.ended(a, err, true)
	}
}

// ended deals with a session that ended in err and returns what the caller of
// Send, Flush or Receive is to hear.
func (c *Client[T]) ended(a *attachment[T], err error, notSent bool) error {
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	if err == ErrClosed { // and not what has a reason, as a revoked key
		err = ErrPeerGone // it was given up in Receive, below
	}
	c.detach(a, err)
	if lost := c.takeLoss(notSent); lost != nil {
		return lost
	}
	return &DisconnectedError{Endpoint: c.endpoint, NotSent: notSent, Err: err}
}

// takeLoss returns what is to be reported, once.
func (c *Client[T]) takeLoss(notSent bool) error {
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
		changed, dialErr := c.changed, c.dialErr
		c.mu.Unlock()
		if c.current.Load() != nil {
			return nil
		}
		select {
		case <-changed:
		case <-c.ctx.Done():
			return ErrClosed
		case <-ctx.Done():
			return &DisconnectedError{Endpoint: c.endpoint, NotSent: notSent, Err: errors.Join(ctx.Err(), dialErr)}
		}
	}
}

// Receive waits for the next message that the host sends (Message.Reply), until
// ctx ends, also while there is no host. A []byte is valid until the next
// Receive.
//
// Errors: ctx.Err(); *MessageError for a message that does not decode, and
// *DisconnectedError when the host has gone, after its last message was
// returned: Receive goes on with the next after either; ErrClosed.
func (c *Client[T]) Receive(ctx context.Context) (v T, err error) {
	for {
		a := c.reading()
		if a == nil {
			if err := c.await(ctx, false); err != nil {
				return v, err
			}
			continue
		}
		v, err = a.receive(ctx)
		if err == nil || !isEnd(err) {
			return v, err
		}
		c.read(a)
		return v, c.ended(a, err, false)
	}
}

// reading returns the session to receive from: the oldest one that may still
// have something.
func (c *Client[T]) reading() *attachment[T] {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.receives = true
	if len(c.leaving) > 0 {
		return c.leaving[0]
	}
	return c.current.Load()
}

// read is called when nothing more is to be received from a session. A Send that
// waits there waits in vain: the host may still live, but it has ended its side
// or broken the protocol, and detach needs the sender's lock.
func (c *Client[T]) read(a *attachment[T]) {
	a.interrupt()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, b := range c.leaving {
		if a == b {
			c.leaving = append(c.leaving[:i], c.leaving[i+1:]...)
			c.endLocked(a)
			return
		}
	}
	// It is current yet: detach must not keep it for its replies.
	c.receives = false
}

// Flush pushes out what is held back; see Conn.Flush. It reports what may have
// been lost with a host before.
func (c *Client[T]) Flush(ctx context.Context) error {
	if lost := c.takeLoss(false); lost != nil {
		return lost
	}
	a := c.current.Load()
	if a == nil {
		return c.await(ctx, false)
	}
	err := a.flush(ctx)
	if err == nil || !isEnd(err) {
		return err
	}
	return c.ended(a, err, false)
}

// Peer is the kernel's word on the host, nil while there is none.
func (c *Client[T]) Peer() *peer.Identity {
	if a := c.current.Load(); a != nil {
		return a.peer()
	}
	return nil
}

// PeerKey is the static key that the host has proved to hold, zero while there is
// none and for plain clients.
func (c *Client[T]) PeerKey() keys.PublicKey {
	if a := c.current.Load(); a != nil {
		return a.hostKey()
	}
	return keys.PublicKey{}
}

// Endpoint is the name of the endpoint.
func (c *Client[T]) Endpoint() string { return c.endpoint }

// Stats returns what the client has carried, over all its connections. Messages
// to a host within the process are counted there.
func (c *Client[T]) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.past
	for _, a := range c.leaving {
		s.add(a.stats())
	}
	if a := c.current.Load(); a != nil {
		s.add(a.stats())
	}
	return s
}

// Close closes the connection in good order: what was sent before still arrives
// if the host lives. It returns a *DisconnectedError if something may have been
// lost that was not reported yet. Idempotent.
func (c *Client[T]) Close() error {
	c.cancel()
	<-c.kept
	var err error
	c.mu.Lock()
	defer c.mu.Unlock()
	if a := c.current.Swap(nil); a != nil {
		// Before our own goodbye, which a host answers by going as well.
		if a.hungUp() {
			c.noteLossLocked(a, ErrPeerGone)
		}
		err = a.close()
		c.past.add(a.stats())
	}
	for _, a := range c.leaving {
		c.endLocked(a)
	}
	c.leaving = nil
	if lost := c.takeLoss(false); lost != nil {
		return lost
	}
	return err
}
