package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// simulated starts clients as tasks of the simulated kernel. A task ends when its
// client does, closed or not, as a process would.
type simulated struct{ k *machtest.Kernel }

func (s simulated) start(ctx context.Context, role, service string) (int, func() error, error) {
	const pid = 4711
	task := s.k.NewTask(mach.AuditToken{5: pid, 7: 1})
	ended := make(chan error, 1)
	go func() {
		l, err := client(ctx, task, role, service)
		task.Kill()
		if l != nil {
			_ = l.Close() // ends its goroutine; the task is dead
		}
		ended <- err
	}()
	return pid, func() error { return <-ended }, nil
}

func TestStepsOnTheSimulatedKernel(t *testing.T) {
	for _, g := range machtest.Generations {
		t.Run(g.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			k := machtest.New(g)
			task := k.NewTask(mach.AuditToken{1: 501, 5: 100})
			var out strings.Builder
			ok := run(ctx, &out, task, simulated{k})
			t.Log("\n" + out.String())
			assert.True(t, ok)
			assert.Equal(t, len(steps), strings.Count(out.String(), "ok    "))
			assert.Equal(t, machtest.Usage{}, task.Usage(), "%s", task.Describe())
			assert.Zero(t, k.LivePorts())
		})
	}
}

// TestStepsCanFail: a step whose kernel misbehaves says so.
func TestStepsCanFail(t *testing.T) {
	for _, op := range []machtest.Op{machtest.OpAllocatePort, machtest.OpSend, machtest.OpReceive, machtest.OpToken, machtest.OpNotify, machtest.OpCheckIn} {
		t.Run(string(op), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			k := machtest.New(machtest.XNU11417)
			task := k.NewTask(mach.AuditToken{5: 100})
			task.Inject(func(c machtest.Call) mach.Errno {
				if c.Op == op {
					return mach.KernFailure
				}
				return 0
			})
			failed := 0
			for _, s := range steps {
				if strings.Contains(s.name, "process") || s.name == "service name" {
					continue
				}
				if _, err := s.run(ctx, task, simulated{k}); err != nil {
					failed++
				}
			}
			if op == machtest.OpCheckIn {
				_, err := serviceName(ctx, task, nil)
				assert.ErrorIs(t, err, mach.KernFailure)
				return
			}
			require.NotZero(t, failed, fmt.Sprintf("%s is in no step", op))
		})
	}
}
