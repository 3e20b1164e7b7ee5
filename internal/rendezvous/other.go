//go:build !linux

package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
)

// errUnsupported answers errors.Is(err, errors.ErrUnsupported).
func errUnsupported() error {
	return fmt.Errorf("sealport has no carrier for %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

// Listener serves one endpoint.
type Listener struct{}

// Listen is not supported here.
func Listen(string, Options) (*Listener, error) { return nil, errUnsupported() }

// Accept is not supported here.
func (*Listener) Accept() (*Incoming, error) { return nil, errUnsupported() }

// Close is not supported here.
func (*Listener) Close() error { return errUnsupported() }

// Incoming is a client that waits to be accepted or refused.
type Incoming struct{}

// Hello is not supported here.
func (*Incoming) Hello(context.Context) ([]byte, error) { return nil, errUnsupported() }

// Credentials is not supported here.
func (*Incoming) Credentials() *cred.Credentials { return nil }

// Accept is not supported here.
func (*Incoming) Accept(context.Context, []byte) (link.Link, error) { return nil, errUnsupported() }

// Refuse is not supported here.
func (*Incoming) Refuse(context.Context, []byte) error { return errUnsupported() }

// Close is not supported here.
func (*Incoming) Close() error { return errUnsupported() }

// Outgoing is a host's answer to a client's hello.
type Outgoing struct{}

// Dial is not supported here.
func Dial(context.Context, string, []byte, Options) (*Outgoing, error) {
	return nil, errUnsupported()
}

// Hello is not supported here.
func (*Outgoing) Hello() []byte { return nil }

// Accepted is not supported here.
func (*Outgoing) Accepted() bool { return false }

// Credentials is not supported here.
func (*Outgoing) Credentials() *cred.Credentials { return nil }

// Link is not supported here.
func (*Outgoing) Link() (link.Link, error) { return nil, errUnsupported() }

// Close is not supported here.
func (*Outgoing) Close() error { return errUnsupported() }
