package machtest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

const (
	service = "com.example.service"
	options = mach.RcvAuditTrailer | mach.RcvTimeout
)

// pair is a task with a service's receive right and one with a send right to it.
type pair struct {
	t      *testing.T
	k      *machtest.Kernel
	owner  *machtest.Task
	port   mach.Name // owner's
	sender *machtest.Task
	send   mach.Name // sender's
}

func newPair(t *testing.T) pair {
	t.Helper()
	k := machtest.New(machtest.XNU11417)
	p := pair{t: t, k: k, owner: k.NewTask(mach.AuditToken{5: 1, 7: 11}), sender: k.NewTask(mach.AuditToken{5: 2, 7: 22})}
	var err error
	p.port, err = p.owner.CheckIn(service)
	require.NoError(t, err)
	p.send, err = p.sender.LookUp(service)
	require.NoError(t, err)
	return p
}

func (p pair) newPort(task *machtest.Task) mach.Name {
	p.t.Helper()
	name, err := task.AllocatePort()
	require.NoError(p.t, err)
	return name
}

func (p pair) sendIt(id int32, d ...mach.Descriptor) error {
	msg := mach.Compose(make([]byte, 0, 256), mach.Header{Remote: p.send, RemoteBits: mach.CopySend, ID: id}, d, nil)
	return p.sender.Send(msg, nil, mach.SendTimeout|mach.SendNotify, 0)
}

func receive(t *testing.T, task *machtest.Task, from mach.Name) mach.Message {
	t.Helper()
	buf := make([]byte, 512)
	require.NoError(t, task.Receive(buf, from, options, 0))
	m, err := mach.ParseMessage(buf)
	require.NoError(t, err)
	return m
}

func (p pair) empty(task *machtest.Task, from mach.Name) {
	p.t.Helper()
	assert.ErrorIs(p.t, task.Receive(make([]byte, 512), from, options, 0), mach.RcvTimedOut)
}

func TestNamesAreReusedAtOnce(t *testing.T) {
	p := newPair(t)
	first := p.newPort(p.owner)
	require.NoError(t, p.owner.ModRefs(first, mach.RightReceive, -1))
	assert.Equal(t, first, p.newPort(p.owner))
}

func TestTokenIsTheSendersWhenItSent(t *testing.T) {
	p := newPair(t)
	require.NoError(t, p.sendIt(1))
	p.sender.SetToken(mach.AuditToken{5: 2, 7: 23}) // exec
	require.NoError(t, p.sendIt(2))
	assert.EqualValues(t, 22, receive(t, p.owner, p.port).Trailer.Token[7])
	m := receive(t, p.owner, p.port)
	assert.EqualValues(t, 23, m.Trailer.Token[7])
	assert.EqualValues(t, 1, m.Trailer.Seqno)
}

func TestNoSendersWaitsForMessagesOnTheWay(t *testing.T) {
	p := newPair(t)
	private := p.newPort(p.owner)
	_, err := p.owner.RequestNotification(private, mach.NotifyNoSenders, 1, private)
	require.NoError(t, err)
	// The only send right is in a message, then held by a message sent on it.
	msg := mach.Compose(make([]byte, 0, 64), mach.Header{Remote: private, RemoteBits: mach.MakeSend, ID: 1}, nil)
	require.NoError(t, p.owner.Send(msg, nil, 0, 0))
	assert.EqualValues(t, 1, receive(t, p.owner, private).ID)
	m := receive(t, p.owner, private)
	n, ok := mach.ParseNotification(&m)
	require.True(t, ok)
	assert.Equal(t, mach.Notification{ID: mach.NotifyNoSenders, Count: 1}, n)
	p.empty(p.owner, private)

	// Asked again with a count that has not come, it waits; else it is at once.
	_, err = p.owner.RequestNotification(private, mach.NotifyNoSenders, 2, private)
	require.NoError(t, err)
	p.empty(p.owner, private)
	_, err = p.owner.RequestNotification(private, mach.NotifyNoSenders, 1, private)
	require.NoError(t, err)
	assert.Equal(t, mach.NotifyNoSenders, receive(t, p.owner, private).ID)
}

