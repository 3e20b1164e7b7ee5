package pidfd_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/peer/internal/pidfd"
	"github.com/sealport/sealport/peer/internal/pidfd/pidfdtest"
)

func TestMain(m *testing.M) {
	pidfdtest.Main(nil)
	leaktest.Main(m)
}

func open(t *testing.T, pid int) int {
	t.Helper()
	fd, err := pidfd.Open(pid)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pidfd.Close(fd)) })
	return fd
}

// TestProcAgreesWithTheKernel: kernels without PIDFD_GET_INFO read the same from
// /proc.
func TestProcAgreesWithTheKernel(t *testing.T) {
	attr := &syscall.SysProcAttr{}
	groups := make([]uint32, 1000) // far more text than what is read at first
	for i := range groups {
		groups[i] = uint32(i + 3)
	}
	if os.Geteuid() == 0 {
		attr.Credential = &syscall.Credential{Uid: 1, Gid: 2, Groups: groups}
	}
	child := pidfdtest.Start(t, attr)
	fd := open(t, child.PID())
	kernel, err := pidfd.GetInfo(fd)
	if err != nil {
		require.ErrorIs(t, err, pidfd.ErrNoInfo)
		t.Skip("needs PIDFD_GET_INFO (Linux 6.13)")
	}
	assert.Equal(t, uint32(os.Getpid()), kernel.PPID)
	assert.Equal(t, uint32(child.PID()), kernel.PID)
	proc, err := pidfd.ReadStatus(fd)
	require.NoError(t, err)
	assert.Equal(t, kernel.IDs, proc.IDs)
	if attr.Credential != nil {
		assert.Equal(t, pidfd.IDs{RUID: 1, EUID: 1, SUID: 1, RGID: 2, EGID: 2, SGID: 2}, kernel.IDs)
		assert.Equal(t, groups, proc.Groups)
	}
	for _, same := range []func(int) (bool, error){pidfd.SameUserNamespace, pidfd.UserNamespaceByProc, pidfd.SamePIDNamespace} {
		ours, err := same(fd)
		require.NoError(t, err)
		assert.True(t, ours)
	}
}

// TestOtherNamespaces tells a child's namespaces from ours.
func TestOtherNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root (CAP_SYS_ADMIN)")
	}
	child := pidfdtest.Start(t, &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWPID,
		UidMappings: []syscall.SysProcIDMap{{HostID: 1, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: 1, Size: 1}},
	})
	fd := open(t, child.PID())
	for _, same := range []func(int) (bool, error){pidfd.SameUserNamespace, pidfd.UserNamespaceByProc, pidfd.SamePIDNamespace} {
		ours, err := same(fd)
		require.NoError(t, err)
		assert.False(t, ours)
	}
}

// TestSessionOfALogin has a process with an audit login uid, which it inherits from
// the thread that started it.
func TestSessionOfALogin(t *testing.T) {
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	if err := os.WriteFile("/proc/thread-self/loginuid", []byte("1234"), 0); err != nil {
		t.Skipf("needs audit (CONFIG_AUDIT, CAP_AUDIT_CONTROL): %v", err)
	}
	loginuid, sessionid, err := pidfd.ReadSession(open(t, pidfdtest.Start(t, nil).PID()))
	require.NoError(t, err)
	assert.Equal(t, uint32(1234), loginuid)
	assert.NotEqual(t, ^uint32(0), sessionid)
}

func TestInodeIsTheProcess(t *testing.T) {
	one, two := pidfdtest.Start(t, nil), pidfdtest.Start(t, nil)
	first, err := pidfd.Inode(open(t, one.PID()))
	require.NoError(t, err)
	if first == 0 {
		t.Skip("needs pidfs (Linux 6.9)")
	}
	again, err := pidfd.Inode(open(t, one.PID()))
	require.NoError(t, err)
	second, err := pidfd.Inode(open(t, two.PID()))
	require.NoError(t, err)
	assert.Equal(t, first, again)
	assert.NotEqual(t, first, second)
}

// TestNothingIsBelievedOfTheDead: each look at a process that has exited says so.
func TestNothingIsBelievedOfTheDead(t *testing.T) {
	child := pidfdtest.Start(t, nil)
	fd := open(t, child.PID())
	require.NoError(t, pidfd.Alive(fd))
	// Not reaped: the kernel still answers, about a process that is no more.
	require.NoError(t, syscall.Kill(child.PID(), syscall.SIGKILL))
	require.NoError(t, pidfdtest.WaitExit(fd))
	requireExited(t, fd)
	child.End()
	requireExited(t, fd)
	_, err := pidfd.GetInfo(fd)
	require.ErrorIs(t, err, pidfd.ErrExited, "reaped")
	_, err = pidfd.Number(fd)
	require.ErrorIs(t, err, pidfd.ErrExited, "reaped")
}

