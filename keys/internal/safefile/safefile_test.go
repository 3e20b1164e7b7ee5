//go:build linux || darwin

package safefile_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys/internal/safefile"
)

// folder returns a private folder without symbolic links in its name.
func folder(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	require.NoError(t, os.Chmod(dir, 0o700))
	return dir
}

func put(t *testing.T, path string, mode fs.FileMode) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte("content"), 0o600))
	require.NoError(t, os.Chmod(path, mode)) // whatever the umask is
}

// giveAway makes another user the owner. Only root can.
func giveAway(t *testing.T, path string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to make another user's file")
	}
	require.NoError(t, os.Lchown(path, 54321, 54321))
}

func requireInsecure(t *testing.T, err error, path string) {
	t.Helper()
	require.ErrorIs(t, err, safefile.ErrInsecure)
	var detail *safefile.InsecureError
	require.ErrorAs(t, err, &detail)
	require.Equal(t, path, detail.Path)
	require.NotEmpty(t, detail.Reason)
}

func TestDirectoriesOnTheWay(t *testing.T) {
	dir := folder(t)
	sub := filepath.Join(dir, "sub")
	require.NoError(t, os.Mkdir(sub, 0o755))
	path := filepath.Join(sub, "file")
	put(t, path, 0o600)
	read := func() error {
		_, _, err := safefile.Read(path, 100, safefile.Private)
		return err
	}
	require.NoError(t, read())
	// A sticky bit, as that of /tmp, does not keep others from putting a file there that
	// this user has made elsewhere.
	for _, mode := range []fs.FileMode{0o775, 0o757, 0o777 | fs.ModeSticky, 0o770 | fs.ModeSticky} {
		require.NoError(t, os.Chmod(sub, mode))
		requireInsecure(t, read(), sub)
		requireInsecure(t, safefile.Write(path, nil, 0o600, true), sub)
		requireInsecure(t, safefile.Write(path+".new", nil, 0o600, false), sub)
		requireInsecure(t, safefile.Remove(path), sub)
		_, err := safefile.Lock(context.Background(), path+".lock")
		requireInsecure(t, err, sub)
		_, _, err = safefile.Read(path+".none", 100, safefile.Private)
		requireInsecure(t, err, sub)
		entries, err := os.ReadDir(sub)
		require.NoError(t, err)
		require.Len(t, entries, 1)
	}
	require.NoError(t, os.Chmod(sub, 0o777|fs.ModeSticky))
	deep := filepath.Join(sub, "a", "b")
	require.NoError(t, safefile.MkdirPrivate(deep))
	require.NoError(t, safefile.Write(filepath.Join(deep, "file"), []byte("content"), 0o600, false))
	_, _, err := safefile.Read(filepath.Join(deep, "file"), 100, safefile.Private)
	require.NoError(t, err)
	requireInsecure(t, safefile.MkdirPrivate(sub), sub)
	require.ErrorContains(t, read(), "every user can put files there: its mode is 1777")

	// Kubernetes makes such directories for its volumes, which have links in them.
	require.NoError(t, os.Symlink("a/b", filepath.Join(sub, "..data")))
	require.NoError(t, os.Symlink("..data/file", filepath.Join(sub, "key")))
	_, _, err = safefile.Read(filepath.Join(sub, "key"), 100, safefile.Private)
	require.NoError(t, err)

	require.NoError(t, os.Chmod(sub, 0o755))
	giveAway(t, sub)
	requireInsecure(t, read(), sub)
}

func TestOtherUsersFile(t *testing.T) {
	path := filepath.Join(folder(t), "file")
	put(t, path, 0o644)
	giveAway(t, path)
	_, _, err := safefile.Read(path, 100, safefile.Unforgeable)
	requireInsecure(t, err, path)
}

