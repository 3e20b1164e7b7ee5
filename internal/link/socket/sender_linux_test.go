package socket_test

import (
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/socket"
)

// attested returns a link with this process at the other end of the socket, and the
// descriptors of the link's end and of the other one, after the other's hello. change may
// alter what came with it.
func attested(t *testing.T, change func(*socket.Control)) (l link.Link, own, peer int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fds[1]) })
	for _, option := range []int{unix.SO_PASSCRED, unix.SO_PASSPIDFD} {
		require.NoError(t, unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, option, 1))
	}
	sock, err := socket.NewConn(fds[0])
	require.NoError(t, err)
	t.Cleanup(func() { _ = sock.Close() })
	require.NoError(t, unix.Send(fds[1], []byte("hello"), 0))
	_, ctl, err := sock.Receive(hung(t), make([]byte, 16))
	require.NoError(t, err)
	if change != nil {
		change(&ctl)
	}
	cred, err := sock.Credentials(&ctl)
	require.NoError(t, err)
	l, err = socket.New(sock, cred, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		l.Interrupt()
		assert.NoError(t, l.Close())
	})
	return l, fds[0], fds[1]
}

// TestFrameOfAReusedPID: the process that said hello has ended, and another one with the
// same pid, user and group writes. Only the pidfd tells the two apart.
func TestFrameOfAReusedPID(t *testing.T) {
	l, _, peer := attested(t, func(hello *socket.Control) {
		other, err := unix.PidfdOpen(os.Getppid(), 0)
		require.NoError(t, err)
		mine, err := socket.Inode(hello.PIDFD)
		require.NoError(t, err)
		theirs, err := socket.Inode(other)
		require.NoError(t, err)
		require.NoError(t, unix.Close(hello.PIDFD))
		hello.PIDFD = other
		if mine == theirs {
			hello.Close()
			t.Skip("needs pidfs (Linux 6.9)")
		}
	})
	require.NoError(t, unix.Send(peer, []byte("\x00frame"), 0))
	for range 2 {
		_, err := l.ReadFrame(hung(t))
		require.ErrorIs(t, err, link.ErrPeerChanged)
	}
}

// TestFrameWithOtherCredentials: the process is the same, and its ids are not.
func TestFrameWithOtherCredentials(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to send other ids than its own")
	}
	own := unix.Ucred{Pid: int32(os.Getpid()), Uid: 0, Gid: uint32(os.Getgid())}
	for name, change := range map[string]func(*unix.Ucred){
		"the same": nil,
		"user":     func(c *unix.Ucred) { c.Uid++ },
		"group":    func(c *unix.Ucred) { c.Gid++ },
	} {
		t.Run(name, func(t *testing.T) {
			l, _, peer := attested(t, nil)
			sent := own
			if change != nil {
				change(&sent)
			}
			require.NoError(t, unix.Sendmsg(peer, []byte("\x00frame"), unix.UnixCredentials(&sent), nil, 0))
			frame, err := l.ReadFrame(hung(t))
			if change == nil {
				require.NoError(t, err)
				require.Equal(t, "frame", string(frame))
				return
			}
			require.ErrorIs(t, err, link.ErrPeerChanged)
		})
	}
}

// TestFrameWithoutAPidfd: a hello that came with a pidfd is followed by frames that do,
// or nobody knows who sent them.
func TestFrameWithoutAPidfd(t *testing.T) {
	l, own, peer := attested(t, nil)
	require.NoError(t, unix.SetsockoptInt(own, unix.SOL_SOCKET, unix.SO_PASSPIDFD, 0))
	require.NoError(t, unix.Send(peer, []byte("\x00frame"), 0))
	_, err := l.ReadFrame(hung(t))
	require.ErrorIs(t, err, link.ErrPeerChanged)
}
