package rendezvous_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/ring"
	"github.com/sealport/sealport/internal/wire"
)

// A client takes no descriptor after the host's answer.
func TestClientRefusesOtherDescriptors(t *testing.T) {
	for name, carrierOf := range map[string]wire.Carrier{"ring": wire.CarrierRing, "socket": wire.CarrierSocket} {
		t.Run(name, func(t *testing.T) {
			o := inDir(t)
			fd := rawSocket(t, o, unix.SOCK_SEQPACKET, 5)
			if _, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS); err == unix.ENOPROTOOPT {
				t.Skip("needs SO_PASSRIGHTS, from Linux 6.16")
			}
			m, memory, err := ring.Create(64 << 10)
			require.NoError(t, err)
			defer func() { require.NoError(t, errors.Join(m.Unmap(), unix.Close(memory))) }()
			answer := wire.Setup{Carrier: carrierOf, Ring: 64 << 10, Hello: []byte("hello")}
			host, answered := make(chan int, 1), make(chan error, 1)
			go func() {
				conn, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
				host <- conn
				if err == nil {
					err = unix.Sendmsg(conn, answer.Append(nil), unix.UnixRights(memory), nil, 0)
				}
				answered <- err
			}()
			out, err := carrier.Dial(hung(t), endpoint, []byte("hello"), o)
			conn := <-host
			defer unix.Close(conn)
			require.NoError(t, errors.Join(err, <-answered))
			require.ErrorIs(t, unix.Sendmsg(conn, []byte{0}, unix.UnixRights(memory), nil, 0), unix.EPERM)
			require.NoError(t, out.Close())
		})
	}
}
