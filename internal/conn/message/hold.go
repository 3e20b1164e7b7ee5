package message

import (
	"context"
	"encoding/binary"
	"errors"
)

// heldMost is how many bytes of small messages share a frame at most: enough to
// spread the cost of a frame, little enough to stay in the L1 cache.
const heldMost = 16 << 10

// holder keeps back small messages while the peer is behind. A goroutine of its
// own, the flusher, pushes them out when the peer has caught up and nobody sends.
type holder struct {
	buf      []byte // items; guarded by wmu
	messages int    // in buf

	ctx    context.Context // the flusher's
	cancel context.CancelFunc
	kick   chan struct{} // something is held back
	joined chan struct{}
}

// startHolder is called by NewConn; joinHolder by Close.
func (c *Conn) startHolder() {
	h := &c.hold
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.kick = make(chan struct{}, 1)
	h.joined = make(chan struct{})
	h.buf = make([]byte, 0, min(heldMost, c.l.MaxFrame()))
	go c.flusher()
}

func (c *Conn) joinHolder() {
	if h := &c.hold; h.joined != nil {
		h.cancel()
		<-h.joined
	}
}

func (c *Conn) flusher() {
	h := &c.hold
	defer close(h.joined)
	for {
		select {
		case <-h.kick:
		case <-h.ctx.Done():
			return
		}
		// On error the next Send, or Unread, says what has become of them.
		if c.l.WaitTaken(h.ctx) == nil {
			_ = c.Flush(h.ctx)
		}
	}
}

// sendHeld sends a small message, or holds it back if the peer is behind.
func (c *Conn) sendHeld(ctx context.Context, p []byte) error {
	h := &c.hold
	behind := c.l.Behind()
	if itemWord+len(p) > cap(h.buf) || (h.messages == 0 && !behind) {
		if err := c.flushLocked(ctx); err != nil {
			return err
		}
		return c.writeItem(ctx, kindWhole, p)
	}
	if len(h.buf)+itemWord+len(p) > cap(h.buf) {
		if err := c.flushLocked(ctx); err != nil {
			return err
		}
	}
	h.buf = binary.LittleEndian.AppendUint32(h.buf, kindWhole<<kindShift|uint32(len(p)))
	h.buf = append(h.buf, p...)
	h.messages++
	if !behind {
		// There is room, so ctx does not matter; and the message is accepted.
		if err := c.flushLocked(ctx); err != nil && !errors.Is(err, ctx.Err()) {
			return err
		}
		return nil
	}
	select {
	case h.kick <- struct{}{}:
	default:
	}
	return nil
}

// flushLocked writes what is held back. After ctx.Err() it is still held back.
func (c *Conn) flushLocked(ctx context.Context) error {
	h := &c.hold
	if h.messages == 0 {
		return nil
	}
	if err := c.l.WriteFrame(ctx, nil, h.buf); err != nil {
		return err
	}
	h.buf, h.messages = h.buf[:0], 0
	return nil
}

// Flush writes what is held back. It blocks while the peer's buffer is full,
// until ctx ends.
func (c *Conn) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil || !c.cfg.Coalesce {
		return err
	}
	if err := c.wmu.Lock(ctx); err != nil {
		return err
	}
	defer c.wmu.Unlock()
	if c.werr != nil {
		return c.werr
	}
	if err := c.flushLocked(ctx); err != nil {
		return c.failed(ctx, err)
	}
	return nil
}
