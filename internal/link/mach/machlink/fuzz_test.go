package machlink_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/link/mach/machtest"
)

// FuzzMessages sends a message of the fuzzer's to each port that a stranger can
// reach: a service, an accepted connection's data and control. Whatever it is,
// nothing crashes, hangs, or is kept.
func FuzzMessages(f *testing.F) {
	f.Add(uint8(0), idConnect, []byte{20, 20, 18}, payload(2, 'h', 'i', 0, 0))
	f.Add(uint8(1), idFrame, []byte{}, payload(3, 1, 2, 3, 0))
	f.Add(uint8(1), idEnd, []byte{}, []byte{})
	f.Add(uint8(2), idDrained, []byte{}, []byte{0, 0, 0, 0, 0, 0, 0, 0})
	f.Add(uint8(1), mach.NotifyNoSenders, []byte{}, mach.NotificationBody(mach.NotifyNoSenders, 1))
	f.Add(uint8(2), mach.NotifyDeadName, []byte{}, mach.NotificationBody(mach.NotifyDeadName, 0x103))
	f.Add(uint8(0), idAccept, []byte{20, 21, 16}, payload(0))
	f.Fuzz(func(t *testing.T, where uint8, id int32, dispositions []byte, body []byte) {
		k := machtest.Open(t)
		task := k.NewTask(token(100))
		host := &attacker{t: t, task: k.NewTask(token(200))}
		ln, err := machlink.Listen(task, service)
		require.NoError(t, err)
		*host = *newAttacker(t, host.task)
		host.connect()
		p, err := ln.Accept(t.Context())
		require.NoError(t, err)
		l, err := p.Accept(nil)
		require.NoError(t, err)
		host.takeAnswer()
		to, err := host.task.LookUp(service)
		require.NoError(t, err)
		switch where % 3 {
		case 1:
			to = host.hostData
		case 2:
			to = host.hostControl
		}
		var descriptors []mach.Descriptor
		for _, d := range dispositions[:min(len(dispositions), 8)] {
			descriptors = append(descriptors, right(host.receivePort(), mach.Disposition(d)))
		}
		_ = host.sendTo(to, id, descriptors, body[:min(len(body), 1<<16)])

		// Everybody still answers: a second client gets through, the first one's
		// death is noticed.
		second := newAttacker(t, k.NewTask(token(300)))
		second.connectAs("2nd.")
		for {
			p, err := ln.Accept(t.Context())
			require.NoError(t, err)
			require.NoError(t, p.Refuse(nil))
			if string(p.Hello()) == "2nd." {
				break
			}
		}
		host.task.Kill()
		<-l.Gone().Done()
		for err == nil {
			_, err = l.ReadFrame(t.Context())
		}
		require.NoError(t, l.Close())
		require.NoError(t, ln.Close())
		require.Equal(t, machtest.Usage{}, task.Usage(), "%s", task.Describe())
	})
}