func TestLinks(t *testing.T) {
	dir := folder(t)
	real, link := filepath.Join(dir, "real"), filepath.Join(dir, "link")
	require.NoError(t, os.Mkdir(real, 0o700))
	put(t, filepath.Join(real, "file"), 0o600)
	for _, target := range []string{"real", "./real", "../" + filepath.Base(dir) + "/real", real} {
		require.NoError(t, os.Symlink(target, link))
		_, _, err := safefile.Read(filepath.Join(link, "file"), 100, safefile.Private)
		require.NoError(t, err, "our own link to %s", target)
		require.NoError(t, os.Remove(link))
	}

	// A link to a folder that others write to.
	open := filepath.Join(dir, "open")
	require.NoError(t, os.Mkdir(open, 0o700))
	put(t, filepath.Join(open, "file"), 0o600)
	require.NoError(t, os.Chmod(open, 0o777))
	require.NoError(t, os.Symlink(open, link))
	_, _, err := safefile.Read(filepath.Join(link, "file"), 100, safefile.Private)
	requireInsecure(t, err, open)
	require.NoError(t, os.Remove(link))

	// As many links as Linux follows, and one more.
	next := "real"
	for i := range 41 {
		name := fmt.Sprint("link", i)
		require.NoError(t, os.Symlink(next, filepath.Join(dir, name)))
		next = name
	}
	_, _, err = safefile.Read(filepath.Join(dir, "link39", "file"), 100, safefile.Private)
	require.NoError(t, err)
	_, _, err = safefile.Read(filepath.Join(dir, "link40", "file"), 100, safefile.Private)
	require.ErrorContains(t, err, "symbolic links")

	// A link in a circle ends in an error.
	require.NoError(t, os.Symlink("link", link))
	_, _, err = safefile.Read(filepath.Join(link, "file"), 100, safefile.Private)
	require.Error(t, err)
	require.NoError(t, os.Remove(link))

	// A link of another user, even to a safe directory: its owner can change it.
	require.NoError(t, os.Symlink(real, link))
	giveAway(t, link)
	_, _, err = safefile.Read(filepath.Join(link, "file"), 100, safefile.Private)
	requireInsecure(t, err, link)

	// A link of ours into a directory of another user.
	require.NoError(t, os.Remove(link))
	theirs := filepath.Join(dir, "theirs")
	require.NoError(t, os.Mkdir(theirs, 0o755))
	put(t, filepath.Join(theirs, "file"), 0o600)
	giveAway(t, theirs)
	require.NoError(t, os.Symlink(theirs, link))
	_, _, err = safefile.Read(filepath.Join(link, "file"), 100, safefile.Private)
	requireInsecure(t, err, theirs)
	requireInsecure(t, safefile.Write(filepath.Join(link, "new"), nil, 0o600, false), theirs)
	requireInsecure(t, safefile.MkdirPrivate(filepath.Join(link, "new")), theirs)
	_, err = os.Lstat(filepath.Join(theirs, "new"))
	require.ErrorIs(t, err, fs.ErrNotExist, "nothing was made there")
}

