package socket_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/socket"
)

// sayRole makes a process of the test binary send datagrams on descriptor 3.
const sayRole = "SEALPORT_TEST_SAY"

// sayIfAsked is the other process: it sends datagrams, if that is what this process is
// for.
func sayIfAsked() {
	quoted := os.Getenv(sayRole)
	if quoted == "" {
		return
	}
	for _, quoted := range strings.Split(quoted, " ") {
		text, err := strconv.Unquote(quoted)
		if err == nil {
			_, err = syscall.Write(3, []byte(text))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	// Stay until we are told to go, so that our pid is ours alone.
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

// say starts a process that sends texts on the socket, one datagram each. It lives until
// end is called, or the test ends.
func say(t *testing.T, socket *os.File, texts ...string) (end func()) {
	t.Helper()
	quoted := make([]string, len(texts))
	for i, text := range texts {
		quoted[i] = strconv.Quote(text)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), sayRole+"="+strings.Join(quoted, " "))
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stderr = os.Stderr
	stay, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	end = sync.OnceFunc(func() {
		_ = stay.Close()
		assert.NoError(t, cmd.Wait())
	})
	t.Cleanup(end)
	return end
}

// greeted connects with a process that says hello and then other things. It returns the
// host's socket, the process's credentials, the other end of the socket, and what ends
// the process.
func greeted(t *testing.T, others ...string) (*socket.Conn, *cred.Credentials, *os.File, func()) {
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

	end := say(t, theirs, append([]string{"hello"}, others...)...)
	return sock, credentials(t, sock), theirs, end
}

// credentials receives a hello.
func credentials(t *testing.T, sock *socket.Conn) *cred.Credentials {
	t.Helper()
	_, ctl, err := sock.Receive(hung(t), make([]byte, 16))
	require.NoError(t, err)
	c, err := sock.Credentials(&ctl)
	require.NoError(t, err)
	return c
}

func newLink(t *testing.T, sock *socket.Conn, c *cred.Credentials) link.Link {
	t.Helper()
	l, err := socket.New(sock, c, nil)
	require.NoError(t, err)
	t.Cleanup(func() {
		l.Interrupt()
		assert.NoError(t, l.Close())
	})
	return l
}

// TestFrameOfAnotherProcess: a descriptor was passed to a third process, which
// runs the same executable as the same user. Its frame ends the link.
func TestFrameOfAnotherProcess(t *testing.T) {
	sock, c, theirs, _ := greeted(t)
	l := newLink(t, sock, c)
	say(t, theirs, "\x00frame")
	for range 2 {
		_, err := l.ReadFrame(context.Background())
		require.ErrorIs(t, err, link.ErrPeerChanged)
	}
}

// TestLivingPeerWithoutDescriptors: a process that can have no more descriptors cannot be
// given its peer's pidfd with a frame. The link goes on.
func TestLivingPeerWithoutDescriptors(t *testing.T) {
	for name, pair := range map[string]func(t testing.TB) (a, b *socket.Conn){"default": pair, "before Linux 6.16": openPair} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			require.NoError(t, b.Send(hung(t), []byte("hello"), nil, -1))
			l := newLink(t, a, credentials(t, a))
			free := exhaust(t)
			var frame []byte
			err := b.Send(hung(t), []byte("\x00alive"), nil, -1)
			if err == nil {
				frame, err = l.ReadFrame(hung(t))
			}
			free()
			require.NoError(t, err)
			require.Equal(t, "alive", string(frame))
			require.NoError(t, b.Send(hung(t), []byte("\x00again"), nil, -1))
			frame, err = l.ReadFrame(hung(t))
			require.NoError(t, err)
			require.Equal(t, "again", string(frame))
		})
	}
}

// TestOtherProcessWithoutDescriptors: in that state a frame of another process ends the
// link as ever, and so does one of a process that has ended since: another may have its
// pid now.
func TestOtherProcessWithoutDescriptors(t *testing.T) {
	t.Run("passed on", func(t *testing.T) {
		sock, c, theirs, _ := greeted(t)
		say(t, theirs, "\x00frame")
		for !unread(t, sock) {
			runtime.Gosched()
		}
		free := exhaust(t)
		_, err := newLink(t, sock, c).ReadFrame(hung(t))
		free()
		require.ErrorIs(t, err, link.ErrPeerChanged)
	})
	t.Run("ended", func(t *testing.T) {
		sock, c, _, end := greeted(t, "\x00frame")
		if c.PIDFD < 0 {
			t.Skip("needs SO_PASSPIDFD (Linux 6.5)")
		}
		end()
		free := exhaust(t)
		l := newLink(t, sock, c)
		_, err := l.ReadFrame(hung(t))
		free()
		require.ErrorIs(t, err, link.ErrPeerGone)
		require.NotErrorIs(t, err, link.ErrPeerChanged)
		require.ErrorIs(t, err, unix.EMFILE)
		await(t, l.Gone().Done())
	})
}

// unread reports whether something waits to be received.
func unread(t *testing.T, sock *socket.Conn) bool {
	t.Helper()
	idle, err := sock.Idle()
	require.NoError(t, err)
	return !idle
}

// TestUnknownKind: a datagram of no known kind, though from the right process.
func TestUnknownKind(t *testing.T) {
	a, b := pair(t)
	require.NoError(t, b.Send(hung(t), []byte("hello"), nil, -1))
	l := newLink(t, a, credentials(t, a))
	require.NoError(t, b.Send(hung(t), []byte{0, 'o', 'k'}, nil, -1))
	require.NoError(t, b.Send(hung(t), []byte{9}, nil, -1))
	frame, err := l.ReadFrame(hung(t))
	require.NoError(t, err)
	assert.Equal(t, "ok", string(frame))
	_, err = l.ReadFrame(hung(t))
	require.ErrorIs(t, err, link.ErrProtocol)
}
