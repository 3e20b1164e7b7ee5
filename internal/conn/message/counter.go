package message

import (
	"runtime"
	"sync/atomic"
)

// publishEvery is by how many messages the published numbers of a busy counter
// may lag.
const publishEvery = 256

// flusherTurns is how often Counters tries to get the writer's lock.
const flusherTurns = 64

// counter counts messages and bytes. Its owner adds without atomic operations
// and publishes now and then, and before it waits.
type counter struct {
	messages, bytes uint64
	published       [2]atomic.Uint64
}

func (c *counter) add(bytes int) {
	c.messages++
	c.bytes += uint64(bytes)
	if c.messages%publishEvery == 0 {
		c.publish()
	}
}

func (c *counter) publish() {
	if c.published[0].Load() != c.messages {
		c.published[0].Store(c.messages)
		c.published[1].Store(c.bytes)
	}
}

// Counters are what a Conn has carried so far.
type Counters struct {
	SentMessages, SentBytes         uint64
	ReceivedMessages, ReceivedBytes uint64
}

// Counters returns what the Conn has carried. The numbers are exact for a
// direction that is idle and lag by at most 255 messages for a busy one.
func (c *Conn) Counters() Counters {
	// The flusher may have the lock for a moment, and nobody sends. A Send that blocks has
	// it for long.
	for range flusherTurns {
		if c.wmu.TryLock() {
			c.sent.publish()
			c.wmu.Unlock()
			break
		}
		runtime.Gosched()
	}
	return Counters{
		SentMessages:     c.sent.published[0].Load(),
		SentBytes:        c.sent.published[1].Load(),
		ReceivedMessages: c.received.published[0].Load(),
		ReceivedBytes:    c.received.published[1].Load(),
	}
}
