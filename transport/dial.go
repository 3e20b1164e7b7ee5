package transport

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/peer"
)

// Dial connects to the host of an endpoint. It blocks until the host has
// answered, ctx ends or cfg.HandshakeTimeout is over.
//
// Errors: ErrInvalidEndpoint, ErrNoHost, ErrPermission, ErrNotEndpoint,
// ErrUnsafeFolder, ErrConfig, ErrVersion, ErrMode, ErrRefused, ErrBusy,
// *peer.RefusedError if cfg.Peer says no to the host, ErrProtocol if what answers
// is no host, ErrPeerGone if the host went meanwhile, and what ctx says.
func Dial(ctx context.Context, endpoint string, cfg *Config) (*Conn, error) {
	s, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	return dial(ctx, endpoint, s)
}

func dial(ctx context.Context, endpoint string, s *settings) (*Conn, error) {
	timed, cancel := s.withTimeout(ctx)
	defer cancel()
	c, err := connect(timed, endpoint, s)
	if err == nil {
		return c, nil
	}
	if cause := context.Cause(timed); cause != nil && ctx.Err() == nil && errors.Is(err, timed.Err()) {
		err = cause
	}
	return nil, fmt.Errorf("connecting to %q: %w", endpoint, err)
}

func connect(ctx context.Context, endpoint string, s *settings) (*Conn, error) {
	out, err := rendezvous.Dial(ctx, endpoint, s.hello().Append(nil), s.options())
	if err != nil {
		return nil, err
	}
	theirs, id, err := judgeHost(ctx, out, s)
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	l, err := out.Link()
	if err != nil {
		return nil, errors.Join(err, id.Close())
	}
	l, proof, err := secured(ctx, l, s, endpoint, id, false)
	if err != nil {
		return nil, errors.Join(err, id.Close())
	}
	return newConn(l, s, theirs, id, proof, endpoint, nil), nil
}

// judgeHost looks at the host's answer and at who gave it.
func judgeHost(ctx context.Context, out rendezvous.Outgoing, s *settings) (theirs message.Hello, id *peer.Identity, err error) {
	if theirs, err = message.ParseHello(out.Hello()); err != nil {
		return theirs, nil, err
	}
	// A host that does not fit says so in its hello, whatever its status.
	if err := theirs.Check(s.hello()); err != nil {
		return theirs, nil, err
	}
	switch {
	case theirs.Status == message.Refused:
		return theirs, nil, fmt.Errorf("%w; by which rule, it tells its Config.Logger and OnError only", ErrRefused)
	case theirs.Status == message.Busy:
		return theirs, nil, ErrBusy
	case theirs.Status != message.Accepted || !out.Accepted():
		return theirs, nil, fmt.Errorf("%w: the host refused with status %d", message.ErrNotHello, theirs.Status)
	}
	id, err = identify(ctx, out, s.Peer)
	return theirs, id, err
}

// identify makes an identity of the kernel's word and has the policy judge it.
func identify(ctx context.Context, from interface{ Credentials() *cred.Credentials }, policy peer.Policy) (*peer.Identity, error) {
	id, err := peer.Identify(from.Credentials())
	if err != nil {
		return nil, &peer.RefusedError{Rule: policy.String(), Reason: err}
	}
	if err := peer.Check(ctx, policy, id); err != nil {
		return nil, errors.Join(err, id.Close())
	}
	return id, nil
}
