package socket_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link/socket"
)

// TestMain is also the other process of the tests that need one.
func TestMain(m *testing.M) {
	sayIfAsked()
	leaktest.Main(m)
}

// exhaust takes care that this process can have no more descriptors, until free.
func exhaust(t *testing.T) (free func()) {
	t.Helper()
	var old unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &old))
	// Those of the standard files are taken, whatever is closed meanwhile.
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}))
	return func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_NOFILE, &old)) }
}

// openFiles counts the open descriptors of this process, when those that peers have sent
// are closed.
func openFiles() int {
	for begin := time.Now(); socket.Closing() && time.Since(begin) < 20*time.Second; {
		runtime.Gosched()
	}
	return len(leaktest.Descriptors())
}

func hung(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func await[T any](t *testing.T, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-hung(t).Done():
		require.FailNow(t, "nothing came")
	}
	return v
}

func pair(t testing.TB) (a, b *socket.Conn) {
	t.Helper()
	a, b, err := socket.Pair()
	require.NoError(t, err)
	t.Cleanup(func() { _ = a.Close() })
	t.Cleanup(func() { _ = b.Close() })
	return a, b
}

// rawPair is a Conn and the descriptor of a peer that may do anything.
func rawPair(t *testing.T) (*socket.Conn, int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PASSCRED, 1))
	if err := unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, unix.SO_PASSPIDFD, 1); err != unix.ENOPROTOOPT {
		require.NoError(t, err) // Linux 6.5 and later
	}
	c, err := socket.NewConn(fds[0])
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	t.Cleanup(func() { _ = unix.Close(fds[1]) })
	return c, fds[1]
}

// openPair is pair with sockets that do not refuse descriptors, as before Linux 6.16.
func openPair(t testing.TB) (a, b *socket.Conn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	make := func(fd int) *socket.Conn {
		for _, option := range []int{unix.SO_PASSCRED, unix.SO_PASSPIDFD} {
			require.NoError(t, unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1))
		}
		c, err := socket.NewConn(fd)
		require.NoError(t, err)
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	return make(fds[0]), make(fds[1])
}

// fill sends until the socket takes no more, and returns how many datagrams it
// took.
func fill(t *testing.T, c *socket.Conn, size int) (n int) {
	t.Helper()
	for p := make([]byte, size); ; n++ {
		if err := c.Send(ended(), p, nil, -1); err != nil {
			require.ErrorIs(t, err, context.Canceled)
			return n
		}
	}
}

func receive(t *testing.T, c *socket.Conn) string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, ctl, err := c.Receive(hung(t), buf)
	require.NoError(t, err)
	ctl.Close()
	return string(buf[:n])
}
