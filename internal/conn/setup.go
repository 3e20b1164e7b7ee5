package conn

import (
	"context"
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/peer"
)

// setUp brings a client from connect to a Conn that waits for Accept.
func (l *Listener) setUp(in rendezvous.Incoming) {
	defer l.wg.Done()
	ctx, cancel := l.c.withTimeout(l.ctx)
	defer cancel()
	c, id, err := l.admit(ctx, in)
	if err != nil {
		if l.ctx.Err() == nil {
			l.report(id, rendezvous.Explain(timedOut(ctx, err)))
		}
		if id != nil {
			_ = id.Close()
		}
		l.leave()
		return
	}
	select {
	case l.ready <- c:
	case <-l.over.Done():
		c.Abort()
	}
}

// admit decides on a client that has said hello. It ends in. With an error it returns
// the client's identity, if that is known and the client was authorized.
func (l *Listener) admit(ctx context.Context, in rendezvous.Incoming) (*Conn, *peer.Identity, error) {
	hello, err := in.Hello(ctx)
	if rendezvous.IsExhausted(err) {
		return nil, nil, l.refuse(ctx, in, refusal(wire.Exhausted), err)
	}
	if err != nil {
		return nil, nil, errors.Join(err, in.Close())
	}
	theirs, err := wire.ParseHello(hello)
	if err != nil {
		return nil, nil, errors.Join(err, in.Close())
	}
	if !l.takeSlot() {
		return nil, nil, l.refuse(ctx, in, refusal(wire.Busy), ErrBusy)
	}
	c, id, err := l.connect(ctx, in, theirs)
	if err != nil {
		l.freeSlot()
	}
	return c, id, err
}

// connect makes the connection, in a slot, with a client that is authorized. See
// admit.
func (l *Listener) connect(ctx context.Context, in rendezvous.Incoming, theirs wire.Hello) (*Conn, *peer.Identity, error) {
	id, err := authorize(ctx, in, l.c)
	switch {
	case err == nil:
	case l.ctx.Err() != nil: // not the policy's decision
		return nil, nil, errors.Join(err, in.Close())
	case rendezvous.IsExhausted(err):
		return nil, nil, l.refuse(ctx, in, refusal(wire.Exhausted), err)
	default:
		return nil, nil, l.refuse(ctx, in, refusal(wire.Refused), err)
	}
	// A client that the policy does not admit learns nothing of this side.
	answer := l.c.hello()
	if l.c.Confirms {
		answer.Flags |= wire.Confirms
	}
	if err := theirs.Check(answer); err != nil {
		answer.Status = wire.BadHello
		return nil, id, l.refuse(ctx, in, answer, err)
	}
	c, err := l.accept(ctx, in, id, theirs, answer)
	return c, id, err
}

// refusal is a hello that says nothing but why the client is refused.
func refusal(s wire.Status) wire.Hello {
	return wire.Hello{Version: wire.Version, Status: s, MaxMessage: 1}
}

// refuse answers a client with a refusal and returns why.
func (l *Listener) refuse(ctx context.Context, in rendezvous.Incoming, answer wire.Hello, why error) error {
	l.refused.Add(1)
	if local, ok := in.(*localIncoming); ok && answer.Status == wire.Exhausted {
		local.fail(rendezvous.Explain(why)) // it is out of the same resource
		return why
	}
	// The client may be gone; why it is refused matters more.
	_ = in.Refuse(ctx, answer.Append(nil))
	return why
}

// accept makes the connection with an authorized client.
func (l *Listener) accept(ctx context.Context, in rendezvous.Incoming, id *peer.Identity, theirs, answer wire.Hello) (*Conn, error) {
	local, _ := in.(*localIncoming)
	var proof Proof
	var err error
	switch {
	case l.c.Security == nil:
	case local != nil:
		if proof, err = local.check(ctx, l); err != nil {
			if !errors.Is(err, link.ErrPeerGone) {
				l.refused.Add(1)
			}
			return nil, err
		}
	default:
		leave, err := l.c.Security.Enter(ctx, id.Token().EUID())
		if err != nil && l.ctx.Err() != nil { // not for want of a slot
			return nil, errors.Join(err, in.Close())
		}
		if err != nil {
			return nil, l.refuse(ctx, in, refusal(wire.Busy), fmt.Errorf("%w: %w", ErrBusy, err))
		}
		defer leave()
	}
	lk, err := in.Accept(ctx, answer.Append(nil))
	if rendezvous.IsExhausted(err) {
		return nil, l.refuse(ctx, in, refusal(wire.Exhausted), err)
	}
	if err != nil {
		return nil, err
	}
	if local == nil {
		if lk, proof, err = l.secured(ctx, lk, id); err != nil {
			return nil, err
		}
	}
	return newConn(lk, l.c, theirs, id, proof, l.endpoint, false, func() {
		l.freeSlot()
		l.leave()
	}), nil
}

// secured does the handshake. The client has been told that it is accepted, so Release
// does not end it.
func (l *Listener) secured(ctx context.Context, lk link.Link, id *peer.Identity) (link.Link, Proof, error) {
	deadline, _ := ctx.Deadline()
	rest, cancel := context.WithDeadline(l.over, deadline)
	defer cancel()
	return l.c.handshake(rest, lk, l.endpoint, id, true)
}
