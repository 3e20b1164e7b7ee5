package mach

import "fmt"

// Errno is a result other than success of a Mach call: a kern_return_t, a
// mach_msg_return_t or a bootstrap error. The three have disjoint ranges
// (mach/kern_return.h, mach/message.h, servers/bootstrap.h).
//
// Compare with errors.Is, which looks through wrapping.
type Errno uint32

// The codes this project tells apart. Others print by name too.
const (
	KernInvalidAddress    Errno = 1
	KernNoSpace           Errno = 3
	KernInvalidArgument   Errno = 4
	KernFailure           Errno = 5
	KernResourceShortage  Errno = 6
	KernNotInSet          Errno = 12
	KernAborted           Errno = 14
	KernInvalidName       Errno = 15
	KernInvalidTask       Errno = 16
	KernInvalidRight      Errno = 17
	KernInvalidValue      Errno = 18
	KernUrefsOverflow     Errno = 19
	KernInvalidCapability Errno = 20
	KernRightExists       Errno = 21

	BootstrapNotPrivileged  Errno = 1100
	BootstrapNameInUse      Errno = 1101
	BootstrapUnknownService Errno = 1102
	BootstrapServiceActive  Errno = 1103

	SendInvalidData   Errno = 0x10000002
	SendInvalidDest   Errno = 0x10000003
	SendTimedOut      Errno = 0x10000004
	SendInterrupted   Errno = 0x10000007
	SendMsgTooSmall   Errno = 0x10000008
	SendInvalidReply  Errno = 0x10000009
	SendInvalidRight  Errno = 0x1000000a
	SendInvalidMemory Errno = 0x1000000c
	SendNoBuffer      Errno = 0x1000000d
	SendTooLarge      Errno = 0x1000000e
	SendInvalidType   Errno = 0x1000000f
	SendInvalidHeader Errno = 0x10000010

	RcvInvalidName Errno = 0x10004002
	RcvTimedOut    Errno = 0x10004003
	RcvTooLarge    Errno = 0x10004004
	RcvInterrupted Errno = 0x10004005
	RcvInvalidData Errno = 0x10004008
	RcvPortDied    Errno = 0x10004009
	RcvHeaderError Errno = 0x1000400b
	RcvBodyError   Errno = 0x1000400c
)

// msgMask holds the bits that mach_msg adds to some results to say which
// resource was short (MACH_MSG_MASK).
const msgMask = 0x3e00

// Base is the code without the resource bits that mach_msg may add.
func (e Errno) Base() Errno {
	if e>>28 == 1 {
		return e &^ msgMask
	}
	return e
}

// Is makes errors.Is(err, RcvBodyError) true for a body error with resource
// bits as well.
func (e Errno) Is(target error) bool {
	t, ok := target.(Errno)
	return ok && (t == e || t == e.Base())
}

// Transient reports whether the call had no effect and may be repeated as it
// was: the kernel was out of some resource, or the call was interrupted.
func (e Errno) Transient() bool {
	switch e.Base() {
	case KernResourceShortage, KernAborted, SendNoBuffer, SendInterrupted, RcvInterrupted:
		return true
	}
	return false
}

// Error names the code as the headers do, with its number.
func (e Errno) Error() string {
	name, ok := errnoNames[e.Base()]
	if !ok {
		return fmt.Sprintf("mach: error 0x%x", uint32(e))
	}
	if e.Base() != e {
		return fmt.Sprintf("mach: %s (0x%x)", name, uint32(e))
	}
	if e < 0x10000000 {
		return fmt.Sprintf("mach: %s (%d)", name, uint32(e))
	}
	return fmt.Sprintf("mach: %s (0x%x)", name, uint32(e))
}
