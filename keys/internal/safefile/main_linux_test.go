package safefile_test

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to run as other users and to mount file systems")
	}
}

// insideEnv tells a test that it runs in the child that it asked for, and in which
// directory.
const insideEnv = "SEALPORT_SAFEFILE_INSIDE"

// inside returns the argument of runInside, or "" in the first process.
func inside() string { return os.Getenv(insideEnv) }

// runInside runs the calling test again in another process with this attribute, and
// fails unless it passes there.
func runInside(t testing.TB, attr *syscall.SysProcAttr, arg string) {
	t.Helper()
	cmd := exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), insideEnv+"="+arg, "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = attr
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	// A test that was not run, or skipped, passes too.
	require.True(t, strings.Contains(string(out), "--- PASS: "+t.Name()+" "), "%s", out)
}

// as is the attribute of a process of another user.
func as(uid, gid uint32, groups ...uint32) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
}

// mountNamespace is the attribute of a process whose mounts are its own.
var mountNamespace = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}

// systemDir returns a directory of root, to which only directories of root lead, and in
// which others can read.
func systemDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/run", "sealport-safefile-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

// entry is a file or directory of a test.
type entry struct {
	path     string // below the test's directory; one that ends in "/" is a directory
	uid, gid int
	mode     uint32
	acl      []byte
	link     string // what it points to, if it is a symbolic link
}

// make creates it, as root.
func (e entry) make(t testing.TB, dir string) {
	t.Helper()
	path := dir + "/" + e.path
	switch {
	case e.link != "":
		require.NoError(t, os.Symlink(e.link, path))
		require.NoError(t, os.Lchown(path, e.uid, e.gid))
		return
	case strings.HasSuffix(e.path, "/"):
		require.NoError(t, os.MkdirAll(path, 0o700))
	default:
		require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	}
	require.NoError(t, os.Chown(path, e.uid, e.gid))
	require.NoError(t, syscall.Chmod(path, e.mode))
	if e.acl != nil {
		require.NoError(t, syscall.Setxattr(path, "system.posix_acl_access", e.acl, 0))
	}
}
