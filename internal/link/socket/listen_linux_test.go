package socket_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/socket"
)

func listen(t *testing.T, path string) *socket.Listener {
	t.Helper()
	l, err := socket.Listen(path, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func TestListenAcceptDial(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l := listen(t, path)
	st, err := os.Stat(path)
	require.NoError(t, err)
	assert.EqualValues(t, 0o600, st.Mode().Perm())
	_, err = socket.Listen(path, 0o600)
	require.ErrorIs(t, err, unix.EADDRINUSE)

	// The hello that a client sends before it is accepted carries credentials.
	client, err := socket.Dial(hung(t), path, false)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.Send(hung(t), []byte("hello"), nil, -1))
	server, err := l.Accept()
	require.NoError(t, err)
	defer server.Close()
	buf := make([]byte, 10)
	n, ctl, err := server.Receive(hung(t), buf)
	require.NoError(t, err)
	require.Equal(t, "hello", string(buf[:n]))
	require.EqualValues(t, os.Getpid(), ctl.Cred.PID)
	k, err := server.Credentials(&ctl)
	require.NoError(t, err)
	assert.Equal(t, ctl.Cred, k.Message)
	assert.EqualValues(t, os.Getpid(), k.Socket.PID)
	require.GreaterOrEqual(t, k.PIDFD, 0)
	assert.Equal(t, -1, ctl.PIDFD, "it was taken over")
	inode, err := socket.Inode(k.PIDFD)
	require.NoError(t, err)
	assert.NotZero(t, inode)
	require.NoError(t, k.Close())
	ctl.Close()

	require.NoError(t, server.StopCredentials())
	require.NoError(t, client.Send(hung(t), []byte("more"), nil, -1))
	_, ctl, err = server.Receive(hung(t), buf)
	require.NoError(t, err)
	assert.False(t, ctl.HasCred)
	assert.Equal(t, -1, ctl.PIDFD)
	_, err = server.Credentials(&ctl)
	require.Error(t, err)
}

func TestAcceptAfterClose(t *testing.T) {
	l := listen(t, filepath.Join(t.TempDir(), "s"))
	got := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		got <- err
	}()
	require.NoError(t, l.Close())
	require.ErrorIs(t, await(t, got), os.ErrClosed)
}

func TestDialFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	before := openFiles()
	_, err := socket.Dial(hung(t), path, false)
	require.ErrorIs(t, err, unix.ENOENT)
	require.NoError(t, listen(t, path).Close())
	_, err = socket.Dial(hung(t), path, false)
	require.ErrorIs(t, err, unix.ECONNREFUSED)
	require.Equal(t, before, openFiles())
}

// A host that does not accept keeps its clients waiting, not longer than they
// want.
func TestDialWaitsForTheBacklog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer unix.Close(fd)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Listen(fd, 0))
	for {
		c, err := socket.Dial(ended(), path, false)
		if err != nil {
			require.ErrorIs(t, err, context.Canceled)
			break
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	for range 200 { // more than may wait at a time
		_, err := socket.Dial(ended(), path, false)
		require.ErrorIs(t, err, context.Canceled)
	}
	dialled := make(chan error, 1)
	go func() {
		c, err := socket.Dial(hung(t), path, false)
		if err == nil {
			err = c.Close()
		}
		dialled <- err
	}()
	taken, _, err := unix.Accept4(fd, unix.SOCK_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(taken)
	require.NoError(t, await(t, dialled))
}

func TestAdoptLooksBeforeItTakes(t *testing.T) {
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	_, err = socket.Adopt(int(null.Fd()))
	require.ErrorIs(t, err, socket.ErrNotListening)
	_, err = null.Stat()
	require.NoError(t, err, "it is left as it was")
	for _, kind := range []int{unix.SOCK_SEQPACKET, unix.SOCK_STREAM} {
		fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		_, err = socket.Adopt(fd) // does not listen
		require.ErrorIs(t, err, socket.ErrNotListening)
		require.NoError(t, unix.Close(fd))
	}
	// Listens, for streams.
	for _, address := range []unix.Sockaddr{&unix.SockaddrUnix{Name: filepath.Join(t.TempDir(), "s")}, &unix.SockaddrInet4{}} {
		family := unix.AF_UNIX
		if _, ok := address.(*unix.SockaddrInet4); ok {
			family = unix.AF_INET
		}
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		require.NoError(t, err)
		require.NoError(t, unix.Bind(fd, address))
		require.NoError(t, unix.Listen(fd, 1))
		_, err = socket.Adopt(fd)
		require.ErrorIs(t, err, socket.ErrNotListening)
		require.NoError(t, unix.Close(fd))
	}
}

// Accept waits for a client, also in a process that can have no more descriptors.
func TestAcceptWaits(t *testing.T) {
	for name, exhausted := range map[string]bool{"default": false, "without descriptors": true} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			l := listen(t, path)
			free := func() {}
			if exhausted {
				free = exhaust(t)
			}
			accepted := make(chan error, 1)
			go func() {
				c, err := l.Accept()
				if err == nil {
					err = c.Close()
				}
				accepted <- err
			}()
			for range 10_000 { // it most likely waits then
				runtime.Gosched()
			}
			free()
			client, err := socket.Dial(hung(t), path, false)
			require.NoError(t, err)
			defer client.Close()
			require.NoError(t, await(t, accepted))
		})
	}
}

