package peer_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/peer"
)

// TestDigestIsOfOneVersion: a file that was changed is another one to the cache, also if
// its size and its time of change look as before, which their owner can see to.
func TestDigestIsOfOneVersion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "program")
	require.NoError(t, os.WriteFile(path, []byte("good"), 0o700))
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	key := func() any {
		k, err := peer.FileKey(f)
		require.NoError(t, err)
		return k
	}
	first := key()
	require.Equal(t, first, key())
	st, err := f.Stat()
	require.NoError(t, err)
	// Again until the file system's clock has moved on.
	changed := func(st os.FileInfo) syscall.Timespec { return st.Sys().(*syscall.Stat_t).Ctim }
	var now os.FileInfo
	require.Eventually(t, func() bool {
		require.NoError(t, os.WriteFile(path, []byte("evil"), 0o700))
		require.NoError(t, os.Chtimes(path, time.Time{}, st.ModTime()))
		now, err = f.Stat()
		return err == nil && changed(now) != changed(st)
	}, 20*time.Second, time.Millisecond)
	require.NotEqual(t, first, key())
	require.Equal(t, st.ModTime(), now.ModTime())
	require.Equal(t, st.Size(), now.Size())
}

// TestDigestOfWhatCannotBeRead: there is no digest of a part, or of nothing.
func TestDigestOfWhatCannotBeRead(t *testing.T) {
	unreadable, err := os.Open("/proc/self/mem") // at its beginning
	require.NoError(t, err)
	defer unreadable.Close()
	large, err := os.Create(filepath.Join(t.TempDir(), "large"))
	require.NoError(t, err)
	defer large.Close()
	require.NoError(t, large.Truncate(peer.MaxExecutableSize+1))
	for name, f := range map[string]*os.File{"unreadable": unreadable, "large": large} {
		for _, algorithm := range []string{peer.SHA256, peer.VeritySHA256} {
			d, err := peer.DigestOf(t.Context(), f, algorithm)
			require.ErrorIs(t, err, peer.ErrUnavailable, name)
			require.Zero(t, d)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		d, err := peer.DigestOf(ended, f, peer.SHA256)
		require.ErrorIs(t, err, context.Canceled, name)
		require.Zero(t, d)
	}
}
