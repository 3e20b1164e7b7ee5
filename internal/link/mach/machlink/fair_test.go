package machlink_test

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

// flooded is a process one of whose ports never becomes empty: before each receive another
// process sends to it, until there is no room. It counts how many messages are received
// while one that is awaited is in a queue.
type flooded struct {
	machtest.Process
	flood atomic.Pointer[func() error]

	mu      sync.Mutex
	awaited map[int32]*awaited // by id
}

// awaited are the messages with one id.
type awaited struct {
	sent, received int
	waits          int // messages received since the first of those that wait was sent
	longest        int
}

// idWake is the loop's message to itself.
const idWake int32 = 0x53500108

// sent is called when a message has been sent to the task.
func (f *flooded) sent(id int32) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.awaited[id].sent++
}

// Receive implements mach.Kernel.
func (f *flooded) Receive(buf []byte, from mach.Name, options mach.Options, timeout uint32) error {
	if send := f.flood.Load(); send != nil {
		for (*send)() == nil {
		}
	}
	err := f.Process.Receive(buf, from, options, timeout)
	h, _ := mach.ParseHeader(buf)
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, w := range f.awaited {
		switch {
		case id == h.ID:
			w.received++
			w.longest, w.waits = max(w.longest, w.waits), 0
		case w.sent > w.received:
			if w.waits++; w.waits > manyTurns {
				w.longest = w.waits
				f.flood.Store(nil) // let the test end
			}
		}
	}
	return err
}

// Send implements mach.Kernel: the loop wakes itself.
func (f *flooded) Send(msg, ool []byte, options mach.Options, timeout uint32) error {
	return sending{f.Process, f, idWake}.Send(msg, ool, options, timeout)
}

// sending is a process whose messages with an id go to a flooded one.
type sending struct {
	machtest.Process
	to *flooded
	id int32
}

// Send implements mach.Kernel.
func (s sending) Send(msg, ool []byte, options mach.Options, timeout uint32) error {
	h, _ := mach.ParseHeader(msg)
	err := s.Process.Send(msg, ool, options, timeout)
	if err == nil && h.ID == s.id {
		s.to.sent(s.id)
	}
	return err
}

// manyTurns is more messages than all ports of the test may send before each has had its
// turn.
const manyTurns = 4 * 32

// TestOnePortDoesNotStarveOthers: a host that never answers keeps a port full, as a
// reader that keeps up lets an honest peer do; the messages of others come nevertheless,
// and Close too.
func TestOnePortDoesNotStarveOthers(t *testing.T) {
	for _, g := range machtest.Kernels() {
		t.Run(g.String(), func(t *testing.T) {
			m := newMachineOf(t, g)
			ctx := testContext(t)
			us := &flooded{Process: m.client, awaited: map[int32]*awaited{idFrame: {}, idWake: {}}}
			host, client := pairOf(t, sending{m.host, us, idFrame}, us)

			// The attacker's service gets our hello, and so the right to a port of ours.
			task := m.NewTask(token(666))
			defer task.Kill()
			service, err := task.CheckIn("com.example.attacker")
			require.NoError(t, err)
			dialled, cancel := context.WithCancel(ctx)
			var wg sync.WaitGroup
			defer wg.Wait()
			defer cancel()
			wg.Go(func() {
				_, _, _, err := machlink.Dial(dialled, us, "com.example.attacker", nil)
				assert.ErrorIs(t, err, context.Canceled)
			})
			buf := make([]byte, 4096)
			require.NoError(t, task.Receive(buf, service, mach.RcvAuditTrailer, 0))
			hello, err := mach.ParseMessage(buf)
			require.NoError(t, err)
			var names []mach.Name
			for d := range hello.Descriptors() {
				names = append(names, d.Name)
			}
			a := newAttacker(t, task)
			junk := func() error { return a.sendTo(names[1], 4711, nil, nil) }
			us.flood.Store(&junk)
			require.NoError(t, junk())

			for i := range 3 {
				require.NoError(t, host.WriteFrame(ctx, nil, []byte{byte(i)}))
				f, err := client.ReadFrame(ctx)
				require.NoError(t, err)
				assert.Equal(t, []byte{byte(i)}, f)
			}
			require.NoError(t, client.Close())
			_, err = host.ReadFrame(ctx)
			assert.Equal(t, io.EOF, err)
			us.mu.Lock()
			defer us.mu.Unlock()
			for id, w := range us.awaited {
				assert.NotZero(t, w.sent, "%#x", id)
				assert.LessOrEqual(t, w.longest, manyTurns, "%#x", id)
			}
			us.flood.Store(nil)
		})
	}
}

// TestMalformedConnectsAreSlowed: they are taken at a rate, and connects behind them get
// through.
func TestMalformedConnectsAreSlowed(t *testing.T) {
	for _, g := range machtest.Kernels() {
		t.Run(g.String(), func(t *testing.T) {
			m := newMachineOf(t, g)
			ctx := testContext(t)
			ln, err := machlink.Listen(m.host, service)
			require.NoError(t, err)
			task := m.NewTask(token(666))
			defer task.Kill()
			a := newAttacker(t, task)
			to, err := task.LookUp(service)
			require.NoError(t, err)
			begin, sent := time.Now(), 0
			for sent < mach.QueueLimitMax || a.sendTo(to, idConnect, nil, nil) == nil {
				if sent < mach.QueueLimitMax {
					require.NoError(t, a.sendTo(to, idConnect, nil, nil))
				}
				sent++
			}
			var l link.Link
			var wg sync.WaitGroup
			wg.Go(func() {
				var err error
				l, _, _, err = machlink.Dial(ctx, m.client, service, nil)
				assert.NoError(t, err)
			})
			p, err := ln.Accept(ctx)
			require.NoError(t, err)
			// No more than 64 are taken between two pauses of 10 ms.
			assert.GreaterOrEqual(t, time.Since(begin), time.Duration(sent/64-1)*10*time.Millisecond)
			host, err := p.Accept(nil)
			require.NoError(t, err)
			wg.Wait()
			require.NoError(t, l.Close())
			require.NoError(t, host.Close())

			// Close in the middle of a pause.
			for range mach.QueueLimitMax / 2 {
				require.NoError(t, a.sendTo(to, idConnect, nil, nil))
			}
			require.NoError(t, ln.Close())
		})
	}
}
