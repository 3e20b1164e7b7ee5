package rendezvous_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

func init() {
	parts["lose the socket without inotify"] = loseWithoutEvents
	parts["lose the directory below a mount"] = loseBelowMount
	parts["lose nothing in another root"] = loseNothing
}

// watched has a listener keep its name. It returns what Watch reports, until the test
// ends.
func watched(t *testing.T, l rendezvous.Listener) <-chan *rendezvous.LostError {
	t.Helper()
	reports, joined := make(chan *rendezvous.LostError, 100), make(chan struct{})
	go func() {
		defer close(joined)
		for {
			lost := (*rendezvous.LostError)(nil)
			if err := l.Watch(); !errors.As(err, &lost) {
				assert.ErrorIs(t, err, os.ErrClosed)
				return
			}
			reports <- lost
			if lost.Ended {
				return
			}
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-joined
	})
	return reports
}

func report(t *testing.T, reports <-chan *rendezvous.LostError) *rendezvous.LostError {
	t.Helper()
	select {
	case lost := <-reports:
		return lost
	case <-hung(t).Done():
		require.FailNow(t, "nothing was reported")
		return nil
	}
}

// servedAgain waits for the report that the name leads to the listener again.
func servedAgain(t *testing.T, reports <-chan *rendezvous.LostError) {
	t.Helper()
	for {
		lost := report(t, reports)
		require.False(t, lost.Ended, "%v", lost)
		if lost.Err == nil {
			return
		}
	}
}

func socketOf(o rendezvous.Options) string { return filepath.Join(o.Dir, endpoint+".sock") }
func lockOf(o rendezvous.Options) string   { return filepath.Join(o.Dir, endpoint+".lock") }

// A listener whose files are taken away serves its name again, and guards it, whatever has
// happened.
func TestLostNameIsTakenAgain(t *testing.T) {
	t.Parallel()
	const eventless = "directory above replaced"
	table := map[string]func(o rendezvous.Options) error{
		"socket removed":    func(o rendezvous.Options) error { return os.Remove(socketOf(o)) },
		"lock file removed": func(o rendezvous.Options) error { return os.Remove(lockOf(o)) },
		"both removed": func(o rendezvous.Options) error {
			return errors.Join(os.Remove(lockOf(o)), os.Remove(socketOf(o)))
		},
		"socket renamed":    func(o rendezvous.Options) error { return os.Rename(socketOf(o), socketOf(o)+".old") },
		"lock file renamed": func(o rendezvous.Options) error { return os.Rename(lockOf(o), lockOf(o)+".old") },
		"socket replaced by a dead one": func(o rendezvous.Options) error {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			dead := filepath.Join(filepath.Dir(o.Dir), "s")
			return errors.Join(unix.Bind(fd, &unix.SockaddrUnix{Name: dead}), unix.Close(fd), os.Rename(dead, socketOf(o)))
		},
		"lock file replaced": func(o rendezvous.Options) error {
			other := filepath.Join(filepath.Dir(o.Dir), "l")
			return errors.Join(os.WriteFile(other, nil, 0o600), os.Rename(other, lockOf(o)))
		},
		"directory renamed": func(o rendezvous.Options) error { return os.Rename(o.Dir, o.Dir+".old") },
		"directory removed": func(o rendezvous.Options) error {
			// The listener may put new files into it meanwhile: then it is not removed.
			_ = os.RemoveAll(o.Dir)
			return nil
		},
		"directory replaced": func(o rendezvous.Options) error {
			other := o.Dir + ".other"
			return errors.Join(os.Mkdir(other, 0o700), unix.Renameat2(unix.AT_FDCWD, other, unix.AT_FDCWD, o.Dir, unix.RENAME_EXCHANGE))
		},
		eventless: func(o rendezvous.Options) error {
			above := filepath.Dir(o.Dir)
			return errors.Join(os.Rename(above, above+".old"), os.Mkdir(above, 0o700))
		},
	}
	for name, lose := range table {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := rendezvous.Options{Dir: filepath.Join(shortDir(t), "above", "endpoints")}
			require.NoError(t, os.Mkdir(filepath.Dir(o.Dir), 0o700))
			l := listen(t, endpoint, o)
			reports := watched(t, l)
			rounds := 2
			if name == eventless {
				rounds = 1 // it takes seconds
			}
			for range rounds {
				require.NoError(t, lose(o))
				for served := false; !served; {
					servedAgain(t, reports) // which may be of the first of two files
					_, err := os.Lstat(socketOf(o))
					served = err == nil
				}
				reach(t, l, endpoint, o)
				_, err := carrier.Listen(endpoint, o)
				require.ErrorIs(t, err, rendezvous.ErrInUse)
				for _, old := range []string{filepath.Dir(o.Dir), o.Dir, socketOf(o), lockOf(o)} {
					require.NoError(t, os.RemoveAll(old+".old"))
				}
				require.NoError(t, os.RemoveAll(o.Dir+".other"))
			}
			require.NoError(t, l.Close())
			left, err := os.ReadDir(o.Dir)
			require.NoError(t, err)
			require.Empty(t, left)
		})
	}
}

