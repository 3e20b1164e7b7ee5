package ctxlock_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/ctxlock"
)

func TestExcludes(t *testing.T) {
	m := newMutex()
	const workers, n = 8, 2000
	counter := 0 // the race detector watches it
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range n {
				if w%2 == 0 && m.TryLock() {
					counter++
					m.Unlock()
					continue
				}
				if !assert.NoError(t, m.Lock(hung(t))) {
					return
				}
				if counter++; i%64 == 0 {
					runtime.Gosched() // the others have to wait
				}
				m.Unlock()
			}
		})
	}
	all.Wait()
	assert.Equal(t, workers*n, counter)
}

// Waiters that give up do not cost another waiter its turn.
func TestWaitersThatGiveUp(t *testing.T) {
	m := newMutex()
	for range 300 {
		require.NoError(t, m.Lock(hung(t)))
		var all sync.WaitGroup
		ended, cancel := context.WithCancel(hung(t))
		for i := range 6 {
			ctx := hung(t)
			if i%2 == 0 {
				ctx = ended
			}
			all.Go(func() {
				err := m.Lock(ctx)
				if err == nil {
					m.Unlock()
				} else {
					assert.ErrorIs(t, err, context.Canceled)
				}
			})
		}
		go cancel()
		m.Unlock()
		all.Wait() // hangs if a wake-up was lost
	}
	assert.True(t, m.TryLock())
}

func TestObeysContext(t *testing.T) {
	m := newMutex()
	require.True(t, m.TryLock())
	require.False(t, m.TryLock())
	ended, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() { waiting <- m.Lock(ended) }()
	cancel()
	require.ErrorIs(t, await(t, waiting), context.Canceled)
	m.Unlock()
	require.NoError(t, m.Lock(ended), "an ended context does not matter if the lock is free")
}

func newMutex() *ctxlock.Mutex {
	m := ctxlock.New()
	return &m
}

// hung is the context of what must not hang.
func hung(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// await returns what comes.
func await[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-hung(t).Done():
		require.FailNow(t, "nothing came")
	}
	return v
}
