//go:build linux || darwin

package safefile_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/keys/internal/safefile"
)

func TestReadModes(t *testing.T) {
	for _, tc := range []struct {
		mode, forbidden fs.FileMode
		ok              bool
	}{
		{0o600, safefile.Private, true},
		{0o400, safefile.Private, true},
		{0o640, safefile.Private, false},
		{0o620, safefile.Private, false},
		{0o610, safefile.Private, false},
		{0o604, safefile.Private, false},
		{0o602, safefile.Private, false},
		{0o601, safefile.Private, false},
		{0o644, safefile.Unforgeable, true},
		{0o664, safefile.Unforgeable, false},
		{0o646, safefile.Unforgeable, false},
	} {
		path := filepath.Join(folder(t), "file")
		put(t, path, tc.mode)
		data, _, err := safefile.Read(path, 100, tc.forbidden)
		if tc.ok {
			require.NoError(t, err, "%o", tc.mode)
			require.Equal(t, "content", string(data))
			continue
		}
		requireInsecure(t, err, path)
		require.Nil(t, data)
	}
}

func TestReadRefusesWhatIsNoFile(t *testing.T) {
	dir := folder(t)
	_, _, err := safefile.Read(filepath.Join(dir, "none"), 100, safefile.Private)
	require.ErrorIs(t, err, fs.ErrNotExist)

	_, _, err = safefile.Read(dir, 100, safefile.Private)
	requireInsecure(t, err, dir)

	// Nothing writes to this FIFO: opening it the usual way blocks forever.
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	_, _, err = safefile.Read(fifo, 100, safefile.Private)
	requireInsecure(t, err, fifo)

	file := filepath.Join(dir, "file")
	put(t, file, 0o600)
	_, _, err = safefile.Read(filepath.Join(file, "below"), 100, safefile.Private)
	require.Error(t, err)
}

// TestReadLeavesNoCopies reads from files that have grown. What is not returned is
// cleared.
func TestReadLeavesNoCopies(t *testing.T) {
	broken := errors.New("broken")
	for _, tc := range []struct {
		size, limit int64
		end         error
		want        error
	}{
		{7, 7, io.EOF, nil}, {6, 7, io.EOF, nil}, {7, 100, io.EOF, nil}, {0, 7, io.EOF, nil}, {3, 100, io.EOF, nil}, {1000, 7, io.EOF, nil},
		{7, 6, io.EOF, safefile.ErrTooLarge}, {0, 6, io.EOF, safefile.ErrTooLarge}, {1000, 6, io.EOF, safefile.ErrTooLarge},
		{7, 100, broken, broken}, {0, 100, broken, broken},
	} {
		r := &spy{left: "content", end: tc.end}
		data, err := safefile.ReadAll(r, tc.size, tc.limit)
		if tc.want != nil {
			require.ErrorIs(t, err, tc.want)
			require.Nil(t, data)
		} else {
			require.NoError(t, err)
			require.Equal(t, "content", string(data))
			require.LessOrEqual(t, int64(cap(data)), tc.limit+1)
		}
		clear(data)
		for _, p := range r.seen {
			require.Equal(t, make([]byte, len(p)), p, "%+v", tc)
		}
	}
}

// spy keeps what it is asked to read into.
type spy struct {
	left string
	end  error
	seen [][]byte
}

func (s *spy) Read(p []byte) (int, error) {
	s.seen = append(s.seen, p)
	n := copy(p, s.left)
	if s.left = s.left[n:]; n == 0 {
		return 0, s.end
	}
	return n, nil
}

func TestReadLimit(t *testing.T) {
	path := filepath.Join(folder(t), "file")
	put(t, path, 0o600)
	_, _, err := safefile.Read(path, 7, safefile.Private)
	require.NoError(t, err)
	_, _, err = safefile.Read(path, 6, safefile.Private)
	require.ErrorIs(t, err, safefile.ErrTooLarge)
	require.ErrorContains(t, err, path)
}

func TestIsExhausted(t *testing.T) {
	for _, errno := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM} {
		require.True(t, safefile.IsExhausted(&fs.PathError{Op: "open", Path: "x", Err: errno}))
	}
	for _, err := range []error{nil, io.EOF, syscall.ENOSPC, syscall.EACCES} {
		require.False(t, safefile.IsExhausted(err))
	}
}

// TestReasons: an error says who can do what.
func TestReasons(t *testing.T) {
	dir := folder(t)
	file, sub := filepath.Join(dir, "file"), filepath.Join(dir, "sub")
	put(t, file, 0o600)
	require.NoError(t, os.Mkdir(sub, 0o700))
	fi, err := os.Stat(dir)
	require.NoError(t, err)
	group := fmt.Sprintf("group %d", fi.Sys().(*syscall.Stat_t).Gid)
	for mode, want := range map[fs.FileMode][2]string{
		0o770: {group + " can replace what is in it", group + " can write it"},
		0o760: {group + " can replace what is in it", group + " can write it"},
		0o750: {group + " can list it", group + " can read it"},
		0o740: {group + " can list it", group + " can read it"},
		0o710: {group + " can search it", group + " can execute it"},
		0o702: {"every user can replace what is in it", "every user can write it"},
		0o704: {"every user can list it", "every user can read it"},
		0o701: {"every user can search it", "every user can execute it"},
	} {
		require.NoError(t, os.Chmod(sub, mode))
		require.NoError(t, os.Chmod(file, mode))
		require.ErrorContains(t, safefile.MkdirPrivate(sub), want[0], "%o", mode)
		_, _, err := safefile.Read(file, 100, safefile.Private)
		require.ErrorContains(t, err, want[1], "%o", mode)
	}
}
