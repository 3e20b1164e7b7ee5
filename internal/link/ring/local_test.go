package ring_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/ring"
)

func TestLocalConformance(t *testing.T) {
	for name, size := range map[string]int{"default": 256 << 10, "smallest": ring.MinSize} {
		t.Run(name, func(t *testing.T) {
			linktest.Run(t, linktest.Carrier{
				Pair: func(testing.TB) (a, b link.Link) {
					x, y := ring.Local(size)
					return x, y
				},
				Kill:                 func(l link.Link) { l.(*ring.Link).Abandon() },
				Held:                 2 * size,
				CountsUnacknowledged: true,
			})
		})
	}
}

// A peer that has died never reads as one that has closed, even if its Link is closed
// afterwards.
func TestDeathIsNotClose(t *testing.T) {
	a, b := ring.Local(ring.MinSize)
	ctx := context.Background()
	require.NoError(t, a.WriteFrame(ctx, nil, []byte("last")))
	a.Abandon()
	require.ErrorIs(t, a.WriteFrame(ctx, nil, nil), link.ErrClosed)
	require.NoError(t, a.Close())
	frame, err := b.ReadFrame(ctx)
	require.NoError(t, err)
	require.Equal(t, "last", string(frame))
	_, err = b.ReadFrame(ctx)
	require.ErrorIs(t, err, link.ErrPeerGone)
	require.NotErrorIs(t, err, io.EOF)
	require.NoError(t, b.Close())
}
