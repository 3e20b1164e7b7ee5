package transport

import (
	"context"
	"sync"
	"sync/atomic"
)

// Limits of the published messages that wait for one session.
const (
	outboxMessages = 256
	outboxBytes    = 1 << 20 // and one message may always wait
)

// outbox holds what was published to one session and not sent yet. A goroutine
// sends it, from the first message on until the session ends.
type outbox struct {
	dropped atomic.Uint64

	mu     sync.Mutex
	queue  [][]byte
	bytes  int
	begun  bool          // the goroutine runs
	left   bool          // leave was called
	shut   bool          // it accepts no more
	more   chan struct{} // cap 1: the queue is not empty, or shut
	room   chan struct{} // closed and replaced when something was taken
	joined chan struct{} // closed when the goroutine has ended
	aside  sync.WaitGroup
}

// begin makes the outbox of a session ready. It is called before any other method.
func (o *outbox) begin() {
	o.more = make(chan struct{}, 1)
	o.room = make(chan struct{})
	o.joined = make(chan struct{})
}

// put adds a message. If there is no room, it drops the oldest ones if dropOldest is
// set, else it returns a channel that is closed when there may be room.
func (o *outbox) put(b []byte, dropOldest bool, start func()) (full <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for !o.shut && len(o.queue) > 0 && (len(o.queue) >= outboxMessages || o.bytes+len(b) > outboxBytes) {
		if !dropOldest {
			return o.room
		}
		_ = o.popLocked()
		o.dropped.Add(1)
	}
	if o.shut {
		return nil
	}
	o.queue = append(o.queue, b)
	o.bytes += len(b)
	if !o.begun {
		o.begun = true
		start()
	}
	o.wakeLocked()
	return nil
}

// popLocked removes the oldest message, so that its memory can be freed.
func (o *outbox) popLocked() []byte {
	b := o.queue[0]
	o.queue[0] = nil
	o.queue = o.queue[1:]
	o.bytes -= len(b)
	return b
}

func (o *outbox) wakeLocked() {
	select {
	case o.more <- struct{}{}:
	default:
	}
}

// take waits for the next message. It returns false when there will be none.
func (o *outbox) take(ctx context.Context) ([]byte, bool) {
	for {
		o.mu.Lock()
		if len(o.queue) > 0 {
			b := o.popLocked()
			if !o.shut { // else nobody waits for room
				close(o.room)
				o.room = make(chan struct{})
			}
			o.mu.Unlock()
			return b, true
		}
		shut := o.shut
		o.mu.Unlock()
		if shut {
			return nil, false
		}
		select {
		case <-o.more:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// run sends what is put, until finish or abandon, or ctx ends.
func (o *outbox) run(ctx context.Context, send func(ctx context.Context, b []byte) error) {
	defer close(o.joined)
	for {
		b, ok := o.take(ctx)
		if !ok {
			return
		}
		if err := send(ctx, b); err != nil {
			o.dropped.Add(1)
			if ctx.Err() != nil {
				return
			}
		}
	}
}

// finish accepts no more and waits until the rest is sent, or ctx ends.
func (o *outbox) finish(ctx context.Context) {
	if !o.close() {
		return
	}
	select {
	case <-o.joined:
	case <-ctx.Done():
	}
}

// leave runs f in a goroutine that abandon waits for, the first time that it is
// called, unless the session ends already.
func (o *outbox) leave(f func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.shut && !o.left {
		o.left = true
		o.aside.Go(f)
	}
}

// abandon accepts no more, and counts what was not sent as dropped. The goroutine's
// context has ended.
func (o *outbox) abandon() {
	if o.close() {
		<-o.joined
	}
	o.aside.Wait()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropped.Add(uint64(len(o.queue)))
	o.queue, o.bytes = nil, 0
}

// close accepts no more and reports whether there is a goroutine.
func (o *outbox) close() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.shut {
		o.shut = true
		close(o.room)
	}
	o.wakeLocked()
	return o.begun
}
