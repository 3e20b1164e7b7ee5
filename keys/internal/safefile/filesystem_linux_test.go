package safefile_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys/internal/safefile"
)

// The system calls fail as file systems do that have no links (vfat, some FUSE, SMB) or
// cannot sync directories, that are full, or whose server is away.
var (
	noRename  = fault{errno: syscall.ENOSYS} // of RENAME2; the kernel makes EINVAL of it
	noLinks   = fault{errno: syscall.EPERM}
	broken    = fault{errno: syscall.EIO}
	full      = fault{errno: syscall.ENOSPC}
	unknown   = fault{errno: syscall.EINVAL}
	lost      = fault{errno: syscall.EIO, done: true} // the answer is
	repeated  = fault{errno: syscall.EEXIST, done: true}
	forbidden = fault{errno: syscall.EACCES}
)

// writerEnv tells a test that it is the child of a writer.
const writerEnv = "SEALPORT_SAFEFILE_WRITER"

// results are what a writer tells of an error.
var results = map[string]error{
	"ErrNotDurable": safefile.ErrNotDurable, "ErrInsecure": safefile.ErrInsecure, "ErrUnsupported": errors.ErrUnsupported,
	"ErrExist": fs.ErrExist, "ErrPermission": fs.ErrPermission, "EIO": syscall.EIO, "ENOSPC": syscall.ENOSPC,
	"ENOLCK": syscall.ENOLCK, "changed": errChanged,
}

// writer is a child process that writes "new" to files.
type writer struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// startWriter runs the calling test in a child with this attribute, or nil, which must
// call beWriter.
func startWriter(t testing.TB, attr *syscall.SysProcAttr) *writer {
	t.Helper()
	w := &writer{cmd: exec.Command("/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.timeout=60s")}
	w.cmd.Env = append(os.Environ(), writerEnv+"=yes", "GORACE=atexit_sleep_ms=0")
	w.cmd.SysProcAttr = attr
	var err error
	w.in, err = w.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := w.cmd.StdoutPipe()
	require.NoError(t, err)
	w.out = bufio.NewReader(out)
	require.NoError(t, w.cmd.Start())
	return w
}

// errChanged is the result of the command changed.
var errChanged = errors.New("the file has changed")

// begin sends a command and a path: create, replace, remove, mkdir, lock or read, or changed,
// which is about the last read.
func (w *writer) begin(t testing.TB, command, path string) {
	t.Helper()
	_, err := fmt.Fprintln(w.in, command, path)
	require.NoError(t, err)
}

// end waits for its result.
func (w *writer) end(t testing.TB) (matched []string) {
	t.Helper()
	line, err := w.out.ReadString('\n')
	require.NoError(t, err)
	return strings.Fields(line)
}

func (w *writer) do(t testing.TB, command, path string) []string {
	t.Helper()
	w.begin(t, command, path)
	return w.end(t)
}

// stop ends the child.
func (w *writer) stop(t testing.TB) {
	t.Helper()
	require.NoError(t, w.in.Close())
	_, err := io.Copy(io.Discard, w.out)
	require.NoError(t, err)
	require.NoError(t, w.cmd.Wait())
}

// beWriter is the child. It reports "ok", or "error" and which results match.
func beWriter(t testing.TB) {
	t.Helper()
	var stamp safefile.Stamp
	commands := bufio.NewScanner(os.Stdin)
	for commands.Scan() {
		command, path, _ := strings.Cut(commands.Text(), " ")
		var err error
		switch command {
		case "remove":
			err = safefile.Remove(path)
		case "mkdir":
			err = safefile.MkdirPrivate(path)
		case "lock":
			var unlock func() error
			if unlock, err = safefile.Lock(t.Context(), path); err == nil {
				err = unlock()
			}
		case "read":
			_, stamp, err = safefile.Read(path, 100, safefile.Private)
		case "changed":
			if stamp.Changed(path) {
				err = errChanged
			}
		default:
			err = safefile.Write(path, []byte("new"), 0o600, command == "replace")
		}
		answer := "ok"
		if err != nil {
			answer = "error"
		}
		for name, result := range results {
			if errors.Is(err, result) {
				answer += " " + name
			}
		}
		fmt.Println(answer)
	}
	require.NoError(t, commands.Err())
}

