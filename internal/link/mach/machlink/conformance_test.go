package machlink_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/link/mach/machlink/machlinktest"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

// TestConformance runs the suite of every carrier: each connection between two
// processes on a machine of its own.
func TestConformance(t *testing.T) {
	for _, g := range machtest.Kernels() {
		t.Run(g.String(), func(t *testing.T) {
			var mu sync.Mutex
			processes := map[link.Link]machtest.Process{}
			conform(t, func(t testing.TB) (a, b link.Link) {
				m := machtest.OpenAs(t, g)
				host, client := m.NewTask(token(1)), m.NewTask(token(2))
				a, b = machlinktest.Pair(t, host, client, service)
				mu.Lock()
				defer mu.Unlock()
				processes[a], processes[b] = host, client
				return a, b
			}, func(l link.Link) {
				mu.Lock()
				defer mu.Unlock()
				processes[l].Kill()
			})
		})
	}
}

// TestConformanceWithinOneProcess runs the suite with both ends in one process, which
// share a name space and a loop.
func TestConformanceWithinOneProcess(t *testing.T) {
	for _, g := range machtest.Kernels() {
		t.Run(g.String(), func(t *testing.T) {
			process := machtest.OpenAs(t, g).NewTask(token(1))
			var number atomic.Int64
			conform(t, func(t testing.TB) (a, b link.Link) {
				// launchd may take a moment to forget a name.
				return machlinktest.Pair(t, process, process, fmt.Sprintf("%s.%d", service, number.Add(1)))
			}, func(l link.Link) {
				if err := machlink.Kill(l); err != nil {
					t.Error(err)
				}
			})
			assert.Equal(t, machtest.Usage{}, process.Usage(), "%s", process.Describe())
		})
	}
}

func conform(t *testing.T, pair func(testing.TB) (a, b link.Link), kill func(link.Link)) {
	linktest.Run(t, linktest.Carrier{
		Pair: pair, Kill: kill,
		Held:                 machlinktest.Held,
		CountsUnacknowledged: true,
	})
}
