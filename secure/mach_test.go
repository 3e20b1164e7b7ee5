package secure_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink/machlinktest"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

// TestConformanceOverMach: a sealed link over Mach ports of two processes is a link
// like any carrier.
func TestConformanceOverMach(t *testing.T) {
	var mu sync.Mutex
	processes := map[link.Link]machtest.Process{}
	linktest.Run(t, linktest.Carrier{
		Pair: func(t testing.TB) (a, b link.Link) {
			k := machtest.Open(t)
			// Not every kernel fills in the pidversion.
			host, client := k.NewTask(mach.AuditToken{5: 1}), k.NewTask(mach.AuditToken{5: 2})
			x, y := machlinktest.Pair(t, host, client, endpoint)
			a, b = pairOver(t, x, y)
			mu.Lock()
			defer mu.Unlock()
			processes[a], processes[b] = host, client
			return a, b
		},
		Kill: func(l link.Link) {
			mu.Lock()
			defer mu.Unlock()
			processes[l].Kill()
		},
		Held:                 machlinktest.Held,
		CountsUnacknowledged: true,
		SaysGoodbye:          true,
		Smallest:             1,
	})
}

// TestMachLeavesNothing: whatever ends the life of a sealed connection, the
// processes hold no right and no memory of it any more.
func TestMachLeavesNothing(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, a, b link.Link, host machtest.Process){
		"close": func(t *testing.T, a, b link.Link, _ machtest.Process) {
			assert.NoError(t, a.Close())
			assert.NoError(t, b.Close())
		},
		"the other's death": func(t *testing.T, a, b link.Link, host machtest.Process) {
			host.Kill()
			_, err := b.ReadFrame(context.Background())
			assert.ErrorIs(t, err, link.ErrPeerGone)
			_ = a.Close()
			assert.NoError(t, b.Close())
		},
		"another process": func(t *testing.T, a, b link.Link, host machtest.Process) {
			machtest.SetToken(t, host, mach.AuditToken{5: 3})
			assert.NoError(t, a.WriteFrame(context.Background(), nil, []byte("mine")))
			_, err := b.ReadFrame(context.Background())
			assert.ErrorIs(t, err, link.ErrPeerChanged)
			assert.NoError(t, a.Close())
			assert.NoError(t, b.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := machtest.Open(t)
			host, client := k.NewTask(mach.AuditToken{5: 1}), k.NewTask(mach.AuditToken{5: 2})
			x, y := machlinktest.Pair(t, host, client, endpoint)
			a, b := pairOver(t, x, y)
			t.Cleanup(func() { _, _ = a.Close(), b.Close() }) // of a test that is skipped
			end(t, a, b, host)
			assert.Equal(t, machtest.Usage{}, client.Usage(), "%s", client.Describe())
			assert.Equal(t, machtest.Usage{}, host.Usage(), "%s", host.Describe())
		})
	}
}
