package rendezvous_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The cleaner of /tmp leaves the files of a living host alone, however old they are, and
// takes those that a killed one has left.
func TestCleanerLeavesALivingHost(t *testing.T) {
	cleaner, err := exec.LookPath("systemd-tmpfiles")
	if err != nil {
		t.Skip("needs systemd-tmpfiles")
	}
	o := inDir(t)
	above := filepath.Dir(o.Dir)
	p := start(t, "listen", o, nil)
	p.expect(t, "ok")
	rules := filepath.Join(t.TempDir(), "rules.conf")
	// All that is older than 0 seconds.
	require.NoError(t, os.WriteFile(rules, []byte("e "+above+" - - - 0\n"), 0o600))
	clean := func() {
		t.Helper()
		forgotten := filepath.Join(above, "forgotten")
		require.NoError(t, os.WriteFile(forgotten, nil, 0o600))
		out, err := exec.Command(cleaner, "--clean", rules).CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.NoFileExists(t, forgotten, "the cleaner has not cleaned: %s", out)
	}
	clean()
	require.FileExists(t, socketOf(o))
	require.FileExists(t, lockOf(o))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = carrier.Dial(ended, endpoint, nil, o)
	require.ErrorIs(t, err, context.Canceled, "the client has found it, and does not wait")

	p.kill(t)
	clean()
	require.NoFileExists(t, socketOf(o))
	require.NoFileExists(t, lockOf(o))
}

// A host holds the lock that cleaners respect, see tmpfiles.d(5), from the beginning to its
// end, and takes it as soon as it can.
func TestDirectoryIsLockedWhileAHostLives(t *testing.T) {
	o := inDir(t)
	require.NoError(t, os.Mkdir(o.Dir, 0o700))
	dir, err := os.Open(o.Dir)
	require.NoError(t, err)
	defer dir.Close()
	cleans := func() bool {
		err := unix.Flock(int(dir.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err != nil {
			require.ErrorIs(t, err, unix.EWOULDBLOCK)
		}
		return err == nil
	}
	first, second := listen(t, endpoint, o), listen(t, endpoint+".other", o)
	require.False(t, cleans())
	require.NoError(t, first.Close())
	require.False(t, cleans(), "there is another")
	require.NoError(t, second.Close())
	require.True(t, cleans())

	// A cleaner that is there delays nobody.
	late := listen(t, endpoint, o)
	reports := watched(t, late)
	require.NoError(t, unix.Flock(int(dir.Fd()), unix.LOCK_UN))
	require.NoError(t, os.Remove(socketOf(o))) // it looks
	servedAgain(t, reports)
	require.False(t, cleans())
}

// Cleaners that go by age find a living host's files new.
func TestOldFilesAreMadeNew(t *testing.T) {
	o := inDir(t)
	events, err := unix.InotifyInit1(unix.IN_CLOEXEC)
	require.NoError(t, err)
	defer unix.Close(events)
	l := listen(t, endpoint, o)
	_, err = unix.InotifyAddWatch(events, o.Dir, unix.IN_ATTRIB)
	require.NoError(t, err)
	old := time.Unix(1e9, 0)
	paths := []string{lockOf(o), socketOf(o)}
	for _, path := range paths {
		require.NoError(t, os.Chtimes(path, old, old))
	}
	watched(t, l) // now it looks
	for _, path := range paths {
		for {
			var st unix.Stat_t
			require.NoError(t, unix.Stat(path, &st))
			accessed, modified := time.Unix(st.Atim.Unix()), time.Unix(st.Mtim.Unix())
			if accessed.After(old) && modified.After(old) {
				break
			}
			awaitEvent(t, events)
		}
	}
}

// awaitEvent waits for events of inotify.
func awaitEvent(t *testing.T, fd int) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	var n int
	for err := error(unix.EINTR); err == unix.EINTR; {
		n, err = unix.Poll(fds, int(limit.Milliseconds()))
	}
	require.Positive(t, n, "nothing has happened")
	buf := make([]byte, 4096)
	_, err := unix.Read(fd, buf)
	require.NoError(t, err)
}
