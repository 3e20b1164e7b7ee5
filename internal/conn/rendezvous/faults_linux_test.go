//go:build amd64 || arm64

package rendezvous_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

// making are the system calls by which an endpoint is made.
var making = map[string]uint32{
	"mkdirat": unix.SYS_MKDIRAT, "openat": unix.SYS_OPENAT, "fstat": unix.SYS_FSTAT, "newfstatat": unix.SYS_NEWFSTATAT,
	"flock": unix.SYS_FLOCK, "unlinkat": unix.SYS_UNLINKAT, "socket": unix.SYS_SOCKET, "setsockopt": unix.SYS_SETSOCKOPT,
	"fchmod": unix.SYS_FCHMOD, "bind": unix.SYS_BIND, "listen": unix.SYS_LISTEN, "renameat": unix.SYS_RENAMEAT,
	"inotify_init1": unix.SYS_INOTIFY_INIT1, "inotify_add_watch": unix.SYS_INOTIFY_ADD_WATCH, "epoll_ctl": unix.SYS_EPOLL_CTL,
}

// remaking are those by which a socket is made again.
var remaking = map[string]uint32{
	"unlinkat": unix.SYS_UNLINKAT, "socket": unix.SYS_SOCKET, "setsockopt": unix.SYS_SETSOCKOPT, "fchmod": unix.SYS_FCHMOD,
	"bind": unix.SYS_BIND, "listen": unix.SYS_LISTEN, "renameat": unix.SYS_RENAMEAT,
	"inotify_init1": unix.SYS_INOTIFY_INIT1, "inotify_add_watch": unix.SYS_INOTIFY_ADD_WATCH, "epoll_ctl": unix.SYS_EPOLL_CTL,
}

// openDescriptors counts the descriptors that endpoints may have.
func openDescriptors() (n int) {
	for _, what := range []string{"socket:", "inotify", "/endpoints", os.DevNull} {
		n += descriptorsLike(what)
	}
	return n
}

// filesIn are those in the endpoints' directory, if it is there.
func filesIn(t *testing.T, o rendezvous.Options) (names []string) {
	t.Helper()
	list, err := os.ReadDir(o.Dir)
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	for _, file := range list {
		names = append(names, file.Name())
	}
	return names
}

// canListen checks that a host can serve the endpoint now, whatever was left there, and
// that it leaves nothing.
func canListen(t *testing.T, o rendezvous.Options, what string) {
	t.Helper()
	l, err := carrier.Listen(endpoint, o)
	require.NoError(t, err, what)
	reach(t, l, endpoint, o)
	require.NoError(t, l.Close(), what)
	require.Empty(t, filesIn(t, o), what)
}

// A host that cannot be made, at whatever step, says why, and leaves no descriptor, and no
// file but for its lock where it may neither lock nor remove it. The next one can be made.
func TestListenFaults(t *testing.T) {
	for name, call := range making {
		for _, errno := range []syscall.Errno{unix.EMFILE, unix.ENOSPC, unix.EACCES, unix.EIO} {
			what := fmt.Sprintf("%s: %v", name, errno)
			o := inDir(t)
			before := openDescriptors()
			var l rendezvous.Listener
			var err error
			refusing(t, call, errno, func() { l, err = carrier.Listen(endpoint, o) })
			switch {
			case err == nil: // it can do without
				require.Contains(t, []string{"inotify_init1", "inotify_add_watch", "epoll_ctl"}, name, what)
				require.NoError(t, l.Close(), what)
			case errno == unix.EMFILE || errno == unix.ENOSPC:
				assert.ErrorIs(t, err, rendezvous.ErrExhausted, what)
				fallthrough
			default:
				assert.ErrorIs(t, err, errno, what)
			}
			assert.Equal(t, before, openDescriptors(), what)
			if name != "flock" && name != "unlinkat" {
				assert.Empty(t, filesIn(t, o), what)
			}
			canListen(t, o, what)
		}
	}
}

// A socket that cannot be asked whether somebody listens is left alone.
func TestSocketThatCannotBeAsked(t *testing.T) {
	for _, errno := range []syscall.Errno{unix.EMFILE, unix.EACCES, unix.EPERM, unix.EIO} {
		o := inDir(t)
		rawSocket(t, o, unix.SOCK_SEQPACKET, 5)
		before, err := os.Lstat(socketOf(o))
		require.NoError(t, err)
		refusing(t, unix.SYS_CONNECT, errno, func() { _, err = carrier.Listen(endpoint, o) })
		require.ErrorIs(t, err, errno)
		require.Equal(t, errno == unix.EACCES || errno == unix.EPERM, errors.Is(err, rendezvous.ErrPermission))
		after, err := os.Lstat(socketOf(o))
		require.NoError(t, err)
		require.True(t, os.SameFile(before, after))
		require.NoFileExists(t, lockOf(o))
	}
}

