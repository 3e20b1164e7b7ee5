package rendezvous_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machtest"
	"github.com/sealport/sealport/internal/wire"
)

const machEndpoint = "com.example.test"

// machToken has what every Mach kernel fills in.
var machToken = mach.AuditToken{1: 501, 2: 20, 3: 501, 4: 20, 5: 4711}

// machCarrier returns the carrier of a machine with one process, which must hold nothing
// in the end.
func machCarrier(t *testing.T) (*machtest.Machine, machtest.Process, rendezvous.Carrier) {
	t.Helper()
	k := machtest.Open(t)
	task := k.NewTask(machToken)
	t.Cleanup(func() {
		assert.Equal(t, machtest.Usage{}, task.Usage(), "%s", task.Describe())
	})
	return k, task, rendezvous.Mach(task)
}

func machContext(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func machListen(t *testing.T, c rendezvous.Carrier) rendezvous.Listener {
	t.Helper()
	l, err := c.Listen(machEndpoint, rendezvous.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	return l
}

// machDial dials while decide does the host's part.
func machDial(t *testing.T, c rendezvous.Carrier, l rendezvous.Listener, decide func(rendezvous.Incoming)) (rendezvous.Outgoing, error) {
	t.Helper()
	decided := make(chan struct{})
	go func() {
		defer close(decided)
		in, err := l.Accept()
		if assert.NoError(t, err) {
			decide(in)
		}
	}()
	out, err := c.Dial(machContext(t), machEndpoint, []byte("hello"), rendezvous.Options{})
	<-decided
	return out, err
}

// The errors are those of Linux.
func TestMachNames(t *testing.T) {
	_, _, c := machCarrier(t)
	ctx := machContext(t)
	dial := func(name string) error {
		_, err := c.Dial(ctx, name, nil, rendezvous.Options{})
		return err
	}
	for _, name := range []string{"", "..", "a/b"} {
		_, err := c.Listen(name, rendezvous.Options{})
		require.ErrorIs(t, err, rendezvous.ErrName)
		require.ErrorIs(t, dial(name), rendezvous.ErrName)
	}

	err := dial(machEndpoint)
	require.ErrorIs(t, err, rendezvous.ErrNotFound)
	require.ErrorIs(t, err, fs.ErrNotExist)

	l := machListen(t, c)
	_, err = c.Listen(machEndpoint, rendezvous.Options{})
	require.ErrorIs(t, err, rendezvous.ErrInUse)
	require.NoError(t, l.Close())
	require.NoError(t, l.Close(), "Close is idempotent")
	require.ErrorIs(t, dial(machEndpoint), rendezvous.ErrNotFound)
}

func TestMachDeniedName(t *testing.T) {
	k, _, c := machCarrier(t)
	k.Simulated(t, "a sandbox").Deny(machEndpoint)
	_, err := c.Listen(machEndpoint, rendezvous.Options{})
	require.ErrorIs(t, err, rendezvous.ErrPermission)
	require.ErrorIs(t, err, fs.ErrPermission)
	_, err = c.Dial(machContext(t), machEndpoint, nil, rendezvous.Options{})
	require.ErrorIs(t, err, rendezvous.ErrPermission)
	require.ErrorIs(t, err, fs.ErrPermission)
}

// A name of launchd's own is found before its host is there, and the client waits
// for it.
func TestMachHostOnDemand(t *testing.T) {
	k, _, c := machCarrier(t)
	launchd := k.Simulated(t, "a host on demand")
	launchd.Declare(machEndpoint)
	t.Cleanup(func() { launchd.Undeclare(machEndpoint) })
	ended, cancel := context.WithCancel(machContext(t))
	dialled := make(chan error)
	go func() {
		_, err := c.Dial(ended, machEndpoint, []byte("early"), rendezvous.Options{})
		dialled <- err
	}()
	l := machListen(t, c)
	in, err := l.Accept()
	require.NoError(t, err)
	hello, err := in.Hello(ended)
	require.NoError(t, err)
	assert.Equal(t, "early", string(hello))
	cancel()
	require.ErrorIs(t, <-dialled, context.Canceled)
	require.NoError(t, in.Close())
}

func TestMachFolderIsUnsupported(t *testing.T) {
	_, _, c := machCarrier(t)
	o := rendezvous.Options{Dir: t.TempDir()}
	_, err := c.Listen(machEndpoint, o)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	machListen(t, c)
	_, err = c.Dial(machContext(t), machEndpoint, nil, o)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

func TestMachAccept(t *testing.T) {
	_, task, c := machCarrier(t)
	token, err := task.Token()
	require.NoError(t, err)
	l := machListen(t, c)
	ctx := machContext(t)
	var host link.Link
	out, err := machDial(t, c, l, func(in rendezvous.Incoming) {
		hello, err := in.Hello(ctx)
		assert.NoError(t, err)
		assert.Equal(t, "hello", string(hello))
		assert.EqualValues(t, token, in.Credentials().AuditToken)
		host, err = in.Accept(ctx, []byte("welcome"))
		assert.NoError(t, err)
	})
	require.NoError(t, err)
	defer host.Close()
	assert.Equal(t, "welcome", string(out.Hello()))
	assert.True(t, out.Accepted())
	assert.EqualValues(t, token, out.Credentials().AuditToken)
	client, err := out.Link()
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, out.Close(), "the link is not its own any more")

	require.NoError(t, client.WriteFrame(ctx, []byte("a "), []byte("frame")))
	f, err := host.ReadFrame(ctx)
	require.NoError(t, err)
	assert.Equal(t, "a frame", string(f))

	self, err := c.Self()
	require.NoError(t, err)
	assert.EqualValues(t, token, self.AuditToken)
}

func TestMachRefuse(t *testing.T) {
	_, _, c := machCarrier(t)
	l := machListen(t, c)
	out, err := machDial(t, c, l, func(in rendezvous.Incoming) {
		assert.NoError(t, in.Refuse(machContext(t), []byte("no")))
	})
	require.NoError(t, err)
	assert.Equal(t, "no", string(out.Hello()))
	assert.False(t, out.Accepted())
	assert.Nil(t, out.Credentials())
	_, err = out.Link()
	require.ErrorIs(t, err, wire.ErrSetup)
	require.NoError(t, out.Close())
}

// An accepted connection that nobody makes a link of ends.
func TestMachOutgoingClose(t *testing.T) {
	_, _, c := machCarrier(t)
	l := machListen(t, c)
	var host link.Link
	out, err := machDial(t, c, l, func(in rendezvous.Incoming) {
		var err error
		host, err = in.Accept(machContext(t), nil)
		assert.NoError(t, err)
	})
	require.NoError(t, err)
	defer host.Close()
	require.NoError(t, out.Close())
	<-host.Gone().Done()
}

// A peer that goes is no peer that breaks rules, on either side.
func TestMachPeerGone(t *testing.T) {
	_, _, c := machCarrier(t)
	l := machListen(t, c)
	ctx := machContext(t)
	gone := func(err error) {
		t.Helper()
		require.ErrorIs(t, err, link.ErrPeerGone)
		require.NotErrorIs(t, err, wire.ErrSetup)
		require.NotErrorIs(t, err, link.ErrProtocol)
	}
	_, err := machDial(t, c, l, func(in rendezvous.Incoming) { assert.NoError(t, in.Close()) })
	gone(err)

	for _, decide := range []func(rendezvous.Incoming) error{
		func(in rendezvous.Incoming) error { return in.Refuse(ctx, nil) },
		func(in rendezvous.Incoming) error { _, err := in.Accept(ctx, nil); return err },
	} {
		short, cancel := context.WithCancel(ctx)
		dialled := make(chan error)
		go func() {
			_, err := c.Dial(short, machEndpoint, nil, rendezvous.Options{})
			dialled <- err
		}()
		in, err := l.Accept()
		require.NoError(t, err)
		cancel()
		require.ErrorIs(t, <-dialled, context.Canceled)
		gone(decide(in))
	}
}

// A host that answers with something else is one that breaks the rules.
func TestMachProtocol(t *testing.T) {
	k, _, c := machCarrier(t)
	const answered = 1 << 20 // no id of this protocol
	host := k.NewTask(mach.AuditToken{5: 1})
	service, err := host.CheckIn(machEndpoint)
	require.NoError(t, err)
	go func() {
		buf := make([]byte, 4096)
		if err := host.Receive(buf, service, mach.RcvAuditTrailer, 0); err != nil {
			t.Error(err)
			return
		}
		m, err := mach.ParseMessage(buf)
		if !assert.NoError(t, err) {
			return
		}
		for d := range m.Descriptors() {
			h := mach.Header{Remote: d.Name, RemoteBits: mach.CopySend, ID: answered}
			assert.NoError(t, host.Send(mach.Compose(make([]byte, 0, 64), h, nil), nil, 0, 0))
			break // to the first port, which is for data
		}
	}()
	_, err = c.Dial(machContext(t), machEndpoint, nil, rendezvous.Options{})
	require.ErrorIs(t, err, wire.ErrSetup)
	require.ErrorIs(t, err, link.ErrProtocol)
	require.NotErrorIs(t, err, link.ErrPeerGone)
	host.Kill()
}

func TestMachListenerCloseEndsAccept(t *testing.T) {
	_, _, c := machCarrier(t)
	l := machListen(t, c)
	ended := make(chan error)
	go func() {
		_, err := l.Accept()
		ended <- err
	}()
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-ended, os.ErrClosed)
}

// Out of port names or kernel memory is told as such, when a host begins and when a client
// does. Nothing is left.
func TestMachExhausted(t *testing.T) {
	_, task, c := machCarrier(t)
	for _, shortage := range []mach.Errno{mach.KernNoSpace, mach.KernResourceShortage} {
		fail := func(call machtest.Call) mach.Errno {
			if call.Op == machtest.OpAllocatePort || call.Op == machtest.OpAllocateSet {
				return shortage
			}
			return 0
		}
		task.Inject(fail)
		_, err := c.Listen(machEndpoint, rendezvous.Options{})
		require.ErrorIs(t, err, rendezvous.ErrExhausted)
		require.ErrorIs(t, err, shortage)
		task.Inject(nil)
		l, err := c.Listen(machEndpoint, rendezvous.Options{})
		require.NoError(t, err)
		task.Inject(fail)
		_, err = c.Dial(machContext(t), machEndpoint, nil, rendezvous.Options{})
		task.Inject(nil)
		require.ErrorIs(t, err, rendezvous.ErrExhausted)
		require.ErrorIs(t, err, shortage)
		require.NoError(t, l.Close())
	}
}
