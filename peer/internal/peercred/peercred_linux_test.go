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

// TestByNumber is what kernels without SO_PEERPIDFD allow.
func TestByNumber(t *testing.T) {
	child := pidfdtest.Start(t, nil)
	k, err := peercred.ByNumber(&peercred.Credentials{Socket: cred.UCred{PID: int32(child.PID())}})
	require.NoError(t, err)
	defer pidfd.Close(k.PIDFD)
	assert.True(t, k.ByNumber)
	number, err := pidfd.Number(k.PIDFD)
	require.NoError(t, err)
	assert.Equal(t, child.PID(), number)

	child.End()
	_, err = peercred.ByNumber(&peercred.Credentials{Socket: cred.UCred{PID: int32(child.PID())}})
	require.ErrorIs(t, err, peercred.ErrExited)
	_, err = peercred.ByNumber(&peercred.Credentials{})
	require.ErrorIs(t, err, pidfd.ErrForeign, "pid 0 is outside of our pid namespace")
}
