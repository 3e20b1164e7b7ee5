package machlink_test

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/link/mach/machlink/machlinktest"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

// TestConformance runs the suite of every carrier: each connection between two
// processes on a simulated machine of its own.
func TestConformance(t *testing.T) {
	var mu sync.Mutex
	tasks := map[link.Link]*machtest.Task{}
	linktest.Run(t, linktest.Carrier{
		Pair: func(t testing.TB) (a, b link.Link) {
			k := machtest.New(machtest.XNU11417)
			host, client := k.NewTask(token(1)), k.NewTask(token(2))
			a, b = machlinktest.Pair(t, host, client, service)
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
		Held:                 machlinktest.Held,
		CountsUnacknowledged: true,
	})
}

// TestConformanceWithinOneProcess runs the suite with both ends in one task,
// which share a name space: on a simulated kernel, and on a real one where there
// is one.
func TestConformanceWithinOneProcess(t *testing.T) {
	t.Run("simulated", func(t *testing.T) {
		task := machtest.New(machtest.XNU11417).NewTask(token(1))
		conformanceWithinOneProcess(t, task)
		assert.Equal(t, machtest.Usage{}, task.Usage(), "%s", task.Describe())
	})
	if runtime.GOOS != "darwin" {
		return
	}
	t.Run("real", func(t *testing.T) {
		k, err := mach.Open()
		require.NoError(t, err)
		conformanceWithinOneProcess(t, k)
	})
}

func conformanceWithinOneProcess(t *testing.T, k mach.Kernel) {
	var number atomic.Int64
	linktest.Run(t, linktest.Carrier{
		Pair: func(t testing.TB) (a, b link.Link) {
			// launchd may take a moment to forget a name.
			return machlinktest.Pair(t, k, k, fmt.Sprintf("com.example.sealport.test.%d.%d", os.Getpid(), number.Add(1)))
		},
		Kill: func(l link.Link) {
			if err := machlink.Kill(l); err != nil {
				t.Error(err)
			}
		},
		Held:                 machlinktest.Held,
		CountsUnacknowledged: true,
	})
}
