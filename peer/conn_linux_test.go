package peer_test

import (
	"encoding/hex"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/peer/internal/peercred"
	"github.com/sealport/sealport/peer/internal/pidfd"
	"github.com/sealport/sealport/peer/internal/pidfd/pidfdtest"
)

// daemon is an ordinary listener that knows nothing of this module.
type daemon struct {
	t        testing.TB
	network  string
	path     string
	listener *net.UnixListener
}

func newDaemon(t testing.TB, network string) daemon {
	t.Helper()
	needKernel(t)
	path := filepath.Join(publicDir(t), "s")
	l, err := net.ListenUnix(network, &net.UnixAddr{Net: network, Name: path})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, l.Close()) })
	require.NoError(t, os.Chmod(path, 0o777))
	return daemon{t, network, path, l}
}

func (d daemon) accept() *net.UnixConn {
	d.t.Helper()
	c, err := d.listener.AcceptUnix()
	require.NoError(d.t, err)
	d.t.Cleanup(func() { c.Close() })
	return c
}

// connect starts a child that has connected.
func (d daemon) connect(attr *syscall.SysProcAttr) (*pidfdtest.Child, *net.UnixConn) {
	d.t.Helper()
	child := pidfdtest.Start(d.t, attr)
	child.Do("net-dial", d.network, d.path)
	return child, d.accept()
}

func fromConn(t testing.TB, c *net.UnixConn) *peer.Identity {
	t.Helper()
	id, err := peer.FromConn(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, id.Close()) })
	return id
}

// unixConn makes a connection of a descriptor, which it takes over.
func unixConn(t testing.TB, fd int) *net.UnixConn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "socket")
	defer f.Close()
	c, err := net.FileConn(f)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c.(*net.UnixConn)
}

// TestFromConn identifies a client that a daemon accepted, and a daemon that a client dialled.
func TestFromConn(t *testing.T) {
	for _, network := range []string{"unix", "unixpacket"} {
		t.Run(network, func(t *testing.T) {
			child, conn := newDaemon(t, network).connect(nil)
			requireIdentityOf(t, child, fromConn(t, conn))

			path := filepath.Join(t.TempDir(), "s")
			server := pidfdtest.Start(t, nil)
			server.Do("net-listen", network, path)
			dialled, err := net.Dial(network, path)
			require.NoError(t, err)
			defer dialled.Close()
			requireIdentityOf(t, server, fromConn(t, dialled.(*net.UnixConn)))
		})
	}
}

