package secure_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/mem"
	"github.com/sealport/sealport/internal/transporttest"
	"github.com/sealport/sealport/secure"
)

// pairOver does a handshake over two ends.
func pairOver(t testing.TB, a, b link.Link, changes ...func(*secure.Config)) (client, host *secure.Link) {
	t.Helper()
	client, host, err := secure.Pair(t.Context(), a, b, clientConfig(nil, changes...), hostConfig(nil, changes...))
	require.NoError(t, err)
	// A further read acknowledges the last message of the handshake.
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for _, l := range []link.Link{a, b} {
		_, err := l.ReadFrame(over)
		require.ErrorIs(t, err, context.Canceled)
	}
	return client, host
}

// TestConformance: a sealed link is a link like any carrier.
func TestConformance(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		lower := make(map[link.Link]*mem.Link)
		linktest.Run(t, linktest.Carrier{
			Pair: func(t testing.TB) (a, b link.Link) {
				x, y := mem.Pair()
				a, b = pairOver(t, x, y)
				lower[a], lower[b] = x, y
				return a, b
			},
			Kill:                 func(l link.Link) { lower[l].Kill() },
			Held:                 2 * mem.Capacity,
			CountsUnacknowledged: true,
			SaysGoodbye:          true,
		})
	})
	t.Run("ring", func(t *testing.T) {
		const size = 64 << 10
		kill := make(map[link.Link]func())
		linktest.Run(t, linktest.Carrier{
			Pair: func(t testing.TB) (a, b link.Link) {
				x, y, killX, killY := transporttest.Rings(t, size)
				a, b = pairOver(t, x, y)
				kill[a], kill[b] = killX, killY
				return a, b
			},
			Kill:                 func(l link.Link) { kill[l]() },
			Held:                 2 * size,
			CountsUnacknowledged: true,
			SaysGoodbye:          true,
		})
	})
}
