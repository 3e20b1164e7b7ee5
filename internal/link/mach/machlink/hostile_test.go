package machlink_test

import (
	"encoding/binary"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

// The protocol's ids, written down a second time: a change is a new version.
const (
	idConnect int32 = 0x53500101
	idAccept  int32 = 0x53500102
	idFrame   int32 = 0x53500104
	idEnd     int32 = 0x53500105
	idDrained int32 = 0x53500106
	idGoAway  int32 = 0x53500107
)

// attacker is a client that speaks the protocol by hand.
type attacker struct {
	t             *testing.T
	task          machtest.Process
	data, control mach.Name // its receive rights
	// The rights that the host gave it.
	hostData, hostControl, hostEnd mach.Name
}

func payload(n uint32, b ...byte) []byte {
	return append(binary.LittleEndian.AppendUint32(nil, n), b...)
}

func right(name mach.Name, d mach.Disposition) mach.Descriptor {
	return mach.Descriptor{Type: mach.PortRight, Name: name, Disposition: d}
}

// attack connects an attacker to a host and returns the host's end. What the
// attacker holds goes with its task, at the end.
func attack(t *testing.T) (m machine, host link.Link, a *attacker) {
	m = newMachine(t)
	ctx := testContext(t)
	ln, err := machlink.Listen(m.host, service)
	require.NoError(t, err)
	a = newAttacker(t, m.client)
	a.connect()
	p, err := ln.Accept(ctx)
	require.NoError(t, err)
	host, err = p.Accept(nil)
	require.NoError(t, err)
	require.NoError(t, ln.Close())
	t.Cleanup(func() { closeLink(t, host) })
	t.Cleanup(m.client.Kill)

	a.takeAnswer()
	return m, host, a
}

// takeAnswer receives the host's rights.
func (a *attacker) takeAnswer() {
	a.t.Helper()
	buf := make([]byte, 4096)
	require.NoError(a.t, a.task.Receive(buf, a.data, mach.RcvAuditTrailer, 0))
	answer, err := mach.ParseMessage(buf)
	require.NoError(a.t, err)
	require.Equal(a.t, idAccept, answer.ID)
	var names []mach.Name
	for d := range answer.Descriptors() {
		names = append(names, d.Name)
	}
	require.Len(a.t, names, 3)
	a.hostData, a.hostControl, a.hostEnd = names[0], names[1], names[2]
}

func newAttacker(t *testing.T, task machtest.Process) *attacker {
	a := &attacker{t: t, task: task}
	for _, name := range []*mach.Name{&a.data, &a.control} {
		var err error
		*name, err = task.AllocatePort()
		require.NoError(t, err)
		require.NoError(t, task.SetQueueLimit(*name, mach.QueueLimitMax))
	}
	return a
}

func (a *attacker) offer() []mach.Descriptor {
	return []mach.Descriptor{right(a.data, mach.MakeSend), right(a.control, mach.MakeSend), right(a.data, mach.MakeSendOnce)}
}

func (a *attacker) connect() {
	a.t.Helper()
	a.connectAs("hi")
}

func (a *attacker) connectAs(hello string) {
	a.t.Helper()
	to, err := a.task.LookUp(service)
	require.NoError(a.t, err)
	require.NoError(a.t, a.sendTo(to, idConnect, a.offer(), payload(uint32(len(hello)), []byte(hello)...)))
	require.NoError(a.t, a.task.Deallocate(to))
}

func (a *attacker) sendTo(to mach.Name, id int32, d []mach.Descriptor, body []byte) error {
	return a.sendHeader(mach.Header{Remote: to, RemoteBits: mach.CopySend, ID: id}, d, body)
}

// speakAs sends a frame after one word of the token has changed.
func (a *attacker) speakAs(word int, value uint32) error {
	tok := token(200)
	tok[word] = value
	machtest.SetToken(a.t, a.task, tok)
	return a.sendTo(a.hostData, idFrame, nil, payload(0))
}

func (a *attacker) sendHeader(h mach.Header, d []mach.Descriptor, body []byte) error {
	msg := mach.Compose(make([]byte, 0, 256+len(body)), h, d, body)
	return a.task.Send(msg, nil, mach.SendTimeout, 0)
}

// receivePort makes a port to give away.
func (a *attacker) receivePort() mach.Name {
	name, err := a.task.AllocatePort()
	require.NoError(a.t, err)
	return name
}

func TestHostileMessages(t *testing.T) {
	word := func(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }
	for name, c := range map[string]struct {
		send func(*attacker) error
		want error
	}{
		"frame longer than its message": {func(a *attacker) error {
			return a.sendTo(a.hostData, idFrame, nil, payload(5, 1, 2, 3, 4))
		}, link.ErrProtocol},
		"frame with slack": {func(a *attacker) error {
			return a.sendTo(a.hostData, idFrame, nil, payload(1, 1, 2, 3, 4, 5, 6, 7, 8))
		}, link.ErrProtocol},
		"frame of 2^32-1": {func(a *attacker) error {
			return a.sendTo(a.hostData, idFrame, nil, payload(0xffffffff))
		}, link.ErrProtocol},
		"frame without length": {func(a *attacker) error {
			return a.sendTo(a.hostData, idFrame, nil, nil)
		}, link.ErrProtocol},
		"frame with a right": {func(a *attacker) error {
			return a.sendTo(a.hostData, idFrame, []mach.Descriptor{right(a.receivePort(), mach.MakeSend)}, payload(0))
		}, link.ErrProtocol},
		"frame with a receive right": {func(a *attacker) error {
			return a.sendTo(a.hostData, idFrame, []mach.Descriptor{right(a.receivePort(), mach.MoveReceive)}, payload(0))
		}, link.ErrProtocol},
		"frame with a reply port": {func(a *attacker) error {
			return a.sendHeader(mach.Header{Remote: a.hostData, RemoteBits: mach.CopySend, Local: a.receivePort(), LocalBits: mach.MakeSendOnce, ID: idFrame}, nil, payload(0))
		}, link.ErrProtocol},
		"frame with out-of-line memory": {func(a *attacker) error {
			d := []mach.Descriptor{{Type: mach.OutOfLine, Copy: mach.VirtualCopy}}
			msg := mach.Compose(make([]byte, 0, 256), mach.Header{Remote: a.hostData, RemoteBits: mach.CopySend, ID: idFrame}, d, payload(0))
			return a.task.Send(msg, make([]byte, 1<<20), mach.SendTimeout, 0)
		}, link.ErrProtocol},
		"frame larger than any": {func(a *attacker) error {
			return a.sendTo(a.hostData, idFrame, nil, make([]byte, 1<<20))
		}, link.ErrProtocol},
		"go away with a body": {func(a *attacker) error {
			return a.sendTo(a.hostControl, idGoAway, nil, word(1))
		}, link.ErrProtocol},
		"go away with a right": {func(a *attacker) error {
			return a.sendTo(a.hostControl, idGoAway, []mach.Descriptor{right(a.receivePort(), mach.MakeSend)}, nil)
		}, link.ErrProtocol},
		"go away among frames": {func(a *attacker) error {
			return a.sendTo(a.hostData, idGoAway, nil, nil)
		}, link.ErrProtocol},
		"end with a body": {func(a *attacker) error {
			return a.sendTo(a.hostData, idEnd, nil, payload(0))
		}, link.ErrProtocol},
		"end with a right": {func(a *attacker) error {
			return a.sendTo(a.hostData, idEnd, []mach.Descriptor{right(a.receivePort(), mach.MakeSend)}, nil)
		}, link.ErrProtocol},
		"end with a reply port": {func(a *attacker) error {
			return a.sendHeader(mach.Header{Remote: a.hostEnd, RemoteBits: mach.MoveSendOnce, Local: a.receivePort(), LocalBits: mach.MakeSendOnce, ID: idEnd}, nil, nil)
		}, link.ErrProtocol},
		"unknown id": {func(a *attacker) error {
			return a.sendTo(a.hostData, 4711, nil, nil)
		}, link.ErrProtocol},
		"accept to a host": {func(a *attacker) error {
			return a.sendTo(a.hostData, idAccept, a.offer(), payload(0))
		}, link.ErrProtocol},
		"forged no-senders": {func(a *attacker) error {
			return a.sendTo(a.hostData, mach.NotifyNoSenders, nil, mach.NotificationBody(mach.NotifyNoSenders, 1))
		}, link.ErrProtocol},
		"forged send-once": {func(a *attacker) error {
			return a.sendTo(a.hostData, mach.NotifySendOnce, nil, nil)
		}, link.ErrProtocol},
		"forged dead name": {func(a *attacker) error {
			// A believed one would deallocate a name of the attacker's choice.
			return a.sendTo(a.hostControl, mach.NotifyDeadName, nil, mach.NotificationBody(mach.NotifyDeadName, 0x103))
		}, link.ErrProtocol},
		"frame on control": {func(a *attacker) error {
			return a.sendTo(a.hostControl, idFrame, nil, payload(0))
		}, link.ErrProtocol},
		"drained more than sent": {func(a *attacker) error {
			return a.sendTo(a.hostControl, idDrained, nil, word(1))
		}, link.ErrProtocol},
		"drained again": {func(a *attacker) error {
			return a.sendTo(a.hostControl, idDrained, nil, word(0))
		}, link.ErrProtocol},
		"go away twice": {func(a *attacker) error {
			if err := a.sendTo(a.hostControl, idGoAway, nil, nil); err != nil {
				return err
			}
			return a.sendTo(a.hostControl, idGoAway, nil, nil)
		}, link.ErrProtocol},
		"drained 2^64-1": {func(a *attacker) error {
			return a.sendTo(a.hostControl, idDrained, nil, word(1<<64-1))
		}, link.ErrProtocol},
		"drained cut off": {func(a *attacker) error {
			return a.sendTo(a.hostControl, idDrained, nil, []byte{0, 0, 0, 0})
		}, link.ErrProtocol},
		"frame after exec": {func(a *attacker) error {
			tok := token(200)
			tok[7]++
			machtest.SetToken(a.t, a.task, tok)
			return a.sendTo(a.hostData, idFrame, nil, payload(0))
		}, link.ErrPeerChanged},
		"frame after seteuid": {func(a *attacker) error { return a.speakAs(1, 0) }, link.ErrPeerChanged},
		"frame after setegid": {func(a *attacker) error { return a.speakAs(2, 0) }, link.ErrPeerChanged},
		"frame after setuid":  {func(a *attacker) error { return a.speakAs(3, 0) }, link.ErrPeerChanged},
		"frame after setgid":  {func(a *attacker) error { return a.speakAs(4, 0) }, link.ErrPeerChanged},
		"drained by another pid": {func(a *attacker) error {
			machtest.SetToken(a.t, a.task, token(201))
			return a.sendTo(a.hostControl, idDrained, nil, word(0))
		}, link.ErrPeerChanged},
		"end by another pid": {func(a *attacker) error {
			machtest.SetToken(a.t, a.task, token(201))
			return a.sendHeader(mach.Header{Remote: a.hostEnd, RemoteBits: mach.MoveSendOnce, ID: idEnd}, nil, nil)
		}, link.ErrPeerChanged},
	} {
		t.Run(name, func(t *testing.T) {
			_, host, a := attack(t)
			ctx := testContext(t)
			require.NoError(t, a.sendTo(a.hostData, idFrame, nil, payload(4, 'g', 'o', 'o', 'd')))
			f, err := host.ReadFrame(ctx) // arrived before, so it is still read
			require.NoError(t, err)
			assert.Equal(t, "good", string(f))
			require.NoError(t, c.send(a))
			for range 2 {
				_, err = host.ReadFrame(ctx)
				require.ErrorIs(t, err, c.want)
			}
			require.ErrorIs(t, host.WriteFrame(ctx, nil, nil), c.want)
			require.ErrorIs(t, host.WaitDrained(ctx), c.want)

			// Nothing more is taken from the attacker, without end.
			for a.sendTo(a.hostData, idFrame, nil, payload(0)) == nil {
			}
			assert.ErrorIs(t, a.sendTo(a.hostData, idFrame, nil, payload(0)), mach.SendTimedOut)
		})
	}
}

// TestAuditSessionIsNotIdentity: a user that logs in again keeps the connections.
func TestAuditSessionIsNotIdentity(t *testing.T) {
	_, host, a := attack(t)
	for _, word := range []int{0, 6} {
		require.NoError(t, a.speakAs(word, 4711))
		_, err := host.ReadFrame(testContext(t))
		require.NoError(t, err, "word %d", word)
	}
}

// TestHostThatDropsItsPrivileges: a client hears of it too.
func TestHostThatDropsItsPrivileges(t *testing.T) {
	m := newMachine(t)
	host, client := m.pair(t)
	ctx := testContext(t)
	require.NoError(t, host.WriteFrame(ctx, nil, []byte("before")))
	f, err := client.ReadFrame(ctx)
	require.NoError(t, err)
	require.Equal(t, "before", string(f))
	other := token(100)
	other[1], other[3] = 65, 65
	machtest.SetToken(t, m.host, other)
	require.NoError(t, host.WriteFrame(ctx, nil, []byte("after")))
	_, err = client.ReadFrame(ctx)
	require.ErrorIs(t, err, link.ErrPeerChanged)
	require.ErrorIs(t, client.WriteFrame(ctx, nil, nil), link.ErrPeerChanged)
}

// TestRightsGivenUp: an attacker may give up a right and live. The kernel
// reports it, and it ends the attacker's frames.
func TestRightsGivenUp(t *testing.T) {
	for name, right := range map[string]func(*attacker) mach.Name{
		"end":  func(a *attacker) mach.Name { return a.hostEnd },
		"data": func(a *attacker) mach.Name { return a.hostData },
	} {
		t.Run(name, func(t *testing.T) {
			_, host, a := attack(t)
			ctx := testContext(t)
			require.NoError(t, a.task.Deallocate(right(a)))
			_, err := host.ReadFrame(ctx)
			assert.ErrorIs(t, err, link.ErrPeerGone)
			select {
			case <-host.Gone().Done():
				assert.Fail(t, "the attacker's ports live")
			default:
			}
			require.NoError(t, host.WriteFrame(ctx, nil, []byte("x")))
		})
	}
}

func TestEndThenMoreFrames(t *testing.T) {
	_, host, a := attack(t)
	ctx := testContext(t)
	require.NoError(t, a.sendHeader(mach.Header{Remote: a.hostEnd, RemoteBits: mach.MoveSendOnce, ID: idEnd}, nil, nil))
	require.NoError(t, a.sendTo(a.hostData, idFrame, nil, payload(0)))
	for range 2 {
		_, err := host.ReadFrame(ctx)
		assert.Equal(t, io.EOF, err)
	}
	require.NoError(t, host.WriteFrame(ctx, nil, nil))
}

func TestSlowReaderBoundsMemory(t *testing.T) {
	m := newMachine(t)
	host, client := m.pair(t)
	ctx := testContext(t)
	body := make([]byte, machlink.MaxFrame)
	// The kernel's queue, the inbox (256 KiB), and not one frame more.
	const most = mach.QueueLimitMax + 9
	n := fill(t, client, host, most, func(uint32) []byte { return body })
	assert.GreaterOrEqual(t, n, uint32(mach.QueueLimitMax))

	// Others are served meanwhile.
	ln, err := machlink.Listen(m.host, "com.example.other")
	require.NoError(t, err)
	dialled := make(chan error, 1)
	go func() {
		_, _, accepted, err := machlink.Dial(ctx, m.client, "com.example.other", nil)
		assert.False(t, accepted)
		dialled <- err
	}()
	p, err := ln.Accept(ctx)
	require.NoError(t, err)
	require.NoError(t, p.Refuse(nil))
	require.NoError(t, <-dialled)
	require.NoError(t, ln.Close())
	for range n {
		f, err := host.ReadFrame(ctx)
		require.NoError(t, err)
		require.Len(t, f, machlink.MaxFrame)
	}
}