// shortDir is a directory in which sockets can be made by their path.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "sealport-test-")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// The kernel tells a listener that its files are removed. Looks by time are seconds apart,
// and each that reports begins such a time.
func TestLostNameIsNoticedAtOnce(t *testing.T) {
	t.Parallel()
	o := inDir(t)
	l := listen(t, endpoint, o)
	reports := watched(t, l)
	for range 8 {
		begin := time.Now()
		require.NoError(t, os.Remove(socketOf(o)))
		servedAgain(t, reports)
		if time.Since(begin) < 2*time.Second {
			return
		}
	}
	t.Error("it was noticed by looking")
}

// While a name cannot be taken again, that is reported once, and then that it was taken.
func TestNameThatCannotBeTakenYet(t *testing.T) {
	t.Parallel()
	o := inDir(t)
	l := listen(t, endpoint, o)
	reports := watched(t, l)
	away := o.Dir + ".away"
	require.NoError(t, os.WriteFile(away, nil, 0o600))
	require.NoError(t, unix.Renameat2(unix.AT_FDCWD, o.Dir, unix.AT_FDCWD, away, unix.RENAME_EXCHANGE))
	lost := report(t, reports)
	require.ErrorIs(t, lost, rendezvous.ErrUnsafeDir, "a plain file is in its place")
	require.False(t, lost.Ended)
	// The directory's files still lead to the listener.
	require.NoError(t, unix.Renameat2(unix.AT_FDCWD, o.Dir, unix.AT_FDCWD, away, unix.RENAME_EXCHANGE))
	lost = report(t, reports)
	require.NoError(t, lost.Err, "the second report")
	reach(t, l, endpoint, o)
}

// An Accept that waits on the old socket goes on with the new one.
func TestAcceptGoesOnWithTheNewSocket(t *testing.T) {
	o := inDir(t)
	l := listen(t, endpoint, o)
	reports := watched(t, l)
	accepted := make(chan error, 1)
	go func() {
		in, err := l.Accept()
		if err == nil {
			_, err = in.Hello(context.Background())
			err = errors.Join(err, in.Refuse(context.Background(), []byte("answer")))
		}
		accepted <- err
	}()
	require.NoError(t, os.Remove(socketOf(o)))
	servedAgain(t, reports)
	out, err := carrier.Dial(hung(t), endpoint, []byte("hello"), o)
	require.NoError(t, err)
	require.NoError(t, out.Close())
	require.NoError(t, <-accepted)
	require.NoError(t, l.Close())
	_, err = l.Accept()
	require.ErrorIs(t, err, os.ErrClosed)
}

// sayReports has a listener keep its name, and says what it reports.
func sayReports(l rendezvous.Listener) {
	for {
		lost := (*rendezvous.LostError)(nil)
		if err := l.Watch(); !errors.As(err, &lost) || lost.Ended {
			say(err)
			return
		}
		if lost.Err == nil {
			say(nil)
		}
	}
}

