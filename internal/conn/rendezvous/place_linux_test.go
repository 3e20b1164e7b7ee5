package rendezvous_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

func TestRuntimeDirectory(t *testing.T) {
	run := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(run, link))
	o := rendezvous.Options{Fallback: func(dir, reason string) { assert.Fail(t, dir, reason) }}
	for _, value := range []string{run, link} {
		t.Setenv("XDG_RUNTIME_DIR", value)
		l := listen(t, endpoint, o)
		assert.FileExists(t, filepath.Join(run, "sealport", endpoint+".lock"))
		reach(t, l, endpoint, o)
		reach(t, l, endpoint, rendezvous.Options{Dir: filepath.Join(run, "sealport")})
		require.NoError(t, l.Close())
	}

	// One's own with the wrong mode is an error, of both sides, and not another place.
	require.NoError(t, os.Chmod(run, 0o777))
	_, err := carrier.Listen(endpoint, o)
	require.ErrorIs(t, err, rendezvous.ErrUnsafeDir)
	_, err = carrier.Dial(hung(t), endpoint, nil, o)
	require.ErrorIs(t, err, rendezvous.ErrUnsafeDir)
}

// A runtime directory that is not this process's is not used, by neither side, and the
// reason is told.
func TestRuntimeDirectoryOfAnother(t *testing.T) {
	if !withOwnRun(t) {
		return
	}
	theirs, file := publicDir(t), filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.Chown(theirs, stranger, stranger))
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(theirs, link))
	for name, row := range map[string]struct{ value, reason string }{
		"none":                   {"", "XDG_RUNTIME_DIR is not set"},
		"relative":               {"run", `XDG_RUNTIME_DIR is "run", which is not an absolute path`},
		"missing":                {"/run/user/7", `XDG_RUNTIME_DIR is "/run/user/7": no such file or directory`},
		"a file":                 {file, "which is not a directory"},
		"below a file":           {file + "/run", "not a directory"},
		"another user's":         {theirs, "which belongs to uid 54321"},
		"a link to another user": {link, "which belongs to uid 54321"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("XDG_RUNTIME_DIR", row.value)
			told := 0
			o := rendezvous.Options{Fallback: func(dir, reason string) {
				told++
				assert.Equal(t, "/run/sealport", dir)
				assert.Contains(t, reason, row.reason)
			}}
			l := listen(t, endpoint, o)
			assert.FileExists(t, "/run/sealport/"+endpoint+".lock")
			reach(t, l, endpoint, o)
			require.NoError(t, l.Close())
			_, err := carrier.Dial(hung(t), endpoint, nil, o)
			require.ErrorIs(t, err, rendezvous.ErrNotFound)
			require.ErrorContains(t, err, row.reason)
			assert.Equal(t, 3, told)
		})
	}
	// So that user is not locked out.
	left, err := os.ReadDir(theirs)
	require.NoError(t, err)
	require.Empty(t, left)
	t.Setenv("XDG_RUNTIME_DIR", theirs)
	start(t, "where", rendezvous.Options{}, asStranger).expect(t, "XDG_RUNTIME_DIR XDG_RUNTIME_DIR")

	t.Setenv("XDG_RUNTIME_DIR", "/root") // which others can't enter, or which isn't theirs
	start(t, "where", rendezvous.Options{}, asStranger).expect(t, "/tmp/sealport-54321 /tmp/sealport-54321")

	// The environment of a set-user-ID program is its caller's.
	start(t, "where", rendezvous.Options{}, nil).expect(t, "XDG_RUNTIME_DIR XDG_RUNTIME_DIR")
	start(t, "set-user-ID", rendezvous.Options{}, nil).expect(t, "/run/sealport /run/sealport")
}