func TestWrite(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "file")
	require.NoError(t, safefile.Write(path, []byte("one"), 0o600, false))
	require.ErrorIs(t, safefile.Write(path, []byte("two"), 0o600, false), fs.ErrExist)
	requireContent(t, path, "one")
	require.NoError(t, safefile.Write(path, []byte("three"), 0o600, true))
	requireContent(t, path, "three")
	fi, err := os.Stat(path)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, fi.Mode().Perm())

	// What a link leads to is replaced, and the link stays. It counts as existing.
	far, link := filepath.Join(dir, "far"), filepath.Join(dir, "link")
	require.NoError(t, os.Mkdir(far, 0o700))
	other := filepath.Join(far, "other")
	require.NoError(t, os.Symlink("far/other", link))
	require.ErrorIs(t, safefile.Write(link, []byte("four"), 0o600, false), fs.ErrExist)
	require.NoFileExists(t, other)
	for _, content := range []string{"four", "five"} {
		require.NoError(t, safefile.Write(link, []byte(content), 0o600, true))
		requireContent(t, other, content)
	}
	require.ErrorIs(t, safefile.Write(link, []byte("six"), 0o600, false), fs.ErrExist)
	target, err := os.Readlink(link)
	require.NoError(t, err)
	require.Equal(t, "far/other", target)

	// No attempt leaves anything behind.
	for _, d := range []struct {
		path    string
		entries int
	}{{dir, 3}, {far, 1}} {
		entries, err := os.ReadDir(d.path)
		require.NoError(t, err)
		require.Len(t, entries, d.entries)
	}

	require.ErrorIs(t, safefile.Write(filepath.Join(dir, "none", "file"), nil, 0o600, true), fs.ErrNotExist)
	require.NoError(t, safefile.Remove(path))
	require.ErrorIs(t, safefile.Remove(path), fs.ErrNotExist)

	// A link is removed, a directory is not, nor replaced.
	require.NoError(t, safefile.Remove(link))
	requireContent(t, other, "five")
	require.NoError(t, os.Mkdir(link, 0o700))
	require.ErrorIs(t, safefile.Remove(link), syscall.EISDIR)
	require.ErrorIs(t, safefile.Write(link, nil, 0o600, false), fs.ErrExist)
	require.Error(t, safefile.Write(link, nil, 0o600, true))
	require.DirExists(t, link)
}

func requireContent(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(got))
}

func TestMkdirPrivate(t *testing.T) {
	dir := folder(t)
	deep := filepath.Join(dir, "a", "b")
	require.NoError(t, safefile.MkdirPrivate(deep))
	for _, d := range []string{deep, filepath.Dir(deep)} {
		fi, err := os.Stat(d)
		require.NoError(t, err)
		require.EqualValues(t, 0o700, fi.Mode().Perm())
	}
	require.NoError(t, safefile.MkdirPrivate(deep))
	require.NoError(t, os.Chmod(deep, 0o750))
	requireInsecure(t, safefile.MkdirPrivate(deep), deep)

	// What is not a directory is not private, and nothing is made below.
	file, link := filepath.Join(dir, "file"), filepath.Join(dir, "link")
	put(t, file, 0o600)
	require.ErrorContains(t, safefile.MkdirPrivate(file), "not a directory")
	require.ErrorIs(t, safefile.MkdirPrivate(filepath.Join(file, "below")), syscall.ENOTDIR)
	require.NoError(t, os.Symlink("none", link))
	require.ErrorIs(t, safefile.MkdirPrivate(link), fs.ErrNotExist)
	require.ErrorIs(t, safefile.MkdirPrivate(filepath.Join(link, "below")), fs.ErrNotExist)
}

func TestLock(t *testing.T) {
	path := filepath.Join(folder(t), "lock")
	unlock, err := safefile.Lock(context.Background(), path)
	require.NoError(t, err)

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = safefile.Lock(ctx, path)
	require.ErrorIs(t, err, context.Canceled, "held by another open file")

	got := make(chan error, 1)
	go func() {
		second, err := safefile.Lock(context.Background(), path)
		if err == nil {
			err = second()
		}
		got <- err
	}()
	require.NoError(t, unlock())
	require.NoError(t, <-got)

	require.NoError(t, os.Chmod(path, 0o666))
	_, err = safefile.Lock(context.Background(), path)
	requireInsecure(t, err, path)
	require.NoError(t, os.Chmod(path, 0o600))
	giveAway(t, path)
	_, err = safefile.Lock(context.Background(), path)
	requireInsecure(t, err, path)
}

// awaitTick returns when the file system's clock, which may tick in milliseconds
// only, has moved on since the last change of the file at path.
func awaitTick(t *testing.T, path string) {
	t.Helper()
	last, err := os.Stat(path)
	require.NoError(t, err)
	probe := path + ".probe"
	defer os.Remove(probe)
	for begin := time.Now(); ; runtime.Gosched() {
		require.NoError(t, os.WriteFile(probe, []byte{1}, 0o600))
		now, err := os.Stat(probe)
		require.NoError(t, err)
		if safefile.ChangeTime(now).After(safefile.ChangeTime(last)) {
			return
		}
		require.Less(t, time.Since(begin), 30*time.Second, "the clock of the file system stands still")
	}
}