// A client that has sent a descriptor before the listening socket was adopted is accepted,
// and what it has sent is not received.
func TestAdoptWithADescriptorOnTheWay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Listen(fd, 1))
	client, err := socket.Dial(hung(t), path, false)
	require.NoError(t, err)
	defer client.Close()
	require.NoError(t, client.Send(hung(t), []byte("hello"), nil, fd))
	l, err := socket.Adopt(fd)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, unix.Close(fd)) // l has a copy
	server, err := l.Accept()
	require.NoError(t, err)
	_, _, err = server.Receive(hung(t), make([]byte, 10))
	require.ErrorIs(t, err, socket.ErrDescriptor)
	require.NoError(t, server.Close())
}

// The descriptor stays the caller's, and can be adopted again: after an error, and after the
// listener was closed.
func TestAdoptLeavesTheDescriptor(t *testing.T) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET, 0)
	require.NoError(t, err)
	path := filepath.Join(t.TempDir(), "s")
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Listen(fd, 1))
	free := exhaust(t)
	_, err = socket.Adopt(fd)
	free()
	require.ErrorIs(t, err, unix.EMFILE)
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	require.NoError(t, err, "it is open")
	require.Zero(t, flags&unix.O_NONBLOCK)

	defer unix.Close(fd)
	before := openFiles()
	for range 2 {
		l, err := socket.Adopt(fd)
		require.NoError(t, err)
		client, err := socket.Dial(hung(t), path, false)
		require.NoError(t, err)
		server, err := l.Accept()
		require.NoError(t, err)
		require.NoError(t, errors.Join(server.Close(), client.Close()))
		require.NoError(t, l.Close())
		require.ErrorIs(t, l.Close(), os.ErrClosed)
		_, err = l.Accept()
		require.ErrorIs(t, err, os.ErrClosed)
		require.Equal(t, before, openFiles())
	}
}

// A client that has connected before the listening socket was adopted sends its credentials.
func TestAdoptWithAClientThatWaits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: path}))
	require.NoError(t, unix.Listen(fd, 1))
	client, err := socket.Dial(hung(t), path, false)
	require.NoError(t, err)
	defer client.Close()
	l, err := socket.Adopt(fd)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, unix.Close(fd)) // l has a copy
	server, err := l.Accept()
	require.NoError(t, err)
	defer server.Close()
	require.NoError(t, client.Send(hung(t), []byte("hello"), nil, -1))
	_, ctl, err := server.Receive(hung(t), make([]byte, 10))
	require.NoError(t, err)
	require.True(t, ctl.HasCred)
	require.EqualValues(t, os.Getpid(), ctl.Cred.PID)
	require.GreaterOrEqual(t, ctl.PIDFD, 0)
	ctl.Close()
}
