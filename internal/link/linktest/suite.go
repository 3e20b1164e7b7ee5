// Package linktest is the conformance suite of link.Link: what every carrier must
// do, whatever it is made of. A carrier's test calls Run.
package linktest

import (
	"testing"

	"github.com/sealport/sealport/internal/leaktest"
	"github.com/sealport/sealport/internal/link"
)

// Carrier is how the suite makes and breaks connections of one kind.
type Carrier struct {
	// Pair returns the two ends of a new connection. The suite closes them.
	Pair func(t testing.TB) (a, b link.Link)

	// Kill ends a link as the sudden death of its process would: nothing is
	// sent to the peer. The suite then calls Close on it, which must not hang.
	Kill func(l link.Link)

	// Held is how much one direction holds at most before WriteFrame blocks, in
	// bytes: an upper bound on the memory used for a peer that does not read.
	Held int

	// CountsUnacknowledged is whether the sides tell each other how many frames they have
	// dealt with. If not, Unacknowledged is an upper bound: 1 if the peer has received all.
	CountsUnacknowledged bool

	// SaysGoodbye is whether CloseWrite sends a frame, which needs room. Without
	// room a peer that reads to the end gets an error, never io.EOF.
	SaysGoodbye bool

	// Smallest is the size in bytes of the smallest frame: 0, or 1 if an empty frame
	// is no frame.
	Smallest int
}

// doubt is what Unacknowledged may be when the peer has dealt with everything.
func (c Carrier) doubt() uint64 {
	if c.CountsUnacknowledged {
		return 0
	}
	return 1
}

// Run runs the suite.
func Run(t *testing.T, c Carrier) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, c Carrier)
	}{
		{"FramesArriveInOrder", testOrder},
		{"AllSizes", testSizes},
		{"TooLargeIsRefused", testTooLarge},
		{"FrameIsPrivate", testPrivate},
		{"KeptFrameStays", testKeep},
		{"FullBufferBlocks", testBackpressure},
		{"CancelledWriteSendsNothing", testCancelWrite},
		{"CancelledReadLosesNothing", testCancelRead},
		{"InterruptUnblocks", testInterrupt},
		{"CloseWriteIsHalf", testCloseWrite},
		{"CloseWriteDoesNotBlock", testCloseWriteFull},
		{"CloseWriteWritesLast", testCloseWriteLast},
		{"CloseWriteLastWithoutRoom", testCloseWriteLastFull},
		{"CloseDrains", testCloseDrains},
		{"DeathDrains", testDeathDrains},
		{"DeathUnblocks", testDeathUnblocks},
		{"UnacknowledgedIsKnown", testUnacknowledged},
		{"BackloggedAndWaitDrained", testDrained},
		{"WaitDrainedIsCancelled", testWaitDrainedCancel},
		{"GoAwayIsHeard", testGoAway},
		{"GoAwayPassesFrames", testGoAwayFull},
		{"GoAwayIsHeardAfterFrames", testGoAwayRead},
		{"ManyConnections", testMany},
		{"CloseIsIdempotent", testCloseTwice},
	} {
		t.Run(test.name, func(t *testing.T) {
			leaktest.Check(t)
			test.run(t, c)
		})
	}
}

// pair makes a connection that the test closes.
func (c Carrier) pair(t *testing.T) (a, b *end) {
	t.Helper()
	la, lb := c.Pair(t)
	return &end{Link: la, t: t}, &end{Link: lb, t: t}
}

// end is a Link with shorthands that fail the test.
type end struct {
	link.Link
	t *testing.T
}

// finish closes both ends.
func finish(t *testing.T, ends ...*end) {
	t.Helper()
	for _, e := range ends {
		if err := e.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}
