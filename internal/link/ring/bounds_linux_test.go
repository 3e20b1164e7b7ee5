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

// TestNothingBehindTheEnd: what is behind the end marker when that is read is an error, and
// what comes later is not read.
func TestNothingBehindTheEnd(t *testing.T) {
	const size = ring.MinSize
	const frames, frame = 16 << 10 / 2048, 2048 // one batch of the consumer's
	for name, row := range map[string]struct {
		before int // frames
		behind []uint64
		err    error
	}{
		"nothing":                       {0, []uint64{0}, nil},
		"nothing, then a word":          {0, []uint64{0, 8}, nil},
		"nothing, then beyond the ring": {0, []uint64{0, size}, nil},
		"a word":                        {0, []uint64{8}, ring.ErrCorrupt},
		"a byte":                        {0, []uint64{1}, ring.ErrCorrupt},
		"frames, a word":                {3, []uint64{8}, ring.ErrCorrupt},
		"frames, nothing":               {3, []uint64{0}, nil},
		"a batch, nothing, then a word": {frames - 1, []uint64{0, 8}, nil},
		"a batch, a word of the next":   {frames - 1, []uint64{8}, ring.ErrCorrupt},
		"an error that would be unsaid": {1, []uint64{8, 0}, ring.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			m, raw := shared(t, 2*size)
			_, in := m.Ends(ring.Host)
			at := 0
			for range row.before {
				binary.LittleEndian.PutUint32(raw[toHostData+at:], frame-4)
				at += frame
			}
			if row.before == frames-1 {
				// So that the marker is the last of the batch.
				binary.LittleEndian.PutUint32(raw[toHostData+at:], frame-8-4)
				at += frame - 8
				row.before++
			}
			binary.LittleEndian.PutUint32(raw[toHostData+at:], 1<<32-1)
			at += 8
			read := 0
			for i, behind := range row.behind {
				require.NoError(t, put64(raw, toHost+tailWord, uint64(at)+behind))
				for { // as a Link does
					n, err := in.Fill()
					if n == 0 {
						require.ErrorIs(t, err, row.err)
						break
					}
					require.Zero(t, i, "behind the end")
					for {
						if _, ok := in.Next(); !ok {
							break
						}
						read++
					}
				}
				require.True(t, in.Ended())
				require.False(t, in.Buffered())
				_, ok := in.Next()
				require.False(t, ok)
				require.Equal(t, row.before, read)
			}
		})
	}
}
