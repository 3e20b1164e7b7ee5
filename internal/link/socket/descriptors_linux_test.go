package socket_test

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/socket"
)

// What a socket that refuses descriptors does not get is tested here with pairs that do
// not, as on Linux before 6.16.

func sendDescriptors(t *testing.T, raw int, data string, fds ...int) {
	t.Helper()
	var oob []byte
	if len(fds) > 0 {
		oob = unix.UnixRights(fds...)
	}
	if data == "" && oob != nil {
		sendNothing(t, raw, oob)
		return
	}
	require.NoError(t, unix.Sendmsg(raw, []byte(data), oob, nil, 0))
}

// However many descriptors come along, at most one is received, and only if one is
// expected. None stays open in secret, nor does the pidfd that comes with each datagram.
func TestUnexpectedDescriptorsAreClosed(t *testing.T) {
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	before := openFiles()
	for n := range 20 {
		fds := make([]int, n)
		for i := range fds {
			fds[i] = int(null.Fd())
		}
		for _, expected := range []bool{false, true} {
			c, raw := rawPair(t)
			sendDescriptors(t, raw, "data", fds...)
			receive := c.Receive
			if expected {
				receive = c.ReceiveDescriptor
			}
			got, ctl, err := receive(hung(t), make([]byte, 10))
			if n == 0 || n == 1 && expected {
				require.NoError(t, err)
				require.Equal(t, 4, got)
				require.Equal(t, n == 1, ctl.FD >= 0)
				require.True(t, ctl.HasCred)
				require.EqualValues(t, os.Getpid(), ctl.Cred.PID)
				require.GreaterOrEqual(t, ctl.PIDFD, 0, "kernels since 6.5 give one")
				ctl.Close()
				ctl.Close()
			} else {
				require.ErrorIs(t, err, socket.ErrDescriptor, "%d descriptors", n)
				require.Equal(t, -1, ctl.FD)
				require.Equal(t, -1, ctl.PIDFD)
				sendDescriptors(t, raw, "more")
				_, _, err = receive(hung(t), make([]byte, 10))
				require.ErrorIs(t, err, socket.ErrDescriptor, "it is final")
			}
			require.NoError(t, c.Close())
			require.NoError(t, unix.Close(raw))
			require.Equal(t, before, openFiles())
		}
	}
}

// Drain has no use for any.
func TestDoorbellWithDescriptor(t *testing.T) {
	c, raw := rawPair(t)
	require.NoError(t, c.StopCredentials())
	before := openFiles()
	sendDescriptors(t, raw, "bell")
	sendDescriptors(t, raw, "bell", raw)
	bells := 0
	require.ErrorIs(t, c.Drain(func() { bells++ }), socket.ErrDescriptor)
	require.Equal(t, 1, bells)
	require.Equal(t, before, openFiles())
	require.NoError(t, c.Close())
	require.Equal(t, before-1, openFiles())
}

// refusing reports whether the kernel has sockets that refuse descriptors.
func refusing(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS)
	return err == nil
}

