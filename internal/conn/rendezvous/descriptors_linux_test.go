package rendezvous_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/ring"
	"github.com/sealport/sealport/internal/wire"
)

// A client takes one descriptor of its host, with the answer, and only if it has not asked
// for the socket.
func TestClientRefusesOtherDescriptors(t *testing.T) {
	for name, attested := range map[string]bool{"ring": false, "attested": true} {
		t.Run(name, func(t *testing.T) {
			o := inDir(t)
			o.Attested = attested
			fd := rawSocket(t, o, unix.SOCK_SEQPACKET, 5)
			if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS); err == unix.ENOPROTOOPT {
				t.Skip("needs SO_PASSRIGHTS, from Linux 6.16")
			}
			answer := wire.Setup{Carrier: wire.CarrierSocket, Hello: []byte("hello")}
			m, memory, err := ring.Create(64 << 10)
			require.NoError(t, err)
			defer func() { require.NoError(t, m.Unmap()) }()
			defer unix.Close(memory)
			if !attested {
				answer.Carrier, answer.Ring = wire.CarrierRing, 64<<10
			}
			host := make(chan int, 1)
			early := make(chan error, 1)
			go func() {
				conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
				if err == nil && attested {
					early <- unix.Sendmsg(conn, answer.Append(nil), unix.UnixRights(memory), nil, 0)
					_, err = unix.Write(conn, answer.Append(nil))
				} else if err == nil {
					err = unix.Sendmsg(conn, answer.Append(nil), unix.UnixRights(memory), nil, 0)
				}
				if err != nil {
					t.Error(err)
				}
				host <- conn
			}()
			out, err := carrier.Dial(hung(t), endpoint, []byte("hello"), o)
			conn := <-host
			defer unix.Close(conn)
			require.NoError(t, err)
			if attested {
				require.ErrorIs(t, <-early, unix.EPERM)
			}
			require.ErrorIs(t, unix.Sendmsg(conn, []byte{0}, unix.UnixRights(memory), nil, 0), unix.EPERM)
			require.NoError(t, out.Close())
		})
	}
}
