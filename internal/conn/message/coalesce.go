package message

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
)

// coalesceLimit is how many bytes of small messages share a frame at most: enough to
// spread the cost of a frame, little enough to stay in the L1 cache.
const coalesceLimit = 16 << 10

// coalescer collects small messages while the peer is backlogged. A goroutine of its
// own, the flusher, pushes them out when the peer has caught up and nobody sends.
type coalescer struct {
	limit    int    // the capacity of buf
	buf      []byte // items; nil before there are any; guarded by wmu
	messages int    // in buf

	flusher sync.WaitGroup
	kick    chan struct{} // something is coalesced
}

// startCoalescer is called when the first message is coalesced.
func (c *Conn) startCoalescer() {
	q := &c.coalescing
	q.kick = make(chan struct{}, 1)
	q.buf = make([]byte, 0, q.limit)
	q.flusher.Go(c.flusher)
}

// flusher ends with Abort, which joins it.
func (c *Conn) flusher() {
	for {
		select {
		case <-c.coalescing.kick:
		case <-c.ctx.Done():
			return
		}
		// On error the next Send, or Unacknowledged, says what has become of them.
		if c.l.WaitDrained(c.ctx) == nil {
			_ = c.Flush(c.ctx)
		}
	}
}

// sendCoalesced sends a small message, or keeps it if the peer is backlogged.
func (c *Conn) sendCoalesced(ctx context.Context, p []byte) error {
	q := &c.coalescing
	backlogged := c.l.Backlogged()
	if itemWord+len(p) > q.limit || (q.messages == 0 && !backlogged) {
		if err := c.flushLocked(ctx); err != nil {
			return err
		}
		return c.writeItem(ctx, kindWhole, p, 1)
	}
	if q.buf == nil {
		c.startCoalescer()
	}
	if len(q.buf)+itemWord+len(p) > cap(q.buf) {
		if err := c.flushLocked(ctx); err != nil {
			return err
		}
	}
	q.buf = binary.LittleEndian.AppendUint32(q.buf, kindWhole<<kindShift|uint32(len(p)))
	q.buf = append(q.buf, p...)
	q.messages++
	if !backlogged {
		// There is room, so ctx does not matter; and the message is accepted.
		if err := c.flushLocked(ctx); err != nil && !errors.Is(err, ctx.Err()) {
			return err
		}
		return nil
	}
	select {
	case q.kick <- struct{}{}:
	default:
	}
	return nil
}

// flushLocked writes what is coalesced. After ctx.Err() it is still coalesced.
func (c *Conn) flushLocked(ctx context.Context) error {
	q := &c.coalescing
	if q.messages == 0 {
		return nil
	}
	if err := c.writeFrame(ctx, nil, q.buf, q.messages); err != nil {
		return err
	}
	q.buf, q.messages = q.buf[:0], 0
	return nil
}

// coalesced is the number of messages that were not written, after Abort.
func (c *Conn) coalesced() int {
	_ = c.wmu.Lock(context.Background())
	defer c.wmu.Unlock()
	return c.coalescing.messages
}

// Flush writes what is coalesced. It blocks while the peer's buffer is full,
// until ctx ends.
func (c *Conn) Flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil || !c.cfg.Coalesce {
		return err
	}
	if err := c.lockWriter(ctx); err != nil {
		return err
	}
	defer c.wmu.Unlock()
	c.sent.publish() // see Counters
	if c.werr != nil {
		return c.werr
	}
	if err := c.flushLocked(ctx); err != nil {
		return c.failed(ctx, err)
	}
	return nil
}
