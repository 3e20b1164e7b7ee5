package rendezvous_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

func TestLivingHostIsNotStolenFrom(t *testing.T) {
	o := inDir(t)
	l := listen(t, endpoint, o)
	_, err := carrier.Listen(endpoint, o)
	require.ErrorIs(t, err, rendezvous.ErrInUse)
	start(t, "listen", o, nil).expect(t, "ErrInUse")
	reach(t, l, endpoint, o)
	other := listen(t, endpoint+".other", o)
	reach(t, other, endpoint+".other", o)
}

// A host that was killed leaves its socket and its lock file: the next one takes
// its place.
func TestKilledHostIsReplaced(t *testing.T) {
	o := inDir(t)
	p := start(t, "listen", o, nil)
	p.expect(t, "ok")
	_, err := carrier.Listen(endpoint, o)
	require.ErrorIs(t, err, rendezvous.ErrInUse)
	p.kill(t)
	require.FileExists(t, filepath.Join(o.Dir, endpoint+".lock"))
	_, err = carrier.Dial(hung(t), endpoint, nil, o)
	require.ErrorIs(t, err, rendezvous.ErrNotFound, "a leftover is no host")
	reach(t, listen(t, endpoint, o), endpoint, o)
}

// rawSocket is a socket in an endpoint's place that no host of ours has made.
func rawSocket(t *testing.T, o rendezvous.Options, kind, backlog int) int {
	t.Helper()
	require.NoError(t, os.MkdirAll(o.Dir, 0o700))
	fd, err := unix.Socket(unix.AF_UNIX, kind|unix.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	t.Chdir(o.Dir) // the path may be too long
	require.NoError(t, unix.Bind(fd, &unix.SockaddrUnix{Name: endpoint + ".sock"}))
	if backlog >= 0 {
		require.NoError(t, unix.Listen(fd, backlog))
	}
	return fd
}

func TestLivingSocketWithoutLockIsNotStolenFrom(t *testing.T) {
	t.Run("listening", func(t *testing.T) {
		o := inDir(t)
		rawSocket(t, o, unix.SOCK_SEQPACKET, 5)
		_, err := carrier.Listen(endpoint, o)
		require.ErrorIs(t, err, rendezvous.ErrInUse)
	})
	t.Run("with a full backlog", func(t *testing.T) {
		o := inDir(t)
		rawSocket(t, o, unix.SOCK_SEQPACKET, 0)
		for full := false; !full; {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
			require.NoError(t, err)
			t.Cleanup(func() { _ = unix.Close(fd) })
			full = unix.Connect(fd, &unix.SockaddrUnix{Name: endpoint + ".sock"}) == unix.EAGAIN
		}
		_, err := carrier.Listen(endpoint, o)
		require.ErrorIs(t, err, rendezvous.ErrInUse)
	})
	t.Run("of another type", func(t *testing.T) {
		o := inDir(t)
		rawSocket(t, o, unix.SOCK_STREAM, 5)
		_, err := carrier.Listen(endpoint, o)
		require.ErrorIs(t, err, rendezvous.ErrInUse)
		_, err = carrier.Dial(hung(t), endpoint, nil, o)
		require.ErrorIs(t, err, rendezvous.ErrNotEndpoint)
	})
	t.Run("but a dead one is replaced", func(t *testing.T) {
		o := inDir(t)
		require.NoError(t, unix.Close(rawSocket(t, o, unix.SOCK_SEQPACKET, 5)))
		reach(t, listen(t, endpoint, o), endpoint, o)
	})
}

// A socket to which this user may not connect, such as one of systemd's with SocketUser=, may
// have a living process behind it, and is left alone.
func TestSocketOfAnotherUserIsNotStolenFrom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root (CAP_SETUID)")
	}
	o := rendezvous.Options{Dir: filepath.Join(publicDir(t), "endpoints")}
	rawSocket(t, o, unix.SOCK_SEQPACKET, 5)
	require.NoError(t, os.Chmod(socketOf(o), 0o600))
	require.NoError(t, os.Chown(o.Dir, stranger, stranger))
	require.NoError(t, os.Chmod(filepath.Dir(o.Dir), 0o755))
	before, err := os.Lstat(socketOf(o))
	require.NoError(t, err)
	start(t, "listen", o, asStranger).expect(t, "ErrPermission")
	after, err := os.Lstat(socketOf(o))
	require.NoError(t, err)
	require.True(t, os.SameFile(before, after))
	require.NoFileExists(t, lockOf(o))
}

