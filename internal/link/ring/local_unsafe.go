package ring

import (
	"unsafe"

	"github.com/sealport/sealport/internal/cred"
)

// Local returns two Links that are joined by memory of this process, size bytes
// in each direction. size must be valid ([ValidSize]). a and b are what the first
// and the second Link return from Credentials and close in Close; both may be nil.
//
// A local Link needs no goroutine. Its Unacknowledged is exact: a frame counts as
// dealt with as soon as the reader asks for the next one.
func Local(size int, a, b *cred.Credentials) (*Link, *Link) {
	// Words of 64 bits, so that the control words are aligned on every processor.
	words := make([]uint64, FileSize(size)/8)
	m := &Mapping{mem: unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), FileSize(size)), size: size}
	x, y := newLink(m, Host, a, localPoller()), newLink(m, Client, b, localPoller())
	x.peer, y.peer = local{self: x, other: y}, local{self: y, other: x}
	x.exact, y.exact = true, true
	return x, y
}

// local is a peer in this process.
type local struct{ self, other *Link }

func (p local) ring() { p.other.rung() }

func (p local) hungUp() bool { return p.self.state.Load()&stateGone != 0 }

func (p local) detach() error {
	p.other.left()
	return nil
}

// Abandon ends this side of a local Link as the death of its process would: the
// peer reads what was written, then link.ErrPeerGone. Blocked and later calls on
// this side return link.ErrClosed. It does not block and may be called at any time.
// Close must still be called.
func (l *Link) Abandon() {
	l.state.Or(stateWriteEnded)
	l.Interrupt()
	_ = l.peer.detach()
}
