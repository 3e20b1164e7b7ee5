package ring

import "unsafe"

// Local returns two Links that are joined by memory of this process, size bytes
// in each direction. size must be valid ([ValidSize]). They have no credentials.
//
// A local Link needs no goroutine. Its Unacknowledged is exact: a frame counts as
// dealt with as soon as the reader asks for the next one.
func Local(size int) (*Link, *Link) {
	// Words of 64 bits, so that the control words are aligned on every processor.
	words := make([]uint64, FileSize(size)/8)
	m := &Mapping{mem: unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), FileSize(size)), size: size}
	x, y := newLink(m, Host, nil, localPoller()), newLink(m, Client, nil, localPoller())
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
