package mach_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

// TestUndoRestoresRights sends to a full queue, in each disposition: after Undo
// the task holds what it held before.
func TestUndoRestoresRights(t *testing.T) {
	k := machtest.Open(t)
	receiver, sender := k.NewTask(mach.AuditToken{5: 1}), k.NewTask(mach.AuditToken{5: 2})
	port, err := receiver.CheckIn("service")
	require.NoError(t, err)
	require.NoError(t, receiver.SetQueueLimit(port, 0))
	to, err := sender.LookUp("service")
	require.NoError(t, err)
	own, err := sender.AllocatePort()
	require.NoError(t, err)
	require.NoError(t, sender.InsertRight(own, own, mach.MakeSend))

	for name, c := range map[string]struct {
		header      mach.Header
		descriptors []mach.Descriptor
		ool         []byte
	}{
		"copied destination": {header: mach.Header{RemoteBits: mach.CopySend}},
		"moved destination":  {header: mach.Header{RemoteBits: mach.MoveSend}},
		"made reply":         {header: mach.Header{RemoteBits: mach.CopySend, LocalBits: mach.MakeSend, Local: own}},
		"made send-once":     {header: mach.Header{RemoteBits: mach.CopySend, LocalBits: mach.MakeSendOnce, Local: own}},
		"rights": {header: mach.Header{RemoteBits: mach.CopySend}, descriptors: []mach.Descriptor{
			{Type: mach.PortRight, Name: own, Disposition: mach.MakeSend},
			{Type: mach.PortRight, Name: own, Disposition: mach.CopySend},
			{Type: mach.PortRight, Name: own, Disposition: mach.MakeSendOnce},
			{Type: mach.PortRight, Name: own, Disposition: mach.MoveSend},
		}},
		"memory": {header: mach.Header{RemoteBits: mach.CopySend}, ool: []byte("memory"), descriptors: []mach.Descriptor{
			{Type: mach.OutOfLine, Copy: mach.VirtualCopy},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			before, status := sender.Usage(), mustStatus(t, sender, own)
			c.header.Remote = to
			msg := mach.Compose(make([]byte, 0, 256), c.header, c.descriptors, []byte("body"))
			sent := slices.Clone(msg)
			require.ErrorIs(t, sender.Send(msg, c.ool, mach.SendTimeout, 0), mach.SendTimedOut)
			moved, err := mach.Undo(sender, sent, msg)
			require.NoError(t, err)
			assert.Equal(t, mach.Null, moved)
			assert.Equal(t, before, sender.Usage(), "%s", sender.Describe())
			after := mustStatus(t, sender, own)
			after.Queued, after.MakeSend = status.Queued, status.MakeSend
			assert.Equal(t, status.HasSenders, after.HasSenders)

			// An early failure takes nothing, and Undo gives up nothing.
			c.header.Remote = 0xbad
			msg = mach.Compose(make([]byte, 0, 256), c.header, c.descriptors, []byte("body"))
			sent = slices.Clone(msg)
			require.ErrorIs(t, sender.Send(msg, c.ool, mach.SendTimeout, 0), mach.SendInvalidDest)
			_, err = mach.Undo(sender, sent, msg)
			require.NoError(t, err)
			assert.Equal(t, before, sender.Usage(), "%s", sender.Describe())
		})
	}
}

func mustStatus(t *testing.T, k mach.Kernel, port mach.Name) mach.PortStatus {
	t.Helper()
	s, err := k.Status(port)
	require.NoError(t, err)
	return s
}

// TestUndoFindsAMovedSendOnceRight: it comes back under another name.
func TestUndoFindsAMovedSendOnceRight(t *testing.T) {
	k := machtest.Open(t)
	k.Simulated(t, "calls that fail late")
	task := k.NewTask(mach.AuditToken{5: 1})
	port, err := task.AllocatePort()
	require.NoError(t, err)
	once := sendOnce(t, task, port)
	// An interrupted send frees the name and takes it again; occupy it between.
	task.Inject(func(c machtest.Call) mach.Errno {
		if c.Op == machtest.OpSend {
			return mach.SendInterrupted
		}
		return 0
	})
	msg := mach.Compose(make([]byte, 0, 64), mach.Header{Remote: once, RemoteBits: mach.MoveSendOnce}, nil)
	sent := slices.Clone(msg)
	require.ErrorIs(t, task.Send(msg, nil, 0, 0), mach.SendInterrupted)
	task.Inject(nil)
	moved, err := mach.Undo(task, sent, msg)
	require.NoError(t, err)
	if moved == mach.Null {
		moved = once
	}
	require.NoError(t, task.Deallocate(moved))
}

// sendOnce gives the task a send-once right to its own port.
func sendOnce(t *testing.T, task machtest.Process, port mach.Name) mach.Name {
	t.Helper()
	msg := mach.Compose(make([]byte, 0, 64), mach.Header{Remote: port, RemoteBits: mach.MakeSendOnce, Local: port, LocalBits: mach.MakeSendOnce}, nil)
	require.NoError(t, task.Send(msg, nil, 0, 0))
	buf := make([]byte, 256)
	require.NoError(t, task.Receive(buf, port, 0, 0))
	h, err := mach.ParseHeader(buf)
	require.NoError(t, err)
	return h.Remote
}

func TestDestroyGivesUpEverything(t *testing.T) {
	k := machtest.Open(t)
	task := k.NewTask(mach.AuditToken{5: 1})
	port, err := task.AllocatePort()
	require.NoError(t, err)
	other, err := task.AllocatePort()
	require.NoError(t, err)
	before := task.Usage()
	gone, err := task.AllocatePort() // its receive right travels
	require.NoError(t, err)

	msg := mach.Compose(make([]byte, 0, 256),
		mach.Header{Remote: port, RemoteBits: mach.MakeSend, Local: other, LocalBits: mach.MakeSendOnce},
		[]mach.Descriptor{
			{Type: mach.OutOfLine, Copy: mach.VirtualCopy},
			{Type: mach.PortRight, Name: other, Disposition: mach.MakeSend},
			{Type: mach.PortRight, Name: gone, Disposition: mach.MoveReceive},
			{Type: mach.PortRight},
		}, []byte("body"))
	require.NoError(t, task.Send(msg, make([]byte, 5000), 0, 0))
	buf := make([]byte, 512)
	require.NoError(t, task.Receive(buf, port, mach.RcvAuditTrailer, 0))
	held := task.Usage()
	assert.Equal(t, 1, held.Regions)
	assert.Equal(t, before.Receive+1, held.Receive)
	require.NoError(t, mach.Destroy(task, buf))
	assert.Equal(t, before, task.Usage(), "%s", task.Describe())
	assert.ErrorIs(t, mach.Destroy(task, nil), mach.ErrMalformed)
}