func TestDeadNameReferences(t *testing.T) {
	for name, requested := range map[string]bool{"with a request": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			notify := p.newPort(p.sender)
			if requested {
				_, err := p.sender.RequestNotification(p.send, mach.NotifyDeadName, 0, notify)
				require.NoError(t, err)
			}
			p.owner.Kill()
			references := 1
			if requested {
				references = 2
				m := receive(t, p.sender, notify)
				n, ok := mach.ParseNotification(&m)
				require.True(t, ok)
				assert.Equal(t, mach.Notification{ID: mach.NotifyDeadName, Name: p.send}, n)
			}
			p.empty(p.sender, notify)
			assert.ErrorIs(t, p.sendIt(1), mach.SendInvalidDest)
			for range references {
				require.NoError(t, p.sender.Deallocate(p.send))
			}
			assert.ErrorIs(t, p.sender.Deallocate(p.send), mach.KernInvalidName)
		})
	}
}

func TestRequestOnADeadName(t *testing.T) {
	p := newPair(t)
	notify := p.newPort(p.sender)
	p.owner.Kill()
	_, err := p.sender.RequestNotification(p.send, mach.NotifyDeadName, 0, notify)
	assert.ErrorIs(t, err, mach.KernInvalidArgument)
	_, err = p.sender.RequestNotification(p.send, mach.NotifySendPossible, 0, notify)
	require.NoError(t, err, "send-possible is immediate with respect to death")
	assert.Equal(t, mach.NotifySendOnce, receive(t, p.sender, notify).ID, "the request that failed")
	assert.Equal(t, mach.NotifyDeadName, receive(t, p.sender, notify).ID)
	require.NoError(t, p.sender.Deallocate(p.send))
	require.NoError(t, p.sender.Deallocate(p.send))
}

func TestOneRequestForAName(t *testing.T) {
	p := newPair(t)
	first, second := p.newPort(p.sender), p.newPort(p.sender)
	previous, err := p.sender.RequestNotification(p.send, mach.NotifyDeadName, 0, first)
	require.NoError(t, err)
	assert.Equal(t, mach.Null, previous)
	previous, err = p.sender.RequestNotification(p.send, mach.NotifySendPossible, 0, second)
	require.NoError(t, err)
	require.NotEqual(t, mach.Null, previous)
	require.NoError(t, p.sender.Deallocate(previous))
	assert.Equal(t, mach.NotifySendOnce, receive(t, p.sender, first).ID, "the replaced right was never used")

	// Giving up the name tells that the request went with it.
	require.NoError(t, p.sender.Deallocate(p.send))
	m := receive(t, p.sender, second)
	n, ok := mach.ParseNotification(&m)
	require.True(t, ok)
	assert.Equal(t, mach.Notification{ID: mach.NotifyPortDeleted, Name: p.send}, n)
}

func TestSendPossibleIsSpentAndArmedByAFullQueue(t *testing.T) {
	p := newPair(t)
	notify := p.newPort(p.sender)
	request := func(now uint32) {
		t.Helper()
		_, err := p.sender.RequestNotification(p.send, mach.NotifySendPossible, now, notify)
		require.NoError(t, err)
	}
	request(1)
	assert.Equal(t, mach.NotifySendPossible, receive(t, p.sender, notify).ID, "there is room")
	request(0)
	p.empty(p.sender, notify)
	for i := range int32(mach.QueueLimitDefault) {
		require.NoError(t, p.sendIt(i))
	}
	receive(t, p.owner, p.port)
	p.empty(p.sender, notify) // not armed: the queue was never found full
	require.NoError(t, p.sendIt(5))
	require.ErrorIs(t, p.sendIt(6), mach.SendTimedOut)
	receive(t, p.owner, p.port)
	assert.Equal(t, mach.NotifySendPossible, receive(t, p.sender, notify).ID)
	require.NoError(t, p.sendIt(6))
	require.ErrorIs(t, p.sendIt(7), mach.SendTimedOut)
	receive(t, p.owner, p.port)
	p.empty(p.sender, notify) // the request was spent
}

