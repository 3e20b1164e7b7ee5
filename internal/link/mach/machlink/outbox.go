package machlink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
)

// backlogFrames is how many frames the peer may not have dealt with before it
// counts as backlogged: more than it leaves unacknowledged while it keeps up. It
// has caught up when it has dealt with all.
const backlogFrames = 2 * ackFrames

// outbox is the way to the peer. The peer's queue in the kernel holds what was
// written; here is nothing but the state.
type outbox struct {
	mu     sync.Mutex
	rights rights // to the peer's ports; zero before attach and after release
	full   bool   // the queue was full, and a notification is due
	err    error  // final, for writers
	ended  bool   // CloseWrite was called
	buf    []byte // the message being sent
	change chan struct{}

	sent       atomic.Uint64 // frames in the peer's queue or beyond
	drained    atomic.Uint64 // frames that the peer has dealt with
	backlogged atomic.Bool   // since backlogFrames, until all are drained
}

// changeLocked returns a channel that is closed when anything changes.
func (out *outbox) changeLocked() <-chan struct{} {
	if out.change == nil {
		out.change = make(chan struct{})
	}
	return out.change
}

func (out *outbox) changedLocked() {
	if out.change != nil {
		close(out.change)
		out.change = nil
	}
}

func (out *outbox) failLocked(err error) {
	if out.err == nil {
		out.err = err
	}
	out.changedLocked()
}

func (out *outbox) fail(err error) {
	out.mu.Lock()
	defer out.mu.Unlock()
	out.failLocked(err)
}

// controlPort receives the peer's counts of drained frames, and notifications.
type controlPort struct{ c *Link }

func (p controlPort) broken(err error) { p.c.broken(err) }

func (c *Link) broken(err error) { c.fail(err) }

func (p controlPort) message(m *mach.Message, n *mach.Notification) (kept bool) {
	c := p.c
	if n != nil {
		c.notified(*n)
		return false
	}
	if c.dialing() {
		return false // the sender has not said hello
	}
	err := c.attest(m)
	if err == nil {
		err = c.controlled(m)
	}
	if err != nil {
		c.fail(err)
	}
	return false
}

// notified handles notifications about the peer's data port. Others (a request
// replaced, a right deleted) need no answer.
func (c *Link) notified(n mach.Notification) {
	c.out.mu.Lock()
	ours := n.Name.Valid() && n.Name == c.out.rights.data
	c.out.mu.Unlock()
	switch {
	case ours && n.ID == mach.NotifyDeadName:
		c.died()
	case ours && n.ID == mach.NotifySendPossible:
		c.room()
	}
}

// room says that the peer's queue has room again. The request was spent: it is
// renewed before a writer can find the queue full once more.
func (c *Link) room() {
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if c.out.rights.data == mach.Null {
		return
	}
	if err := c.requestLocked(); err != nil {
		c.out.failLocked(err)
		return
	}
	c.out.full = false
	c.out.changedLocked()
}

// controlled handles a control message of the peer's.
func (c *Link) controlled(m *mach.Message) error {
	switch {
	case m.ID == idDrained:
		return c.acknowledged(m)
	case m.ID == idGoAway && !m.Complex && m.Remote == mach.Null && len(m.Body) == 0:
		if c.asked.Err() == nil {
			c.ask()
			return nil
		}
	}
	return fmt.Errorf("%w: message id %#x of %d bytes", link.ErrProtocol, uint32(m.ID), len(m.Body))
}

// acknowledged handles the peer's count of frames that it has dealt with. A peer sends
// it when it grows, and so no more often than this side writes frames.
func (c *Link) acknowledged(m *mach.Message) error {
	n, err := parseDrained(m)
	if err != nil {
		return fmt.Errorf("%w: %w", link.ErrProtocol, err)
	}
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	if before, sent := c.out.drained.Load(), c.out.sent.Load(); n <= before || n > sent {
		return fmt.Errorf("%w: %d frames drained of %d, after %d", link.ErrProtocol, n, sent, before)
	}
	c.out.drained.Store(n)
	c.out.changedLocked()
	return nil
}

// WriteFrame implements link.Link. Final errors of the kernel's that are none
// of those the interface names are possible: out of memory, above all.
func (c *Link) WriteFrame(ctx context.Context, head, body []byte) error {
	if c.stopped.Load() {
		return link.ErrClosed
	}
	return c.write(ctx, head, body)
}

