package message

import (
	"context"
	"sync/atomic"
)

// mutex is a lock whose waiters obey a context. Uncontended it costs two atomic
// operations. It is the three-state futex lock of Drepper's "Futexes are
// tricky", with a channel of one token for the futex.
type mutex struct {
	state atomic.Uint32 // 0 free, 1 locked, 2 locked and perhaps waited for
	token chan struct{} // capacity 1
}

func newMutex() mutex { return mutex{token: make(chan struct{}, 1)} }

// tryLock locks without waiting.
func (m *mutex) tryLock() bool { return m.state.CompareAndSwap(0, 1) }

// lock waits for the lock or the end of ctx.
func (m *mutex) lock(ctx context.Context) error {
	if m.tryLock() {
		return nil
	}
	for m.state.Swap(2) != 0 {
		select {
		case <-m.token:
		case <-ctx.Done():
			// A token that came in this moment stays for the next waiter.
			return ctx.Err()
		}
	}
	return nil
}

func (m *mutex) unlock() {
	if m.state.Swap(0) == 2 {
		select {
		case m.token <- struct{}{}:
		default: // one is there already
		}
	}
}
