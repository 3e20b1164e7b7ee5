package message

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/link"
)

// ErrGoingAway is returned by Send after the peer has asked for the end of this side's
// messages. What was sent before arrives, unless Unacknowledged says otherwise. It
// answers errors.Is(err, link.ErrPeerGone).
var ErrGoingAway = fmt.Errorf("%w: it is ending and takes no more messages", link.ErrPeerGone)

// GoAway asks the peer to end its messages. If the peer's Config.FollowGoAway is set, it
// flushes and ends them, and Receive returns all of them and then io.EOF. It does not
// block. Idempotent.
func (c *Conn) GoAway() {
	c.amu.Lock()
	defer c.amu.Unlock()
	if !c.freed {
		c.l.GoAway()
	}
}

// follow ends this side's messages. It runs in a goroutine of its own when the peer has
// asked for that, and Abort joins it.
func (c *Conn) follow() {
	defer close(c.followed)
	c.asked.Store(true)
	if c.wmu.Lock(c.ctx) != nil {
		return
	}
	defer c.wmu.Unlock()
	if c.closed || c.werr != nil {
		return
	}
	// The peer's buffer has room when it has handled more, and Abort interrupts this.
	err := c.endLocked(c.ctx)
	switch {
	case err == nil:
		c.werr = ErrGoingAway
	case c.ctx.Err() == nil: // else this side has closed
		c.werr = err
	}
}

// lockWriter takes wmu for a call that sends. follow goes first: a program that sends
// without a pause, on one processor, would otherwise never leave it the lock.
func (c *Conn) lockWriter(ctx context.Context) error {
	if c.asked.Load() {
		select {
		case <-c.followed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return c.wmu.Lock(ctx)
}

// endLocked pushes out what is coalesced and ends this side's messages.
func (c *Conn) endLocked(ctx context.Context) error {
	err := c.flushLocked(ctx)
	c.werr = link.ErrClosed
	return errors.Join(err, c.l.CloseWrite(ctx))
}
