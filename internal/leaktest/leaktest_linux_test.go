package leaktest_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/leaktest"
)

func TestCheckFindsMapping(t *testing.T) {
	f := &failing{TB: t}
	leaktest.Check(f)
	fd, err := unix.MemfdCreate("sealport", unix.MFD_CLOEXEC)
	require.NoError(t, err)
	require.NoError(t, unix.Ftruncate(fd, 4096))
	mem, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	require.NoError(t, unix.Close(fd))
	f.end()
	require.NoError(t, unix.Munmap(mem))
	assert.True(t, f.failed)
}
