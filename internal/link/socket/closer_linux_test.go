package socket

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/linktest"
)

// stuck fills a closer with what does not end before end is called: something for each
// goroutine, and n that wait.
func stuck(t *testing.T, c *closer, n int) (end func()) {
	t.Helper()
	started, ended := make(chan struct{}), make(chan struct{})
	for range maxClosers {
		c.add(func() {
			started <- struct{}{}
			<-ended
		})
	}
	for range maxClosers {
		<-started
	}
	for range n {
		c.add(func() { <-ended })
	}
	return sync.OnceFunc(func() { close(ended) })
}

// However much takes long to close, few goroutines wait for it, and everything else waits
// its turn.
func TestCloserIsBounded(t *testing.T) {
	var c closer
	end := stuck(t, &c, maxBacklog-1)
	require.Equal(t, maxClosers, c.running)
	require.False(t, c.full())
	last := make(chan struct{})
	c.add(func() { close(last) })
	require.True(t, c.full())
	select {
	case <-last:
		require.Fail(t, "it was not its turn")
	default:
	}
	end()
	<-last
	require.False(t, c.full())
}

// There are no new connections while too much waits to be closed; then there are again.
// Connections and listeners close nevertheless.
func TestNoConnectionsBeforeOthersAreClosed(t *testing.T) {
	ctx, path := t.Context(), filepath.Join(t.TempDir(), "s")
	l, err := Listen(path, 0o600)
	require.NoError(t, err)
	waiting, err := Dial(ctx, path, true)
	require.NoError(t, err)

	end := stuck(t, &background, maxBacklog)
	defer end()
	_, err = l.Accept()
	require.ErrorIs(t, err, ErrBacklog)
	_, err = Dial(ctx, path, true)
	require.ErrorIs(t, err, ErrBacklog)
	end()
	for background.full() {
		runtime.Gosched()
	}
	server, err := l.Accept()
	require.NoError(t, err)

	end = stuck(t, &background, 0)
	defer end()
	require.NoError(t, server.Send(context.Background(), []byte("memory"), nil, unix.Stdin))
	require.NoError(t, waiting.Close(), "with a descriptor that it has not received")
	require.ErrorIs(t, waiting.Close(), os.ErrClosed, "it leaves the socket to the other goroutines")
	_, _, err = server.Receive(ctx, make([]byte, 1))
	require.Error(t, err, "the peer sees the end meanwhile")
	require.NoError(t, server.Close())
	require.NoError(t, l.Close())
}

// A call that is under way holds the file when the socket is closed, and gives it up last.
// It does not wait for what is in the socket.
func TestCloseBesideACall(t *testing.T) {
	slow, err := linktest.NewSlow()
	require.NoError(t, err)
	release := sync.OnceFunc(func() { require.NoError(t, slow.End()) })
	defer release()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Sendmsg(fds[0], []byte{0}, unix.UnixRights(slow.FD), nil, 0))
	require.NoError(t, slow.Sent())
	require.NoError(t, unix.Close(fds[0]))
	f := os.NewFile(uintptr(fds[1]), "socket")
	rc, err := f.SyscallConn()
	require.NoError(t, err)

	under, finish, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		_ = rc.Control(func(uintptr) {
			close(under)
			<-finish
		})
		close(returned)
	}()
	<-under
	closed := make(chan error, 1)
	go func() { closed <- closeFile(f, rc) }()
	for rc.Control(func(uintptr) {}) == nil { // until it has been told to close
		runtime.Gosched()
	}
	close(finish)
	select {
	case <-returned:
	case <-time.After(30 * time.Second):
		t.Error("the call closes the socket, and waits")
	}
	release()
	require.NoError(t, <-closed)
}
