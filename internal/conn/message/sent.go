package message

import "context"

// frameCount is how many messages end in a frame that does not carry exactly one, or
// in several such frames.
type frameCount struct {
	frame uint64 // the number of the frame, from 1
	extra int64  // messages beyond one for each frame; -1 for a fragment that is not the last
}

// maxCounts bounds the frameCounts of a Conn: 16 KiB. A peer may read and never
// acknowledge.
const maxCounts = 1024

// writeFrame writes a frame in which so many messages end. The caller holds wmu.
func (c *Conn) writeFrame(ctx context.Context, head, body []byte, messages int) error {
	if err := c.l.WriteFrame(ctx, head, body); err != nil {
		return err
	}
	c.frames++
	if messages == 1 {
		return nil
	}
	if len(c.counts) == maxCounts {
		c.prune(c.l.Unacknowledged())
		if len(c.counts) > maxCounts/2 { // else this would be due again too soon
			c.merge()
		}
	}
	c.counts = append(c.counts, frameCount{c.frames, int64(messages) - 1})
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

// merge makes one count of two neighbours where it can: at most two thirds are left.
// What is merged often is old. The sum over both frames stays the same; if the peer
// acknowledges only the first, too many messages count as unacknowledged, never too
// few. So what is positive moves to the later frame, and what is negative to the
// earlier one.
func (c *Conn) merge() {
	merged := c.counts[:0]
	for i := 0; i < len(c.counts); i++ {
		a := c.counts[i]
		if i+1 < len(c.counts) {
			switch b := c.counts[i+1]; {
			case a.extra >= 0:
				a = frameCount{b.frame, a.extra + b.extra}
				i++
			case b.extra <= 0:
				a.extra += b.extra
				i++
			}
		}
		merged = append(merged, a)
	}
	c.counts = merged
}

// messagesIn returns how many messages end in the last n frames, or more; see merge.
func (c *Conn) messagesIn(n uint64) uint64 {
	n = min(n, c.frames)
	messages := int64(n)
	for i := len(c.counts) - 1; i >= 0 && c.counts[i].frame+n > c.frames; i-- {
		messages += c.counts[i].extra
	}
	return uint64(messages)
}

// Unacknowledged is the number of messages that the peer is not known to have dealt
// with, as far as the link can tell how many frames that are; what is coalesced
// counts. A large message of which a part was sent only does not. It is never too
// small. It is exact as long as at most 512 frames that do not carry one message each
// are unacknowledged; beyond that, some messages that the peer has dealt with may
// count.
func (c *Conn) Unacknowledged() uint64 {
	_ = c.wmu.Lock(context.Background())
	defer c.wmu.Unlock()
	return c.messagesIn(c.l.Unacknowledged()) + uint64(c.coalescing.messages)
}