func TestStamp(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "file")
	var none safefile.Stamp
	require.True(t, none.IsZero())
	require.False(t, none.Changed(path), "there was none and there is none")
	put(t, path, 0o600)
	require.True(t, none.Changed(path))
	require.True(t, none.Changed(filepath.Join(path, "below")), "it cannot be looked at")

	_, fresh, err := safefile.Read(path, 100, safefile.Private)
	require.NoError(t, err)
	require.False(t, fresh.IsZero())
	require.True(t, fresh.Changed(path), "too fresh to tell")

	old := safefile.Settled(fresh)
	require.False(t, old.Changed(path))
	awaitTick(t, path)
	require.NoError(t, os.Chtimes(path, time.Time{}, time.Unix(1, 0)))
	require.True(t, old.Changed(path), "the time of change cannot be set back")

	_, fresh, err = safefile.Read(path, 100, safefile.Private)
	require.NoError(t, err)
	old = safefile.Settled(fresh)
	require.NoError(t, os.Rename(path, path+".old"))
	require.True(t, old.Changed(path), "gone")
	put(t, path, 0o600)
	require.True(t, old.Changed(path), "another file")
}

// TestSweep has what writers leave behind that were killed, what living ones have, and
// what looks like it.
func TestSweep(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "file")
	prefix := filepath.Join(dir, safefile.TempPrefix(path))
	require.NotEqual(t, safefile.TempPrefix(path), safefile.TempPrefix(path+"2"))
	there := func() (names []string) {
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		for _, e := range entries {
			names = append(names, filepath.Join(dir, e.Name()))
		}
		return names
	}
	alive, err := os.OpenFile(prefix+"alive", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(alive.Fd()), syscall.LOCK_EX))
	put(t, prefix+"dead", 0o600)
	put(t, filepath.Join(dir, ".tmp-other"), 0o600)
	require.NoError(t, os.Mkdir(prefix+"dir", 0o700))
	require.NoError(t, os.Symlink(path, prefix+"link"))
	require.NoError(t, syscall.Mkfifo(prefix+"fifo", 0o600))
	kept := []string{prefix + "alive", prefix + "dir", prefix + "link", prefix + "fifo", filepath.Join(dir, ".tmp-other"), path}

	require.NoError(t, safefile.Write(path, []byte("one"), 0o600, true))
	require.ElementsMatch(t, kept, there())
	require.NoError(t, alive.Close())
	require.ErrorIs(t, safefile.Write(path, []byte("two"), 0o600, false), fs.ErrExist)
	require.ElementsMatch(t, kept[1:], there())

	// Deleting a secret deletes its copies.
	put(t, prefix+"dead", 0o600)
	require.NoError(t, safefile.Remove(path))
	require.ElementsMatch(t, kept[1:5], there())

	// Another user's file is left alone.
	put(t, prefix+"theirs", 0o600)
	giveAway(t, prefix+"theirs")
	require.NoError(t, safefile.Write(path, []byte("three"), 0o600, true))
	require.FileExists(t, prefix+"theirs")
}

// TestWritersAtTheSameTime has writers take one another's new temporary files for those
// of killed ones: each writes all the same, or is told that another one was first.
func TestWritersAtTheSameTime(t *testing.T) {
	dir := folder(t)
	path := filepath.Join(dir, "file")
	failed := make(chan error)
	for i := range 8 {
		go func() {
			var err error
			for range 50 {
				if e := safefile.Write(path, []byte("content"), 0o600, i%2 == 0); e != nil && !errors.Is(e, fs.ErrExist) {
					err = e
				}
			}
			failed <- err
		}()
	}
	for range 8 {
		require.NoError(t, <-failed)
	}
	requireContent(t, path, "content")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1)
}
