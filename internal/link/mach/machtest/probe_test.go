package machtest_test

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

// probe asks a kernel one thing. The answers are what the sources of both generations
// say; most of XNU7195's were seen on that kernel.
type probe struct {
	name string
	ask  func(p *prober) string
	old  string // XNU7195
	new  string // XNU11417, if it differs
}

// prober is a probe's view of a kernel. What it makes is given up when it is closed.
type prober struct {
	t     testing.TB
	k     mach.Kernel
	ports []mach.Name
	sets  []mach.Name
}

func (p *prober) close() {
	for _, name := range p.ports {
		_ = p.k.ModRefs(name, mach.RightReceive, -1) // a probe may have done so
	}
	for _, name := range p.sets {
		_ = p.k.ModRefs(name, mach.RightPortSet, -1)
	}
}

func (p *prober) port() mach.Name {
	name, err := p.k.AllocatePort()
	require.NoError(p.t, err)
	p.ports = append(p.ports, name)
	return name
}

func (p *prober) set(members ...mach.Name) mach.Name {
	name, err := p.k.AllocateSet()
	require.NoError(p.t, err)
	p.sets = append(p.sets, name)
	for _, m := range members {
		require.NoError(p.t, p.k.MoveMember(m, name))
	}
	return name
}

// dead makes a dead name with so many references.
func (p *prober) dead(references int) mach.Name {
	name := p.port()
	for range references {
		require.NoError(p.t, p.k.InsertRight(name, name, mach.MakeSend))
	}
	require.NoError(p.t, p.k.ModRefs(name, mach.RightReceive, -1))
	return name
}

// references gives up a dead name and says how many references it had.
func (p *prober) references(name mach.Name) (n int) {
	for p.k.Deallocate(name) == nil {
		n++
	}
	return n
}

func (p *prober) send(h mach.Header, body int, d ...mach.Descriptor) string {
	msg := mach.Compose(make([]byte, 0, 256+body), h, d, make([]byte, body))
	return said(p.k.Send(msg, nil, mach.SendTimeout, 0))
}

func (p *prober) sendID(to mach.Name, ids ...int32) {
	for _, id := range ids {
		require.Equal(p.t, "ok", p.send(mach.Header{Remote: to, RemoteBits: mach.MakeSend, ID: id}, 0))
	}
}

// receive says what has arrived, and destroys it.
func (p *prober) receive(from mach.Name) string {
	buf := make([]byte, 512)
	if err := p.k.Receive(buf, from, options, 0); err != nil {
		return said(err)
	}
	m, err := mach.ParseMessage(buf)
	require.NoError(p.t, err)
	s := fmt.Sprintf("id %d", m.ID)
	if n, ok := mach.ParseNotification(&m); ok {
		s = n.String()
		if n.ID == mach.NotifyDeadName {
			require.NoError(p.t, p.k.Deallocate(n.Name))
		}
	}
	if m.RemoteBits != 0 {
		s += ", reply " + right(m.Remote, m.RemoteBits)
	}
	for d := range m.Descriptors() {
		s += ", with " + right(d.Name, d.Disposition)
	}
	require.NoError(p.t, mach.Destroy(p.k, buf))
	return s
}

func right(name mach.Name, d mach.Disposition) string {
	kind := map[mach.Disposition]string{mach.MoveReceive: "receive", mach.MoveSend: "send", mach.MoveSendOnce: "send-once"}[d]
	switch name {
	case mach.Null:
		return kind + " null"
	case mach.DeadPort:
		return kind + " dead"
	}
	return kind
}

// said names an error.
func said(err error) string {
	var e mach.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return strings.Fields(strings.TrimPrefix(e.Error(), "mach: "))[0]
	}
	return err.Error()
}

func portRight(name mach.Name, d mach.Disposition) mach.Descriptor {
	return mach.Descriptor{Type: mach.PortRight, Name: name, Disposition: d}
}

