package conn

import (
	"errors"

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