func TestPlainFileIsNoEndpoint(t *testing.T) {
	o := inDir(t)
	require.NoError(t, os.Mkdir(o.Dir, 0o700))
	place := filepath.Join(o.Dir, endpoint+".sock")
	makers := map[string]func() error{
		"file":          func() error { return os.WriteFile(place, []byte("mine"), 0o600) },
		"directory":     func() error { return os.Mkdir(place, 0o700) },
		"symbolic link": func() error { return os.Symlink("elsewhere", place) },
		"fifo":          func() error { return unix.Mkfifo(place, 0o600) },
	}
	for name, make := range makers {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, make())
			_, err := carrier.Listen(endpoint, o)
			assert.ErrorIs(t, err, rendezvous.ErrNotEndpoint)
			_, err = carrier.Dial(hung(t), endpoint, nil, o)
			assert.ErrorIs(t, err, rendezvous.ErrNotEndpoint)
			assert.NoFileExists(t, filepath.Join(o.Dir, endpoint+".lock"))
			require.NoError(t, os.Remove(place), "it is still there")
		})
	}
}

func TestLockFileIsNoWayElsewhere(t *testing.T) {
	o := inDir(t)
	require.NoError(t, os.Mkdir(o.Dir, 0o700))
	target := filepath.Join(t.TempDir(), "target")
	require.NoError(t, os.Symlink(target, filepath.Join(o.Dir, endpoint+".lock")))
	_, err := carrier.Listen(endpoint, o)
	require.ErrorIs(t, err, unix.ELOOP)
	assert.NoFileExists(t, target)
}

// A lock on a file that the host before has removed meanwhile guards nothing, whether
// another host has made a new one or not.
func TestRemovedLockFileGuardsNothing(t *testing.T) {
	dir, name := t.TempDir(), "x.lock"
	path := filepath.Join(dir, name)
	open := func() *os.File {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		return f
	}
	locks := func(f *os.File) bool {
		locked, err := rendezvous.LockOpen(dir, int(f.Fd()), name)
		require.NoError(t, err)
		return locked
	}
	first := open()
	require.True(t, locks(first))
	_, err := rendezvous.LockOpen(dir, int(open().Fd()), name)
	require.ErrorIs(t, err, rendezvous.ErrInUse)

	waiting := open()
	require.NoError(t, os.Remove(path))
	require.NoError(t, first.Close())
	require.False(t, locks(waiting), "there is none")
	second := open()
	require.False(t, locks(waiting), "there is another")
	require.True(t, locks(second))
}

// Hosts that come and go at once: never two at a time, although each removes the
// lock file that others wait to get.
func TestOneHostAtATime(t *testing.T) {
	o := inDir(t)
	const hosts, rounds = 8, 150
	var serving, served atomic.Int32
	var all sync.WaitGroup
	for range hosts {
		all.Go(func() {
			for range rounds {
				l, err := carrier.Listen(endpoint, o)
				if err != nil {
					assert.ErrorIs(t, err, rendezvous.ErrInUse)
					continue
				}
				assert.EqualValues(t, 1, serving.Add(1), "two hosts at a time")
				served.Add(1)
				serving.Add(-1)
				assert.NoError(t, l.Close())
			}
		})
	}
	all.Wait()
	assert.Positive(t, served.Load())
	left, err := os.ReadDir(o.Dir)
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestLongNamesAndPaths(t *testing.T) {
	o := rendezvous.Options{Dir: t.TempDir()}
	for len(o.Dir) < 3000 { // PATH_MAX is 4096
		o.Dir = filepath.Join(o.Dir, strings.Repeat("d", 200))
	}
	require.NoError(t, os.MkdirAll(filepath.Dir(o.Dir), 0o700))
	// Names as long as they may be, that differ in the last byte only, and the
	// ones around the length at which names are cut.
	var served []string
	for i := range 3 {
		served = append(served, strings.Repeat("n", rendezvous.MaxName-1)+fmt.Sprint(i))
	}
	for _, n := range []int{71, 72, 73, 74} {
		served = append(served, strings.Repeat("m", n))
	}
	listeners := make(map[string]rendezvous.Listener)
	for _, name := range served {
		listeners[name] = listen(t, name, o)
	}
	for name, l := range listeners {
		reach(t, l, name, o)
		_, err := carrier.Listen(name, o)
		require.ErrorIs(t, err, rendezvous.ErrInUse)
	}
}
