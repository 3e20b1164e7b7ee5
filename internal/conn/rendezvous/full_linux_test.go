package rendezvous_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/conn/rendezvous"
)

// In a file system that is full a host is not made, at whatever file it is full, and leaves
// nothing there. A read-only one is an error that says so.
func TestFullAndReadOnlyFileSystems(t *testing.T) {
	if !withOwnRun(t) {
		return
	}
	dir := t.TempDir()
	o := rendezvous.Options{Dir: filepath.Join(dir, "endpoints")}
	for inodes := 1; ; inodes++ {
		require.NoError(t, unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("mode=0700,nr_inodes=%d", inodes)))
		l, err := carrier.Listen(endpoint, o)
		if err != nil {
			require.ErrorIs(t, err, rendezvous.ErrExhausted)
			require.ErrorIs(t, err, unix.ENOSPC)
			left, _ := filepath.Glob(o.Dir + "/*")
			require.Empty(t, left)
			require.NoError(t, unix.Unmount(dir, 0), "nothing there is open")
			continue
		}
		require.Greater(t, inodes, 3, "it is never full")
		reach(t, l, endpoint, o)
		require.NoError(t, l.Close())
		break
	}
	require.NoError(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	for _, below := range []string{o.Dir, filepath.Join(dir, "new")} {
		_, err := carrier.Listen(endpoint, rendezvous.Options{Dir: below})
		require.ErrorIs(t, err, rendezvous.ErrPermission)
		require.ErrorIs(t, err, unix.EROFS)
	}
	require.NoError(t, unix.Unmount(dir, 0))
}