// descriptorsLike counts this process's descriptors by what they lead to.
func descriptorsLike(what string) (n int) {
	links, err := filepath.Glob("/proc/self/fd/*")
	must(err)
	for _, link := range links {
		if to, _ := os.Readlink(link); strings.Contains(to, what) {
			n++
		}
	}
	return n
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// loseWithoutEvents listens with the fewest descriptors that are enough, which leave none
// for inotify.
func loseWithoutEvents() {
	o := childOptions()
	first, err := carrier.Listen(endpoint+".first", o) // starts the runtime's poller
	must(err)
	var before unix.Rlimit
	must(unix.Getrlimit(unix.RLIMIT_NOFILE, &before))
	instances := descriptorsLike("inotify")
	var l rendezvous.Listener
	for n := uint64(1); ; n++ {
		must(unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: n, Max: before.Max}))
		if l, err = carrier.Listen(endpoint, o); err == nil {
			break
		}
		if !errors.Is(err, rendezvous.ErrExhausted) {
			panic(err)
		}
	}
	must(unix.Setrlimit(unix.RLIMIT_NOFILE, &before))
	if descriptorsLike("inotify") != instances {
		panic("it has an inotify instance")
	}
	must(os.Remove(socketOf(o)))
	sayReports(l)
	must(first.Close())
}

// Without inotify a listener looks now and then.
func TestLostNameWithoutInotify(t *testing.T) {
	t.Parallel()
	o := inDir(t)
	p := start(t, "lose the socket without inotify", o, nil)
	p.expect(t, "ok")
	start(t, "listen", o, nil).expect(t, "ErrInUse")
}

// loseBelowMount listens, and mounts a file system over the directory in a namespace of its
// own, twice.
func loseBelowMount() {
	o := childOptions()
	l, err := carrier.Listen(endpoint, o)
	must(err)
	must(unix.Mount("tmpfs", o.Dir, "tmpfs", 0, "mode=0700"))
	sayReports(l)
}

// A listener over whose directory a file system is mounted serves in that one. There is no
// event for it.
func TestLostNameBelowMount(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: a mount namespace")
	}
	t.Parallel()
	o := inDir(t)
	p := start(t, "lose the directory below a mount", o, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	})
	p.expect(t, "ok")
	// As the child sees it.
	inside := rendezvous.Options{Dir: fmt.Sprintf("/proc/%d/root%s", p.cmd.Process.Pid, o.Dir)}
	require.FileExists(t, socketOf(inside))
	require.NoFileExists(t, socketOf(o), "its old files were removed")
	require.NoFileExists(t, lockOf(o))
	_, err := carrier.Listen(endpoint, inside)
	require.ErrorIs(t, err, rendezvous.ErrInUse)
}

// loseNothing listens, and changes its root directory to one that is empty.
func loseNothing() {
	o := childOptions()
	l, err := carrier.Listen(endpoint, o)
	must(err)
	must(unix.Chroot(os.Getenv("SEALPORT_TEST_ROOT")))
	say(nil)
	sayReports(l)
}

// A listener that cannot see its directory any more, because its process has another root
// directory now, keeps to it.
func TestNameInAnotherRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: chroot")
	}
	o := inDir(t)
	p := start(t, "lose nothing in another root", o, func(cmd *exec.Cmd) {
		cmd.Env = append(cmd.Env, "SEALPORT_TEST_ROOT="+t.TempDir())
	})
	p.expect(t, "ok")
	before, err := os.Lstat(socketOf(o))
	require.NoError(t, err)
	require.NoError(t, os.Remove(lockOf(o)))
	p.goOn(t)
	p.expect(t, "ok") // it has looked, and taken the lock again
	start(t, "listen", o, nil).expect(t, "ErrInUse")
	after, err := os.Lstat(socketOf(o))
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))
	require.FileExists(t, lockOf(o))
}
