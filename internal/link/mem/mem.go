// Package mem carries frames within one process: the rings of package ring, in
// ordinary memory. It connects a host and a client in the same process.
//
// One direction holds Capacity bytes. A frame is copied into the ring and out of
// it, and costs no system call and no allocation. A side that waits yields the
// processor a few times, then sleeps on a channel; a Link has no goroutine of its
// own. An idle Link costs no CPU.
package mem

import (
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/ring"
)

// Sizes in bytes.
const (
	// Capacity is what one direction holds. A frame takes its own length and 4
	// bytes, rounded up to a multiple of 8; the last 8 bytes stay free.
	Capacity = 256 << 10

	// MaxFrame is the size of the largest frame.
	MaxFrame = 64<<10 + 256
)

// Pair returns the two ends of a new connection. They have no credentials.
func Pair() (a, b link.Link) {
	x, y := ring.Local(Capacity)
	return x, y
}
