package linktest

import (
	"bytes"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

// testKeep: a frame that its reader keeps does not change, whatever follows, and what
// follows arrives.
func testKeep(t *testing.T, c Carrier) {
	a, b := c.pair(t)
	b.KeepFrame() // there is none yet
	for i, n := range []int{max(c.Smallest, 0), 1, 100, a.MaxFrame()} {
		kept := pattern(i, n)
		a.mustWrite(kept)
		a.mustWrite(pattern(i+1, n)) // it may be in memory already
		got, err := b.ReadFrame(background)
		require.NoError(t, err)
		b.KeepFrame()
		b.KeepFrame()
		b.mustRead(pattern(i+1, n))
		for j := range 3 {
			a.mustWrite(pattern(10+j, a.MaxFrame()))
			b.mustRead(pattern(10+j, a.MaxFrame()))
		}
		require.True(t, bytes.Equal(kept, got), "frame of %d bytes", n)
	}
	a.mustWrite([]byte("last"))
	require.NoError(t, a.CloseWrite(ended))
	last, err := b.ReadFrame(background)
	require.NoError(t, err)
	b.KeepFrame()
	_, err = b.ReadFrame(background)
	require.Equal(t, io.EOF, err)
	finish(t, a, b)
	b.KeepFrame()
	require.Equal(t, "last", string(last))
}
