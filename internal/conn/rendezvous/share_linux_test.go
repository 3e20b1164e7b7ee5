package rendezvous_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

func TestSharedDirectory(t *testing.T) {
	o := rendezvous.Options{Dir: filepath.Join(publicDir(t), "endpoints"), Shared: true}
	outside := watch(t, filepath.Dir(o.Dir))
	old := unix.Umask(0o077) // takes more than was asked for
	l := listen(t, endpoint, o)
	unix.Umask(old)
	assert.Empty(t, outside(), "the directory's mode was changed")
	assert.EqualValues(t, 0o755, modeOf(t, o.Dir))
	assert.EqualValues(t, 0o666, modeOf(t, filepath.Join(o.Dir, endpoint+".sock")))
	assert.EqualValues(t, 0o600, modeOf(t, filepath.Join(o.Dir, endpoint+".lock")))
	reach(t, l, endpoint, o)
}

// A host that is to be shared does not start where no other user can come, and says
// which directory keeps them out.
func TestSharedDirectoryThatNobodyReaches(t *testing.T) {
	for name, make := range map[string]func(t *testing.T, public, closed string) (dir string){
		"its own mode": func(t *testing.T, public, closed string) string { return closed },
		"its parent":   func(t *testing.T, public, closed string) string { return filepath.Join(closed, "dir") },
		"one above": func(t *testing.T, public, closed string) string {
			require.NoError(t, os.Mkdir(filepath.Join(closed, "parent"), 0o755))
			return filepath.Join(closed, "parent", "dir")
		},
		"one behind a link": func(t *testing.T, public, closed string) string {
			require.NoError(t, os.MkdirAll(filepath.Join(closed, "a", "b"), 0o755))
			require.NoError(t, os.Symlink(filepath.Join(closed, "a"), filepath.Join(public, "link")))
			return filepath.Join(public, "link", "b", "dir")
		},
	} {
		t.Run(name, func(t *testing.T) {
			public := publicDir(t)
			closed := filepath.Join(public, "closed")
			require.NoError(t, os.Mkdir(closed, 0o700))
			o := rendezvous.Options{Dir: make(t, public, closed), Shared: true}
			_, err := carrier.Listen(endpoint, o)
			require.ErrorIs(t, err, rendezvous.ErrPermission)
			require.ErrorContains(t, err, closed+" has mode 0700")
			require.EqualValues(t, 0o700, modeOf(t, closed))
			if o.Dir != closed {
				require.NoDirExists(t, o.Dir)
			}
			o.Shared = false
			listen(t, endpoint, o)
		})
	}
}

// Hosts with and without Shared use one directory, in either order, and only the shared
// ones can be reached by others.
func TestSharedAndPrivateInOneDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root (CAP_SETUID)")
	}
	for _, sharedFirst := range []bool{true, false} {
		o := rendezvous.Options{Dir: filepath.Join(publicDir(t), "endpoints")}
		require.NoError(t, os.Mkdir(o.Dir, 0o755))
		for _, shared := range []bool{sharedFirst, !sharedFirst} {
			o.Shared = shared
			if shared {
				listen(t, endpoint+".shared", o)
			} else {
				listen(t, endpoint, o)
			}
		}
		start(t, "dial", o, asStranger).expect(t, "ErrPermission")
		assert.EqualValues(t, 0o600, modeOf(t, filepath.Join(o.Dir, endpoint+".sock")))
		assert.EqualValues(t, 0o666, modeOf(t, filepath.Join(o.Dir, endpoint+".shared.sock")))
		start(t, "listen", o, asStranger).expect(t, "ErrUnsafeDir")
	}
}

// swapDir is the directory in which swap swaps.
const swapDir = "SEALPORT_TEST_SWAP"

// swap puts one thing after another in the place of a directory of endpoints, as fast
// as it can.
func swap() {
	dir := os.Getenv(swapDir)
	place, aside := filepath.Join(dir, "endpoints"), filepath.Join(dir, "aside")
	go func() {
		for {
			for _, other := range []string{"secret", "private", "link", "link to private"} {
				_ = os.Rename(place, aside)
				_ = os.Rename(filepath.Join(dir, other), place)
				_ = os.Rename(place, filepath.Join(dir, other))
				_ = os.Rename(aside, place)
				_ = os.Remove(place) // if it is empty
			}
		}
	}()
	say(nil)
}

// TestSwappedDirectory: a process that may rename what is in the parent can't have a
// host open this user's files and directories to others.
func TestSwappedDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root (CAP_SETUID)")
	}
	dir := publicDir(t)
	secret, private := filepath.Join(dir, "secret"), filepath.Join(dir, "private")
	require.NoError(t, os.WriteFile(secret, []byte("key"), 0o600))
	require.NoError(t, os.Mkdir(private, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(private, "file"), nil, 0o600))
	require.NoError(t, os.Symlink(secret, filepath.Join(dir, "link")))
	require.NoError(t, os.Symlink(private, filepath.Join(dir, "link to private")))
	// What the group of this process may is not refused.
	require.NoError(t, os.Chmod(dir, 0o775))
	secretFile, err := os.Open(secret)
	require.NoError(t, err)
	defer secretFile.Close()
	privateDir, err := os.Open(private)
	require.NoError(t, err)
	defer privateDir.Close()

	t.Setenv(swapDir, dir)
	p := start(t, "swap", rendezvous.Options{}, func(cmd *exec.Cmd) {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: 0}}
	})
	p.expect(t, "ok")
	old := unix.Umask(0o077) // as a host would be tempted to change modes
	defer unix.Umask(old)
	o := rendezvous.Options{Dir: filepath.Join(dir, "endpoints"), Shared: true}
	for range 100 {
		if l, err := carrier.Listen(endpoint, o); err == nil {
			_ = l.Close()
		}
		for f, want := range map[*os.File]os.FileMode{secretFile: 0o600, privateDir: 0o700} {
			st, err := f.Stat()
			require.NoError(t, err)
			require.Equal(t, want, st.Mode().Perm(), f.Name())
		}
	}
	p.kill(t)
}
