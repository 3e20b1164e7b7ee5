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
	var mu sync.Mutex
	processes := map[link.Link]machtest.Process{}
	linktest.Run(t, linktest.Carrier{
		Pair: func(t testing.TB) (a, b link.Link) {
			m := machtest.Open(t)
			host, client := m.NewTask(token(1)), m.NewTask(token(2))
			a, b = machlinktest.Pair(t, host, client, service)
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
	})
}

// TestConformanceWithinOneProcess runs the suite with both ends in one process, which
// share a name space and a loop.
func TestConformanceWithinOneProcess(t *testing.T) {
	task := machtest.Open(t).NewTask(token(1))
	var number atomic.Int64
	linktest.Run(t, linktest.Carrier{
		Pair: func(t testing.TB) (a, b link.Link) {
			// launchd may take a moment to forget a name.
			return machlinktest.Pair(t, task, task, fmt.Sprintf("%s.%d", service, number.Add(1)))
		},
		Kill: func(l link.Link) {
			if err := machlink.Kill(l); err != nil {
				t.Error(err)
			}
		},
		Held:                 machlinktest.Held,
		CountsUnacknowledged: true,
	})
	assert.Equal(t, machtest.Usage{}, task.Usage(), "%s", task.Describe())
}
