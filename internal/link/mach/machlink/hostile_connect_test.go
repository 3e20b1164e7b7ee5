package machlink_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

func TestHostileConnects(t *testing.T) {
	body := payload(2, 'h', 'i', 0, 0)
	for name, connect := range map[string]func(a *attacker, to mach.Name) error{
		"no rights": func(a *attacker, to mach.Name) error { return a.sendTo(to, idConnect, nil, body) },
		"two rights": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, idConnect, a.offer()[:2], body)
		},
		"four rights": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, idConnect, append(a.offer(), right(a.data, mach.MakeSend)), body)
		},
		"a receive right": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, idConnect, []mach.Descriptor{right(a.receivePort(), mach.MoveReceive), a.offer()[1], a.offer()[2]}, body)
		},
		"a send right for the end": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, idConnect, []mach.Descriptor{a.offer()[0], a.offer()[1], a.offer()[1]}, body)
		},
		"one port twice": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, idConnect, []mach.Descriptor{a.offer()[0], a.offer()[0], a.offer()[2]}, body)
		},
		"null rights": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, idConnect, []mach.Descriptor{right(0, mach.MakeSend), a.offer()[1], a.offer()[2]}, body)
		},
		"ports of another connection": func(a *attacker, to mach.Name) error {
			a.connect()
			return a.sendTo(to, idConnect, a.offer(), body)
		},
		"a reply port": func(a *attacker, to mach.Name) error {
			return a.sendHeader(mach.Header{Remote: to, RemoteBits: mach.CopySend, Local: a.data, LocalBits: mach.MakeSend, ID: idConnect}, a.offer(), body)
		},
		"hello cut off": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, idConnect, a.offer(), payload(9, 1, 2, 3, 4))
		},
		"hello too long": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, idConnect, a.offer(), payload(machlink.MaxHello+4, make([]byte, machlink.MaxHello+4)...))
		},
		"a megabyte": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, idConnect, a.offer(), make([]byte, 1<<20))
		},
		"out-of-line memory": func(a *attacker, to mach.Name) error {
			d := append([]mach.Descriptor{{Type: mach.OutOfLine}}, a.offer()[1:]...)
			msg := mach.Compose(make([]byte, 0, 256), mach.Header{Remote: to, RemoteBits: mach.CopySend, ID: idConnect}, d, body)
			return a.task.Send(msg, make([]byte, 1<<20), mach.SendTimeout, 0)
		},
		"forged notification": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, mach.NotifyDeadName, nil, mach.NotificationBody(mach.NotifyDeadName, 0x103))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			ctx := testContext(t)
			ln, err := machlink.Listen(m.host, service)
			require.NoError(t, err)
			defer ln.Close()
			before := m.host.Usage()
			task := m.NewTask(token(666))
			a := newAttacker(t, task)
			to, err := task.LookUp(service)
			require.NoError(t, err)
			require.NoError(t, connect(a, to))

			// The listener goes on, and only good connects get through.
			type result struct {
				l   link.Link
				err error
			}
			results := make(chan result, 1)
			go func() {
				l, _, _, err := machlink.Dial(ctx, m.client, service, []byte("proper"))
				results <- result{l, err}
			}()
			var host link.Link
			var strangers []*machlink.Pending
			for host == nil {
				p, err := ln.Accept(ctx)
				require.NoError(t, err)
				if string(p.Hello()) == "hi" {
					strangers = append(strangers, p)
					continue
				}
				host, err = p.Accept(nil)
				require.NoError(t, err)
			}
			// Only now: the ports of a connection that is refused may be offered again.
			for _, p := range strangers {
				require.NoError(t, p.Refuse(nil))
			}
			proper := 0
			if name == "ports of another connection" {
				proper = 1 // the first of the two
			}
			assert.Len(t, strangers, proper, "a malformed connect was handed out")
			r := <-results
			require.NoError(t, r.err)
			require.NoError(t, errors.Join(r.l.Close(), host.Close()))
			assert.Equal(t, before, m.host.Usage(), "something of the attacker's was kept:\n%s", m.host.Describe())
			task.Kill()
		})
	}
}

