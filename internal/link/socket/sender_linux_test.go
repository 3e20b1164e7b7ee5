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

// attested returns a link with this process at the other end of the socket, a raw
// descriptor, after its hello. change may alter what came with the hello.
func attested(t *testing.T, change func(*socket.Control)) (link.Link, int) {
	t.Helper()
	sock, peer := rawPair(t)
	require.NoError(t, unix.Send(peer, []byte("hello"), 0))
	_, ctl, err := sock.Receive(hung(t), make([]byte, 16))
	require.NoError(t, err)
	if change != nil {
		change(&ctl)
	}
	cred, err := sock.Credentials(&ctl)
	require.NoError(t, err)
	l, err := socket.New(sock, cred)
	require.NoError(t, err)
	t.Cleanup(func() {
		l.Interrupt()
		assert.NoError(t, l.Close())
	})
	return l, peer
}

// TestFrameOfAReusedPID: the process that said hello has ended, and another one with the
// same pid, user and group writes. Only the pidfd tells the two apart.
func TestFrameOfAReusedPID(t *testing.T) {
	l, peer := attested(t, func(hello *socket.Control) {
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
			t.Skip("needs pidfs, which came with Linux 6.9")
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
			l, peer := attested(t, nil)
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
