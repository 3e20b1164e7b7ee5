package socket_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/socket"
)

// twoCounts returns Counts for a host and for its client.
func twoCounts(t testing.TB) (host, client *socket.Counts) {
	t.Helper()
	host, err := socket.NewCounts()
	require.NoError(t, err)
	fd, err := unix.FcntlInt(uintptr(host.FD()), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)
	client, err = socket.OpenCounts(fd)
	require.NoError(t, err)
	return host, client
}

// What one side says is what the other side finds, however often either has used the
// Counts: a side that has used them often maps them.
func TestCounts(t *testing.T) {
	const often = 300
	for name, c := range map[string]struct{ says, looks int }{
		"both":   {1, 1},
		"says":   {1, 0},
		"looks":  {often, 1},
		"seldom": {often, often},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := twoCounts(t)
			for _, side := range [][2]*socket.Counts{{a, b}, {b, a}} {
				own, peers := side[0], side[1]
				require.Zero(t, peers.PeerDealt())
				for n := uint64(1); n <= 2*often; n++ {
					if n%uint64(c.says) == 0 {
						own.SetDealt(n)
						if c.looks > 0 && n%uint64(c.looks) == 0 {
							require.Equal(t, n, peers.PeerDealt())
						}
					}
				}
				assert.EqualValues(t, 2*often, peers.PeerDealt())
				assert.False(t, peers.PeerAsks())
			}
			a.AskToEnd()
			assert.True(t, b.PeerAsks())
			assert.False(t, a.PeerAsks())
			b.AskToEnd()
			assert.True(t, a.PeerAsks())
			assert.EqualValues(t, 2*often, a.PeerDealt())
			assert.Equal(t, -1, a.FD(), "it is mapped, and no descriptor is left")
			require.NoError(t, a.Close())
			require.NoError(t, b.Close())
			require.NoError(t, b.Close(), "twice")
		})
	}
}

// Counts are mapped when they have been used often, and before that only where a system
// call would show half of a value.
func TestCountsAreMapped(t *testing.T) {
	const seldom, oneByte = 32, 255
	says := func(frames uint64, times int) func(a, b *socket.Counts) {
		return func(a, _ *socket.Counts) {
			for range times {
				a.SetDealt(frames)
			}
		}
	}
	looks := func(frames uint64, times int) func(a, b *socket.Counts) {
		return func(a, b *socket.Counts) {
			b.SetDealt(frames)
			for range times {
				require.Equal(t, frames, a.PeerDealt())
			}
		}
	}
	for name, row := range map[string]struct {
		use    func(a, b *socket.Counts)
		mapped bool
	}{
		"says seldom":       {says(oneByte, seldom), false},
		"says often":        {says(oneByte, seldom+1), true},
		"says much":         {says(oneByte+1, 1), true},
		"looks seldom":      {looks(oneByte, seldom), false},
		"looks often":       {looks(oneByte, seldom+1), true},
		"looks at much":     {looks(oneByte+1, 1), true},
		"looks at the most": {looks(1<<64-1, 1), true},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := twoCounts(t)
			row.use(a, b)
			require.Equal(t, row.mapped, a.FD() < 0)
			require.NoError(t, a.Close())
			require.NoError(t, b.Close())
		})
	}
}

// Nil is a peer that never tells anything.
func TestNoCounts(t *testing.T) {
	var c *socket.Counts
	require.Equal(t, -1, c.FD())
	c.SetDealt(1)
	c.AskToEnd()
	require.Zero(t, c.PeerDealt())
	require.False(t, c.PeerAsks())
	require.NoError(t, c.Close())
}

// A process that may not write files shares Counts all the same.
func TestCountsWithoutFiles(t *testing.T) {
	host, err := socket.NewCounts()
	require.NoError(t, err)
	fd, err := unix.FcntlInt(uintptr(host.FD()), unix.F_DUPFD_CLOEXEC, 0)
	require.NoError(t, err)

	var before unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_FSIZE, &before))
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 0, Max: before.Max}))
	client, err := socket.OpenCounts(fd)
	if err == nil {
		client.SetDealt(7)
	}
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_FSIZE, &before))
	require.NoError(t, err)

	assert.EqualValues(t, 7, host.PeerDealt())
	require.NoError(t, client.Close())
	require.NoError(t, host.Close())
}

// Without memory a side goes on, and what it has dealt with is found when there is some.
func TestCountsWithoutMemory(t *testing.T) {
	host, client := twoCounts(t)
	for n := uint64(1); n <= 100; n++ {
		client.SetDealt(n)
	}
	pipe := make([]int, 2)
	require.NoError(t, unix.Pipe2(pipe, unix.O_CLOEXEC))
	memory := host.SwapFD(pipe[0]) // which can be neither written nor mapped
	for range 100 {
		assert.Zero(t, host.PeerDealt())
		host.SetDealt(1 << 20)
		host.AskToEnd()
	}
	assert.Zero(t, client.PeerDealt())
	assert.False(t, client.PeerAsks())
	require.Equal(t, pipe[0], host.SwapFD(memory))
	require.NoError(t, unix.Close(pipe[0]))
	require.NoError(t, unix.Close(pipe[1]))
	host.SetDealt(1<<20 + 1)
	assert.EqualValues(t, 100, host.PeerDealt())
	assert.EqualValues(t, 1<<20+1, client.PeerDealt())
	require.NoError(t, host.Close())
	require.NoError(t, client.Close())
}