var probes = []probe{
	{
		name: "bare header of a complex message",
		ask: func(p *prober) string {
			to := p.port()
			h := mach.Header{Remote: to, RemoteBits: mach.MakeSend, Local: to, LocalBits: mach.MakeSendOnce, ID: mach.NotifyDeadName}
			require.Equal(p.t, "ok", p.send(h, 8000, portRight(to, mach.MakeSend)))
			buf := make([]byte, 512)
			s := said(p.k.Receive(buf, to, options, 0))
			h, err := mach.ParseHeader(buf)
			require.NoError(p.t, err)
			m, err := mach.ParseMessage(buf)
			require.NoError(p.t, err)
			require.NoError(p.t, mach.Destroy(p.k, buf))
			return fmt.Sprintf("%s, complex %v, size %d, %d descriptors, reply %s, of the kernel %v, id %d, then %s",
				s, h.Complex, h.Size, m.Count, right(h.Remote, h.RemoteBits), m.Trailer.Token.IsKernel(), h.ID, p.receive(to))
		},
		old: "MACH_RCV_TOO_LARGE, complex true, size 24, 0 descriptors, reply send-once null, of the kernel true, id 72, then send once",
	},
	{
		name: "request on an unknown name",
		ask: func(p *prober) string {
			notify := p.port()
			gone := p.port()
			require.NoError(p.t, p.k.ModRefs(gone, mach.RightReceive, -1))
			_, err := p.k.RequestNotification(gone, mach.NotifyDeadName, 0, notify)
			return said(err) + ", then " + p.receive(notify)
		},
		old: "KERN_INVALID_NAME, then send once",
	},
	{
		name: "unknown request",
		ask: func(p *prober) string {
			notify := p.port()
			_, err := p.k.RequestNotification(notify, 4711, 0, notify)
			return said(err) + ", then " + p.receive(notify)
		},
		old: "KERN_INVALID_VALUE, then send once",
	},
	{
		name: "no-senders request on null, on a name without a receive right",
		ask: func(p *prober) string {
			notify, dead := p.port(), p.dead(1)
			_, null := p.k.RequestNotification(mach.Null, mach.NotifyNoSenders, 0, notify)
			_, none := p.k.RequestNotification(dead, mach.NotifyNoSenders, 0, notify)
			p.references(dead)
			return said(null) + ", " + said(none)
		},
		old: "KERN_INVALID_RIGHT, KERN_INVALID_RIGHT",
	},
	{
		name: "notify port that is unknown, or only a send right, or dead",
		ask: func(p *prober) string {
			on, gone, only, set := p.port(), p.port(), p.port(), p.set()
			require.NoError(p.t, p.k.ModRefs(gone, mach.RightReceive, -1))
			s := ""
			for _, notify := range []mach.Name{gone, set, mach.DeadPort} {
				_, err := p.k.RequestNotification(on, mach.NotifyNoSenders, 0, notify)
				s += said(err) + ", "
			}
			return s + p.receive(only)
		},
		old: "KERN_INVALID_NAME, KERN_INVALID_RIGHT, KERN_INVALID_CAPABILITY, MACH_RCV_TIMED_OUT",
	},
	{
		name: "cancel on a dead name",
		ask: func(p *prober) string {
			dead := p.dead(1)
			previous, err := p.k.RequestNotification(dead, mach.NotifySendPossible, 0, mach.Null)
			return fmt.Sprintf("%s, previous %d, %d references", said(err), previous, p.references(dead))
		},
		old: "ok, previous 0, 1 references",
	},
	{
		name: "cancel where nothing can be asked for",
		ask: func(p *prober) string {
			_, err := p.k.RequestNotification(p.set(), mach.NotifyDeadName, 0, mach.Null)
			return said(err)
		},
		old: "ok",
	},
	{
		name: "dead-name request on a dead name, to be told at once",
		ask: func(p *prober) string {
			dead, notify := p.dead(1), p.port()
			_, err := p.k.RequestNotification(dead, mach.NotifyDeadName, 1, notify)
			s := said(err) + ", then " + p.receive(notify)
			return fmt.Sprintf("%s, %d references", s, p.references(dead))
		},
		old: "ok, then dead name, 1 references",
		new: "KERN_INVALID_ARGUMENT, then send once, 1 references",
	},
	{
		name: "dead name in the body",
		ask: func(p *prober) string {
			to := p.port()
			var answers []string
			for _, d := range []mach.Disposition{mach.MoveSend, mach.MoveSendOnce, mach.CopySend} {
				dead := p.dead(2)
				s := p.send(mach.Header{Remote: to, RemoteBits: mach.MakeSend}, 0, portRight(dead, d))
				answers = append(answers, fmt.Sprintf("%s, %s, %d references", s, p.receive(to), p.references(dead)))
			}
			return strings.Join(answers, "; ")
		},
		old: "ok, id 0, with send dead, 1 references; ok, id 0, with send-once dead, 1 references; ok, id 0, with send dead, 2 references",
	},
	{
		name: "dead name as reply",
		ask: func(p *prober) string {
			to, dead := p.port(), p.dead(2)
			s := ""
			for _, d := range []mach.Disposition{mach.MoveSend, mach.MoveSendOnce} {
				s += p.send(mach.Header{Remote: to, RemoteBits: mach.MakeSend, Local: dead, LocalBits: d}, 0) + ", " + p.receive(to) + ", "
			}
			return fmt.Sprintf("%s%d references", s, p.references(dead))
		},
		old: "ok, id 0, reply send dead, ok, id 0, reply send-once dead, 0 references",
	},
	{
		name: "dead name as destination",
		ask: func(p *prober) string {
			dead := p.dead(1)
			s := p.send(mach.Header{Remote: dead, RemoteBits: mach.CopySend}, 0)
			return fmt.Sprintf("%s, %d references", s, p.references(dead))
		},
		old: "MACH_SEND_INVALID_DEST, 1 references",
	},
	{
		name: "reply without a disposition",
		ask: func(p *prober) string {
			to := p.port()
			return p.send(mach.Header{Remote: to, RemoteBits: mach.MakeSend, Local: to}, 0)
		},
		old: "MACH_SEND_INVALID_HEADER",
	},
	{
		name: "port sent to itself",
		ask: func(p *prober) string {
			to := p.port()
			s := p.send(mach.Header{Remote: to, RemoteBits: mach.MakeSend}, 0, portRight(to, mach.MoveReceive))
			_, err := p.k.Status(to)
			return s + ", then " + said(err)
		},
		old: "ok, then KERN_INVALID_NAME",
	},
	{
		name: "two ports sent to each other",
		ask: func(p *prober) string {
			a, b := p.port(), p.port()
			require.NoError(p.t, p.k.InsertRight(a, a, mach.MakeSend))
			s := p.send(mach.Header{Remote: b, RemoteBits: mach.MakeSend}, 0, portRight(a, mach.MoveReceive))
			s += ", " + p.send(mach.Header{Remote: a, RemoteBits: mach.CopySend}, 0, portRight(b, mach.MoveReceive))
			_, err := p.k.Status(b)
			return fmt.Sprintf("%s, then %s, %d references of a dead name", s, said(err), p.references(a))
		},
		old: "ok, ok, then KERN_INVALID_NAME, 1 references of a dead name",
	},
	{
		name: "port in no set taken out of it",
		ask:  func(p *prober) string { return said(p.k.MoveMember(p.port(), mach.Null)) },
		old:  "ok",
		new:  "KERN_NOT_IN_SET",
	},
	{
		name: "port set deallocated",
		ask: func(p *prober) string {
			member := p.port()
			set := p.set(member)
			s := said(p.k.Deallocate(set)) + ", again " + said(p.k.Deallocate(set))
			p.sendID(member, 1)
			return s + ", member " + p.receive(member)
		},
		old: "ok, again KERN_INVALID_NAME, member id 1",
	},
	{
		name: "no memory freed",
		ask:  func(p *prober) string { return said(p.k.FreeMemory(0x1000, 0)) },
		old:  "ok",
	},
	{
		name: "order of a set",
		ask: func(p *prober) string {
			set, _ := p.filledSet()
			return p.all(set)
		},
		old: "10 11 12 20 21 30",
		new: "10 20 30 11 21 12",
	},
	{
		name: "order of a set with a member that is put into it again",
		ask: func(p *prober) string {
			set, a := p.filledSet()
			first := p.receive(set)
			require.NoError(p.t, p.k.MoveMember(a, set))
			return strings.TrimPrefix(first, "id ") + " " + p.all(set)
		},
		old: "10 20 21 30 11 12",
		new: "10 20 30 11 21 12",
	},
	{
		name: "order of a set with members that were empty",
		ask: func(p *prober) string {
			a, b := p.port(), p.port()
			set := p.set(a, b)
			p.sendID(a, 10)
			p.sendID(b, 20, 21)
			first := p.receive(set)
			p.sendID(a, 11)
			return strings.TrimPrefix(first, "id ") + " " + p.all(set)
		},
		old: "10 20 21 11",
		new: "10 20 11 21",
	},
}