// A host that cannot take its name again, at whatever step, says why, goes on, and takes it
// when it can.
func TestKeepFaults(t *testing.T) {
	for name, call := range remaking {
		o := inDir(t)
		before := openDescriptors()
		l, err := carrier.Listen(endpoint, o)
		require.NoError(t, err)
		require.NoError(t, os.Remove(socketOf(o)))
		refusing(t, call, unix.EMFILE, func() { err = l.Watch() })
		lost := (*rendezvous.LostError)(nil)
		require.ErrorAs(t, err, &lost, name)
		require.False(t, lost.Ended, name)
		if lost.Err != nil {
			assert.ErrorIs(t, lost, rendezvous.ErrExhausted, name)
			assert.NoFileExists(t, socketOf(o), name)
			require.NoError(t, os.Chtimes(lockOf(o), time.Now(), time.Now())) // so that it looks
			require.ErrorAs(t, l.Watch(), &lost, name)
			require.NoError(t, lost.Err, name)
		}
		assert.Len(t, filesIn(t, o), 2, name)
		_, err = carrier.Dial(canceled(), endpoint, nil, o)
		require.ErrorIs(t, err, context.Canceled, "%s: the client has found it", name)
		require.NoError(t, l.Close(), name)
		assert.Empty(t, filesIn(t, o), name)
		assert.Equal(t, before, openDescriptors(), name)
	}
}

// A listener for whose inotify instance the runtime's poller has no room goes by time.
func TestLostNameWithoutPoller(t *testing.T) {
	t.Parallel()
	o := inDir(t)
	l := listen(t, endpoint, o)
	for range 2 {
		var err error
		lost := (*rendezvous.LostError)(nil)
		require.NoError(t, os.Remove(socketOf(o)))
		refusing(t, unix.SYS_EPOLL_CTL, unix.ENOSPC, func() { err = l.Watch() })
		require.ErrorAs(t, err, &lost)
		require.NoError(t, lost.Err)
	}
}

func init() { parts["die at a step"] = dieAtStep }

// dieAtStep makes an endpoint, has it taken away, takes it again, and gives it up. The kernel
// kills it at a system call in one of these stages.
func dieAtStep() {
	stage := os.Getenv("SEALPORT_TEST_STAGE")
	call, err := strconv.ParseUint(os.Getenv("SEALPORT_TEST_CALL"), 10, 32)
	must(err)
	enter := func(name string) {
		if name != stage {
			return
		}
		if err := filter(uint32(call), unix.SECCOMP_RET_KILL_PROCESS, unix.SECCOMP_FILTER_FLAG_TSYNC); err != nil {
			fmt.Println("needs seccomp filters:", err)
			os.Exit(0)
		}
	}
	enter("make")
	l, err := carrier.Listen(endpoint, childOptions())
	must(err)
	must(os.Remove(socketOf(childOptions())))
	enter("keep")
	_ = l.Watch()
	enter("give up")
	must(l.Close())
}

// A host that is killed at any step hinders no other.
func TestKilledAtAnyStep(t *testing.T) {
	t.Parallel()
	for stage, calls := range map[string]map[string]uint32{
		"make": making, "keep": remaking,
		"give up": {"newfstatat": unix.SYS_NEWFSTATAT, "fstat": unix.SYS_FSTAT, "unlinkat": unix.SYS_UNLINKAT},
	} {
		for name, call := range calls {
			o := inDir(t)
			p := start(t, "die at a step", o, func(cmd *exec.Cmd) {
				cmd.Env = append(cmd.Env, "SEALPORT_TEST_STAGE="+stage, "SEALPORT_TEST_CALL="+strconv.Itoa(int(call)))
			})
			line, _ := p.out.ReadString('\n')
			if strings.HasPrefix(line, "needs") {
				t.Skip("needs seccomp filters: " + line)
			}
			var ended *exec.ExitError
			require.ErrorAs(t, p.cmd.Wait(), &ended)
			status, _ := ended.Sys().(syscall.WaitStatus)
			require.Equal(t, unix.SIGSYS, status.Signal(), "%s: %s: it has not come to that", stage, name)
			canListen(t, o, stage+": "+name)
		}
	}
}
