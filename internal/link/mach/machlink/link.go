package machlink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
)

// Link implements link.Link. The peer is backlogged from backlogFrames frames on
// that it has not acknowledged, until it has acknowledged all. It acknowledges
// after ackFrames frames, or ackDelay after it went idle: so Unacknowledged may count
// frames that were dealt with within that time.
type Link struct {
	loop          *loop
	data, control mach.Name // our receive rights

	cred *cred.Credentials
	peer mach.AuditToken // set before the peer's first frame is looked at

	in       inbox
	out      outbox
	answer   chan answer // to Dial; nil on the host's side
	answered bool        // loop's goroutine only

	stopped     atomic.Bool
	interrupted chan struct{}
	gone        context.Context
	leave       func() // ends gone
	asked       context.Context
	ask         func() // ends asked, when the peer has asked for the end

	closeOnce sync.Once
	closeErr  error
}

var _ link.Link = (*Link)(nil)

// answer is what Dial waits for.
type answer struct {
	hello    []byte
	accepted bool
	err      error
}

// newLink makes the local half of a connection: both ports receive. On error
// everything is given back. a is where Dial waits, nil for a host.
func newLink(l *loop, a chan answer) (*Link, error) {
	c := &Link{loop: l, answer: a, interrupted: make(chan struct{})}
	c.gone, c.leave = context.WithCancel(context.Background())
	c.asked, c.ask = context.WithCancel(context.Background())
	c.in.ready = make(chan struct{}, 1)
	if err := c.open(); err != nil {
		return nil, errors.Join(err, c.abandon())
	}
	return c, nil
}

func (c *Link) open() (err error) {
	k := c.loop.k
	if c.control, err = c.loop.newPort(controlPort{c}); err != nil {
		return err
	}
	if c.data, err = c.loop.newPort(dataPort{c}); err != nil {
		return err
	}
	// Make-send count 1: not before the peer's right was made.
	if _, err = k.RequestNotification(c.data, mach.NotifyNoSenders, 1, c.data); err != nil {
		return fmt.Errorf("asking for no-senders: %w", err)
	}
	return nil
}

// attach makes the link whole: r are the rights to the peer's ports, which the
// link owns from now on, error or not. token is the audit token of their
// sender.
func (c *Link) attach(r rights, token mach.AuditToken) error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.peer = token
	c.cred = cred.New(nil)
	c.cred.AuditToken = token
	c.out.rights = r
	return c.requestLocked()
}

// detach is the opposite of attach: the rights are no longer the link's. The
// request for notifications is cancelled, since one that fires when there is
// no receiver leaves a reference behind.
func (c *Link) detach() error {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	data := c.out.rights.data
	c.out.rights = rights{}
	var previous mach.Name
	err := mach.Release(func() (err error) {
		previous, err = c.loop.k.RequestNotification(data, mach.NotifySendPossible, 0, mach.Null)
		return err
	})
	return errors.Join(err, deallocate(c.loop.k, previous))
}

// requestLocked asks to be told when the peer's full queue has room again, and
// of its death. The request is spent when it fires.
func (c *Link) requestLocked() error {
	previous, err := c.loop.k.RequestNotification(c.out.rights.data, mach.NotifySendPossible, 0, c.control)
	if err != nil {
		return fmt.Errorf("asking for send-possible: %w", err)
	}
	return deallocate(c.loop.k, previous)
}

// MaxFrame implements link.Link.
func (c *Link) MaxFrame() int { return MaxFrame }

// SyscallPerFrame implements link.Link: a frame is one mach_msg.
func (c *Link) SyscallPerFrame() bool { return true }

// Carrier implements link.Link.
func (c *Link) Carrier() string { return link.Mach }

// Credentials implements link.Link.
func (c *Link) Credentials() *cred.Credentials { return c.cred }

// Gone implements link.Link.
func (c *Link) Gone() context.Context { return c.gone }

// GoAway implements link.Link. It is lost if the peer's queue for control messages is
// full, which takes a peer that does not receive at all.
func (c *Link) GoAway() {
	c.in.mu.Lock() // release waits for it
	defer c.in.mu.Unlock()
	c.out.mu.Lock()
	to := c.out.rights.control
	c.out.mu.Unlock()
	if c.in.released || c.in.saidGoAway || to == mach.Null {
		return
	}
	var buf [mach.HeaderSize]byte
	h := mach.Header{Remote: to, RemoteBits: mach.CopySend, ID: idGoAway}
	_, err := send(c.loop.k, mach.Compose(buf[:0], h, nil), 0)
	c.in.saidGoAway = err == nil
}