// insideMounts runs the calling test again where it may mount file systems, and reports
// whether that is here. There it is also the program of the writer that the test starts.
func insideMounts(t testing.TB) bool {
	t.Helper()
	switch {
	case os.Getenv(writerEnv) != "":
		beWriter(t)
		return false
	case inside() == "":
		needRoot(t)
		runInside(t, mountNamespace, systemDir(t))
		return false
	}
	return true
}

// TestWriteFaults writes to file systems that fail. After each error nothing has
// changed, unless it is ErrNotDurable.
func TestWriteFaults(t *testing.T) {
	if !insideMounts(t) {
		return
	}
	path, w := filepath.Join(inside(), "key"), startWriter(t, nil)
	defer w.stop(t)
	type faults = map[uint32]fault
	const create, replace, both = 1, 2, 3
	for _, tc := range []struct {
		name   string
		how    int
		faults faults
		modes  uint32
		want   string
	}{
		{"nothing fails", both, nil, 0, "ok"},
		{"no rename without replacing", create, faults{fuseRename2: noRename}, 0, "ok"},
		{"no rename without replacing, says so", create, faults{fuseRename2: {errno: syscall.EOPNOTSUPP}}, 0, "ok"},
		{"no links", create, faults{fuseLink: noLinks}, 0, "ok"},
		{"neither", create, faults{fuseRename2: noRename, fuseLink: noLinks}, 0, "ErrUnsupported"},
		{"neither, as SMB says", create, faults{fuseRename2: unknown, fuseLink: {errno: syscall.EOPNOTSUPP}}, 0, "ErrUnsupported"},
		{"neither, as others say", create, faults{fuseRename2: unknown, fuseLink: forbidden}, 0, "ErrUnsupported"},
		{"neither, as yet others say", create, faults{fuseRename2: unknown, fuseLink: unknown}, 0, "ErrUnsupported"},
		{"neither, but to replace", replace, faults{fuseRename2: noRename, fuseLink: noLinks}, 0, "ok"},
		{"directories cannot be synced", both, faults{fuseFsyncdir: unknown}, 0, "ok"},
		{"files cannot be synced", both, faults{fuseFsync: unknown}, 0, "ok"},
		{"syncing the directory fails", both, faults{fuseFsyncdir: broken}, 0, "ErrNotDurable"},
		{"syncing the directory fails after a link", create, faults{fuseFsyncdir: full, fuseRename2: noRename}, 0, "ErrNotDurable"},
		{"syncing the file fails", both, faults{fuseFsync: broken}, 0, "EIO"},
		{"it is full", both, faults{fuseWrite: full}, 0, "ENOSPC"},
		{"it is full, says close", both, faults{fuseFlush: full}, 0, "ENOSPC"},
		{"no new files", both, faults{fuseMknod: full}, 0, "ENOSPC"},
		{"the directory cannot be opened", both, faults{fuseOpendir: forbidden}, 0, "ErrPermission"},
		{"the directory cannot be listed", both, faults{fuseReaddir: broken}, 0, "ok"},
		{"renaming fails", create, faults{fuseRename2: broken}, 0, "EIO"},
		{"renaming over another fails", replace, faults{fuseRename: broken}, 0, "EIO"},
		{"linking fails", create, faults{fuseRename2: noRename, fuseLink: broken}, 0, "EIO"},
		{"the answer to a rename is lost", create, faults{fuseRename2: lost}, 0, "ok"},
		{"a rename is repeated", create, faults{fuseRename2: repeated}, 0, "ok"},
		{"the answer to a rename over another is lost", replace, faults{fuseRename: lost}, 0, "ok"},
		{"a link is repeated", create, faults{fuseRename2: noRename, fuseLink: repeated}, 0, "ok"},
		{"no locks", both, faults{fuseSetlk: {errno: syscall.ENOLCK}}, 0, "ok"},
		{"modes are not kept", both, nil, 0o755, "ErrInsecure"},
		{"modes are not kept and cannot be set", both, faults{fuseSetattr: noLinks}, 0o644, "ErrInsecure"},
		{"modes are not kept but narrow enough", both, faults{fuseSetattr: noLinks}, 0o700, "ok"},
	} {
		for _, old := range []bool{false, true} {
			if tc.how == create && old || tc.how == replace && !old {
				continue
			}
			s, command := &fuseFS{faults: tc.faults, modes: tc.modes}, "create"
			unmount := s.mount(t, inside())
			if old {
				s.put("key", "old")
				command = "replace"
			}
			got := w.do(t, command, path)
			content, there, names := s.content("key")
			unmount()
			assert.Contains(t, got, tc.want, tc.name)
			assert.Equal(t, tc.want == "ErrUnsupported", slices.Contains(got, "ErrUnsupported"), tc.name)
			switch {
			case got[0] == "ok" || slices.Contains(got, "ErrNotDurable"):
				assert.Equal(t, "new", content, tc.name)
				assert.Equal(t, 1, names, "%s: no temporary file is left", tc.name)
			case old:
				assert.Equal(t, "old", content, tc.name)
				assert.Equal(t, 1, names, "%s: no temporary file is left", tc.name)
			default:
				assert.False(t, there, tc.name)
				assert.Zero(t, names, "%s: no temporary file is left", tc.name)
			}
			if tc.want == "ErrInsecure" {
				assert.Zero(t, s.written, "%s: others have seen nothing", tc.name)
			}
		}
	}

	// Whatever it takes to create a file, another one is not replaced.
	for _, faults := range []faults{nil, {fuseRename2: noRename}, {fuseLink: noLinks}} {
		s := &fuseFS{faults: faults}
		unmount := s.mount(t, inside())
		s.put("key", "old")
		got := w.do(t, "create", path)
		content, _, names := s.content("key")
		unmount()
		assert.Contains(t, got, "ErrExist")
		assert.Equal(t, "old", content)
		assert.Equal(t, 1, names)
	}

	// Removing is done or not done, too.
	for _, tc := range []struct {
		faults faults
		want   string
	}{
		{nil, "ok"}, {faults{fuseUnlink: broken}, "EIO"}, {faults{fuseUnlink: lost}, "ok"}, {faults{fuseFsyncdir: broken}, "ErrNotDurable"},
	} {
		s := &fuseFS{faults: tc.faults}
		unmount := s.mount(t, inside())
		s.put("key", "old")
		got := w.do(t, "remove", path)
		_, there, _ := s.content("key")
		unmount()
		assert.Contains(t, got, tc.want)
		assert.Equal(t, tc.want == "EIO", there, tc.want)
	}

	// A lock that cannot be had is an error, and not waited for.
	s := &fuseFS{faults: faults{fuseSetlk: {errno: syscall.ENOLCK}}}
	unmount := s.mount(t, inside())
	assert.Contains(t, w.do(t, "lock", path), "ENOLCK")
	unmount()
}

