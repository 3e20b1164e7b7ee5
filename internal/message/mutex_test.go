package message_test

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/message"
)

func TestMutexExcludes(t *testing.T) {
	m := message.NewMutex()
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

// Waiters that give up take nobody else's turn away.
func TestMutexWaitersThatGiveUp(t *testing.T) {
	m := message.NewMutex()
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

func TestMutexObeysContext(t *testing.T) {
	m := message.NewMutex()
	require.True(t, m.TryLock())
	require.False(t, m.TryLock())
	ended, cancel := context.WithCancel(t.Context())
	waiting := make(chan error)
	go func() { waiting <- m.Lock(ended) }()
	cancel()
	require.ErrorIs(t, await(t, waiting), context.Canceled)
	m.Unlock()
	require.NoError(t, m.Lock(ended), "an ended context does not matter if nobody has it")
}