func TestClientWhoseQueueIsFullBeforeTheAnswer(t *testing.T) {
	// The other way round: a client whose port is full before it is answered.
	m := newMachine(t)
	ctx := testContext(t)
	ln, err := machlink.Listen(m.host, service)
	require.NoError(t, err)
	defer ln.Close()
	task := m.NewTask(token(666))
	defer task.Kill()
	a := newAttacker(t, task)
	require.NoError(t, task.SetQueueLimit(a.data, 0))
	a.connect()
	p, err := ln.Accept(ctx)
	require.NoError(t, err)
	_, err = p.Accept(nil)
	assert.ErrorIs(t, err, link.ErrProtocol)
	a = newAttacker(t, task)
	require.NoError(t, task.SetQueueLimit(a.data, 0))
	a.connect()
	p, err = ln.Accept(ctx)
	require.NoError(t, err)
	assert.ErrorIs(t, p.Refuse(nil), link.ErrProtocol)
}

func TestClientThatDiesBeforeTheAnswer(t *testing.T) {
	m := newMachine(t)
	ctx := testContext(t)
	ln, err := machlink.Listen(m.host, service)
	require.NoError(t, err)
	defer ln.Close()
	for range 2 {
		task := m.NewTask(token(666))
		newAttacker(t, task).connect()
		task.Kill()
		// It died on the way, or waits: either way the listener goes on.
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		p, err := ln.Accept(short)
		cancel()
		if err != nil {
			require.ErrorIs(t, err, context.DeadlineExceeded)
			continue
		}
		_, err = p.Accept(nil)
		assert.ErrorIs(t, err, link.ErrPeerGone)
	}
}

func TestHostileAnswers(t *testing.T) {
	for name, answer := range map[string]func(a *attacker, to mach.Name) error{
		"garbage":     func(a *attacker, to mach.Name) error { return a.sendTo(to, 4711, nil, nil) },
		"frame first": func(a *attacker, to mach.Name) error { return a.sendTo(to, idFrame, nil, payload(0)) },
		"no rights":   func(a *attacker, to mach.Name) error { return a.sendTo(to, idAccept, nil, payload(0)) },
		"long refusal": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, idAccept+1, nil, payload(2000, make([]byte, 2000)...))
		},
		"the client's own port": func(a *attacker, to mach.Name) error {
			return a.sendTo(to, idAccept, []mach.Descriptor{right(to, mach.CopySend), right(to, mach.CopySend), a.offer()[2]}, payload(0))
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := newMachine(t)
			ctx := testContext(t)
			task := m.NewTask(token(666))
			defer task.Kill()
			port, err := task.CheckIn(service)
			require.NoError(t, err)
			errs := make(chan error)
			go func() {
				_, _, _, err := machlink.Dial(ctx, m.client, service, nil)
				errs <- err
			}()
			buf := make([]byte, 4096)
			require.NoError(t, task.Receive(buf, port, mach.RcvAuditTrailer, 0))
			msg, err := mach.ParseMessage(buf)
			require.NoError(t, err)
			a := newAttacker(t, task)
			for d := range msg.Descriptors() {
				require.NoError(t, answer(a, d.Name))
				break
			}
			assert.ErrorIs(t, <-errs, link.ErrProtocol)
		})
	}
}

// dying kills a client at the moment when the host next gives up a right.
type dying struct {
	machtest.Process
	client machtest.Process
}

func (d *dying) Deallocate(name mach.Name) error {
	d.client.Kill()
	return d.Process.Deallocate(name)
}

// TestFailedAcceptOfADyingClient: a request for notifications that outlives the
// port they go to would leave a reference of a dead name behind.
func TestFailedAcceptOfADyingClient(t *testing.T) {
	m := newMachine(t)
	ctx := testContext(t)
	ln, err := machlink.Listen(&dying{m.host, m.client}, service)
	require.NoError(t, err)
	newAttacker(t, m.client).connect()
	p, err := ln.Accept(ctx)
	require.NoError(t, err)
	failed := false
	m.host.Inject(func(c machtest.Call) mach.Errno {
		if c.Op == machtest.OpSend && !failed {
			failed = true
			return mach.KernFailure
		}
		return 0
	})
	_, err = p.Accept(nil)
	assert.ErrorIs(t, err, mach.KernFailure)
	require.NoError(t, ln.Close())
}