func requireIdentityOf(t *testing.T, child *pidfdtest.Child, id *peer.Identity) {
	t.Helper()
	require.Equal(t, uint32(child.PID()), id.Token().PID())
	require.Equal(t, child.Do("binding"), hex.EncodeToString(id.Binding()), "the same identity as any other way")
	require.Equal(t, peer.Connector{PID: uint32(child.PID()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}, id.Connector())
	requireAnswer(t, allowed, peer.Default(), id)
	requireAnswer(t, allowed, peer.Executable(program(t)), id)
	requireAnswer(t, allowed, peer.Descendant(), id)
	require.NoError(t, id.Recheck(t.Context()))
}

// TestFromConnOfASocketpair: this process made both ends, though a child holds one.
func TestFromConnOfASocketpair(t *testing.T) {
	needKernel(t)
	for name, kind := range map[string]int{"stream": syscall.SOCK_STREAM, "seqpacket": syscall.SOCK_SEQPACKET, "dgram": syscall.SOCK_DGRAM} {
		t.Run(name, func(t *testing.T) {
			pair, err := syscall.Socketpair(syscall.AF_UNIX, kind|syscall.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			ours, theirs := unixConn(t, pair[0]), os.NewFile(uintptr(pair[1]), "theirs")
			defer theirs.Close()
			pidfdtest.Start(t, nil, theirs)
			assert.Equal(t, uint32(os.Getpid()), fromConn(t, ours).Token().PID())
		})
	}
}

// TestFromConnOfAnInheritedConnection: the process that connected counts, not the
// one that was handed the connection and writes to it.
func TestFromConnOfAnInheritedConnection(t *testing.T) {
	d := newDaemon(t, "unixpacket")
	child := pidfdtest.Start(t, nil, dialled(t, &site{path: d.path}))
	child.Do("adopt", 3)
	child.Do("hello")
	assert.Equal(t, uint32(os.Getpid()), fromConn(t, d.accept()).Token().PID())
}

// TestFromConnOfAnotherUser has the groups of then, not those of now.
func TestFromConnOfAnotherUser(t *testing.T) {
	needRoot(t)
	_, conn := newDaemon(t, "unix").connect(as(1234, 2345, 7, 8))
	id := fromConn(t, conn)
	assert.Equal(t, peer.Connector{PID: id.Token().PID(), UID: 1234, GID: 2345}, id.Connector())
	requireAnswer(t, allowed, peer.UIDs(1234), id)
	requireAnswer(t, refused, peer.Default(), id)
	requireAnswer(t, allowed, peer.GIDs(2345), id)
	requireAnswer(t, allowed, peer.GIDs(8, 9), id)
	requireAnswer(t, refused, peer.GIDs(9), id)
	groups, err := id.Groups()
	require.NoError(t, err)
	require.Equal(t, []uint32{7, 8}, groups)
	groups[0] = 9
	requireAnswer(t, refused, peer.GIDs(9), id)

	child, conn := newDaemon(t, "unix").connect(as(0, 0, 7, 8))
	child.Do("setgroups", 9)
	later := fromConn(t, conn)
	requireAnswer(t, allowed, peer.GIDs(8), later)
	requireAnswer(t, refused, peer.GIDs(9), later)

	assert.Equal(t, peer.Assurance{Kernel: true, Moment: peer.AtConnect, PIDReuse: true}, id.Assurance(peer.AttributeGroups))
	assert.Equal(t, peer.Assurance{Kernel: true, Moment: peer.AtConnect, PIDReuse: true}, id.Assurance(peer.AttributeLabel))
	assert.Equal(t, peer.Assurance{Kernel: true, Moment: peer.AtLook, PIDReuse: true}, id.Assurance(peer.AttributeIDs))
	assert.Equal(t, peer.Assurance{Kernel: true, Moment: peer.ForLife, PIDReuse: true}, id.Assurance(peer.AttributeProcess))
}

// TestFromConnAfterIDsChanged: a process that takes other rights must not lend
// them to a connection that it made with those it had.
func TestFromConnAfterIDsChanged(t *testing.T) {
	needRoot(t)
	d := newDaemon(t, "unix")
	for _, change := range []string{"setresuid", "setresgid"} {
		child, conn := d.connect(nil)
		id := fromConn(t, conn)
		child.Do(change, -1, 1234, -1)
		_, err := peer.FromConn(conn)
		require.ErrorIs(t, err, peer.ErrChanged)
		require.ErrorIs(t, peer.Check(t.Context(), nil, id), peer.ErrChanged)
	}
}

// TestFromConnOfAProcessThatExited: also while another process holds its end.
func TestFromConnOfAProcessThatExited(t *testing.T) {
	d, holder := newDaemon(t, "unix"), newDaemon(t, "unix")
	child := pidfdtest.Start(t, nil)
	child.Do("net-give", d.network, d.path, holder.path)
	conn := d.accept()
	rights := make([]byte, 64)
	_, n, _, _, err := holder.accept().ReadMsgUnix(make([]byte, 1), rights)
	require.NoError(t, err)
	messages, err := syscall.ParseSocketControlMessage(rights[:n])
	require.NoError(t, err)
	require.Len(t, messages, 1)
	fds, err := syscall.ParseUnixRights(&messages[0])
	require.NoError(t, err)
	held := unixConn(t, fds[0]) // by this process

	id := fromConn(t, conn)
	assert.Equal(t, uint32(child.PID()), id.Token().PID())
	child.End()
	_, err = held.Write([]byte("x"))
	require.NoError(t, err)
	_, err = conn.Read(make([]byte, 1))
	require.NoError(t, err, "the connection lives")
	_, err = peer.FromConn(conn)
	require.ErrorIs(t, err, peer.ErrGone)
	require.ErrorIs(t, peer.Check(t.Context(), nil, id), peer.ErrGone)
}

func TestFromConnOutsideOurPIDNamespace(t *testing.T) {
	needRoot(t)
	if !inside() {
		s := newSite(t)
		dialled(t, s)
		runInside(t, pidNamespace, inherit(t, s))
		return
	}
	mountProc(t)
	l, err := net.FileListener(os.NewFile(3, "listener"))
	require.NoError(t, err)
	defer l.Close()
	c, err := l.Accept()
	require.NoError(t, err)
	defer c.Close()
	_, err = peer.FromConn(c.(*net.UnixConn))
	require.ErrorIs(t, err, peer.ErrUnavailable)
}

func TestFromConnWithoutAnotherEnd(t *testing.T) {
	dir := t.TempDir()
	unconnected, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "d")})
	require.NoError(t, err)
	defer unconnected.Close()
	datagram, err := net.Dial("unixgram", filepath.Join(dir, "d"))
	require.NoError(t, err)
	defer datagram.Close()
	file, err := newDaemon(t, "unix").listener.File()
	require.NoError(t, err)
	defer file.Close()
	fd, err := syscall.Dup(int(file.Fd()))
	require.NoError(t, err)
	for name, c := range map[string]*net.UnixConn{
		"nil": nil, "unconnected": unconnected, "datagram": datagram.(*net.UnixConn), "listener": unixConn(t, fd),
	} {
		_, err := peer.FromConn(c)
		assert.ErrorIs(t, err, peer.ErrNoIdentity, name)
	}
	_, err = peer.FromConn(unconnected)
	require.ErrorIs(t, err, peercred.ErrNotConnected)
	_, err = peer.FromConn(datagram.(*net.UnixConn))
	require.ErrorIs(t, err, peercred.ErrDatagram)
}

