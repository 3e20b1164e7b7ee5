//go:build amd64 || arm64

package rendezvous_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

// steps are the system calls by which an endpoint is made, kept and given up.
var steps = map[string]uint32{
	"mkdirat": unix.SYS_MKDIRAT, "openat": unix.SYS_OPENAT, "newfstatat": unix.SYS_NEWFSTATAT, "fstat": unix.SYS_FSTAT,
	"flock": unix.SYS_FLOCK, "socket": unix.SYS_SOCKET, "setsockopt": unix.SYS_SETSOCKOPT, "fchmod": unix.SYS_FCHMOD,
	"bind": unix.SYS_BIND, "listen": unix.SYS_LISTEN, "renameat": unix.SYS_RENAMEAT, "unlinkat": unix.SYS_UNLINKAT,
	"inotify_init1": unix.SYS_INOTIFY_INIT1, "inotify_add_watch": unix.SYS_INOTIFY_ADD_WATCH, "epoll_ctl": unix.SYS_EPOLL_CTL,
	"utimensat": unix.SYS_UTIMENSAT, "connect": unix.SYS_CONNECT,
}

var stepErrors = []syscall.Errno{unix.EMFILE, unix.ENOMEM, unix.ENOSPC, unix.EACCES, unix.EIO}

// openDescriptors counts this process's descriptors.
func openDescriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	return len(list)
}

func TestListenFaultsX(t *testing.T) {
	for name, call := range steps {
		for _, errno := range stepErrors {
			for _, left := range []string{"nothing", "dead"} {
				o := inDir(t)
				if left == "dead" {
					require.NoError(t, unix.Close(rawSocket(t, o, unix.SOCK_SEQPACKET, 5)))
				}
				var l rendezvous.Listener
				var err error
				before := openDescriptors(t)
				refusing(t, call, errno, func() { l, err = carrier.Listen(endpoint, o) })
				if err == nil {
					t.Logf("%s %v: served", name, errno)
					require.NoError(t, l.Close())
				} else {
					t.Logf("%s %v: %v", name, errno, err)
					assert.ErrorIs(t, err, errno)
					if errno == unix.EMFILE || errno == unix.ENOMEM || errno == unix.ENOSPC {
						assert.ErrorIs(t, err, rendezvous.ErrExhausted)
					}
				}
				assert.Equal(t, before, openDescriptors(t), "%s %v", name, errno)
				list, err := os.ReadDir(o.Dir)
				if left == "nothing" && err == nil {
					assert.Empty(t, list, "%s %v", name, errno)
				}
				l, err = carrier.Listen(endpoint, o)
				require.NoError(t, err)
				require.NoError(t, l.Close())
			}
		}
	}
}
