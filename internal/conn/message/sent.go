package message

import "context"

// frameCount is how many messages end in a frame that does not carry exactly one.
type frameCount struct {
	frame    uint64 // the number of the frame, from 1
	messages uint64
}

// pruneAt is how many frameCounts are kept before those of acknowledged frames are
// dropped.
const pruneAt = 1024

// writeFrame writes a frame in which so many messages end. The caller holds wmu.
func (c *Conn) writeFrame(ctx context.Context, head, body []byte, messages int) error {
	if err := c.l.WriteFrame(ctx, head, body); err != nil {
		return err
	}
	c.frames++
	if messages != 1 {
		c.counts = append(c.counts, frameCount{c.frames, uint64(messages)})
		if len(c.counts) >= c.pruneAt {
			c.prune(c.l.Unacknowledged())
			c.pruneAt = max(pruneAt, 2*len(c.counts))
		}
	}
	return nil
}

// prune forgets the counts of all but the last n frames.
func (c *Conn) prune(n uint64) {
	i := 0
	n = min(n, c.frames)
	for i < len(c.counts) && c.counts[i].frame+n <= c.frames {
		i++
	}
	c.counts = c.counts[:copy(c.counts, c.counts[i:])]
}

// messagesIn returns how many messages end in the last n frames.
func (c *Conn) messagesIn(n uint64) uint64 {
	n = min(n, c.frames)
	messages := n
	for i := len(c.counts) - 1; i >= 0 && c.counts[i].frame+n > c.frames; i-- {
		messages += c.counts[i].messages - 1 // wraps around for none, rightly
	}
	return messages
}

// Unacknowledged is the number of messages that the peer is not known to have dealt
// with, as far as the link can tell how many frames that are; what is coalesced
// counts. A large message of which a part was sent only does not.
func (c *Conn) Unacknowledged() uint64 {
	_ = c.wmu.Lock(context.Background())
	defer c.wmu.Unlock()
	return c.messagesIn(c.l.Unacknowledged()) + uint64(c.coalescing.messages)
}
