// Package mem carries frames within one process: the rings of package ring, in
// ordinary memory. It is what a host and a client in the same process are
// connected by, and what the tests of the layers above use.
//
// One direction holds Capacity bytes. A frame is copied into the ring and out of
// it, and costs no system call and no allocation. A side that waits yields the
// processor a few times, then sleeps on a channel; a Link has no goroutine of its
// own. An idle Link costs no CPU.
package mem

import (
	"github.com/sealport/sealport/internal/cred"
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

// Link implements link.Link.
type Link struct{ *ring.Link }

// Pair returns the two ends of a new connection, without credentials.
func Pair() (*Link, *Link) { return PairWith(nil, nil) }

// PairWith is Pair, where a and b are what the first and the second end return from
// Credentials. Each end closes its own in Close.
func PairWith(a, b *cred.Credentials) (*Link, *Link) {
	x, y := ring.Local(Capacity, a, b)
	return &Link{x}, &Link{y}
}

// Kill ends this side as the death of its process would: the peer reads what was
// written, then link.ErrPeerGone. It does not block and may be called at any time.
// Close must still be called.
func (l *Link) Kill() { l.Abandon() }
