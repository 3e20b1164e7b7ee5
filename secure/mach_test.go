package secure_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

// TestConformanceOverMach: a sealed link over Mach ports of two processes on a
// simulated kernel is a link like any carrier.
func TestConformanceOverMach(t *testing.T) {
	var mu sync.Mutex
	tasks := map[link.Link]*machtest.Task{}
	linktest.Run(t, linktest.Carrier{
		Pair: func(t testing.TB) (a, b link.Link) {
			k := machtest.New()
			// Not every kernel fills in the pidversion.
			host, client := k.NewTask(mach.AuditToken{5: 1}), k.NewTask(mach.AuditToken{5: 2})
			x, y := machPair(t, host, client)
			a, b = pairOver(t, x, y)
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
		Held:                 (mach.QueueLimitMax+1)*machlink.MaxFrame + 256<<10,
		CountsUnacknowledged: true,
		SaysGoodbye:          true,
	})
}

// machPair connects two processes of a simulated kernel.
func machPair(t testing.TB, host, client *machtest.Task) (x, y link.Link) {
	t.Helper()
	l, err := machlink.Listen(host, endpoint)
	require.NoError(t, err)
	ctx := hung(t)
	accepted := make(chan error, 1)
	go func() {
		p, err := l.Accept(ctx)
		if err == nil {
			x, err = p.Accept(nil)
		}
		accepted <- err
	}()
	y, _, ok, err := machlink.Dial(ctx, client, endpoint, nil)
	require.NoError(t, err)
	require.NoError(t, <-accepted)
	require.True(t, ok)
	require.NoError(t, l.Close())
	return x, y
}

// TestMachLeavesNothing: whatever ends the life of a sealed connection, the
// processes hold no right and no memory of it any more.
func TestMachLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(a, b link.Link, host *machtest.Task){
		"close": func(a, b link.Link, _ *machtest.Task) {
			assert.NoError(t, a.Close())
			assert.NoError(t, b.Close())
		},
		"the other's death": func(a, b link.Link, host *machtest.Task) {
			host.Kill()
			_, err := b.ReadFrame(context.Background())
			assert.ErrorIs(t, err, link.ErrPeerGone)
			_ = a.Close()
			assert.NoError(t, b.Close())
		},
		"another process": func(a, b link.Link, host *machtest.Task) {
			host.SetToken(mach.AuditToken{5: 3})
			assert.NoError(t, a.WriteFrame(context.Background(), nil, []byte("mine")))
			_, err := b.ReadFrame(context.Background())
			assert.ErrorIs(t, err, link.ErrPeerChanged)
			assert.NoError(t, a.Close())
			assert.NoError(t, b.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := machtest.New()
			host, client := k.NewTask(mach.AuditToken{5: 1}), k.NewTask(mach.AuditToken{5: 2})
			x, y := machPair(t, host, client)
			a, b := pairOver(t, x, y)
			end(a, b, host)
			assert.Equal(t, machtest.Usage{}, client.Usage(), "%s", client.Describe())
			assert.Equal(t, machtest.Usage{}, host.Usage(), "%s", host.Describe())
		})
	}
}