func TestBlockedCallsEnd(t *testing.T) {
	t.Run("receive at a message", func(t *testing.T) {
		p := newPair(t)
		errs := make(chan error)
		go func() { errs <- p.owner.Receive(make([]byte, 512), p.port, 0, 0) }()
		require.NoError(t, p.sendIt(1))
		require.NoError(t, <-errs)
	})
	t.Run("receive at a time-out", func(t *testing.T) {
		p := newPair(t)
		assert.ErrorIs(t, p.owner.Receive(make([]byte, 512), p.port, options, 1), mach.RcvTimedOut)
	})
	t.Run("receive at an interrupt", func(t *testing.T) {
		p := newPair(t)
		errs := make(chan error)
		go func() { errs <- p.owner.Receive(make([]byte, 512), p.port, mach.RcvInterrupt, 0) }()
		for done := false; !done; {
			p.owner.Interrupt()
			select {
			case err := <-errs:
				require.ErrorIs(t, err, mach.RcvInterrupted)
				done = true
			default:
			}
		}
	})
	t.Run("receive when the port set is destroyed", func(t *testing.T) {
		p := newPair(t)
		set, err := p.owner.AllocateSet()
		require.NoError(t, err)
		require.NoError(t, p.owner.MoveMember(p.port, set))
		started := make(chan struct{})
		p.owner.Inject(func(c machtest.Call) mach.Errno {
			if c.Op == machtest.OpReceive {
				close(started)
			}
			return 0
		})
		errs := make(chan error)
		go func() { errs <- p.owner.Receive(make([]byte, 512), set, 0, 0) }()
		<-started
		p.owner.Inject(nil)
		require.NoError(t, p.owner.ModRefs(set, mach.RightPortSet, -1))
		assert.ErrorIs(t, <-errs, mach.RcvPortDied)
	})
	t.Run("receive at death", func(t *testing.T) {
		p := newPair(t)
		errs := make(chan error)
		go func() { errs <- p.owner.Receive(make([]byte, 512), p.port, 0, 0) }()
		p.owner.Kill()
		assert.ErrorIs(t, <-errs, mach.KernInvalidTask)
	})
	t.Run("send at room", func(t *testing.T) {
		p := newPair(t)
		for i := range int32(mach.QueueLimitDefault) {
			require.NoError(t, p.sendIt(i))
		}
		msg := mach.Compose(make([]byte, 0, 64), mach.Header{Remote: p.send, RemoteBits: mach.CopySend, ID: 9}, nil)
		require.ErrorIs(t, p.sender.Send(msg, nil, mach.SendTimeout, 1), mach.SendTimedOut)
		require.NoError(t, p.sender.Deallocate(p.send)) // it was handed back
		msg = mach.Compose(make([]byte, 0, 64), mach.Header{Remote: p.send, RemoteBits: mach.CopySend, ID: 9}, nil)
		errs := make(chan error)
		go func() { errs <- p.sender.Send(msg, nil, 0, 0) }()
		receive(t, p.owner, p.port)
		require.NoError(t, <-errs)
	})
}

func TestBootstrap(t *testing.T) {
	p := newPair(t)
	_, err := p.owner.CheckIn(service)
	assert.ErrorIs(t, err, mach.BootstrapServiceActive)
	_, err = p.sender.CheckIn(service)
	assert.ErrorIs(t, err, mach.BootstrapNotPrivileged)
	_, err = p.sender.LookUp("com.example.unknown")
	assert.ErrorIs(t, err, mach.BootstrapUnknownService)
	p.k.Deny("com.example.denied")
	_, err = p.sender.LookUp("com.example.denied")
	assert.ErrorIs(t, err, mach.BootstrapNotPrivileged)
	p.owner.Kill()
	_, err = p.sender.LookUp(service)
	assert.ErrorIs(t, err, mach.BootstrapUnknownService)
	assert.Zero(t, p.k.LivePorts())

	// A declared service outlives its host.
	p.k.Declare(service)
	_, err = p.sender.LookUp(service)
	require.NoError(t, err)
	port, err := p.sender.CheckIn(service)
	require.NoError(t, err)
	require.NoError(t, p.sender.ModRefs(port, mach.RightReceive, -1))
	_, err = p.sender.LookUp(service)
	require.NoError(t, err)
}