// A host whose runtime directory goes, and comes again, as at the end of a session and the
// beginning of the next, is where clients look: also when the program has cleared its
// environment since.
func TestRuntimeDirectoryThatComesAndGoes(t *testing.T) {
	if !withOwnRun(t) {
		return
	}
	for _, cleared := range []bool{false, true} {
		run := filepath.Join(t.TempDir(), "run")
		inRun := rendezvous.Options{Dir: filepath.Join(run, "sealport")}
		t.Setenv("XDG_RUNTIME_DIR", run)
		require.NoError(t, os.Mkdir(run, 0o700))
		l := listen(t, endpoint, rendezvous.Options{})
		reports := watched(t, l)
		if cleared {
			require.NoError(t, os.Unsetenv("XDG_RUNTIME_DIR"))
		}
		require.NoError(t, os.Rename(inRun.Dir, run+".sealport"))
		servedAgain(t, reports)
		reach(t, l, endpoint, inRun)

		require.NoError(t, os.Rename(run, run+".old"))
		servedAgain(t, reports)
		reach(t, l, endpoint, rendezvous.Options{Dir: "/run/sealport"})

		require.NoError(t, os.Mkdir(run, 0o700))
		servedAgain(t, reports)
		reach(t, l, endpoint, inRun)
		require.NoFileExists(t, "/run/sealport/"+endpoint+".sock")
		require.NoError(t, l.Close())
		require.NoError(t, os.RemoveAll(run+".old"))
	}
}

// What another user has put in the place of a default directory is not used, and the error
// names that user.
func TestSquattedDirectory(t *testing.T) {
	if !withOwnRun(t) {
		return
	}
	const squatter = 54322
	t.Setenv("XDG_RUNTIME_DIR", "")
	mine := publicDir(t)
	require.NoError(t, os.Chown(mine, stranger, stranger))
	for name, squat := range map[string]func(place string) error{
		"directory":              func(place string) error { return ofMode(0o700)(t, place) },
		"directory for everyone": func(place string) error { return ofMode(0o777)(t, place) },
		"file":                   func(place string) error { return os.WriteFile(place, nil, 0o666) },
		"link to one's own":      func(place string) error { return os.Symlink(mine, place) },
	} {
		t.Run(name, func(t *testing.T) {
			for _, place := range []string{"/tmp/sealport-54321", "/run/sealport"} {
				require.NoError(t, squat(place))
				require.NoError(t, os.Lchown(place, squatter, squatter))
				t.Cleanup(func() { require.NoError(t, os.Remove(place)) })
			}
			start(t, "where", rendezvous.Options{}, asStranger).expect(t, "ErrUnsafeDir")
			_, err := carrier.Listen(endpoint, rendezvous.Options{})
			require.ErrorIs(t, err, rendezvous.ErrUnsafeDir)
			require.ErrorContains(t, err, "belongs to uid 54322")
			_, err = carrier.Dial(hung(t), endpoint, nil, rendezvous.Options{})
			require.ErrorIs(t, err, rendezvous.ErrUnsafeDir)
			require.ErrorContains(t, err, "belongs to uid 54322")
		})
	}
	left, err := os.ReadDir(mine)
	require.NoError(t, err)
	require.Empty(t, left)
}

// In a user namespace / and /tmp may belong to users that do not exist there.
func TestDirectoriesInUserNamespaces(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root (CAP_SETUID)")
	}
	unprivileged := syscall.SysProcIDMap{ContainerID: 1000, HostID: stranger, Size: 1}
	withNobody := syscall.SysProcIDMap{ContainerID: 0, HostID: stranger - 1000, Size: 65535}
	for name, row := range map[string]struct {
		mode  os.FileMode
		ids   syscall.SysProcIDMap
		made  bool // the directory exists
		wants string
	}{
		"sticky":                       {0o777 | os.ModeSticky, unprivileged, false, "ok"},
		"closed":                       {0o755, unprivileged, true, "ok"},
		"open":                         {0o777, unprivileged, true, "ErrUnsafeDir"},
		"65534 is a user, too":         {0o777 | os.ModeSticky, withNobody, false, "ErrUnsafeDir"},
		"65534 is a user, too, closed": {0o755, withNobody, true, "ErrUnsafeDir"},
	} {
		t.Run(name, func(t *testing.T) {
			parent := publicDir(t)
			require.NoError(t, os.Chmod(parent, row.mode))
			o := rendezvous.Options{Dir: filepath.Join(parent, "endpoints")}
			if row.made {
				require.NoError(t, os.Mkdir(o.Dir, 0o700))
				require.NoError(t, os.Chown(o.Dir, stranger, stranger))
			}
			start(t, "listen", o, func(cmd *exec.Cmd) {
				maps := []syscall.SysProcIDMap{row.ids}
				cmd.SysProcAttr = &syscall.SysProcAttr{
					Cloneflags: syscall.CLONE_NEWUSER, UidMappings: maps, GidMappings: maps,
					Credential: &syscall.Credential{Uid: 1000, Gid: 1000},
				}
			}).expect(t, row.wants)
		})
	}
}
