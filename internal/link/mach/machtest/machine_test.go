package machtest_test

import (
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

// shared returns two processes that are one task, of which the first offers a service to
// which the second has a send right. When the test ends nothing may be left in the task.
func shared(t *testing.T) (m *machtest.Machine, owner, sender machtest.Process, port, send mach.Name) {
	t.Helper()
	t.Setenv(machtest.Variable, "shared")
	m = machtest.Open(t)
	owner, sender = m.NewTask(mach.AuditToken{5: 1}), m.NewTask(mach.AuditToken{5: 2})
	port, err := owner.CheckIn(service)
	require.NoError(t, err)
	send, err = sender.LookUp(service)
	require.NoError(t, err)
	require.Equal(t, port, send, "one task has one name for both")
	return m, owner, sender, port, send
}

func newPort(t *testing.T, k mach.Kernel) mach.Name {
	t.Helper()
	name, err := k.AllocatePort()
	require.NoError(t, err)
	return name
}

// sendAs sends a message with descriptors to a port.
func sendAs(k mach.Kernel, h mach.Header, d ...mach.Descriptor) error {
	return k.Send(mach.Compose(make([]byte, 0, 256), h, d), nil, mach.SendTimeout, 0)
}

func TestProcessesOfOneTaskAreApart(t *testing.T) {
	m, owner, sender, port, send := shared(t)
	own := newPort(t, sender)
	set, err := owner.AllocateSet()
	require.NoError(t, err)
	buf := make([]byte, 512)
	_, statusErr := sender.Status(port)
	_, notifyErr := owner.RequestNotification(port, mach.NotifyNoSenders, 0, own)
	_, nameErr := owner.RequestNotification(own, mach.NotifyDeadName, 0, port)
	for name, c := range map[string]struct {
		err  error
		want mach.Errno
	}{
		"give up another's reference": {owner.Deallocate(send), mach.KernInvalidRight},
		"give up another's port":      {sender.ModRefs(port, mach.RightReceive, -1), mach.KernInvalidRight},
		"give up an unknown name":     {owner.ModRefs(own, mach.RightReceive, -1), mach.KernInvalidName},
		"give up another's set":       {sender.ModRefs(set, mach.RightPortSet, -1), mach.KernInvalidName},
		"receive another's":           {sender.Receive(buf, port, options, 0), mach.RcvInvalidName},
		"limit another's queue":       {sender.SetQueueLimit(port, 0), mach.KernInvalidRight},
		"look at another's port":      {statusErr, mach.KernInvalidRight},
		"be told at another's port":   {notifyErr, mach.KernInvalidCapability},
		"be told of another's right":  {nameErr, mach.KernInvalidName},
		"move another's port":         {owner.MoveMember(own, set), mach.KernInvalidName},
		"move to another's set":       {sender.MoveMember(own, set), mach.KernInvalidName},
		"send by another's right":     {sendAs(owner, mach.Header{Remote: send, RemoteBits: mach.CopySend}), mach.SendInvalidDest},
		"reply to another's port":     {sendAs(sender, mach.Header{Remote: send, RemoteBits: mach.CopySend, Local: port, LocalBits: mach.MakeSend}), mach.SendInvalidReply},
		"send another's right": {sendAs(sender, mach.Header{Remote: send, RemoteBits: mach.CopySend},
			mach.Descriptor{Type: mach.PortRight, Name: port, Disposition: mach.MoveReceive}), mach.SendInvalidRight},
		"make another's right": {sender.InsertRight(port, port, mach.MakeSend), mach.KernInvalidRight},
	} {
		assert.ErrorIs(t, c.err, c.want, name)
	}
	assert.Equal(t, machtest.Usage{Names: 2, Receive: 1}, owner.Usage(), "%s", owner.Describe())
	assert.Equal(t, machtest.Usage{Names: 2, Receive: 1, References: 1}, sender.Usage(), "%s", sender.Describe())
	assert.Equal(t, 2, m.LivePorts())
}

// TestRightsTravelBetweenProcessesOfOneTask: each kind, and memory, are the receiver's
// afterwards, and the sender's no more if they were moved.
func TestRightsTravelBetweenProcessesOfOneTask(t *testing.T) {
	_, owner, sender, port, send := shared(t)
	moved, made := newPort(t, sender), newPort(t, sender)
	d := []mach.Descriptor{
		{Type: mach.OutOfLine, Copy: mach.VirtualCopy},
		{Type: mach.PortRight, Name: moved, Disposition: mach.MoveReceive},
		{Type: mach.PortRight, Name: made, Disposition: mach.MakeSend},
	}
	h := mach.Header{Remote: send, RemoteBits: mach.MoveSend, Local: made, LocalBits: mach.MakeSendOnce}
	require.NoError(t, sender.Send(mach.Compose(make([]byte, 0, 256), h, d), []byte("memory"), mach.SendTimeout, 0))
	assert.Equal(t, machtest.Usage{Names: 1, Receive: 1}, sender.Usage(), "%s", sender.Describe())
	before := owner.Usage()
	buf := make([]byte, 512)
	require.NoError(t, owner.Receive(buf, port, options, 0))
	assert.Equal(t, machtest.Usage{Names: 4, Receive: 2, References: 2, Regions: 1}, owner.Usage(), "%s", owner.Describe())
	require.NoError(t, mach.Destroy(owner, buf))
	assert.Equal(t, before, owner.Usage(), "%s", owner.Describe())
}

// TestKillInOneTask: whatever a process holds or waits for, its end leaves nothing in the
// task, which Open checks, and the others hear of it.
func TestKillInOneTask(t *testing.T) {
	for name, senderFirst := range map[string]bool{"owner first": false, "sender first": true} {
		t.Run(name, func(t *testing.T) {
			m, owner, sender, port, send := shared(t)
			// The sender is told of the owner's death, and does not receive that.
			notify := newPort(t, sender)
			_, err := sender.RequestNotification(send, mach.NotifySendPossible, 0, notify)
			require.NoError(t, err)
			set, err := sender.AllocateSet()
			require.NoError(t, err)
			require.NoError(t, sender.MoveMember(newPort(t, sender), set))
			// A message with rights and memory that the owner has, and one that waits.
			for range 2 {
				h := mach.Header{Remote: send, RemoteBits: mach.CopySend, Local: notify, LocalBits: mach.MakeSendOnce}
				require.NoError(t, sender.Send(mach.Compose(make([]byte, 0, 256), h, []mach.Descriptor{{Type: mach.OutOfLine}}), []byte("memory"), mach.SendTimeout, 0))
			}
			buf := make([]byte, 512)
			require.NoError(t, owner.Receive(buf, port, options, 0))
			reply, err := mach.ParseHeader(buf)
			require.NoError(t, err)
			var wg sync.WaitGroup
			for _, from := range []mach.Name{set, newPort(t, sender)} {
				received := make(chan struct{})
				wg.Go(func() {
					close(received)
					assert.ErrorIs(t, sender.Receive(make([]byte, 512), from, mach.RcvAuditTrailer, 0), mach.KernInvalidTask)
				})
				<-received
			}
			if senderFirst {
				sender.Kill()
				assert.ErrorIs(t, sendAs(owner, mach.Header{Remote: reply.Remote, RemoteBits: mach.MoveSendOnce}), mach.SendInvalidDest)
				owner.Kill()
			} else {
				owner.Kill()
				assert.ErrorIs(t, sendAs(sender, mach.Header{Remote: send, RemoteBits: mach.CopySend}), mach.SendInvalidDest)
				sender.Kill()
			}
			wg.Wait()
			sender.Kill()
			assert.Equal(t, machtest.Usage{}, owner.Usage())
			assert.Equal(t, machtest.Usage{}, sender.Usage())
			assert.Zero(t, m.LivePorts())
			_, err = sender.AllocatePort()
			assert.ErrorIs(t, err, mach.KernInvalidTask)
		})
	}
}

func TestInterruptInOneTask(t *testing.T) {
	_, owner, sender, port, _ := shared(t)
	set, err := owner.AllocateSet()
	require.NoError(t, err)
	require.NoError(t, owner.MoveMember(port, set))
	errs := make(chan error)
	go func() { errs <- owner.Receive(make([]byte, 512), set, options&^mach.RcvTimeout|mach.RcvInterrupt, 0) }()
	for done := false; !done; {
		owner.Interrupt()
		sender.Interrupt()
		select {
		case err := <-errs:
			require.ErrorIs(t, err, mach.RcvInterrupted)
			done = true
		default:
			runtime.Gosched()
		}
	}
	// A receive that does not ask for it goes on.
	go func() { errs <- owner.Receive(make([]byte, 512), set, mach.RcvAuditTrailer, 0) }()
	for range 100 {
		owner.Interrupt()
		runtime.Gosched()
	}
	require.NoError(t, sendAs(owner, mach.Header{Remote: port, RemoteBits: mach.MakeSend, ID: 1}))
	require.NoError(t, <-errs)
}

func TestInjectInOneTask(t *testing.T) {
	_, owner, sender, port, _ := shared(t)
	calls, before := owner.Calls(), owner.Usage()
	owner.Inject(func(c machtest.Call) mach.Errno {
		assert.Equal(t, machtest.Call{N: calls + 1, Op: machtest.OpModRefs}, c)
		return mach.KernFailure
	})
	assert.ErrorIs(t, owner.ModRefs(port, mach.RightReceive, -1), mach.KernFailure)
	owner.Inject(nil)
	assert.Equal(t, calls+1, owner.Calls())
	assert.Equal(t, before, owner.Usage())
	_, err := sender.LookUp(service)
	require.NoError(t, err, "the service is there still")
}

// stopped is a testing.TB that notes how the test was stopped.
type stopped struct {
	testing.TB
	skip, fatal string
}

func (s *stopped) Helper()        {}
func (s *stopped) Cleanup(func()) {}

func (s *stopped) Skip(args ...any) {
	s.skip = fmt.Sprint(args...)
	runtime.Goexit()
}

func (s *stopped) Fatalf(format string, args ...any) {
	s.fatal = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

// stop runs a test that is to be stopped.
func stop(t *testing.T, f func(t testing.TB)) *stopped {
	s := &stopped{TB: t}
	var wg sync.WaitGroup
	wg.Go(func() { f(s) })
	wg.Wait()
	return s
}

// TestVariable: a kernel that can't be had fails the test, and what only a simulated
// kernel has skips it where there is another. CI knows the skips by their words.
func TestVariable(t *testing.T) {
	token := mach.AuditToken{5: 1}
	t.Setenv(machtest.Variable, "")
	s := stop(t, func(t testing.TB) {
		m := machtest.Open(t)
		m.Simulated(t, "nothing").Declare(service)
		machtest.SetToken(t, m.NewTask(token), mach.AuditToken{5: 2})
	})
	assert.Equal(t, stopped{TB: t}, *s)

	t.Setenv(machtest.Variable, "shared")
	s = stop(t, func(t testing.TB) { machtest.Open(t).Simulated(t, "a sandbox") })
	assert.Equal(t, "needs the simulated kernel: a sandbox", s.skip)
	s = stop(t, func(t testing.TB) { machtest.SetToken(t, machtest.Open(t).NewTask(token), token) })
	assert.Contains(t, s.skip, "needs the simulated kernel: ")

	t.Setenv(machtest.Variable, "reel")
	s = stop(t, func(t testing.TB) { machtest.Open(t) })
	assert.NotEmpty(t, s.fatal)

	t.Setenv(machtest.Variable, "real")
	s = stop(t, func(t testing.TB) { machtest.Open(t).NewTask(token) })
	_, err := mach.Open()
	assert.Equal(t, err != nil, s.fatal != "", s.fatal)
}