// filledSet makes a set of three ports with messages, and returns it and the first port.
func (p *prober) filledSet() (set, first mach.Name) {
	a, b, c := p.port(), p.port(), p.port()
	set = p.set(a, b, c)
	p.sendID(a, 10, 11, 12)
	p.sendID(b, 20, 21)
	p.sendID(c, 30)
	return set, a
}

// all receives everything from a set and returns the ids.
func (p *prober) all(set mach.Name) string {
	var ids []string
	for {
		s := p.receive(set)
		id, ok := strings.CutPrefix(s, "id ")
		if !ok {
			require.Equal(p.t, "MACH_RCV_TIMED_OUT", s)
			return strings.Join(ids, " ")
		}
		ids = append(ids, id)
	}
}

// TestKernel asks each simulated generation, and on Darwin the kernel that runs. That one
// may be between two generations, so each answer of it must be one of theirs.
func TestKernel(t *testing.T) {
	for _, c := range probes {
		answers := map[machtest.Generation]string{machtest.XNU7195: c.old, machtest.XNU11417: c.new}
		if c.new == "" {
			answers[machtest.XNU11417] = c.old
		}
		t.Run(c.name, func(t *testing.T) {
			for _, g := range machtest.Generations {
				t.Run(g.String(), func(t *testing.T) {
					k := machtest.New(g)
					task := k.NewTask(mach.AuditToken{5: 1, 7: 11})
					p := &prober{t: t, k: task}
					assert.Equal(t, answers[g], c.ask(p))
					p.close()
					assert.Equal(t, machtest.Usage{}, task.Usage(), "%s", task.Describe())
					assert.Zero(t, k.LivePorts())
				})
			}
			if runtime.GOOS != "darwin" {
				return
			}
			t.Run("real", func(t *testing.T) {
				k, err := mach.Open()
				require.NoError(t, err)
				p := &prober{t: t, k: k}
				defer p.close()
				answer := c.ask(p)
				t.Log(answer)
				assert.Contains(t, []string{answers[machtest.XNU7195], answers[machtest.XNU11417]}, answer)
			})
		})
	}
}
