package secure_test

import (
	"testing"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/transporttest"
)

// TestConformance: a sealed link over shared memory is a link like any carrier.
func TestConformance(t *testing.T) {
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
		Smallest:             1,
	})
}
