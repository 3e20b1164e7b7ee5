package rendezvous_test

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

func TestListenMakesDirectoryAndLeavesItEmpty(t *testing.T) {
	o := inDir(t)
	l := listen(t, endpoint, o)
	assert.EqualValues(t, 0o700, modeOf(t, o.Dir))
	assert.EqualValues(t, 0o600, modeOf(t, filepath.Join(o.Dir, endpoint+".sock")))
	assert.EqualValues(t, 0o600, modeOf(t, filepath.Join(o.Dir, endpoint+".lock")))
	reach(t, l, endpoint, o)
	require.NoError(t, l.Close())
	left, err := os.ReadDir(o.Dir)
	require.NoError(t, err)
	assert.Empty(t, left)
	_, err = carrier.Dial(hung(t), endpoint, nil, o)
	require.ErrorIs(t, err, rendezvous.ErrNotFound)
}

// Whoever can write to the parent directory could replace ours, or put a link to a file
// of ours in its place before it is shared.
func TestParentThatOthersCanWrite(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(secret, nil, 0o600))
	for name, parent := range map[string]struct {
		mode  os.FileMode
		owner int // or -1
		safe  bool
	}{
		"everybody":             {0o777, -1, false},
		"own group":             {0o771, -1, true},
		"another group":         {0o771, 0, false},
		"everybody, but sticky": {0o777 | os.ModeSticky, -1, true},
		"another user":          {0o755, 65534, false},
		"another user's sticky": {0o755 | os.ModeSticky, 65534, false},
	} {
		t.Run(name, func(t *testing.T) {
			if parent.owner >= 0 && os.Geteuid() != 0 {
				t.Skip("needs root, to own a directory as another user")
			}
			o := rendezvous.Options{Dir: filepath.Join(publicDir(t), "parent", "dir"), Shared: true}
			above := filepath.Dir(o.Dir)
			require.NoError(t, os.Mkdir(above, 0o700))
			require.NoError(t, os.Chmod(above, parent.mode))
			group := parent.owner
			if name == "another group" {
				group = 65534
			}
			require.NoError(t, os.Lchown(above, parent.owner, group))
			if parent.safe {
				listen(t, endpoint, o)
				return
			}
			_, err := carrier.Listen(endpoint, o)
			require.ErrorIs(t, err, rendezvous.ErrUnsafeDir)
			require.NoDirExists(t, o.Dir)

			require.NoError(t, os.Symlink(secret, o.Dir))
			_, err = carrier.Listen(endpoint, o)
			require.ErrorIs(t, err, rendezvous.ErrUnsafeDir)
			require.EqualValues(t, 0o600, modeOf(t, secret))

			require.NoError(t, os.Remove(o.Dir))
			require.NoError(t, os.Mkdir(o.Dir, 0o700))
			_, err = carrier.Listen(endpoint, o)
			require.ErrorIs(t, err, rendezvous.ErrUnsafeDir, "also one that exists")
			require.EqualValues(t, 0o700, modeOf(t, o.Dir))
		})
	}
}

// Modes are right when files appear, whatever the umask: nothing is made first
// and locked up later. The kernel would tell of each change of mode.
func TestModesAreRightAtCreation(t *testing.T) {
	for _, umask := range []string{"0", "0777"} {
		t.Run(umask, func(t *testing.T) {
			o := inDir(t)
			if umask == "0777" {
				if os.Geteuid() != 0 {
					t.Skip("needs CAP_DAC_OVERRIDE: nobody else can use a directory of mode 0")
				}
			}
			outside := watch(t, filepath.Dir(o.Dir))
			p := start(t, "listen with umask "+umask, o, nil)
			p.expect(t, "ok")
			assert.Empty(t, outside(), "the directory's mode was changed")
			if umask == "0" {
				assert.EqualValues(t, 0o700, modeOf(t, o.Dir))
				assert.EqualValues(t, 0o600, modeOf(t, filepath.Join(o.Dir, endpoint+".sock")))
				assert.EqualValues(t, 0o600, modeOf(t, filepath.Join(o.Dir, endpoint+".lock")))
			}
			p.kill(t)

			// Once more with the directory there, to watch what happens in it.
			inside := watch(t, o.Dir)
			p = start(t, "listen with umask "+umask, o, nil)
			p.expect(t, "ok")
			assert.Empty(t, inside(), "a file's mode was changed")
		})
	}
}

