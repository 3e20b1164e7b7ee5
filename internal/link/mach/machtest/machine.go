package machtest

import (
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sealport/sealport/internal/link/mach"
)

// Variable is the environment variable that chooses the kernel of [Open]:
//
//	unset   a simulated machine, with a task for each process
//	older   the same, of the generation XNU7195 also for suites that run on one
//	real    this system's Mach kernel: all processes are this one
//	shared  one simulated task for all processes, to check elsewhere what "real" does
const Variable = "SEALPORT_MACH"

// Process is what a suite does with a process, on any kernel.
type Process interface {
	mach.Kernel

	// Inject makes f decide on each call from now on: see [Task.Inject]. Only the
	// simulated kernel has sends that fail late and receives that lose a message.
	Inject(f func(Call) mach.Errno)

	// Calls is the number of kernel calls that the process has made.
	Calls() int

	// Interrupt makes each receive that is blocked on a port set now return
	// RcvInterrupted, as a signal does.
	Interrupt()

	// Kill ends the process as kill -9 does: all that it holds goes, and every call
	// that is blocked in it or comes later fails with KernInvalidTask.
	Kill()

	// Usage is what the process holds now, and Describe lists it.
	Usage() Usage
	Describe() string
}

var (
	_ Process = (*Task)(nil)
	_ Process = (*process)(nil)
)

// Machine is where the processes of one test run. Its methods may be called
// concurrently.
//
// On the real kernel they are one task with one name space and one audit token,
// and what tells them apart is kept here: a process can use only names that it was
// given. Service names get a suffix, so that tests do not meet in launchd.
type Machine struct {
	simulated  *Kernel // with a task for each process, or nil
	generation Generation

	mu        sync.Mutex
	kernel    mach.Kernel // of all processes; nil until the first where it is simulated
	suffix    string      // of service names
	processes []*process
}

var machines atomic.Int64

// Newest is the generation that [Open] simulates.
const Newest = XNU11417

// real is the generation of the kernel that runs, whichever that is.
const real Generation = -1

// Kernels are those for a suite that runs on each: the simulated [Generations], or the one
// that [Variable] chooses.
func Kernels() []Generation {
	switch os.Getenv(Variable) {
	case "real":
		return []Generation{real}
	case "older":
		return []Generation{XNU7195}
	}
	return Generations
}

// Open returns the machine that [Variable] chooses, and fails the test if it can't be
// had. When the test ends its processes are killed if all are one task; if that is
// simulated, nothing may be left in it.
func Open(t testing.TB) *Machine {
	t.Helper()
	return OpenAs(t, Newest)
}

// OpenAs is Open for a suite that runs on each of [Kernels].
func OpenAs(t testing.TB, g Generation) *Machine {
	t.Helper()
	m := &Machine{generation: g, suffix: fmt.Sprintf(".%d.%d", os.Getpid(), machines.Add(1))}
	switch choice := os.Getenv(Variable); choice {
	case "", "older":
		if choice == "older" {
			g = XNU7195
		}
		m.simulated = New(g)
		return m
	case "shared":
	case "real":
		k, err := mach.Open()
		if err != nil {
			t.Fatalf("%s=%s: %v", Variable, choice, err)
		}
		m.kernel = k
	default:
		t.Fatalf("%s=%s: want older, real, shared, or nothing", Variable, choice)
	}
	t.Cleanup(func() {
		if left := m.end(); left != "" {
			t.Errorf("left in the task of all processes:\n%s", left)
		}
	})
	return m
}

// NewTask starts a process. token is that of its messages where each process is a
// task of its own; one task for all has the first one's if it is simulated, and that
// of this process if it is real.
func (m *Machine) NewTask(token mach.AuditToken) Process {
	if m.simulated != nil {
		return m.simulated.NewTask(token)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kernel == nil {
		m.kernel = New(m.generation).NewTask(token)
	}
	p := &process{
		m: m, kernel: m.kernel, held: map[mach.Name]*holding{},
		regions: map[uint64]uint64{}, receiving: map[mach.Name]int{},
	}
	p.idle.L = &p.mu
	m.processes = append(m.processes, p)
	return p
}

// LivePorts is the number of ports whose receive right exists, as far as it is known:
// one task for all does not show those that are in a message.
func (m *Machine) LivePorts() (n int) {
	if m.simulated != nil {
		return m.simulated.LivePorts()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, p := range m.processes {
		n += p.Usage().Receive
	}
	return n
}

// Simulated returns the kernel where each process is a simulated task of its own, for
// tests of what, which no other has. Elsewhere it skips the test.
func (m *Machine) Simulated(t testing.TB, what string) *Kernel {
	t.Helper()
	if m.simulated == nil {
		needsSimulated(t, what)
	}
	return m.simulated
}

// SetToken changes what later messages of the process carry, as exec and setuid do.
// It skips the test where the process is not a simulated task of its own.
func SetToken(t testing.TB, p Process, token mach.AuditToken) {
	t.Helper()
	task, ok := p.(*Task)
	if !ok {
		needsSimulated(t, "an audit token that changes")
	}
	task.SetToken(token)
}

func needsSimulated(t testing.TB, what string) {
	t.Helper()
	t.Skip("needs the simulated kernel: " + what)
}

// end kills all processes and describes what is left in a simulated task of theirs.
func (m *Machine) end() string {
	m.mu.Lock()
	processes, kernel := slices.Clone(m.processes), m.kernel
	m.mu.Unlock()
	for _, p := range processes {
		p.Kill()
	}
	task, ok := kernel.(*Task)
	if !ok || (task.Usage() == Usage{} && task.k.LivePorts() == 0) {
		return ""
	}
	return fmt.Sprintf("%s%d ports", task.Describe(), task.k.LivePorts())
}
