package message

import (
	"context"
	"encoding/binary"
	"fmt"
)

// SendBatch sends messages in order and returns how many it has sent: all of them
// if the error is nil. Small ones share frames of up to 16 KiB; each frame is one
// publication, and one wake-up at most.
func (c *Conn) SendBatch(ctx context.Context, messages [][]byte) (sent int, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if err := c.lockWriter(ctx); err != nil {
		return 0, err
	}
	defer c.wmu.Unlock()
	if c.werr != nil {
		return 0, c.werr
	}
	if err := c.flushLocked(ctx); err != nil {
		return 0, c.failed(ctx, err)
	}
	return c.sendBatchLocked(ctx, messages)
}

func (c *Conn) sendBatchLocked(ctx context.Context, messages [][]byte) (sent int, err error) {
	if c.batch == nil {
		c.batch = make([]byte, 0, min(coalesceLimit, c.l.MaxFrame()))
	}
	packed := 0 // messages in the batch
	flush := func() error {
		if packed == 0 {
			return nil
		}
		err := ctx.Err()
		if err == nil {
			err = c.writeFrame(ctx, nil, c.batch, packed)
		}
		if err == nil {
			sent += packed
		}
		c.batch, packed = c.batch[:0], 0
		return err
	}
	for _, p := range messages {
		if len(p) > c.cfg.MaxSend {
			if err = flush(); err == nil {
				c.countBatch(messages[:sent])
				return sent, c.tooLarge(len(p))
			}
			return c.batchFailed(ctx, messages, sent, err)
		}
		if len(c.batch)+itemWord+len(p) > cap(c.batch) {
			err = flush()
		}
		switch {
		case err != nil:
		case itemWord+len(p) <= cap(c.batch):
			c.batch = binary.LittleEndian.AppendUint32(c.batch, kindWhole<<kindShift|uint32(len(p)))
			c.batch = append(c.batch, p...)
			packed++
		case len(p) > c.maxWhole:
			if err = c.sendFragments(ctx, p); err == nil {
				sent++
			}
		default:
			if err = c.writeItem(ctx, kindWhole, p, 1); err == nil {
				sent++
			}
		}
		if err != nil {
			return c.batchFailed(ctx, messages, sent, err)
		}
	}
	if err = flush(); err != nil {
		return c.batchFailed(ctx, messages, sent, err)
	}
	c.countBatch(messages[:sent])
	return sent, nil
}

func (c *Conn) batchFailed(ctx context.Context, messages [][]byte, sent int, err error) (int, error) {
	c.batch = c.batch[:0]
	c.countBatch(messages[:sent])
	return sent, c.failed(ctx, err)
}

func (c *Conn) countBatch(messages [][]byte) {
	for _, p := range messages {
		c.sent.add(len(p))
	}
}

func (c *Conn) tooLarge(n int) error {
	whose := "this side's"
	if c.cfg.PeerLimits {
		whose = "the peer's"
	}
	return fmt.Errorf("%w: %d bytes, and %s MaxMessageSize is %d", ErrTooLarge, n, whose, c.cfg.MaxSend)
}