// write writes a frame. After Interrupt it does not wait for room.
func (c *Link) write(ctx context.Context, head, body []byte) error {
	if n := len(head) + len(body); n > MaxFrame {
		return fmt.Errorf("%w: %d bytes, the limit is %d", link.ErrFrameTooLarge, n, MaxFrame)
	}
	for {
		change, err := c.tryWrite(head, body)
		if change == nil {
			return err
		}
		if c.stopped.Load() {
			return link.ErrClosed
		}
		select {
		case <-change:
		case <-c.interrupted:
			return link.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tryWrite sends a frame, or returns what to wait for before the next try.
func (c *Link) tryWrite(head, body []byte) (<-chan struct{}, error) {
	out := &c.out
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.err != nil {
		return nil, out.err
	}
	if out.full {
		return out.changeLocked(), nil
	}
	if need := mach.HeaderSize + lengthSize + len(head) + len(body) + 3; cap(out.buf) < need {
		out.buf = make([]byte, 0, max(need, 512))
	}
	// Counted before it can be acknowledged.
	out.sent.Add(1)
	h := mach.Header{Remote: out.rights.data, RemoteBits: mach.CopySend, ID: idFrame}
	_, err := send(c.loop.k, compose(out.buf, h, nil, head, body), mach.SendNotify)
	if err == nil {
		return nil, nil
	}
	out.sent.Add(^uint64(0))
	switch {
	case errors.Is(err, mach.SendTimedOut):
		out.full = true
		return out.changeLocked(), nil
	case errors.Is(err, mach.SendInvalidDest):
		c.leave()
		out.failLocked(link.ErrPeerGone)
	default:
		out.failLocked(fmt.Errorf("sending a frame: %w", err))
	}
	return nil, out.err
}

// Backlogged implements link.Link. It makes no system call.
func (c *Link) Backlogged() bool {
	switch n := c.Unacknowledged(); {
	case n == 0:
		c.out.backlogged.Store(false)
	case n >= backlogFrames:
		c.out.backlogged.Store(true)
	}
	return c.out.backlogged.Load()
}

// Unacknowledged implements link.Link.
func (c *Link) Unacknowledged() uint64 {
	// In this order: drained may only be too small.
	drained := c.out.drained.Load()
	return c.out.sent.Load() - drained
}

// WaitDrained implements link.Link.
func (c *Link) WaitDrained(ctx context.Context) error {
	out := &c.out
	for {
		if c.stopped.Load() {
			return link.ErrClosed
		}
		out.mu.Lock()
		err, backlogged, change := out.err, c.Backlogged(), out.changeLocked()
		out.mu.Unlock()
		// After CloseWrite the peer still takes what was written.
		if err != nil && !(errors.Is(err, link.ErrClosed) && backlogged) {
			return err
		}
		if !backlogged {
			return nil
		}
		select {
		case <-change:
		case <-c.gone.Done():
			return link.ErrPeerGone
		case <-c.interrupted:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// CloseWrite implements link.Link. The end goes by the send-once right that the
// peer gave for it, so it needs no room in the queue.
func (c *Link) CloseWrite(ctx context.Context, last ...[]byte) error {
	c.out.mu.Lock()
	ended := c.out.ended
	c.out.mu.Unlock()
	if ended {
		return nil
	}
	return errors.Join(c.writeLast(ctx, last), c.closeWrite())
}

func (c *Link) writeLast(ctx context.Context, last [][]byte) error {
	for _, frame := range last {
		if err := c.write(ctx, nil, frame); err != nil {
			return err
		}
	}
	return nil
}

func (c *Link) closeWrite() error {
	out := &c.out
	out.mu.Lock()
	defer out.mu.Unlock()
	if out.ended {
		return nil
	}
	out.ended = true
	out.failLocked(link.ErrClosed)
	err := mach.Release(c.sendEndLocked)
	if errors.Is(err, mach.SendInvalidDest) {
		return nil // the peer is gone; release gives up the dead name
	}
	if err != nil {
		// The peer is told by the kernel instead, as if we had died.
		err = errors.Join(err, deallocate(c.loop.k, out.rights.end))
		out.rights.end = mach.Null
		return fmt.Errorf("sending the end: %w", err)
	}
	return nil
}

// sendEndLocked sends the end. Failing, the right is still there.
func (c *Link) sendEndLocked() error {
	end := c.out.rights.end
	if end == mach.Null {
		return nil
	}
	var buf [mach.HeaderSize]byte
	h := mach.Header{Remote: end, RemoteBits: mach.MoveSendOnce, ID: idEnd}
	moved, err := send(c.loop.k, mach.Compose(buf[:0], h, nil), 0)
	switch {
	case err == nil:
		c.out.rights.end = mach.Null
	case moved != mach.Null:
		c.out.rights.end = moved
	}
	return err
}
