package conn

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/peer"
)

// candidate is a process that has said hello: a client, or a host.
type candidate interface{ Credentials() *cred.Credentials }

// authorize identifies a process and has the policy decide on it. The caller closes the
// identity, which is returned with an error too, if it is known. A policy that
// could not be evaluated because this process is out of a resource, or because that one has
// exited, has not refused: the error says so instead.
func authorize(ctx context.Context, from candidate, c *Config) (*peer.Identity, error) {
	id, err := identify(from, c)
	if rendezvous.IsExhausted(err) {
		return nil, rendezvous.Explain(err)
	}
	if errors.Is(err, peer.ErrGone) {
		return nil, fmt.Errorf("%w: %w", link.ErrPeerGone, err)
	}
	if err != nil {
		return nil, &peer.RefusedError{Rule: c.Peer.String(), Reason: connectedBy(from, err)}
	}
	if err := peer.Check(ctx, c.Peer, id); err != nil {
		var refused *peer.RefusedError
		if errors.As(err, &refused) {
			switch {
			case rendezvous.IsExhausted(err):
				err = rendezvous.Explain(refused.Reason)
			case errors.Is(err, peer.ErrGone):
				err = fmt.Errorf("%w: %w", link.ErrPeerGone, refused.Reason)
			}
		}
		return id, err
	}
	return id, nil
}

func identify(from candidate, c *Config) (*peer.Identity, error) {
	switch from.(type) {
	case *localIncoming, *localOutgoing:
		return identifySelf(c.Carrier)
	}
	return peer.Identify(from.Credentials())
}

// connectedBy adds to why a process was not identified what the kernel says of the one that
// made the other end of the connection, for the log.
func connectedBy(from candidate, why error) error {
	c := from.Credentials()
	switch {
	case c == nil || c.Socket == cred.UCred{}:
		return why
	case c.Socket.PID <= 0: // in another pid namespace
		return fmt.Errorf("%w; uid %d made its end of the connection", why, c.Socket.UID)
	}
	return fmt.Errorf("%w; pid %d uid %d made its end of the connection", why, c.Socket.PID, c.Socket.UID)
}
