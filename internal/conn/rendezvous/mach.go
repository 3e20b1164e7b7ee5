package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync/atomic"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
)

// simulated is a kernel that tests put in the place of the system's.
var simulated atomic.Pointer[mach.Kernel]

// Simulate has endpoints be Mach services of k, on any system, until restore is
// called: for tests of the layers above on machtest.
func Simulate(k mach.Kernel) (restore func()) {
	before := simulated.Swap(&k)
	return func() { simulated.Store(before) }
}

// kernel returns the Mach kernel whose services endpoints are, or nil where they
// are something else.
func kernel() (mach.Kernel, error) {
	if k := simulated.Load(); k != nil {
		return *k, nil
	}
	if runtime.GOOS != "darwin" {
		return nil, nil
	}
	return mach.Open()
}

// Self is what a peer finds in this process's hello where endpoints are Mach
// services, else nil: then package peer knows better.
func Self() (*cred.Credentials, error) {
	k, err := kernel()
	if k == nil || err != nil {
		return nil, err
	}
	token, err := k.Token()
	if err != nil {
		return nil, err
	}
	c := cred.New(nil)
	c.AuditToken = token
	return c, nil
}

// checkMach refuses options that mean nothing for Mach services.
func checkMach(o Options) error {
	if o.Folder != "" {
		return fmt.Errorf("a folder for endpoints, which are bootstrap names here: %w", errors.ErrUnsupported)
	}
	return nil
}

// machError gives machlink's errors the names of this package.
func machError(endpoint string, err error) error {
	for _, to := range [][2]error{
		{machlink.ErrInUse, ErrInUse},
		{machlink.ErrNotFound, ErrNotFound},
		{machlink.ErrPermission, ErrPermission},
	} {
		if errors.Is(err, to[0]) {
			return fmt.Errorf("%s: %w: %w", endpoint, to[1], err)
		}
	}
	return machSetupError(err)
}

// machSetupError tells a peer that went, which stays link.ErrPeerGone, from one
// that broke the rules, as on Linux.
func machSetupError(err error) error {
	switch {
	case err == nil, errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, link.ErrProtocol):
		return fmt.Errorf("%w: %w", ErrSetup, err)
	}
	return fmt.Errorf("connection set-up: %w", err)
}

// machListener implements Listener.
type machListener struct{ l *machlink.Listener }

func listenMach(k mach.Kernel, err error, endpoint string, o Options) (Listener, error) {
	if err == nil {
		err = checkMach(o)
	}
	if err != nil {
		return nil, err
	}
	l, err := machlink.Listen(k, endpoint)
	if err != nil {
		return nil, machError(endpoint, err)
	}
	return &machListener{l: l}, nil
}

// Accept implements Listener.
func (l *machListener) Accept() (Incoming, error) {
	p, err := l.l.Accept(context.Background())
	if errors.Is(err, link.ErrClosed) {
		return nil, os.ErrClosed
	}
	if err != nil {
		return nil, err
	}
	return &machIncoming{p: p}, nil
}

// Close implements Listener.
func (l *machListener) Close() error { return l.l.Close() }

// machIncoming implements Incoming. The hello came with the connect message.
type machIncoming struct{ p *machlink.Pending }

// Hello implements Incoming.
func (in *machIncoming) Hello(context.Context) ([]byte, error) { return in.p.Hello(), nil }

// Credentials implements Incoming.
func (in *machIncoming) Credentials() *cred.Credentials { return in.p.Credentials() }

// Accept implements Incoming. It does not block.
func (in *machIncoming) Accept(_ context.Context, hello []byte) (link.Link, error) {
	l, err := in.p.Accept(hello)
	if err != nil {
		return nil, machSetupError(err)
	}
	return l, nil
}

// Refuse implements Incoming. It does not block.
func (in *machIncoming) Refuse(_ context.Context, hello []byte) error {
	return machSetupError(in.p.Refuse(hello))
}

// Close implements Incoming.
func (in *machIncoming) Close() error { return in.p.Drop() }

// machOutgoing implements Outgoing. If the host has accepted there is a link.
type machOutgoing struct {
	l      link.Link
	answer []byte
}

func dialMach(ctx context.Context, k mach.Kernel, err error, endpoint string, hello []byte, o Options) (Outgoing, error) {
	if err == nil {
		err = checkMach(o)
	}
	if err != nil {
		return nil, err
	}
	l, answer, accepted, err := machlink.Dial(ctx, k, endpoint, hello)
	if err != nil {
		return nil, machError(endpoint, err)
	}
	if !accepted {
		l = nil
	}
	return &machOutgoing{l: l, answer: answer}, nil
}

// Hello implements Outgoing.
func (out *machOutgoing) Hello() []byte { return out.answer }

// Accepted implements Outgoing.
func (out *machOutgoing) Accepted() bool { return out.l != nil }

// Credentials implements Outgoing. Who refuses stays unknown.
func (out *machOutgoing) Credentials() *cred.Credentials {
	if out.l == nil {
		return nil
	}
	return out.l.Credentials()
}

// Link implements Outgoing.
func (out *machOutgoing) Link() (link.Link, error) {
	l := out.l
	out.l = nil
	if l == nil {
		return nil, fmt.Errorf("%w: refused", ErrSetup)
	}
	return l, nil
}

// Close implements Outgoing.
func (out *machOutgoing) Close() error {
	l := out.l
	out.l = nil
	if l == nil {
		return nil
	}
	l.Interrupt()
	return l.Close()
}
