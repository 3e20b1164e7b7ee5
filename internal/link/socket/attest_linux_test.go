package socket_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/socket"
)

// sayRole makes a process of the test binary send one datagram on descriptor 3.
const sayRole = "SEALPORT_TEST_SAY"

// sayIfAsked is the other process: it sends one datagram, if that is what this
// process is for.
func sayIfAsked() {
	quoted := os.Getenv(sayRole)
	if quoted == "" {
		return
	}
	text, err := strconv.Unquote(quoted)
	if err == nil {
		_, err = syscall.Write(3, []byte(text))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Stay until we are told to go, so that our pid is ours alone.
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

// say starts a process that sends text on the socket.
func say(t *testing.T, socket *os.File, text string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), sayRole+"="+strconv.Quote(text))
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stderr = os.Stderr
	stay, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = stay.Close()
		assert.NoError(t, cmd.Wait())
	})
}

// passedOn connects with a process that says hello and then a frame, and returns
// the host's link with it and the other end of the socket.
func passedOn(t *testing.T) (link.Link, *os.File) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	require.NoError(t, syscall.SetNonblock(fds[0], true))
	for _, option := range []int{unix.SO_PASSCRED, unix.SO_PASSPIDFD} {
		require.NoError(t, unix.SetsockoptInt(fds[0], unix.SOL_SOCKET, option, 1))
	}
	sock, err := socket.NewConn(fds[0])
	require.NoError(t, err)
	theirs := os.NewFile(uintptr(fds[1]), "theirs")
	t.Cleanup(func() { _ = theirs.Close() })

	say(t, theirs, "hello")
	_, ctl, err := sock.Receive(context.Background(), make([]byte, 16))
	require.NoError(t, err)
	cred, err := sock.Credentials(&ctl)
	require.NoError(t, err)
	l, err := socket.New(sock, cred, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		l.Interrupt()
		assert.NoError(t, l.Close())
	})
	return l, theirs
}

// TestFrameOfAnotherProcess: a descriptor was passed to a third process, which
// runs the same executable as the same user. Its frame ends the link.
func TestFrameOfAnotherProcess(t *testing.T) {
	l, theirs := passedOn(t)
	say(t, theirs, "\x00frame")
	for range 2 {
		_, err := l.ReadFrame(context.Background())
		require.ErrorIs(t, err, link.ErrPeerChanged)
	}
}

// TestUnknownKind: a datagram of no known kind, though from the right process.
func TestUnknownKind(t *testing.T) {
	a, b, err := socket.Pair()
	require.NoError(t, err)
	require.NoError(t, b.Send(context.Background(), []byte("hello"), nil, -1))
	_, ctl, err := a.Receive(context.Background(), make([]byte, 16))
	require.NoError(t, err)
	cred, err := a.Credentials(&ctl)
	require.NoError(t, err)
	l, err := socket.New(a, cred, nil)
	require.NoError(t, err)
	require.NoError(t, b.Send(context.Background(), []byte{0, 'o', 'k'}, nil, -1))
	require.NoError(t, b.Send(context.Background(), []byte{9}, nil, -1))
	frame, err := l.ReadFrame(context.Background())
	require.NoError(t, err)
	assert.Equal(t, "ok", string(frame))
	_, err = l.ReadFrame(context.Background())
	require.ErrorIs(t, err, link.ErrProtocol)
	l.Interrupt()
	require.NoError(t, l.Close())
	require.NoError(t, b.Close())
}
