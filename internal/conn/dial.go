package conn

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/peer"
)

// Dial connects to the host of an endpoint. It blocks until the host has accepted
// or refused, ctx ends or HandshakeTimeout is over.
func Dial(ctx context.Context, endpoint string, c *Config) (*Conn, error) {
	timed, cancel := c.withTimeout(ctx)
	defer cancel()
	conn, err := connect(timed, endpoint, c)
	if err == nil {
		return conn, nil
	}
	return nil, fmt.Errorf("connecting to %q: %w", endpoint, rendezvous.Explain(timedOut(timed, err)))
}

func connect(ctx context.Context, endpoint string, c *Config) (*Conn, error) {
	out, err := reach(ctx, endpoint, c)
	if err != nil {
		return nil, err
	}
	theirs, id, err := authorizeHost(ctx, out, c)
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	l, err := out.Link()
	if err != nil {
		return nil, errors.Join(err, id.Close())
	}
	var proof Proof
	if local, ok := out.(*localOutgoing); ok {
		proof = local.answer.ofHost
	} else if l, proof, err = c.handshake(ctx, l, endpoint, id, false); err != nil {
		return nil, errors.Join(err, id.Close())
	}
	conn := newConn(l, c, theirs, id, proof, endpoint, true, nil)
	if theirs.Flags&wire.Confirms == 0 {
		return conn, nil
	}
	err = conn.WaitAccepted(ctx)
	switch closed := conn.PeerClosed(); {
	case err == nil:
		return conn, nil
	case closed != nil:
		err = fmt.Errorf("%w: %w", ErrRefused, closed)
	case err == io.EOF:
		err = fmt.Errorf("%w before it had accepted this client", link.ErrPeerGone)
	}
	conn.Abort()
	return nil, err
}

// reach finds the host, within the process if it is there.
func reach(ctx context.Context, endpoint string, c *Config) (rendezvous.Outgoing, error) {
	hello := c.hello().Append(nil)
	if c.InProcess {
		if out, err := dialLocal(ctx, endpoint, hello, c); out != nil || err != nil {
			return out, err
		}
	}
	return c.Carrier.Dial(ctx, endpoint, hello, c.Options)
}

// authorizeHost checks the host's answer, and decides by the policy on the process
// that gave it.
func authorizeHost(ctx context.Context, out rendezvous.Outgoing, c *Config) (theirs wire.Hello, id *peer.Identity, err error) {
	if theirs, err = wire.ParseHello(out.Hello()); err != nil {
		return theirs, nil, err
	}
	// A refusal comes first: such a hello says nothing else of the host.
	switch theirs.Status {
	case wire.Refused:
		return theirs, nil, fmt.Errorf("%w: its peer policy did not admit it; see the host's log for the rule", ErrRefused)
	case wire.Busy:
		return theirs, nil, ErrBusy
	case wire.Exhausted:
		return theirs, nil, fmt.Errorf("%w: the host has no descriptors, memory or disk space left for this client; see the host's log for the limit", rendezvous.ErrExhausted)
	}
	if err := theirs.Check(c.hello(), false); err != nil {
		return theirs, nil, err
	}
	if theirs.Status != wire.Accepted || !out.Accepted() {
		return theirs, nil, fmt.Errorf("%w: the host refused with status %d", wire.ErrNotHello, theirs.Status)
	}
	if id, err = authorize(ctx, out, c); err == nil {
		return theirs, id, nil
	}
	var refused *peer.RefusedError
	if id != nil && errors.As(err, &refused) {
		err = fmt.Errorf("this side's Config.Peer does not accept the host (%v): %w", id, err)
	}
	if id != nil {
		_ = id.Close()
	}
	return theirs, nil, err
}