// A socket that refuses descriptors says so to who sends one, and so do those that are
// accepted by it.
func TestRefuseDescriptors(t *testing.T) {
	c, raw := rawPair(t)
	if !refusing(raw) {
		t.Skip("needs SO_PASSRIGHTS (Linux 6.16)")
	}
	sendDescriptors(t, raw, "")
	sendDescriptors(t, raw, "data")
	require.NoError(t, c.RefuseDescriptors())
	require.ErrorIs(t, unix.Sendmsg(raw, []byte("refused"), unix.UnixRights(raw), nil, 0), unix.EPERM)
	_, _, err := c.Receive(hung(t), make([]byte, 10))
	require.ErrorIs(t, err, io.EOF, "the empty one")
	require.Equal(t, "data", receive(t, c))

	path := t.TempDir() + "/s"
	l := listen(t, path)
	client, err := socket.Dial(hung(t), path, true)
	require.NoError(t, err)
	defer client.Close()
	require.ErrorIs(t, client.Send(hung(t), []byte("hello"), nil, raw), unix.EPERM)
	server, err := l.Accept()
	require.NoError(t, err)
	defer server.Close()
	require.ErrorIs(t, client.Send(hung(t), []byte("hello"), nil, raw), unix.EPERM)
	require.NoError(t, server.Send(hung(t), []byte("answer"), nil, raw), "the client allows it")
	_, ctl, err := client.ReceiveDescriptor(hung(t), make([]byte, 10))
	require.NoError(t, err)
	require.GreaterOrEqual(t, ctl.FD, 0)
	ctl.Close()
	require.NoError(t, client.RefuseDescriptors())
	require.ErrorIs(t, server.Send(hung(t), []byte("more"), nil, raw), unix.EPERM)

	client, err = socket.Dial(hung(t), path, false)
	require.NoError(t, err)
	defer client.Close()
	server, err = l.Accept()
	require.NoError(t, err)
	defer server.Close()
	require.ErrorIs(t, server.Send(hung(t), []byte("answer"), nil, raw), unix.EPERM, "the client allows none")
}

// A descriptor that was sent before is not received after, even where one is expected.
func TestDescriptorBeforeRefusing(t *testing.T) {
	c, raw := rawPair(t)
	if !refusing(raw) {
		t.Skip("needs SO_PASSRIGHTS (Linux 6.16)")
	}
	sendDescriptors(t, raw, "data", raw)
	require.ErrorIs(t, c.RefuseDescriptors(), socket.ErrDescriptor)
	_, _, err := c.ReceiveDescriptor(hung(t), make([]byte, 10))
	require.ErrorIs(t, err, socket.ErrDescriptor)
}

// To look for descriptors in the queue leaves the socket's credentials as they are.
func TestRefuseDescriptorsKeepsCredentials(t *testing.T) {
	for name, want := range map[string]bool{"with": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			a, b := openPair(t)
			if !want {
				require.NoError(t, a.StopCredentials())
			}
			for range 2 {
				require.NoError(t, b.Send(hung(t), []byte("data"), nil, -1))
			}
			require.NoError(t, a.RefuseDescriptors())
			require.NoError(t, b.Send(hung(t), []byte("data"), nil, -1))
			for range 3 {
				_, ctl, err := a.Receive(hung(t), make([]byte, 10))
				require.NoError(t, err)
				require.Equal(t, want, ctl.HasCred)
				require.Equal(t, want, ctl.PIDFD >= 0)
				ctl.Close()
			}
		})
	}
}

// A peer that has left something unread is heard out, and the same is said of it, when the
// socket refuses descriptors since.
func TestRefuseDescriptorsAfterReset(t *testing.T) {
	a, b := openPair(t)
	require.NoError(t, a.Send(hung(t), []byte("unread"), nil, -1))
	require.NoError(t, b.Send(hung(t), []byte("data"), nil, -1))
	require.NoError(t, b.Close())
	require.NoError(t, a.RefuseDescriptors())
	_, _, err := a.Receive(hung(t), make([]byte, 10))
	require.ErrorIs(t, err, socket.ErrReset)
	require.Equal(t, "data", receive(t, a))
	_, _, err = a.Receive(hung(t), make([]byte, 10))
	require.Equal(t, io.EOF, err)
}

// sendSlow sends a descriptor that takes an hour to close, as the last of some.
func sendSlow(t *testing.T, raw int, data string, fds ...int) {
	t.Helper()
	s, err := linktest.NewSlow()
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.End()) })
	sendDescriptors(t, raw, data, append(fds, s.FD)...)
	require.NoError(t, s.Sent())
}

