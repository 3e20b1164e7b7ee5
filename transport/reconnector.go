package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// reconnector is what a [Client] is but for its handle, so that a Client which nobody holds
// any more can be noticed although there is a connection.
type reconnector[T any] struct {
	endpoint string
	s        *settings
	engine   *conn.Config
	k        coder[T]

	current atomic.Pointer[attachment[T]] // nil while there is no host
	untold  atomic.Bool                   // losses is not empty
	earlier atomic.Bool                   // leaving is not empty

	ctx    context.Context // ended by Close
	cancel context.CancelFunc
	beside sync.WaitGroup // goroutines of its own; none begins once over is set

	mu      sync.Mutex
	over    bool          // Close was called
	made    uint64        // connections
	changed chan struct{} // closed and replaced when current becomes non-nil
	dialErr error         // of the last attempt to connect again
	leaving []*attachment[T]
	last    *attachment[T] // that Close closes; nil before and after
	past    Stats
	losses  []*DisconnectedError // ends of connections that were not told yet, at most maxLeaving

	closing sync.Once
}

// attachment is one connection of a Client.
type attachment[T any] struct {
	*typed[T]
	generation uint64
	begun      time.Time
	pause      time.Duration // before the next attempt to connect, if this ends soon
	detached   chan struct{} // closed when it is no longer current

	// Guarded by reconnector.mu:
	unwatch func() bool // of watch
	drained bool        // Receive has returned how it ended

	rmu  sync.Mutex // held while Receive, or detach, receives
	left *leftover  // what Receive gets since detach
}

// maxLeaving is how many connections to ended hosts are kept for the replies
// that arrived before.
const maxLeaving = 4

func (c *reconnector[T]) dial(ctx context.Context) (*typed[T], error) {
	conn, err := conn.Dial(ctx, c.endpoint, c.engine)
	if err != nil {
		return nil, err
	}
	return newTyped(conn, c.k), nil
}

func (c *reconnector[T]) send(ctx context.Context, v T) error {
	for {
		// In this order: what has ended before a was made is told before a is used.
		a := c.current.Load()
		if c.untold.Load() {
			if err := c.tell(ctx, true); err != nil {
				return err
			}
		}
		if a == nil {
			if err := c.await(ctx, false); err != nil {
				return err
			}
			continue
		}
		err := a.send(ctx, v)
		if err == nil || !isEnd(err) {
			return err
		}
		if !errors.Is(err, message.ErrGoingAway) {
			return c.ended(ctx, a, err, true)
		}
		if err := c.awaitEnd(ctx, a); err != nil {
			return err
		}
	}
}

func (c *reconnector[T]) sendBatch(ctx context.Context, vs []T) (sent int, err error) {
	for {
		// In this order: what has ended before a was made is told before a is used.
		a := c.current.Load()
		if c.untold.Load() {
			if err := c.tell(ctx, true); err != nil {
				return 0, err
			}
		}
		if a == nil {
			if err := c.await(ctx, false); err != nil {
				return 0, err
			}
			continue
		}
		sent, err := a.sendBatch(ctx, vs)
		if err == nil || !isEnd(err) {
			return sent, err
		}
		if !errors.Is(err, message.ErrGoingAway) {
			return sent, c.ended(ctx, a, err, true)
		}
		// Nothing was sent: a batch is not interrupted by the end.
		if err := c.awaitEnd(ctx, a); err != nil {
			return 0, err
		}
	}
}

// ended is called when a call that sends has found that a connection has ended, and returns
// the error for its caller.
func (c *reconnector[T]) ended(ctx context.Context, a *attachment[T], err error, notSent bool) error {
	if errors.Is(err, ErrPeerGone) {
		// How it has ended is what its host has sent last. Receiving may notice later.
		go c.watch(a)
		if err := c.awaitEnd(ctx, a); err != nil {
			return err
		}
		return c.report(a, notSent)
	}
	if c.ctx.Err() != nil {
		return ErrClosed
	}
	c.detach(a, err)
	return c.report(a, notSent)
}

// report returns the error for the caller of Send, SendBatch, Flush or Receive, after
// detach.
func (c *reconnector[T]) report(a *attachment[T], notSent bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	lost := c.takeLossLocked(a.generation)
	if lost == nil { // it was told
		lost = &DisconnectedError{Endpoint: c.endpoint, Generation: a.generation, Err: a.left.cause}
	}
	lost.NotSent = notSent
	return lost
}

// tell returns ctx.Err(), or the oldest end of a connection that was not told yet.
func (c *reconnector[T]) tell(ctx context.Context, notSent bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tellLocked(notSent)
}

func (c *reconnector[T]) tellLocked(notSent bool) error {
	if len(c.losses) == 0 {
		return nil
	}
	lost := c.takeLossLocked(c.losses[0].Generation)
	lost.NotSent = notSent
	return lost
}

// takeLossLocked returns the end of a connection if it was not told yet, and counts it as
// told.
func (c *reconnector[T]) takeLossLocked(generation uint64) *DisconnectedError {
	for i, lost := range c.losses {
		if lost.Generation == generation {
			c.losses = slices.Delete(c.losses, i, i+1)
			c.untold.Store(len(c.losses) > 0)
			return lost
		}
	}
	return nil
}

