package transport

import (
	"cmp"
	"context"
	"encoding/binary"
	"io"
)

// leftover is what a host had sent on a connection when it went, and was not
// received yet. It outlives the connection, so that a Client which calls Receive
// late loses nothing and keeps no dead connection.
type leftover struct {
	messages []byte // each after its length, a uvarint
	cause    error  // after the last
}

// carrierBuffers is more than carriers hold of frames beside a ring, in bytes.
const carrierBuffers = 4 << 20

// drain receives what is left of a connection, until ctx ends. err is why it has ended, or
// nil or ErrClosed if only that can tell.
func (t *typed[T]) drain(ctx context.Context, bufferSize int, err error) *leftover {
	left := &leftover{}
	// A ring may be full again after it was copied.
	most := 2*cmp.Or(bufferSize, DefaultBufferSize) + carrierBuffers
	last := t.Drain(ctx, most, func(p []byte) {
		left.messages = binary.AppendUvarint(left.messages, uint64(len(p)))
		left.messages = append(left.messages, p...)
	})
	if err == nil || err == ErrClosed {
		err = cmp.Or(last, ErrPeerGone)
	}
	left.cause = endOfHost(err)
	return left
}

// take returns the next message, or the cause after the last.
func (l *leftover) take() ([]byte, error) {
	if len(l.messages) == 0 {
		return nil, l.cause
	}
	size, n := binary.Uvarint(l.messages)
	rest := l.messages[n:]
	l.messages = rest[size:]
	return rest[:size:size], nil
}

// receiveNext returns the next message of a connection, which may be freed already.
func (a *attachment[T]) receiveNext(ctx context.Context) (v T, err error) {
	b, err := a.nextBytes(ctx)
	if err != nil {
		return v, err
	}
	return a.decode(b)
}

func (a *attachment[T]) nextBytes(ctx context.Context) ([]byte, error) {
	a.rmu.Lock()
	defer a.rmu.Unlock()
	if a.left != nil {
		return a.left.take()
	}
	return a.Receive(ctx)
}

// endOfHost is the cause that a Client reports for the error of a connection.
func endOfHost(err error) error {
	switch err {
	case io.EOF:
		return errHostClosed
	case ErrClosed: // and not one with a reason, such as a revoked key
		return ErrPeerGone // the connection was given up
	}
	return err
}

// errHostClosed is the cause that a Client reports when its host has closed without a
// reason. It answers errors.Is for io.EOF.
var errHostClosed error = hostClosed{}

type hostClosed struct{}

func (hostClosed) Error() string { return "the host closed the connection" }
func (hostClosed) Unwrap() error { return io.EOF }
