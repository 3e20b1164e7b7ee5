package machlink_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

var sessions atomic.Int64

// session is the life of one connection with so many frames; with more than the
// queue holds it is filled first. Any step may
// fail, since calls are made to; what must hold is that everyone comes to an
// end and nothing is left. It returns how many frames the host read, and
// whether nothing failed.
func session(ctx context.Context, m machine, wanted int) (frames int, clean bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	// launchd may take a moment to forget the one before.
	service := fmt.Sprintf("%s.%d", service, sessions.Add(1))
	ln, err := machlink.Listen(m.host, service)
	if err != nil {
		return 0, false
	}
	full := make(chan struct{})
	hostClean, clientClean := false, false
	wg.Go(func() {
		defer func() {
			if !hostClean {
				cancel() // the client is not to wait for us
			}
		}()
		p, err := ln.Accept(ctx)
		if err != nil {
			return
		}
		l, err := p.Accept([]byte("welcome"))
		if err != nil {
			return
		}
		select {
		case <-full:
		case <-l.Gone().Done():
		case <-ctx.Done():
		}
		ended, end := context.WithCancel(ctx)
		end()
		for ; ; frames++ {
			_, err = l.ReadFrame(ended) // what is there needs no patience
			if err == context.Canceled {
				_, err = l.ReadFrame(ctx)
			}
			if err != nil {
				break
			}
		}
		err2 := l.WriteFrame(ctx, nil, []byte("bye"))
		hostClean = l.Close() == nil && err2 == nil && errors.Is(err, io.EOF)
	})
	wg.Go(func() {
		l, _, accepted, err := machlink.Dial(ctx, m.client, service, []byte("hello"))
		if err != nil || !accepted {
			cancel()
			return
		}
		for i := range wanted {
			if i == min(mach.QueueLimitMax, wanted-1) {
				close(full)
			}
			if err = l.WriteFrame(ctx, nil, []byte("frame")); err != nil {
				cancel() // the host waits for a full queue
				break
			}
		}
		errs := []error{err, l.WaitDrained(ctx), l.CloseWrite(ctx)}
		_, err = l.ReadFrame(ctx)
		errs = append(errs, err, l.Close())
		clientClean = true
		for _, err := range errs {
			clientClean = clientClean && err == nil
		}
		if !clientClean {
			cancel()
		}
	})
	wg.Wait()
	return frames, ln.Close() == nil && hostClean && clientClean && frames == wanted
}

// failLate is a need of tests: the calls of which the kernel does a part.
const failLate = "calls that fail late"

// releases are the calls that only give something up. A kernel refuses those
// for want of a resource at most, and nothing but trying again could mend it.
func releases(op machtest.Op) bool {
	switch op {
	case machtest.OpDeallocate, machtest.OpModRefs, machtest.OpFreeMemory, machtest.OpMoveMember:
		return true
	}
	return false
}

// TestEachCallFailsOnce fails each kernel call of a connection's life, one at a
// time: nothing leaks and nothing hangs, whatever was cut short.
func TestEachCallFailsOnce(t *testing.T) {
	kinds := map[string]func(machtest.Op) mach.Errno{
		"transient": func(machtest.Op) mach.Errno { return mach.KernResourceShortage },
		"hard": func(op machtest.Op) mach.Errno {
			if releases(op) {
				return mach.KernResourceShortage
			}
			return mach.KernFailure
		},
		"late": func(op machtest.Op) mach.Errno {
			switch op {
			case machtest.OpSend:
				return mach.SendInterrupted
			case machtest.OpReceive:
				return mach.RcvHeaderError
			}
			return 0
		},
	}
	for kind, errno := range kinds {
		for _, side := range []string{"host", "client"} {
			t.Run(kind+"/"+side, func(t *testing.T) {
				m := newMachine(t)
				if kind == "late" {
					m.Simulated(t, failLate)
				}
				task := map[string]machtest.Process{"host": m.host, "client": m.client}[side]
				f := faults{t: t, m: m, task: task, errno: errno}
				short := f.count(20)
				for n := 1; n <= short+20; n++ {
					f.run(20, n)
				}
				// With a full queue there are a thousand calls alike: some of
				// them, and the last ones.
				const many = mach.QueueLimitMax + 100
				long := f.count(many)
				for n := 50; n < long-40; n += 197 {
					f.run(many, n)
				}
				for n := long - 40; n <= long+20; n += 3 {
					f.run(many, n)
				}
				t.Logf("%d of %d sessions had a failed call, %d succeeded anyway", f.hit, f.ran, f.survived)
				assert.Greater(t, f.hit, 30)
			})
		}
	}
}

// faults runs sessions in which one call of one task fails.
type faults struct {
	t     *testing.T
	m     machine
	task  machtest.Process
	errno func(machtest.Op) mach.Errno

	ran, hit, survived int
}

