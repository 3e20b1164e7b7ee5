package rendezvous_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

func init() { parts["serve without /proc"] = serveWithoutProc }

// serveWithoutProc makes shared endpoints and dials them, many at a time, in directories that
// it reaches by threads of their own.
func serveWithoutProc() {
	must(unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
	must(unix.Unmount("/proc", unix.MNT_DETACH))
	unix.Umask(0o027)
	var all sync.WaitGroup
	for i := range 8 {
		o := rendezvous.Options{Dir: fmt.Sprintf("%s/%d", os.Getenv("SEALPORT_TEST_DIR"), i), Shared: true}
		all.Go(func() {
			for range 10 {
				l, err := carrier.Listen(endpoint, o)
				must(err)
				_, err = carrier.Dial(canceled(), endpoint, nil, o)
				if err == nil {
					panic("the host does not accept")
				}
				must(l.Close())
				must(os.Remove(o.Dir))
			}
		})
	}
	all.Wait()
	say(nil)
}

// Where there is no /proc, working directories and umasks of threads change, and none of
// those threads does anything else later. The process's are what they were.
func TestThreadsWithoutProc(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a mount namespace")
	}
	dir := publicDir(t)
	here, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	p := start(t, "serve without /proc", rendezvous.Options{Dir: dir}, func(cmd *exec.Cmd) {
		cmd.Dir = here
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	})
	p.expect(t, "ok")
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	// A thread ends a little later than what it was for.
	require.Eventually(t, func() bool {
		tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", p.cmd.Process.Pid))
		for _, task := range tasks {
			if cwd, err := os.Readlink(task + "/cwd"); err == nil && cwd != here {
				return false
			}
			if status, err := os.ReadFile(task + "/status"); err == nil && !strings.Contains(string(status), "Umask:\t0027\n") {
				return false
			}
		}
		return len(tasks) > 0
	}, limit, 10*time.Millisecond)
}