// awaitEnd waits until a host that is going away has handled everything and has ended, and
// what it had sent is received: what is sent to the next host is not handled before that.
func (c *reconnector[T]) awaitEnd(ctx context.Context, a *attachment[T]) error {
	select {
	case <-a.detached:
		return nil
	case <-c.ctx.Done():
		return ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// await waits for a host, and returns nil also if there is something to tell, or, for the
// caller of Receive, to receive.
func (c *reconnector[T]) await(ctx context.Context, receiving bool) error {
	for {
		c.mu.Lock()
		changed := c.changed
		news := len(c.losses) > 0 || receiving && len(c.leaving) > 0
		c.mu.Unlock()
		if news || c.current.Load() != nil {
			return nil
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
			return fmt.Errorf("%w; last reconnection attempt: %w", ctx.Err(), dialErr)
		}
	}
}

func (c *reconnector[T]) receive(ctx context.Context) (v T, err error) {
	for {
		a, err := c.reading(ctx)
		if err != nil {
			return v, err
		}
		if a == nil {
			if err := c.await(ctx, true); err != nil {
				return v, err
			}
			continue
		}
		if v, err = a.receiveNext(ctx); err == nil || !isEnd(err) {
			return v, err
		}
		c.read(a)
		if c.ctx.Err() != nil {
			return v, ErrClosed
		}
		c.detach(a, err)
		return v, c.report(a, false)
	}
}

// reading returns the connection to receive from: the oldest one that may still
// have messages. If there is none before the current one, ends that were not told are told
// first; of the others, it is the last that is received.
func (c *reconnector[T]) reading(ctx context.Context) (a *attachment[T], err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// In this order: what has ended before a was made comes before what is received of a.
	a = c.current.Load()
	if a != nil && !c.earlier.Load() && !c.untold.Load() {
		return a, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.leaving) > 0 {
		return c.leaving[0], nil
	}
	if err := c.tellLocked(false); err != nil {
		return nil, err
	}
	return c.current.Load(), nil
}

// read is called when Receive has come to the end of a connection. It interrupts
// a Send that waits there: the host may still live, but it has ended its side or
// violated the protocol, and detach needs the sender's lock.
func (c *reconnector[T]) read(a *attachment[T]) {
	a.Interrupt()
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, b := range c.leaving {
		if a == b {
			c.leaving = append(c.leaving[:i], c.leaving[i+1:]...)
			c.earlier.Store(len(c.leaving) > 0)
			return
		}
	}
	// It is still current: detach must not keep it for its replies.
	a.drained = true
}

func (c *reconnector[T]) flush(ctx context.Context) error {
	if err := c.tell(ctx, false); err != nil {
		return err
	}
	a := c.current.Load()
	if a == nil {
		if err := c.await(ctx, false); err != nil {
			return err
		}
		return c.tell(ctx, false) // there is nothing to flush
	}
	err := a.Flush(ctx)
	if errors.Is(err, message.ErrGoingAway) {
		return nil // it has flushed
	}
	if err == nil || !isEnd(err) {
		return err
	}
	return c.ended(ctx, a, err, false)
}

func (c *reconnector[T]) generation() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.made
}

func (c *reconnector[T]) peer() *peer.Identity {
	if a := c.current.Load(); a != nil {
		return a.Peer()
	}
	return nil
}

func (c *reconnector[T]) peerKey() keys.PublicKey {
	if a := c.current.Load(); a != nil {
		return a.PeerKey()
	}
	return keys.PublicKey{}
}

func (c *reconnector[T]) stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.past
	for _, a := range []*attachment[T]{c.current.Load(), c.last} {
		if a != nil {
			s.add(statsOf(a.Conn))
		}
	}
	if a := c.current.Load(); a != nil {
		s.Carrier = a.Carrier()
	}
	return s
}

func (c *reconnector[T]) close() error {
	c.cancel()
	c.mu.Lock()
	c.over = true
	c.mu.Unlock()
	c.beside.Wait()
	err := c.closeLast()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = nil
	c.earlier.Store(false)
	var lost *DisconnectedError
	for _, l := range c.losses {
		if l.matters() {
			lost = l.after(lost)
		}
	}
	c.losses = nil
	if lost != nil {
		return lost
	}
	return err
}

// closeLast closes the current connection: without the lock, since that may block.
func (c *reconnector[T]) closeLast() error {
	c.mu.Lock()
	a := c.current.Swap(nil)
	if a == nil {
		c.mu.Unlock()
		return nil
	}
	c.last = a
	a.unwatch()
	c.mu.Unlock()
	// Before our own goodbye, which a host answers by going as well.
	if a.HungUp() {
		cause := c.receiveRest(a, nil)
		c.mu.Lock()
		lost := c.noteLossLocked(a, cause)
		c.mu.Unlock()
		c.logLoss(lost, cause)
	}
	err := a.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = nil
	c.past.add(statsOf(a.Conn))
	return err
}
