// Package ctxlock is a mutual exclusion lock whose waiters give up when their context ends.
package ctxlock

import (
	"context"
	"sync/atomic"
)

// Mutex is a lock whose waiters give up when their context ends. Uncontended it costs
// two atomic operations. It is the three-state futex lock of Drepper's "Futexes are
// tricky", with a channel of one token for the futex. Make one with New.
type Mutex struct {
	state atomic.Uint32 // 0 free, 1 locked, 2 locked and perhaps waited for
	token chan struct{} // capacity 1
}

// New returns an unlocked Mutex.
func New() Mutex { return Mutex{token: make(chan struct{}, 1)} }

// TryLock locks if the lock is free and reports whether it did.
func (m *Mutex) TryLock() bool { return m.state.CompareAndSwap(0, 1) }

// Lock locks, and blocks until it can or ctx ends. Then it returns ctx.Err(). It does
// not look at ctx if the lock is free.
func (m *Mutex) Lock(ctx context.Context) error {
	if m.TryLock() {
		return nil
	}
	for m.state.Swap(2) != 0 {
		select {
		case <-m.token:
		case <-ctx.Done():
			// A token that arrives now stays for the next waiter.
			return ctx.Err()
		}
	}
	return nil
}

// Unlock unlocks and wakes a waiter. It does not block.
func (m *Mutex) Unlock() {
	if m.state.Swap(0) == 2 {
		select {
		case m.token <- struct{}{}:
		default: // one is there already
		}
	}
}