// TestStampSeesEveryChange: each that shows.
func TestStampSeesEveryChange(t *testing.T) {
	if !insideMounts(t) {
		return
	}
	path, w := filepath.Join(inside(), "key"), startWriter(t, nil)
	defer w.stop(t)
	s := &fuseFS{}
	defer s.mount(t, inside())()
	s.put("key", "one")
	for name, change := range map[string]func(*fuseNode){
		"":      func(*fuseNode) {},
		"size":  func(n *fuseNode) { n.content = append(n.content, "!"...) },
		"mode":  func(n *fuseNode) { n.mode ^= 0o200 },
		"time":  func(n *fuseNode) { n.changed++ },
		"inode": func(n *fuseNode) { n.ino += 1000 },
	} {
		require.Equal(t, []string{"ok"}, w.do(t, "read", path)) // last changed in 1970
		s.change("key", change)
		require.Equal(t, name != "", slices.Contains(w.do(t, "changed", path), "changed"), name)
	}
}

// TestDirectoryMadeMeanwhile has another user make a directory in one like /tmp between
// the look at the path and its creation. Nothing is created in it, nor after an error.
func TestDirectoryMadeMeanwhile(t *testing.T) {
	if !insideMounts(t) {
		return
	}
	w := startWriter(t, nil)
	defer w.stop(t)
	for _, tc := range []struct {
		maker  uint32
		faults map[uint32]fault
		want   string
	}{
		{0, map[uint32]fault{fuseMkdir: repeated}, "ok"},
		{alien, map[uint32]fault{fuseMkdir: repeated}, "ErrInsecure"},
		{0, map[uint32]fault{fuseMkdir: broken}, "EIO"},
		{0, map[uint32]fault{fuseFsyncdir: broken}, "EIO"},
		{0, map[uint32]fault{fuseOpendir: forbidden}, "ok"}, // may be written, not read
	} {
		s := &fuseFS{sticky: true, maker: tc.maker, faults: tc.faults}
		unmount := s.mount(t, inside())
		got := w.do(t, "mkdir", filepath.Join(inside(), "a", "b"))
		_, below, _ := s.content("b")
		unmount()
		require.Contains(t, got, tc.want)
		require.Equal(t, tc.want == "ok", below)
	}
}