func requireExited(t *testing.T, fd int) {
	t.Helper()
	_, status := pidfd.ReadStatus(fd)
	_, cgroup := pidfd.ReadCgroup(fd)
	_, _, session := pidfd.ReadSession(fd)
	_, _, exe := pidfd.StatExe(fd)
	_, file := pidfd.OpenExe(fd)
	_, users := pidfd.UserNamespaceByProc(fd)
	for name, err := range map[string]error{
		"alive": pidfd.Alive(fd), "status": status, "cgroup": cgroup, "session": session, "exe": exe, "file": file, "users": users,
		"descent": pidfd.ProveDescent(fd),
	} {
		assert.ErrorIs(t, err, pidfd.ErrExited, name)
	}
}

// TestPidfdOfAThreadIsNone: its inode and its end are the thread's.
func TestPidfdOfAThreadIsNone(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	// Of two threads, one at least is not the process's first.
	other, done := make(chan int), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		other <- unix.Gettid()
		<-done
	}()
	defer close(done)
	tid := <-other
	if tid == os.Getpid() {
		tid = unix.Gettid()
	}
	fd, err := unix.PidfdOpen(tid, unix.PIDFD_THREAD)
	if errors.Is(err, unix.EINVAL) {
		t.Skip("needs PIDFD_THREAD (Linux 6.9)")
	}
	require.NoError(t, err)
	defer unix.Close(fd)
	number, err := pidfd.Number(fd)
	require.NoError(t, err)
	assert.Equal(t, tid, number)
	if _, err = pidfd.GetInfo(fd); errors.Is(err, pidfd.ErrNoInfo) {
		t.Skip("needs PIDFD_GET_INFO (Linux 6.13)")
	}
	require.ErrorIs(t, err, pidfd.ErrThread)
}

func TestOtherDescriptorsAreNoPidfds(t *testing.T) {
	f, err := os.Open("/proc/self/status")
	require.NoError(t, err)
	defer f.Close()
	fd := int(f.Fd())
	_, err = pidfd.Inode(fd)
	require.ErrorIs(t, err, pidfd.ErrNotPidfd)
	_, err = pidfd.ReadStatus(fd)
	require.ErrorIs(t, err, pidfd.ErrNotPidfd)
	_, err = pidfd.GetInfo(fd)
	require.ErrorIs(t, err, pidfd.ErrNoInfo)
	require.ErrorIs(t, pidfd.Alive(1<<20), pidfd.ErrNotPidfd)
	r, w, err := os.Pipe() // which polls as a living process does
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	_, err = pidfd.SamePIDNamespace(int(r.Fd()))
	require.ErrorIs(t, err, unix.ENOTTY)
}

// TestTracksWrites: a digest may be cached only where a write by anybody would show.
func TestTracksWrites(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o755))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	fd := int(f.Fd())
	for _, mode := range []os.FileMode{0o775, 0o757} {
		require.NoError(t, f.Chmod(mode))
		assert.False(t, pidfd.TracksWrites(fd), "%v", mode)
	}
	require.NoError(t, f.Chmod(0o755))
	var fs unix.Statfs_t
	require.NoError(t, unix.Fstatfs(fd, &fs))
	tracks := uint32(fs.Type) == unix.EXT4_SUPER_MAGIC || uint32(fs.Type) == unix.XFS_SUPER_MAGIC || uint32(fs.Type) == unix.BTRFS_SUPER_MAGIC
	assert.Equal(t, tracks, pidfd.TracksWrites(fd), "file system %#x", fs.Type)
	if os.Geteuid() == 0 {
		require.NoError(t, f.Chown(12_345, 0))
		assert.False(t, pidfd.TracksWrites(fd), "another user's")
	}

	memory, err := unix.MemfdCreate("file", unix.MFD_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(memory)
	require.NoError(t, unix.Fchmod(memory, 0o755))
	assert.False(t, pidfd.TracksWrites(memory), "tmpfs")
}

func TestMeasureVerity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	_, _, err = pidfd.MeasureVerity(int(f.Fd()))
	require.ErrorIs(t, err, pidfd.ErrNoVerity, "it is not enabled")

	fsverity, err := exec.LookPath("fsverity")
	if err != nil {
		t.Skip("needs fsverity(1) for a file that has a digest")
	}
	if out, err := exec.Command(fsverity, "enable", path).CombinedOutput(); err != nil {
		t.Skipf("needs a file system with fs-verity: %s", out)
	}
	algorithm, digest, err := pidfd.MeasureVerity(int(f.Fd()))
	require.NoError(t, err)
	assert.Equal(t, uint16(1), algorithm)
	assert.Len(t, digest, 32)
}
