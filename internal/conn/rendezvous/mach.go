package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
	"github.com/sealport/sealport/internal/link/mach/machlink"
	"github.com/sealport/sealport/internal/wire"
)

// machCarrier implements Carrier by Mach services.
type machCarrier struct{ k mach.Kernel }

// Mach returns the Carrier whose endpoints are Mach services of a kernel.
func Mach(k mach.Kernel) Carrier { return machCarrier{k} }

// Self implements Carrier.
func (m machCarrier) Self() (*cred.Credentials, error) {
	token, err := m.k.Token()
	if err != nil {
		return nil, err
	}
	c := cred.New(nil)
	c.AuditToken = token
	return c, nil
}

// checkMach refuses options that mean nothing for Mach services.
func checkMach(o Options) error {
	if o.Dir != "" {
		return fmt.Errorf("Config.Dir is not supported here, because endpoints are bootstrap names: %w", errors.ErrUnsupported)
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
	for _, shortage := range []error{mach.KernNoSpace, mach.KernResourceShortage, mach.SendNoBuffer} {
		if errors.Is(err, shortage) {
			return &exhaustedError{err, "the kernel has no memory or no port names left for this; close some connections or programs"}
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
		return fmt.Errorf("%w: %w", wire.ErrSetup, err)
	}
	return fmt.Errorf("connection set-up: %w", err)
}

// machListener implements Listener.
type machListener struct{ l *machlink.Listener }

// Listen implements Carrier.
func (m machCarrier) Listen(endpoint string, o Options) (Listener, error) {
	if err := errors.Join(CheckName(endpoint), checkMach(o)); err != nil {
		return nil, err
	}
	l, err := machlink.Listen(m.k, endpoint)
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

// Watch implements Listener: a service's name leads to its receive right, whatever happens.
func (l *machListener) Watch() error { return os.ErrClosed }

// Close implements Listener.
func (l *machListener) Close() error { return l.l.Close() }

// machIncoming implements Incoming. The hello came with the connect message.
type machIncoming struct{ p *machlink.Pending }

// From implements Incoming: who has sent the hello.
func (in *machIncoming) From() fair.Process {
	token := in.p.Credentials().AuditToken
	return fair.Process{UID: token[1], PID: token[5]}
}

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

// Dial implements Carrier.
func (m machCarrier) Dial(ctx context.Context, endpoint string, hello []byte, o Options) (Outgoing, error) {
	if err := errors.Join(CheckName(endpoint), checkMach(o)); err != nil {
		return nil, err
	}
	l, answer, accepted, err := machlink.Dial(ctx, m.k, endpoint, hello)
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
		return nil, fmt.Errorf("%w: refused", wire.ErrSetup)
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
