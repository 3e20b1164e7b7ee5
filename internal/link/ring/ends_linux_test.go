package ring_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/ring"
)

// Each end alone: what a Link relies on, and would notice only by a hang or not at all.

// ends returns the writing end of one side and the reading end of the other.
func ends(t *testing.T, size int) (*ring.Producer, *ring.Consumer) {
	t.Helper()
	host, fd, err := ring.Create(size)
	require.NoError(t, err)
	client, err := ring.Open(fd, size)
	require.NoError(t, errors.Join(err, unix.Close(fd)))
	t.Cleanup(func() { require.NoError(t, errors.Join(host.Unmap(), client.Unmap())) })
	out, _ := host.Ends(ring.Host)
	_, in := client.Ends(ring.Client)
	return out, in
}

func write(t *testing.T, out *ring.Producer, n int) {
	t.Helper()
	ok, err := out.Write(nil, make([]byte, n))
	require.NoError(t, err)
	require.True(t, ok)
}

// readAll reads what there is, and returns how many frames.
func readAll(t *testing.T, in *ring.Consumer) (frames int) {
	t.Helper()
	for {
		n, err := in.Fill()
		require.NoError(t, err)
		if n == 0 {
			return frames
		}
		for {
			// What Buffered says decides whether a reader may be unmapped under.
			buffered := in.Buffered()
			_, ok := in.Next()
			require.Equal(t, buffered, ok)
			if !ok {
				break
			}
			frames++
		}
	}
}

func TestBufferedIsWhatNextReturns(t *testing.T) {
	out, in := ends(t, ring.MinSize)
	for _, n := range []int{0, 1, 3, 4, 5, 100, 4095, ring.MinSize/2 - 16} {
		require.False(t, in.Buffered())
		write(t, out, n)
		require.False(t, in.Buffered(), "it is in the ring")
		require.Equal(t, 1, readAll(t, in))
	}
	for range 100 {
		write(t, out, 20)
	}
	require.Equal(t, 100, readAll(t, in))
	out, in = ends(t, 256<<10)
	for range 10 {
		write(t, out, 60_000) // of which a part comes first
		require.Equal(t, 1, readAll(t, in))
	}
}

// A frame that just fits is written, also if the room was made only now.
func TestExactFit(t *testing.T) {
	const framed = ring.MinSize / 4
	out, in := ends(t, ring.MinSize)
	for range 3 {
		for range 3 {
			write(t, out, framed-4)
		}
		for n, fits := range map[int]bool{framed - 8 - 4: true, framed - 8 - 3: false} {
			room, err := out.Room(n)
			require.NoError(t, err)
			require.Equal(t, fits, room)
			short, err := out.Arm(n)
			require.NoError(t, err)
			require.Equal(t, !fits, short)
		}
		ok, err := out.Write(nil, make([]byte, framed-8-3))
		require.NoError(t, err)
		require.False(t, ok)
		write(t, out, framed-8-4)
		room, err := out.Room(0)
		require.NoError(t, err)
		require.False(t, room, "the end marker has its place")
		require.Equal(t, 4, readAll(t, in))
		write(t, out, 4) // up to a multiple of framed
		require.Equal(t, 1, readAll(t, in))
	}
	out.End()
	published := out.Published()
	out.End()
	require.Equal(t, published, out.Published(), "once")
	require.Zero(t, readAll(t, in))
	require.True(t, in.Ended())
}

// Who goes to sleep is told what came before, and is woken once.
func TestSleepers(t *testing.T) {
	out, in := ends(t, ring.MinSize)
	require.False(t, out.MustWake())
	require.True(t, in.Arm(), "nothing has come")
	write(t, out, 10)
	require.True(t, out.MustWake())
	require.False(t, out.MustWake(), "once")
	require.False(t, in.Arm(), "it has come")
	in.Disarm()
	require.False(t, out.MustWake())

	require.Equal(t, 1, readAll(t, in))
	require.False(t, in.MustWake())
	for full := false; !full; {
		ok, err := out.Write(nil, make([]byte, 1000))
		require.NoError(t, err)
		full = !ok
	}
	short, err := out.Arm(1000)
	require.NoError(t, err)
	require.True(t, short)
	require.True(t, out.ArmDrained())
	readAll(t, in)
	require.True(t, in.MustWake())
	require.False(t, in.MustWake(), "once")
	short, err = out.Arm(1000)
	require.NoError(t, err)
	require.False(t, short)
	require.False(t, out.ArmDrained())
}

// Only the consumer asks for the end.
func TestGoAwayIsAskedFor(t *testing.T) {
	out, in := ends(t, ring.MinSize)
	write(t, out, 10)
	require.Equal(t, 1, readAll(t, in))
	in.Release()
	require.False(t, out.GoingAway())
	in.GoAway()
	require.True(t, out.GoingAway())
}

// Unacknowledged may be asked for when the memory is gone, and never says more than was
// written.
func TestUnacknowledgedWithoutMemory(t *testing.T) {
	for acknowledged, want := range map[uint64]uint64{0: 3, 2: 1, 3: 0, 4: 0, 1<<64 - 1: 0} {
		m, raw := shared(t, ring.MinSize)
		out, _ := m.Ends(ring.Host)
		for range 3 {
			write(t, out, 10)
		}
		require.NoError(t, put64(raw, toClient+drainedWord, acknowledged))
		require.Equal(t, want, out.Unacknowledged())
		out.Detach()
		require.NoError(t, m.Unmap())
		require.Equal(t, want, out.Unacknowledged())
	}
}
