package rendezvous_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/wire"
)

// TestDescriptorInTheHello: a client's hello comes without a descriptor. One is refused,
// by the kernel where it can, or else by the host, which closes it.
func TestDescriptorInTheHello(t *testing.T) {
	o := inDir(t)
	l := listen(t, endpoint, o)
	for name, fds := range map[string][]int{"none": nil, "one": {int(os.Stderr.Fd())}} {
		t.Run(name, func(t *testing.T) {
			client, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			defer unix.Close(client)
			t.Chdir(o.Dir) // the path may be too long
			require.NoError(t, unix.Connect(client, &unix.SockaddrUnix{Name: filepath.Base(endpoint) + ".sock"}))
			var rights []byte
			if fds != nil {
				rights = unix.UnixRights(fds...)
			}
			sent := unix.Sendmsg(client, wire.Setup{Hello: []byte("client")}.Append(nil), rights, nil, 0)
			in, err := l.Accept()
			require.NoError(t, err)
			if fds != nil && sent == unix.EPERM { // from Linux 6.16 the kernel keeps it out
				require.NoError(t, in.Close())
				return
			}
			require.NoError(t, sent)
			before := leaktest.Descriptors()
			hello, err := in.Hello(hung(t))
			if fds == nil {
				require.NoError(t, err)
				require.Equal(t, "client", string(hello))
			} else {
				require.ErrorIs(t, err, wire.ErrSetup)
				require.Eventually(t, func() bool { // closed in the background
					return len(leaktest.More(before, leaktest.Descriptors())) == 0
				}, limit, time.Millisecond)
			}
			require.NoError(t, in.Close())
		})
	}
}
