// Package ctxlock is a mutual exclusion lock whose waiters obey a context.
package ctxlock

import (
	"context"
	"sync/atomic"
)

// Mutex is a lock whose waiters obey a context. Uncontended it costs two atomic
// operations. It is the three-state futex lock of Drepper's "Futexes are
// tricky", with a channel of one token for the futex. Make one with New.
type Mutex struct {
	state atomic.Uint32 // 0 free, 1 locked, 2 locked and perhaps waited for
	token chan struct{} // capacity 1
}

// New returns an unlocked Mutex.
func New() Mutex { return Mutex{token: make(chan struct{}, 1)} }

// TryLock locks without waiting.
func (m *Mutex) TryLock() bool { return m.state.CompareAndSwap(0, 1) }

// Lock waits for the lock or the end of ctx.
func (m *Mutex) Lock(ctx context.Context) error {
	if m.TryLock() {
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

// Unlock lets the next one in.
func (m *Mutex) Unlock() {
	if m.state.Swap(0) == 2 {
		select {
		case m.token <- struct{}{}:
		default: // one is there already
		}
	}
}