func TestDeathTakesEverything(t *testing.T) {
	p := newPair(t)
	queued := p.newPort(p.sender)
	require.NoError(t, p.sendIt(1, mach.Descriptor{Type: mach.PortRight, Name: queued, Disposition: mach.MoveReceive}))
	msg := mach.Compose(make([]byte, 0, 64), mach.Header{Remote: p.send, RemoteBits: mach.CopySend}, []mach.Descriptor{{Type: mach.OutOfLine}})
	require.NoError(t, p.sender.Send(msg, make([]byte, 100), 0, 0))
	assert.Equal(t, 2, p.k.LivePorts())
	p.owner.Kill()
	p.owner.Kill()
	assert.Zero(t, p.k.LivePorts(), "the receive right in the queue went too")
	assert.Equal(t, machtest.Usage{}, p.owner.Usage())
	_, err := p.owner.AllocatePort()
	assert.ErrorIs(t, err, mach.KernInvalidTask)
}

func TestInvalidCalls(t *testing.T) {
	p := newPair(t)
	set, err := p.owner.AllocateSet()
	require.NoError(t, err)
	buf := make([]byte, 512)
	header := func(h mach.Header, d ...mach.Descriptor) error {
		return p.owner.Send(mach.Compose(make([]byte, 0, 256), h, d), nil, mach.SendTimeout, 0)
	}
	for name, c := range map[string]struct {
		err  error
		want mach.Errno
	}{
		"deallocate an unknown name":  {p.owner.Deallocate(0xbad), mach.KernInvalidName},
		"deallocate a receive right":  {p.owner.Deallocate(p.port), mach.KernInvalidRight},
		"destroy another's port":      {p.sender.ModRefs(p.send, mach.RightReceive, -1), mach.KernInvalidRight},
		"receive by a send right":     {p.sender.Receive(buf, p.send, options, 0), mach.RcvInvalidName},
		"receive into nothing":        {p.owner.Receive(nil, p.port, options, 0), mach.RcvTooLarge},
		"limit beyond the maximum":    {p.owner.SetQueueLimit(p.port, mach.QueueLimitMax+1), mach.KernInvalidValue},
		"a member that is no port":    {p.owner.MoveMember(set, set), mach.KernInvalidRight},
		"send to a set":               {header(mach.Header{Remote: set, RemoteBits: mach.MakeSend}), mach.SendInvalidDest},
		"send nothing":                {p.owner.Send(nil, nil, 0, 0), mach.SendMsgTooSmall},
		"send without a right":        {header(mach.Header{Remote: p.port, RemoteBits: mach.MoveSend}), mach.SendInvalidDest},
		"an unknown reply port":       {header(mach.Header{Remote: p.port, RemoteBits: mach.MakeSend, Local: 0xbad, LocalBits: mach.MakeSend}), mach.SendInvalidReply},
		"an unknown descriptor":       {header(mach.Header{Remote: p.port, RemoteBits: mach.MakeSend}, mach.Descriptor{Type: mach.PortRight, Name: 0xbad, Disposition: mach.CopySend}), mach.SendInvalidRight},
		"read memory that is not":     {p.owner.ReadMemory(buf, 1), mach.KernInvalidAddress},
		"free memory that is not":     {p.owner.FreeMemory(1, 1), mach.KernInvalidArgument},
		"a send right out of nothing": {p.sender.InsertRight(p.send, p.send, mach.MakeSend), mach.KernInvalidRight},
	} {
		assert.ErrorIs(t, c.err, c.want, name)
	}
	assert.Zero(t, p.owner.Queued(p.port))
	assert.Equal(t, machtest.Usage{Names: 2, Receive: 1}, p.owner.Usage())
}

func TestInjectedFailuresHaveNoEffect(t *testing.T) {
	p := newPair(t)
	p.sender.Inject(func(c machtest.Call) mach.Errno {
		if c.Op == machtest.OpSend {
			return mach.SendNoBuffer
		}
		return 0
	})
	before := p.sender.Usage()
	calls := p.sender.Calls()
	assert.ErrorIs(t, p.sendIt(1), mach.SendNoBuffer)
	assert.Equal(t, calls+1, p.sender.Calls())
	assert.Equal(t, before, p.sender.Usage())
	p.empty(p.owner, p.port)
	p.sender.Inject(nil)
	require.NoError(t, p.sendIt(2))
	assert.EqualValues(t, 2, receive(t, p.owner, p.port).ID)
}