// TestKilledWriter kills a process in the middle of Write. While it lives nobody
// touches its temporary file, and afterwards the next writer of the same file removes
// it.
func TestKilledWriter(t *testing.T) {
	if !insideMounts(t) {
		return
	}
	path, w := filepath.Join(inside(), "key"), startWriter(t, nil)
	defer w.stop(t)
	for _, killed := range []bool{true, false} {
		s := &fuseFS{held: fuseFsync, announced: make(chan struct{}), release: make(chan struct{})}
		unmount := s.mount(t, inside())
		slow := startWriter(t, nil)
		slow.begin(t, "create", path)
		<-s.announced // it has written its temporary file
		require.True(t, s.temporary())
		require.Equal(t, []string{"ok"}, w.do(t, "create", path))
		require.True(t, s.temporary(), "the file of a writer that lives")

		// The kernel waits for the answer to the request of a process that is
		// killed.
		if killed {
			require.NoError(t, slow.cmd.Process.Kill())
			s.release <- struct{}{}
			require.Error(t, slow.cmd.Wait())
			require.True(t, s.temporary(), "the file of a writer that was killed")
			require.Equal(t, []string{"ok"}, w.do(t, "create", filepath.Join(inside(), "other")))
			require.True(t, s.temporary(), "another file's writers leave it alone")
			require.Contains(t, w.do(t, "create", path), "ErrExist")
		} else {
			s.release <- struct{}{}
			require.Contains(t, slow.end(t), "ErrExist")
			slow.stop(t)
		}
		require.False(t, s.temporary())
		unmount()
	}
}

// TestFileSystems writes to those that can be mounted everywhere.
func TestFileSystems(t *testing.T) {
	if inside() == "" {
		needRoot(t)
		runInside(t, mountNamespace, systemDir(t))
		return
	}
	for _, system := range []string{"tmpfs", "ramfs", "overlay"} {
		dir, options := filepath.Join(inside(), system), ""
		require.NoError(t, os.Mkdir(dir, 0o755))
		if system == "overlay" { // its layers are on the tmpfs, which is the first
			layers := filepath.Join(inside(), "tmpfs")
			for _, layer := range []string{"lower", "upper", "work"} {
				require.NoError(t, os.Mkdir(filepath.Join(layers, layer), 0o755))
			}
			put(t, filepath.Join(layers, "lower", "below"), 0o600)
			options = fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", layers)
		}
		require.NoError(t, syscall.Mount("test", dir, system, 0, options))
		require.NoError(t, os.Chmod(dir, 0o755))
		if system == "overlay" {
			below := filepath.Join(dir, "below")
			require.ErrorIs(t, safefile.Write(below, []byte("new"), 0o600, false), fs.ErrExist)
			require.NoError(t, safefile.Write(below, []byte("new"), 0o600, true))
			requireContent(t, below, "new")
		}
		path := filepath.Join(dir, "a", "b", "key")
		require.NoError(t, safefile.MkdirPrivate(filepath.Dir(path)))
		require.NoError(t, safefile.Write(path, []byte("one"), 0o600, false))
		require.ErrorIs(t, safefile.Write(path, []byte("two"), 0o600, false), fs.ErrExist)
		require.NoError(t, safefile.Write(path, []byte("three"), 0o600, true))
		data, _, err := safefile.Read(path, 100, safefile.Private)
		require.NoError(t, err, system)
		require.Equal(t, "three", string(data))
		require.NoError(t, safefile.Remove(path))
		entries, err := os.ReadDir(filepath.Dir(path))
		require.NoError(t, err)
		require.Empty(t, entries)
	}
}