// count returns the number of calls of a session without faults.
func (f *faults) count(frames int) int {
	before := f.task.Calls()
	got, clean := session(testContext(f.t), f.m, frames)
	require.True(f.t, clean, "without faults; %d frames", got)
	return f.task.Calls() - before
}

// run runs a session whose n-th call fails.
func (f *faults) run(frames, n int) {
	f.t.Helper()
	before, failed := f.task.Calls(), machtest.Op("")
	f.task.Inject(func(c machtest.Call) mach.Errno {
		if c.N != before+n {
			return 0
		}
		e := f.errno(c.Op)
		if e != 0 {
			failed = c.Op
		}
		return e
	})
	ctx, cancel := context.WithTimeout(f.t.Context(), hangLimit)
	defer cancel()
	_, clean := session(ctx, f.m, frames)
	require.NoError(f.t, ctx.Err(), "hangs when call %d (%s) fails", n, failed)
	f.task.Inject(nil)
	f.ran++
	if failed != "" {
		f.hit++
	}
	if clean {
		f.survived++
	}
	if !f.m.empty() {
		f.m.checkEmpty(f.t)
		require.FailNow(f.t, "leak", "when call %d (%s) fails", n, failed)
	}
}

func (m machine) empty() bool {
	return m.host.Usage() == machtest.Usage{} && m.client.Usage() == machtest.Usage{} && m.LivePorts() == 0
}

// TestInterruptsAreNotNoticed: Go's own preemption signals interrupt calls, here
// about every other send, which then hands back its rights, and many receives.
func TestInterruptsAreNotNoticed(t *testing.T) {
	m := newMachine(t)
	m.Simulated(t, failLate)
	ctx := testContext(t)
	for i, task := range []machtest.Process{m.host, m.client} {
		random := rand.New(rand.NewPCG(uint64(i), 1))
		task.Inject(func(c machtest.Call) mach.Errno {
			if c.Op == machtest.OpSend && random.IntN(2) == 0 {
				return mach.SendInterrupted
			}
			return 0
		})
	}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				m.host.Interrupt()
				m.client.Interrupt()
				runtime.Gosched()
			}
		}
	}()
	defer func() {
		close(stop)
		<-stopped
	}()
	host, client := m.pair(t)
	for i := range 200 {
		want := fmt.Sprint(i)
		require.NoError(t, client.WriteFrame(ctx, nil, []byte(want)))
		f, err := host.ReadFrame(ctx)
		require.NoError(t, err)
		require.Equal(t, want, string(f))
	}
	require.NoError(t, client.CloseWrite(ctx))
	_, err := host.ReadFrame(ctx)
	assert.Equal(t, io.EOF, err)
}

// TestBrokenLoop: when the port set can't be received from any more, everyone is
// told, and everything can still be closed.
func TestBrokenLoop(t *testing.T) {
	m := newMachine(t)
	ctx := testContext(t)
	ln, err := machlink.Listen(m.host, "com.example.second")
	require.NoError(t, err)
	host, client := m.pair(t)
	m.host.Inject(func(c machtest.Call) mach.Errno {
		if c.Op == machtest.OpReceive {
			return mach.KernFailure
		}
		return 0
	})
	m.host.Interrupt() // the receive that is blocked now was called before
	_, err = host.ReadFrame(ctx)
	assert.ErrorIs(t, err, mach.KernFailure)
	_, err = ln.Accept(ctx)
	assert.ErrorIs(t, err, mach.KernFailure)
	assert.Error(t, host.WriteFrame(ctx, nil, nil))
	require.NoError(t, ln.Close())
	require.NoError(t, host.Close())
	_, err = client.ReadFrame(ctx)
	assert.Error(t, err)
	assert.NotErrorIs(t, err, link.ErrClosed)
	m.host.Inject(nil)
}

// TestFailedReceiveDoesNotTouchTheMessageBefore: a receive that fails and writes
// nothing leaves the buffer as it was. What it held is owned by others by now.
func TestFailedReceiveDoesNotTouchTheMessageBefore(t *testing.T) {
	for _, errno := range []mach.Errno{mach.RcvTooLarge, mach.RcvBodyError} {
		m := newMachine(t)
		ctx := testContext(t)
		ln, err := machlink.Listen(m.host, service)
		require.NoError(t, err)
		newAttacker(t, m.client).connect()
		p, err := ln.Accept(ctx)
		require.NoError(t, err)
		failed := make(chan struct{})
		var once sync.Once
		m.host.Inject(func(c machtest.Call) (e mach.Errno) {
			if c.Op == machtest.OpReceive {
				once.Do(func() { e = errno; close(failed) })
			}
			return e
		})
		m.host.Interrupt()
		<-failed
		l, err := p.Accept(nil)
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.NoError(t, ln.Close())
		m.client.Kill()
	}
}
