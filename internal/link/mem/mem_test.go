package mem_test

import (
	"testing"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/link/mem"
)

func TestConformance(t *testing.T) {
	linktest.Run(t, linktest.Carrier{
		Pair: func(testing.TB) (a, b link.Link) {
			x, y := mem.Pair()
			return x, y
		},
		Kill:                 func(l link.Link) { l.(*mem.Link).Kill() },
		Held:                 2 * mem.Capacity,
		CountsUnacknowledged: true,
	})
}
