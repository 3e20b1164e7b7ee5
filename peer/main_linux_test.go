package peer_test

import (
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/peer"
	"github.com/sealport/sealport/peer/internal/pidfd"
	"github.com/sealport/sealport/peer/internal/pidfd/pidfdtest"
)

func TestMain(m *testing.M) {
	pidfdtest.Main(map[string]func([]string) (string, error){
		"binding": ownBinding, "bind": bindMount, "net-dial": netDial, "net-listen": netListen,
		"net-give": netGive, "setgroups": setGroups,
	})
	leaktest.Main(m)
}

// netDial is a command of children: NETWORK PATH. The connection stays open.
func netDial(args []string) (string, error) {
	c, err := net.Dial(args[0], args[1])
	kept = append(kept, c)
	return "", err
}

// netGive is a command of children: NETWORK PATH TO. It dials PATH, and sends a copy of
// its end to the process that listens on TO.
func netGive(args []string) (string, error) {
	if _, err := netDial(args[:2]); err != nil {
		return "", err
	}
	end, err := kept[len(kept)-1].(*net.UnixConn).File()
	if err != nil {
		return "", err
	}
	defer end.Close()
	to, err := net.DialUnix("unix", nil, &net.UnixAddr{Net: "unix", Name: args[2]})
	if err != nil {
		return "", err
	}
	defer to.Close()
	_, _, err = to.WriteMsgUnix([]byte{0}, syscall.UnixRights(int(end.Fd())), nil)
	return "", err
}

// setGroups is a command of children: GROUP is the only supplementary group from now on.
func setGroups(args []string) (string, error) {
	group, err := strconv.Atoi(args[0])
	if err != nil {
		return "", err
	}
	return "", syscall.Setgroups([]int{group})
}

// netListen is a command of children: NETWORK PATH. Nothing is accepted.
func netListen(args []string) (string, error) {
	l, err := net.Listen(args[0], args[1])
	kept = append(kept, l)
	return "", err
}

// kept are what must not be closed by the garbage collector.
var kept []io.Closer

// ownBinding is a command of children.
func ownBinding([]string) (string, error) {
	id, err := peer.Self()
	if err != nil {
		return "", err
	}
	defer id.Close()
	return hex.EncodeToString(id.Binding()), nil
}

// bindMount is a command of children: SOURCE appears at TARGET.
func bindMount(args []string) (string, error) {
	return "", syscall.Mount(args[0], args[1], "", syscall.MS_BIND, "")
}

// site is where the peers of one test connect to.
type site struct {
	t        testing.TB
	path     string
	listener *pidfdtest.Conn
}

func newSite(t testing.TB) *site {
	t.Helper()
	needKernel(t)
	dir := publicDir(t)
	s := &site{t: t, path: filepath.Join(dir, "s")}
	var err error
	s.listener, err = pidfdtest.Listen(s.path)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.listener.Close()) })
	return s
}

// publicDir returns a directory that other users can enter, which t.TempDir's are not.
func publicDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "peer")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// receive takes the next hello.
func (s *site) receive() *cred.Credentials {
	s.t.Helper()
	conn, err := s.listener.Accept()
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, conn.Close()) })
	_, c, err := conn.Receive()
	require.NoError(s.t, err)
	s.t.Cleanup(func() { require.NoError(s.t, c.Close()) })
	return c
}

// identify takes the next hello and makes an identity of it.
func (s *site) identify() *peer.Identity {
	s.t.Helper()
	return identify(s.t, s.receive())
}

func identify(t testing.TB, c *cred.Credentials) *peer.Identity {
	t.Helper()
	id, err := peer.Identify(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, id.Close()) })
	return id
}

// connect starts a child that has said hello.
func (s *site) connect(attr *syscall.SysProcAttr) (*pidfdtest.Child, *peer.Identity) {
	s.t.Helper()
	c := pidfdtest.Start(s.t, attr)
	c.Do("dial", s.path)
	c.Do("hello")
	return c, s.identify()
}

// as is the attribute of a child with other ids than ours.
func as(uid, gid uint32, groups ...uint32) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
}

// needKernel skips a test on kernels that tell less of a process than these tests
// expect. What remains there is tested in weak_linux_test.go.
func needKernel(t testing.TB) {
	t.Helper()
	fd, err := pidfd.Open(os.Getpid())
	require.NoError(t, err)
	defer pidfd.Close(fd)
	if _, err := pidfd.GetInfo(fd); errors.Is(err, pidfd.ErrNoInfo) {
		t.Skip("needs PIDFD_GET_INFO (Linux 6.13)")
	}
}

// needRoot skips a test that needs processes of several users.
func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 && !inside() {
		t.Skip("needs root (CAP_SETUID, CAP_SETGID, CAP_SYS_ADMIN)")
	}
}

// copyProgram returns the path of a copy of this test's program.
func copyProgram(t testing.TB) string {
	t.Helper()
	in, err := os.Open("/proc/self/exe")
	require.NoError(t, err)
	defer in.Close()
	path := filepath.Join(publicDir(t), "copy")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	require.NoError(t, err)
	_, err = io.Copy(out, in)
	require.NoError(t, err)
	require.NoError(t, out.Close())
	return path
}

// program is the path of this test's program.
func program(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	require.NoError(t, err)
	return path
}

// insideEnv tells a test that it runs in the namespaces that it asked for.
const insideEnv = "SEALPORT_PEER_INSIDE"

func inside() bool { return os.Getenv(insideEnv) != "" }

// runInside runs the calling test again in another process with this attribute,
// and fails unless it passes there. files become descriptors from 3 on.
func runInside(t testing.TB, attr *syscall.SysProcAttr, files ...*os.File) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), insideEnv+"=1", "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr, cmd.ExtraFiles = attr, files
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	// A test that was not run, or skipped, passes too.
	require.True(t, strings.Contains(string(out), "--- PASS: "+t.Name()+" "), "%s", out)
}