// threads is how many this process has.
func threads(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	require.NoError(t, err)
	_, after, found := bytes.Cut(status, []byte("\nThreads:"))
	require.True(t, found)
	n, err := strconv.Atoi(string(bytes.TrimSpace(after[:bytes.IndexByte(after, '\n')])))
	require.NoError(t, err)
	return n
}

// Descriptors that take long to close delay nobody, wherever in the queue they are and
// however far it was read, and they hold few threads, for a short time.
func TestSlowDescriptors(t *testing.T) {
	ways := map[string]func(c *socket.Conn, raw int){
		"received": func(c *socket.Conn, raw int) {
			sendSlow(t, raw, "slow")
			_, _, err := c.Receive(hung(t), make([]byte, 10))
			require.ErrorIs(t, err, socket.ErrDescriptor)
		},
		"received with nothing": func(c *socket.Conn, raw int) {
			sendSlow(t, raw, "")
			_, _, err := c.Receive(hung(t), make([]byte, 10))
			require.ErrorIs(t, err, socket.ErrDescriptor)
		},
		"received as one of two": func(c *socket.Conn, raw int) {
			sendSlow(t, raw, "slow", raw)
			_, _, err := c.ReceiveDescriptor(hung(t), make([]byte, 10))
			require.ErrorIs(t, err, socket.ErrDescriptor)
		},
		"received and not wanted": func(c *socket.Conn, raw int) {
			sendSlow(t, raw, "slow")
			_, ctl, err := c.ReceiveDescriptor(hung(t), make([]byte, 10))
			require.NoError(t, err)
			ctl.Close()
		},
		"not received": func(c *socket.Conn, raw int) {
			sendSlow(t, raw, "slow")
		},
		"behind others": func(c *socket.Conn, raw int) {
			sendDescriptors(t, raw, "others")
			sendDescriptors(t, raw, "")
			sendSlow(t, raw, "")
			sendDescriptors(t, raw, "others")
		},
		"before it is refused": func(c *socket.Conn, raw int) {
			sendDescriptors(t, raw, "others")
			sendSlow(t, raw, "slow")
			if refusing(raw) {
				require.ErrorIs(t, c.RefuseDescriptors(), socket.ErrDescriptor)
			}
		},
		"doorbell": func(c *socket.Conn, raw int) {
			require.NoError(t, c.StopCredentials())
			sendSlow(t, raw, "bell")
			require.ErrorIs(t, c.Drain(func() {}), socket.ErrDescriptor)
		},
	}
	const each = 20
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			files := openFiles()
			conns := make([]*socket.Conn, each)
			for i := range conns {
				var raw int
				conns[i], raw = rawPair(t)
				way(conns[i], raw)
			}
			before := threads(t)
			for _, c := range conns {
				require.NoError(t, c.Close())
			}
			require.LessOrEqual(t, threads(t), before+fewThreads)
			require.Equal(t, files+2*each, openFiles()) // the other ends, and those that do not read
		})
	}
}

// fewThreads is how many more than goroutines that wait the runtime may start.
const fewThreads = 10

// TestFrameWithDescriptor: it ends the link.
func TestFrameWithDescriptor(t *testing.T) {
	c, raw := rawPair(t)
	require.NoError(t, unix.Send(raw, []byte("hello"), 0))
	l := newLink(t, c, credentials(t, c))
	sendDescriptors(t, raw, "\x00good")
	sendSlow(t, raw, "\x00bad")
	sendDescriptors(t, raw, "\x00good")
	frame, err := l.ReadFrame(hung(t))
	require.NoError(t, err)
	require.Equal(t, "good", string(frame))
	for range 2 {
		_, err = l.ReadFrame(hung(t))
		require.ErrorIs(t, err, link.ErrProtocol)
	}
	await(t, l.Gone().Done())
	for err = nil; err == nil; { // a write does not wait for room, which never comes
		err = l.WriteFrame(hung(t), nil, make([]byte, 1000))
	}
	require.ErrorIs(t, err, link.ErrClosed)
}
