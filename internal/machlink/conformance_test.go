package machlink_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/mach"
	"github.com/sealport/sealport/internal/machlink"
	"github.com/sealport/sealport/internal/machsim"
)

// TestConformance runs the suite of every carrier: each connection on a machine
// of its own.
func TestConformance(t *testing.T) {
	var mu sync.Mutex
	tasks := map[link.Link]*machsim.Task{}
	linktest.Run(t, linktest.Carrier{
		Pair: func(t testing.TB) (a, b link.Link) {
			k := machsim.New()
			host, client := k.NewTask(token(1)), k.NewTask(token(2))
			a, b = connectPair(t, host, client)
			mu.Lock()
			defer mu.Unlock()
			tasks[a], tasks[b] = host, client
			return a, b
		},
		Kill: func(l link.Link) {
			mu.Lock()
			defer mu.Unlock()
			tasks[l].Kill()
		},
		Held:         (mach.QueueLimitMax+1)*machlink.MaxFrame + 256<<10,
		CountsUnread: true,
	})
}

// connectPair makes a connection that the caller closes.
func connectPair(t testing.TB, hostTask, clientTask mach.Kernel) (host, client link.Link) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	ln, err := machlink.Listen(hostTask, service)
	require.NoError(t, err)
	accepted := make(chan error, 1)
	go func() {
		p, err := ln.Accept(ctx)
		if err == nil {
			host, err = p.Accept(nil)
		}
		accepted <- err
	}()
	client, _, ok, err := machlink.Dial(ctx, clientTask, service, nil)
	require.NoError(t, err)
	require.NoError(t, <-accepted)
	require.True(t, ok)
	require.NoError(t, ln.Close())
	return host, client
}