// GoingAway implements link.Link.
func (c *Link) GoingAway() context.Context { return c.asked }

// HungUp implements link.Link: the kernel's notice is there as soon as the peer's
// ports have died, after the peer's last acknowledgement.
func (c *Link) HungUp() bool {
	if c.loop.join() {
		c.loop.do(c.catchUp)
		c.loop.leave()
	}
	select {
	case <-c.gone.Done():
		return true
	default:
		return false
	}
}

// catchUp handles what waits on control. Only on the loop's goroutine.
func (c *Link) catchUp() {
	c.in.mu.Lock()
	released := c.in.released
	c.in.mu.Unlock()
	k := c.loop.k
	if released || k.MoveMember(c.control, mach.Null) != nil {
		return
	}
	for range drainMost {
		if err := c.loop.receive(c.control, mach.RcvTimeout); errors.Is(err, mach.RcvTimedOut) {
			break
		}
	}
	if err := mach.Release(func() error { return k.MoveMember(c.control, c.loop.set) }); err != nil {
		c.fail(fmt.Errorf("resuming a connection: %w", err))
	}
}

// Interrupt implements link.Link.
func (c *Link) Interrupt() {
	if !c.stopped.Swap(true) {
		close(c.interrupted)
	}
}

// Close implements link.Link. An error means that rights could not be given
// back; there is nothing that the caller could do about it but report it.
func (c *Link) Close() error {
	c.closeOnce.Do(func() {
		c.Interrupt()
		err := c.closeWrite()
		c.closeErr = errors.Join(err, c.abandon(), c.cred.Close())
		c.loop.leave()
	})
	return c.closeErr
}

// abandon gives up all rights, on the loop's goroutine, and waits for that.
func (c *Link) abandon() (err error) {
	c.loop.do(func() { err = c.release() })
	return err
}

// release gives up all rights. Only on the loop's goroutine. Idempotent.
func (c *Link) release() error {
	k := c.loop.k
	c.in.mu.Lock()
	if c.in.released {
		c.in.mu.Unlock()
		return nil
	}
	c.out.mu.Lock()
	r, data, control := c.out.rights, c.data, c.control
	c.out.rights = rights{}
	c.in.released = true
	c.out.failLocked(link.ErrClosed)
	c.out.mu.Unlock()
	c.in.mu.Unlock()
	c.loop.forget(data)
	c.loop.forget(control)
	errs := []error{releaseRight(k, data, mach.RightReceive)}
	if r.data != mach.Null {
		errs = append(errs, c.loop.giveUpRights(r))
	}
	if control != mach.Null {
		c.drain()
		errs = append(errs, releaseRight(k, control, mach.RightReceive))
	}
	return errors.Join(errs...)
}

// drainMost is more messages than control's queue can hold: its limit, and the
// few notifications that are not subject to it.
const drainMost = mach.QueueLimitMax + 64

// drain receives what is left on control, for the references that dead-name
// notifications carry. After the rights to the peer are given up no more of
// those can come.
func (c *Link) drain() {
	k, buf := c.loop.k, c.loop.buf
	_ = mach.Release(func() error { return k.MoveMember(c.control, mach.Null) })
	for range drainMost {
		err := k.Receive(buf, c.control, mach.RcvAuditTrailer|mach.RcvTimeout|mach.RcvInterrupt, 0)
		switch {
		case errors.Is(err, mach.RcvTooLarge), errors.Is(err, mach.RcvInterrupted):
			continue
		case errors.Is(err, mach.RcvTimedOut):
			return
		case err != nil:
			continue
		}
		m, err := mach.ParseMessage(buf)
		if err != nil {
			continue
		}
		if n, ok := mach.ParseNotification(&m); ok && n.ID == mach.NotifyDeadName {
			_ = deallocate(k, n.Name)
		}
		_ = mach.Destroy(k, buf)
	}
}

// fail ends both directions: the peer, or the kernel, has broken the rules.
// Frames that arrived before are still read. A reader that gets the error finds the
// other direction failed as well.
func (c *Link) fail(err error) {
	c.out.fail(err)
	c.endRead(err)
}

// died is told that the peer's ports are gone.
func (c *Link) died() {
	c.leave()
	c.out.fail(link.ErrPeerGone)
}
