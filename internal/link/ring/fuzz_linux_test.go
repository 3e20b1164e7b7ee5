package ring_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/ring"
)

// shared makes a memory file, maps it for the host, and once more as raw bytes
// for a peer that writes what it likes.
func shared(t testing.TB, size int) (m *ring.Mapping, raw []byte) {
	t.Helper()
	m, fd, err := ring.Create(size)
	require.NoError(t, err)
	raw, err = unix.Mmap(fd, 0, ring.FileSize(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	require.NoError(t, errors.Join(err, unix.Close(fd)))
	t.Cleanup(func() { require.NoError(t, errors.Join(m.Unmap(), unix.Munmap(raw))) })
	return m, raw
}

// FuzzRing writes arbitrary bytes over the control words and the data, again and
// again, while the host reads and writes. Nothing may panic, every frame must
// keep to the limit, and an error must stay.
func FuzzRing(f *testing.F) {
	const size = ring.MinSize
	f.Add([]byte{}, []byte{})
	f.Add([]byte{8}, []byte{3, 0, 0, 0, 'a', 'b', 'c', 0})
	f.Add([]byte{16}, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add(bytes.Repeat([]byte{0xff}, 520), []byte{0xfe, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, words, data []byte) {
		m, raw := shared(t, size)
		out, in := m.Ends(ring.Host)
		var dead error
		for round := range 4 {
			copy(raw[4096:], data)
			n := copy(raw[:1024], words)
			if round%2 == 1 && n > 0 {
				raw[0] += byte(round) // the tail moves on
			}
			if _, err := in.Fill(); dead != nil {
				require.ErrorIs(t, err, ring.ErrCorrupt, "an error that went away")
			} else if err != nil {
				require.ErrorIs(t, err, ring.ErrCorrupt)
				dead = err
			}
			for {
				frame, ok := in.Next()
				if !ok {
					break
				}
				require.LessOrEqual(t, len(frame), ring.MaxFrame(size))
			}
			in.Release()
			in.MustWake()
			if _, err := out.Write([]byte("head"), data); err != nil && !errors.Is(err, ring.ErrTooLarge) {
				require.ErrorIs(t, err, ring.ErrCorrupt)
			}
			out.MustWake()
			_ = out.Backlogged()
			_ = out.Unacknowledged()
		}
	})
}

// TestOpenRefuses lists what a hostile host may hand over in place of a sealed
// memory file.
func TestOpenRefuses(t *testing.T) {
	const size = ring.MinSize
	memfd := func(t *testing.T, length int64, seals int) int {
		fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
		require.NoError(t, err)
		require.NoError(t, unix.Ftruncate(fd, length))
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals)
		require.NoError(t, err)
		return fd
	}
	const sealed = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_SEAL
	right := int64(ring.FileSize(size))
	for name, make := range map[string]func(t *testing.T) int{
		"not sealed":             func(t *testing.T) int { return memfd(t, right, 0) },
		"may shrink":             func(t *testing.T) int { return memfd(t, right, sealed&^unix.F_SEAL_SHRINK) },
		"may grow":               func(t *testing.T) int { return memfd(t, right, sealed&^unix.F_SEAL_GROW) },
		"seals may change":       func(t *testing.T) int { return memfd(t, right, sealed&^unix.F_SEAL_SEAL) },
		"sealed against writing": func(t *testing.T) int { return memfd(t, right, sealed|unix.F_SEAL_WRITE) },
		"too small":              func(t *testing.T) int { return memfd(t, right-4096, sealed) },
		"too large":              func(t *testing.T) int { return memfd(t, right+4096, sealed) },
		"empty":                  func(t *testing.T) int { return memfd(t, 0, sealed) },
		"a pipe": func(t *testing.T) int {
			var p [2]int
			require.NoError(t, unix.Pipe2(p[:], unix.O_CLOEXEC))
			require.NoError(t, unix.Close(p[1]))
			return p[0]
		},
		"a file": func(t *testing.T) int {
			fd, err := unix.Open(t.TempDir()+"/file", unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
			require.NoError(t, err)
			require.NoError(t, unix.Ftruncate(fd, right))
			return fd
		},
	} {
		t.Run(name, func(t *testing.T) {
			fd := make(t)
			_, err := ring.Open(fd, size)
			require.ErrorIs(t, err, ring.ErrMapping)
			require.NoError(t, unix.Close(fd))
		})
	}
	for _, bad := range []int{0, 1, size - 1, size + 1, 3 * size, 2 * ring.MaxSize, -size} {
		_, err := ring.Open(-1, bad)
		require.ErrorIs(t, err, ring.ErrMapping)
		_, _, err = ring.Create(bad)
		require.ErrorIs(t, err, ring.ErrMapping)
	}
	// A size that is not allowed, of which the file is.
	for _, bad := range []int{0, size / 2, size - 4096, size + 4096, 3 * size, 2 * ring.MaxSize} {
		fd := memfd(t, int64(ring.FileSize(bad)), sealed)
		_, err := ring.Open(fd, bad)
		require.ErrorIs(t, err, ring.ErrMapping, "%d bytes", bad)
		require.NoError(t, unix.Close(fd))
	}
	fd := memfd(t, int64(ring.FileSize(ring.MaxSize)), sealed)
	m, err := ring.Open(fd, ring.MaxSize)
	require.NoError(t, err)
	require.NoError(t, errors.Join(unix.Close(fd), m.Unmap(), m.Unmap()))
}