// watch returns what tells the names of which the mode has changed since, in a
// directory.
func watch(t *testing.T, directory string) func() []string {
	t.Helper()
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	require.NoError(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	_, err = unix.InotifyAddWatch(fd, directory, unix.IN_ATTRIB|unix.IN_CREATE)
	require.NoError(t, err)
	return func() (changed []string) {
		buf := make([]byte, 64<<10)
		n, err := unix.Read(fd, buf)
		require.NoError(t, err, "not even a file's creation was seen")
		for buf = buf[:n]; len(buf) > 0; {
			// struct inotify_event: wd, mask, cookie, len, name.
			mask, size := binary.NativeEndian.Uint32(buf[4:]), binary.NativeEndian.Uint32(buf[12:])
			name := strings.TrimRight(string(buf[unix.SizeofInotifyEvent:unix.SizeofInotifyEvent+size]), "\x00")
			if mask&unix.IN_ATTRIB != 0 && name != "" { // else it is the directory itself
				changed = append(changed, name)
			}
			buf = buf[unix.SizeofInotifyEvent+size:]
		}
		return changed
	}
}

func TestUnsafeDirectoriesAreRefused(t *testing.T) {
	table := map[string]struct {
		make         func(t *testing.T, path string) error
		host, client error // nil: taken
		shared       error
	}{
		"symbolic link": {
			func(t *testing.T, p string) error { return os.Symlink(t.TempDir(), p) },
			rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir,
		},
		"dangling link": {
			func(t *testing.T, p string) error { return os.Symlink("/nonexistent", p) },
			rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir,
		},
		"plain file": {
			func(t *testing.T, p string) error { return os.WriteFile(p, nil, 0o600) },
			rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir,
		},
		"writable by all":    {ofMode(0o777), rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir},
		"sticky like /tmp":   {ofMode(0o777 | os.ModeSticky), rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir},
		"writable by group":  {ofMode(0o770), rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir, rendezvous.ErrUnsafeDir},
		"readable by all":    {ofMode(0o755), nil, rendezvous.ErrNotFound, nil},
		"passable for all":   {ofMode(0o711), nil, rendezvous.ErrNotFound, nil},
		"passable for group": {ofMode(0o750), nil, rendezvous.ErrNotFound, nil},
		"as it should be":    {ofMode(0o700), nil, rendezvous.ErrNotFound, rendezvous.ErrPermission},
	}
	for name, row := range table {
		t.Run(name, func(t *testing.T) {
			o := rendezvous.Options{Dir: filepath.Join(publicDir(t), "endpoints")}
			require.NoError(t, row.make(t, o.Dir))
			_, err := carrier.Dial(hung(t), endpoint, nil, o)
			assert.ErrorIs(t, err, row.client)
			for shared, want := range map[bool]error{false: row.host, true: row.shared} {
				o.Shared = shared
				l, err := carrier.Listen(endpoint, o)
				if want != nil {
					assert.ErrorIs(t, err, want, "shared: %v", shared)
				} else if assert.NoError(t, err) {
					require.NoError(t, l.Close())
				}
			}
		})
	}
}

func ofMode(mode os.FileMode) func(t *testing.T, path string) error {
	return func(t *testing.T, path string) error {
		if err := os.Mkdir(path, 0o700); err != nil {
			return err
		}
		return os.Chmod(path, mode)
	}
}

func TestDirectoryOfAnotherOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs CAP_CHOWN")
	}
	run := t.TempDir()
	o := rendezvous.Options{Dir: filepath.Join(run, "sealport")}
	require.NoError(t, os.Mkdir(o.Dir, 0o700))
	require.NoError(t, os.Chown(o.Dir, stranger, stranger))
	_, err := carrier.Listen(endpoint, o)
	require.ErrorIs(t, err, rendezvous.ErrUnsafeDir)
	_, err = carrier.Dial(hung(t), endpoint, nil, o) // who was told of it takes it
	require.ErrorIs(t, err, rendezvous.ErrNotFound)
	t.Setenv("XDG_RUNTIME_DIR", run)
	_, err = carrier.Dial(hung(t), endpoint, nil, rendezvous.Options{})
	require.ErrorIs(t, err, rendezvous.ErrUnsafeDir)
}

func TestMissingParent(t *testing.T) {
	o := rendezvous.Options{Dir: filepath.Join(t.TempDir(), "not", "there")}
	_, err := carrier.Listen(endpoint, o)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NotErrorIs(t, err, rendezvous.ErrNotFound, "a host is no host's client")
	_, err = carrier.Dial(hung(t), endpoint, nil, o)
	require.ErrorIs(t, err, rendezvous.ErrNotFound)
	require.ErrorIs(t, err, os.ErrNotExist)
}

// stranger is a user id that nobody has.
const stranger = 54321

// asStranger makes a process of another user's.
func asStranger(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: stranger, Gid: stranger}}
}

func TestOtherUsers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs CAP_SETUID")
	}
	parent := publicDir(t)

	t.Run("are kept out", func(t *testing.T) {
		o := rendezvous.Options{Dir: filepath.Join(parent, "own")}
		listen(t, endpoint, o)
		start(t, "dial", o, asStranger).expect(t, "ErrPermission")
		start(t, "listen", o, asStranger).expect(t, "ErrUnsafeDir")
		start(t, "listen", rendezvous.Options{Dir: filepath.Join(parent, "new")}, asStranger).expect(t, "ErrPermission")
	})
	t.Run("reach a shared endpoint", func(t *testing.T) {
		o := rendezvous.Options{Dir: filepath.Join(parent, "shared"), Shared: true}
		l := listen(t, endpoint, o)
		p := start(t, "dial", o, asStranger)
		in, err := l.Accept()
		require.NoError(t, err)
		hello, err := in.Hello(hung(t))
		require.NoError(t, err)
		assert.Equal(t, "hello", string(hello))
		assert.EqualValues(t, stranger, in.Credentials().Message.UID)
		assert.EqualValues(t, stranger, in.Credentials().Socket.UID)
		assert.EqualValues(t, p.cmd.Process.Pid, in.Credentials().Message.PID)
		require.NoError(t, in.Refuse(hung(t), nil))
		p.expect(t, "ok")
		start(t, "listen", o, asStranger).expect(t, "ErrUnsafeDir")
	})
}
