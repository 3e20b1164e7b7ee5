package memlink_test

import (
	"testing"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/linktest"
	"github.com/sealport/sealport/internal/memlink"
)

func TestConformance(t *testing.T) {
	linktest.Run(t, linktest.Carrier{
		Pair: func(testing.TB) (a, b link.Link) {
			x, y := memlink.Pair()
			return x, y
		},
		Kill:         func(l link.Link) { l.(*memlink.Link).Kill() },
		Held:         2 * memlink.Capacity,
		CountsUnread: true,
	})
}
