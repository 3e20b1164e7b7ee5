package peercred_test

import (
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/peer/internal/peercred"
	"github.com/sealport/sealport/peer/internal/pidfd"
	"github.com/sealport/sealport/peer/internal/pidfd/pidfdtest"
)

func TestMain(m *testing.M) {
	pidfdtest.Main(nil)
	leaktest.Main(m)
}

// TestGet asks for the credentials of another process, of another user with more
// groups than fit at first if it can start one.
func TestGet(t *testing.T) {
	dir, err := os.MkdirTemp("", "peercred")
	require.NoError(t, err)
	defer os.RemoveAll(dir)
	require.NoError(t, os.Chmod(dir, 0o755))
	path := filepath.Join(dir, "s")
	listener, err := net.Listen("unixpacket", path)
	require.NoError(t, err)
	defer listener.Close()
	require.NoError(t, os.Chmod(path, 0o777))

	attr, uid, gid := &syscall.SysProcAttr{}, os.Geteuid(), os.Getegid()
	var groups []uint32
	if uid == 0 {
		uid, gid = 1234, 2345
		for g := range uint32(1000) {
			groups = append(groups, 10_000+g)
		}
		attr.Credential = &syscall.Credential{Uid: 1234, Gid: 2345, Groups: groups}
	}
	child := pidfdtest.Start(t, attr)
	child.Do("dial", path)
	conn, err := listener.Accept()
	require.NoError(t, err)
	defer conn.Close()
	k, err := peercred.Get(conn.(*net.UnixConn))
	require.NoError(t, err)
	defer pidfd.Close(k.PIDFD)
	assert.Equal(t, cred.UCred{PID: int32(child.PID()), UID: uint32(uid), GID: uint32(gid)}, k.Socket)
	if groups != nil {
		assert.Equal(t, groups, k.Groups)
	}
	number, err := pidfd.Number(k.PIDFD)
	require.NoError(t, err)
	assert.Equal(t, child.PID(), number)
}

// TestNoCredentials has what has no other end, or none that the kernel knows of.
func TestNoCredentials(t *testing.T) {
	dir := t.TempDir()
	address := func(name, network string) *net.UnixAddr {
		return &net.UnixAddr{Name: filepath.Join(dir, name), Net: network}
	}
	listener, err := net.ListenUnix("unix", address("stream", "unix"))
	require.NoError(t, err)
	defer listener.Close()
	_, err = peercred.Get(listener)
	require.ErrorIs(t, err, peercred.ErrNotConnected)

	datagrams, err := net.ListenUnixgram("unixgram", address("datagram", "unixgram"))
	require.NoError(t, err)
	defer datagrams.Close()
	_, err = peercred.Get(datagrams)
	require.ErrorIs(t, err, peercred.ErrNotConnected)
	connected, err := net.DialUnix("unixgram", nil, address("datagram", "unixgram"))
	require.NoError(t, err)
	defer connected.Close()
	_, err = peercred.Get(connected)
	require.ErrorIs(t, err, peercred.ErrDatagram)

	file, err := os.Open(dir)
	require.NoError(t, err)
	defer file.Close()
	_, err = peercred.Get(file)
	require.ErrorIs(t, err, syscall.ENOTSOCK)

	require.NoError(t, connected.Close())
	_, err = peercred.Get(connected)
	require.ErrorIs(t, err, net.ErrClosed)
	k, err := peercred.Get(&net.UnixConn{})
	require.ErrorIs(t, err, syscall.EINVAL)
	require.Nil(t, k)
}

// TestNoDescriptors: that says nothing about the other end. No test may run beside it.
func TestNoDescriptors(t *testing.T) {
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_SEQPACKET|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	defer syscall.Close(pair[1])
	end := os.NewFile(uintptr(pair[0]), "end")
	defer end.Close()
	k, err := peercred.Get(end)
	require.NoError(t, err)
	require.NoError(t, pidfd.Close(k.PIDFD))

	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	few := limit
	few.Cur = 0
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few))
	k, err = peercred.Get(end)
	old, oldErr := peercred.WithoutPIDFD(&peercred.Credentials{Socket: cred.UCred{PID: int32(os.Getpid())}}, syscall.ENOPROTOOPT)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	require.ErrorIs(t, err, syscall.EMFILE)
	require.Nil(t, k)
	require.ErrorIs(t, oldErr, syscall.EMFILE)
	require.Nil(t, old)
}

// TestWithoutPIDFD is what kernels without SO_PEERPIDFD allow, and what they answer for
// processes that have exited.
func TestWithoutPIDFD(t *testing.T) {
	child := pidfdtest.Start(t, nil)
	of := func(pid int) *peercred.Credentials { return &peercred.Credentials{Socket: cred.UCred{PID: int32(pid)}} }
	k, err := peercred.WithoutPIDFD(of(child.PID()), syscall.ENOPROTOOPT)
	require.NoError(t, err)
	defer pidfd.Close(k.PIDFD)
	assert.True(t, k.ByNumber)
	number, err := pidfd.Number(k.PIDFD)
	require.NoError(t, err)
	assert.Equal(t, child.PID(), number)
	for errno, want := range map[syscall.Errno]error{
		syscall.EINVAL: peercred.ErrExited, syscall.ESRCH: peercred.ErrExited, syscall.EPERM: syscall.EPERM,
	} {
		k, err := peercred.WithoutPIDFD(of(child.PID()), errno)
		require.ErrorIs(t, err, want)
		require.Nil(t, k)
	}

	child.End()
	_, err = peercred.WithoutPIDFD(of(child.PID()), syscall.ENOPROTOOPT)
	require.ErrorIs(t, err, peercred.ErrExited)
	_, err = peercred.WithoutPIDFD(of(0), syscall.ENOPROTOOPT)
	require.ErrorIs(t, err, pidfd.ErrForeign, "pid 0 is outside of our pid namespace")
}
