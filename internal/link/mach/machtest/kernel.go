package machtest

import (
	"fmt"
	"sync"

	"github.com/sealport/sealport/internal/link/mach"
)

// Generation is how a kernel behaves where releases of XNU differ.
type Generation int

const (
	// XNU7195 is macOS 11, and macOS 12 until 12.2 (XNU 8019). A port set serves a
	// member until it has no messages, MoveMember of a port that is in no set
	// succeeds, and a dead-name request with sync on a dead name is answered at once.
	XNU7195 Generation = iota
	// XNU11417 is macOS 15. A port set serves its members in turn (since XNU 8020),
	// MoveMember of a port that is in no set is KERN_NOT_IN_SET (8020), and a
	// dead-name request on a dead name is KERN_INVALID_ARGUMENT (8796).
	XNU11417
)

// Generations are all that are simulated.
var Generations = []Generation{XNU7195, XNU11417}

// String names the generation.
func (g Generation) String() string {
	switch g {
	case XNU7195:
		return "xnu-7195"
	case XNU11417:
		return "xnu-11417"
	}
	return "real"
}

// Kernel is one simulated machine. Its methods may be called concurrently.
type Kernel struct {
	generation Generation

	mu       sync.Mutex
	tasks    map[*Task]bool
	services map[string]*service
	denied   map[string]bool
	address  uint64 // next out-of-line address
	ports    int    // that live
	room     bell   // rung when a queue may have room, for blocked senders
}

// New returns a machine without tasks or services.
func New(g Generation) *Kernel {
	return &Kernel{
		generation: g,
		tasks:      map[*Task]bool{}, services: map[string]*service{}, denied: map[string]bool{},
		address: 0x1_0000_0000,
	}
}

// LivePorts is the number of ports whose receive right exists, be it in a task,
// in a message or with the name service.
func (k *Kernel) LivePorts() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ports
}

// Task is one simulated process. It implements mach.Kernel for code that runs
// "in" that process; its other methods are the tester's hand. All may be called
// concurrently.
type Task struct {
	k       *Kernel
	token   mach.AuditToken
	dead    bool
	entries map[mach.Name]*entry
	names   map[*port]mach.Name // of receive and send rights, which share one name
	free    []mach.Name
	next    mach.Name
	memory  map[uint64][]byte

	arrived    bell // rung when a blocked receive has to look again
	interrupts int
	calls      int
	inject     func(Call) mach.Errno
}

var _ mach.Kernel = (*Task)(nil)

// NewTask starts a process whose messages carry token.
func (k *Kernel) NewTask(token mach.AuditToken) *Task {
	t := &Task{
		k: k, token: token, entries: map[mach.Name]*entry{}, names: map[*port]mach.Name{},
		next: 0x103, memory: map[uint64][]byte{},
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.tasks[t] = true
	return t
}

// Kill ends the process as kill -9 does: all its rights and memory go, and
// every call that is blocked in it or comes later fails with KernInvalidTask.
func (t *Task) Kill() {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	if t.dead {
		return
	}
	t.dead = true
	for name, e := range t.entries {
		t.destroyEntry(name, e)
	}
	clear(t.memory)
	delete(t.k.tasks, t)
	t.arrived.ring()
	t.k.room.ring()
}

// SetToken changes what later messages of this process carry, as exec does.
func (t *Task) SetToken(token mach.AuditToken) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.token = token
}

// Interrupt makes each receive that is blocked now return RcvInterrupted, as a
// signal does.
func (t *Task) Interrupt() {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.interrupts++
	t.arrived.ring()
}

// Usage is what a task holds. Two equal values before and after mean that
// nothing leaked.
type Usage struct {
	Names      int // entries in the name space
	Receive    int // receive rights
	References int // user references of send, send-once and dead names
	Regions    int // out-of-line memory that was received and not freed
}

// Usage reports what the task holds now.
func (t *Task) Usage() Usage {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	u := Usage{Names: len(t.entries), Regions: len(t.memory)}
	for _, e := range t.entries {
		u.References += e.send + e.dead
		if e.sendOnce {
			u.References++
		}
		if e.receive {
			u.Receive++
		}
	}
	return u
}

// Describe lists the task's names, for messages of failed tests.
func (t *Task) Describe() string {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	s := ""
	for name, e := range t.entries {
		s += fmt.Sprintf("%#x: receive %v send %d once %v dead %d set %v\n", uint32(name), e.receive, e.send, e.sendOnce, e.dead, e.set != nil)
	}
	return s
}

// Queued is the number of messages waiting on a port of which the task holds
// the receive right or a send right, or -1.
func (t *Task) Queued(name mach.Name) int {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	if e := t.entries[name]; e != nil && e.port != nil {
		return len(e.port.queue)
	}
	return -1
}

// bell wakes those who wait for a change. The kernel's mutex guards it.
type bell struct{ c chan struct{} }

// wait returns a channel that the next ring closes.
func (b *bell) wait() <-chan struct{} {
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

func (b *bell) ring() {
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}