// TestFromConnOfAClosedConnection: the number of its descriptor is that of another
// connection by now.
func TestFromConnOfAClosedConnection(t *testing.T) {
	d := newDaemon(t, "unix")
	_, first := d.connect(nil)
	require.NoError(t, first.Close())
	child, second := d.connect(nil)
	_, err := peer.FromConn(first)
	require.ErrorIs(t, err, net.ErrClosed)
	require.NotErrorIs(t, err, peer.ErrNoIdentity, "that is for others")
	assert.Equal(t, uint32(child.PID()), fromConn(t, second).Token().PID())
}

// TestFromConnLabel: the label is that of the peer's end, and the pid that of the pidfd.
func TestFromConnLabel(t *testing.T) {
	needKernel(t)
	child := pidfdtest.Start(t, nil)
	fd, err := pidfd.Open(child.PID())
	require.NoError(t, err)
	id, err := peer.IdentifyConn(&peercred.Credentials{
		Socket: cred.UCred{PID: int32(os.Getpid()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())},
		PIDFD:  fd, Label: "system_u:system_r:x_t:s0\x00",
	})
	require.NoError(t, err)
	defer id.Close()
	requireAnswer(t, allowed, peer.Label("system_u:system_r:x_t:s0"), id)
	requireAnswer(t, refused, peer.Label("y"), id)
	require.Equal(t, uint32(child.PID()), id.Token().PID())
}

