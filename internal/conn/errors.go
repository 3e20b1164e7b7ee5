package conn

import (
	"errors"
	"fmt"

	"github.com/sealport/sealport/peer"
)

var (
	// ErrRefused means that the host refused this client. It answers
	// errors.Is(err, peer.ErrRefused).
	ErrRefused error = &refusedError{}

	// ErrBusy means that the host has as many connections as it takes.
	ErrBusy = errors.New("the host has as many connections as it accepts (MaxConnections); try again later")
)

// refusedError is ErrRefused.
type refusedError struct{}

func (*refusedError) Error() string { return "the host refused this process" }
func (*refusedError) Unwrap() error { return peer.ErrRefused }

// droppedError is why a client was dropped in favour of others. It answers
// errors.Is(err, ErrBusy).
type droppedError struct{ why string }

func (e *droppedError) Error() string { return e.why }
func (e *droppedError) Unwrap() error { return ErrBusy }

var (
	errCrowded = &droppedError{"dropped in favour of another client: too many connect at a time"}
	errStalled = &droppedError{"dropped in favour of another client: its handshake has stalled"}
)

// OmittedError stands for clients that did not become connections and were not reported
// one by one.
type OmittedError struct {
	UID    uint32 // their user
	Others bool   // they are of several users, beyond those that are counted one by one
	Count  uint64
	Err    error // why the last of them failed
}

func (e *OmittedError) Error() string { return fmt.Sprintf("%d more clients: %v", e.Count, e.Err) }

// Unwrap returns why the last of them failed.
func (e *OmittedError) Unwrap() error { return e.Err }
