package ring_test

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link/ring"
)

// TestHeadNeverGoesBack: a producer refuses, at once and for good, a head that is below
// the one it saw before, or above its tail.
func TestHeadNeverGoesBack(t *testing.T) {
	const size, framed = ring.MinSize, 1024 // bytes of the ring for a frame, with its length
	for name, row := range map[string]struct {
		head uint64
		ok   bool
	}{
		"as before":      {8 * framed, true},
		"forward":        {9 * framed, true},
		"at the tail":    {15 * framed, true},
		"back by a step": {8*framed - 8, false},
		"back to 0":      {0, false},
		"above the tail": {15*framed + 8, false},
		"far above":      {1 << 63, false},
		"below 0":        {^uint64(7), false},
	} {
		t.Run(name, func(t *testing.T) {
			m, raw := shared(t, size)
			out, _ := m.Ends(ring.Host)
			write := func() (bool, error) { return out.Write(nil, make([]byte, framed-4)) }
			for range 15 {
				ok, err := write()
				require.True(t, ok)
				require.NoError(t, err)
			}
			require.NoError(t, put64(raw, toClient+headWord, 8*framed))
			room, err := out.Room(framed)
			require.True(t, room)
			require.NoError(t, err)
			require.NoError(t, put64(raw, toClient+headWord, row.head))
			if _, err = out.Room(framed); row.ok {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, ring.ErrCorrupt)
			short, err := out.Arm(framed)
			require.ErrorIs(t, err, ring.ErrCorrupt)
			require.False(t, short, "not to sleep by it")
			require.NoError(t, put64(raw, toClient+headWord, 8*framed))
			for range 20 { // until it would look at the head
				if _, err = write(); err != nil {
					break
				}
			}
			require.ErrorIs(t, err, ring.ErrCorrupt, "for good")
		})
	}
}

// TestFrameLimit: a consumer refuses, at once and for good, a frame that is longer than
// the largest.
func TestFrameLimit(t *testing.T) {
	for _, size := range []int{ring.MinSize, 256 << 10} {
		limit := map[int]uint32{ring.MinSize: ring.MinSize/2 - 16, 256 << 10: 64<<10 + 256}[size]
		require.EqualValues(t, limit, ring.MaxFrame(size))
		for _, n := range []uint32{0, limit, limit + 1, uint32(size), 1 << 31, 1<<32 - 2} {
			m, raw := shared(t, size)
			_, in := m.Ends(ring.Host)
			binary.LittleEndian.PutUint32(raw[toHostData:], n)
			require.NoError(t, put64(raw, toHost+tailWord, uint64(size)))
			if n > limit {
				for range 2 {
					_, err := in.Fill()
					require.ErrorIs(t, err, ring.ErrCorrupt, "%d bytes", n)
					_, ok := in.Next()
					require.False(t, ok)
				}
				continue
			}
			frame, ok := in.Next()
			for fills := 0; !ok; fills++ {
				require.Less(t, fills, 10)
				_, err := in.Fill()
				require.NoError(t, err)
				frame, ok = in.Next()
			}
			require.Len(t, frame, int(n))
		}
	}
}

// TestNothingBehindTheEnd: a consumer reads nothing behind the end marker, whether that
// came with it or later.
func TestNothingBehindTheEnd(t *testing.T) {
	const size = ring.MinSize
	m, raw := shared(t, size)
	_, in := m.Ends(ring.Host)
	binary.LittleEndian.PutUint32(raw[toHostData:], 1<<32-1)
	for i := 8; i < 64; i += 8 {
		binary.LittleEndian.PutUint32(raw[toHostData+i:], 4)
	}
	for i, tail := range []uint64{32, 64, size + 8} {
		require.NoError(t, put64(raw, toHost+tailWord, tail))
		for again := range 2 {
			n, err := in.Fill()
			require.NoError(t, err)
			require.Equal(t, i+again > 0, n == 0)
			require.True(t, in.Ended())
			require.False(t, in.Buffered())
			_, ok := in.Next()
			require.False(t, ok)
		}
	}
	require.Zero(t, in.Frames())
}