// TestFromConnByNumber is Linux before 6.5: a process with the pid and the ids of
// the peer is believed to be the peer as far as users go.
func TestFromConnByNumber(t *testing.T) {
	needKernel(t)
	child := pidfdtest.Start(t, nil)
	get := func(u cred.UCred) (*peer.Identity, error) {
		fd, err := pidfd.Open(child.PID())
		require.NoError(t, err)
		return peer.IdentifyConn(&peercred.Credentials{Socket: u, PIDFD: fd, ByNumber: true})
	}
	same := cred.UCred{PID: int32(child.PID()), UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	id, err := get(same)
	require.NoError(t, err)
	defer id.Close()
	requireAnswer(t, allowed, peer.Default(), id)
	for _, p := range []peer.Policy{
		peer.Executable(program(t)), peer.ExecutableDigest(ownDigest(t)), peer.Unit("x.service"), peer.Descendant(),
	} {
		requireAnswer(t, unknown, p, id)
	}
	for a := peer.AttributeIDs; a <= peer.AttributeSignature; a++ {
		if a != peer.AttributeGroups && a != peer.AttributeLabel { // the socket has kept those
			assert.False(t, id.Assurance(a).PIDReuse, a)
		}
	}
	for _, other := range []cred.UCred{{PID: same.PID, UID: same.UID + 1, GID: same.GID}, {PID: same.PID, UID: same.UID, GID: same.GID + 1}} {
		_, err := get(other)
		require.ErrorIs(t, err, peer.ErrChanged)
	}
	fd, err := pidfd.Open(child.PID())
	require.NoError(t, err)
	child.End()
	_, err = peer.IdentifyConn(&peercred.Credentials{Socket: same, PIDFD: fd, ByNumber: true})
	require.ErrorIs(t, err, peer.ErrGone)
}

func openPidfd(t testing.TB, pid int) int {
	t.Helper()
	fd, err := pidfd.Open(pid)
	require.NoError(t, err)
	t.Cleanup(func() {
		if err := pidfd.Close(fd); err != nil && !errors.Is(err, syscall.EBADF) {
			t.Error(err)
		}
	})
	return fd
}

// TestFromPIDFD: the identity keeps a descriptor of its own.
func TestFromPIDFD(t *testing.T) {
	needKernel(t)
	child := pidfdtest.Start(t, nil)
	fd, err := pidfd.Open(child.PID())
	require.NoError(t, err)
	id, err := peer.FromPIDFD(child.PID(), fd)
	require.NoError(t, err)
	defer id.Close()
	require.NoError(t, pidfd.Close(fd), "the caller's is the caller's")
	another := openPidfd(t, os.Getpid()) // with that number, most likely
	require.NoError(t, id.Alive())
	require.Equal(t, uint32(child.PID()), id.Token().PID())
	require.Equal(t, child.Do("binding"), hex.EncodeToString(id.Binding()))
	require.Zero(t, id.Connector())
	requireAnswer(t, allowed, peer.AllOf(peer.Default(), peer.Executable(program(t)), peer.Descendant()), id)
	requireAnswer(t, unknown, peer.Label("x"), id)

	_, err = peer.FromPIDFD(child.PID(), another)
	require.ErrorIs(t, err, peer.ErrContradiction, "it is this process's")
	require.NoError(t, id.Close())
	self, err := peer.FromPIDFD(os.Getpid(), another)
	require.NoError(t, err, "no failure has closed it")
	require.NoError(t, self.Close())
}

func TestFromPIDFDOfAProcessThatExited(t *testing.T) {
	needKernel(t)
	child := pidfdtest.Start(t, nil)
	fd := openPidfd(t, child.PID())
	id, err := peer.FromPIDFD(child.PID(), fd)
	require.NoError(t, err)
	defer id.Close()
	require.NoError(t, syscall.Kill(child.PID(), syscall.SIGKILL))
	require.NoError(t, pidfdtest.WaitExit(fd))
	_, err = peer.FromPIDFD(child.PID(), fd)
	require.ErrorIs(t, err, peer.ErrGone, "not reaped yet")
	child.End()
	_, err = peer.FromPIDFD(child.PID(), fd)
	require.ErrorIs(t, err, peer.ErrGone)
	require.ErrorIs(t, peer.Check(t.Context(), nil, id), peer.ErrGone)
}

func TestFromPIDFDOfSomethingElse(t *testing.T) {
	needKernel(t)
	f, err := os.Open("/proc/self/status")
	require.NoError(t, err)
	defer f.Close()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	epoll, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC) // an anonymous inode, as pidfds had
	require.NoError(t, err)
	defer syscall.Close(epoll)
	for name, fd := range map[string]int{"file": int(f.Fd()), "pipe": int(r.Fd()), "epoll": epoll, "closed": 1 << 20, "negative": -1} {
		_, err := peer.FromPIDFD(os.Getpid(), fd)
		assert.ErrorIs(t, err, peer.ErrNoIdentity, name)
	}
	own := openPidfd(t, os.Getpid())
	for _, pid := range []int{0, -1} {
		_, err := peer.FromPIDFD(pid, own)
		assert.ErrorIs(t, err, peer.ErrNoIdentity, pid)
	}
	if wide := int64(1) << 32; strconv.IntSize == 64 {
		_, err := peer.FromPIDFD(os.Getpid()+int(wide), own)
		assert.ErrorIs(t, err, peer.ErrContradiction, "equal in 32 bits")
	}
}
