package conn

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/peer"
)

// setUp brings one client from connect to a Conn that waits for Accept.
type setUp struct {
	*Listener
	in     rendezvous.Incoming
	client *fair.Client

	ctx  context.Context // ended by Release, and with rest
	rest context.Context // of a client that has been told that it is accepted: ended by Interrupt
	drop context.CancelCauseFunc
	free func() // ends the contexts
}

// begin sets a client up, in a goroutine of its own. It returns link.ErrClosed after
// Release. If a client is dropped for this one, moved is as fair.Pending describes.
func (l *Listener) begin(in rendezvous.Incoming) (moved <-chan struct{}, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return nil, link.ErrClosed
	}
	s := &setUp{Listener: l, in: in}
	rest, cancel := l.c.withTimeout(l.over)
	s.rest, s.drop = context.WithCancelCause(rest)
	ctx, end := context.WithCancel(s.rest)
	unhook := context.AfterFunc(l.ctx, end)
	s.ctx, s.free = ctx, func() { unhook(); end(); cancel() }
	heard, silence := context.WithCancelCause(ctx)
	s.client, moved = l.pending.Enter(in.From(), func() { silence(errCrowded) })
	l.wg.Go(func() {
		defer silence(nil)
		s.run(heard, silence)
	})
	return moved, nil
}

// run is the goroutine of a set-up. heard ends when the hello is no longer waited for, and
// silence ends it.
func (s *setUp) run(heard context.Context, silence context.CancelCauseFunc) {
	defer s.free()
	c, id, err := s.admit(heard, silence)
	s.client.Leave()
	if err != nil {
		if s.Listener.ctx.Err() == nil {
			s.reports.add(s.in.From().UID, id, rendezvous.Explain(timedOut(s.ctx, err)))
		}
		if id != nil {
			_ = id.Close()
		}
		return
	}
	select {
	case s.ready <- c:
	case <-s.over.Done():
		c.Abort()
	}
}

// admit decides on a client. It ends in. With an error it returns the client's identity,
// if that is known.
func (s *setUp) admit(heard context.Context, silence context.CancelCauseFunc) (*Conn, *peer.Identity, error) {
	hello, err := s.hello(heard, silence)
	if rendezvous.IsExhausted(err) {
		return nil, nil, s.refuse(refusal(wire.Exhausted), err)
	}
	if err != nil {
		return nil, nil, errors.Join(err, s.in.Close())
	}
	theirs, err := wire.ParseHello(hello)
	if err != nil {
		return nil, nil, errors.Join(err, s.in.Close())
	}
	id, err := s.authorize()
	switch {
	case err == nil:
	case s.Listener.ctx.Err() != nil, errors.Is(err, link.ErrPeerGone): // not the policy's decision
		return nil, id, errors.Join(err, s.in.Close())
	case rendezvous.IsExhausted(err):
		return nil, id, s.refuse(refusal(wire.Exhausted), err)
	case s.ctx.Err() != nil && errors.Is(context.Cause(s.ctx), ErrBusy):
		return nil, id, s.refuse(refusal(wire.Busy), err)
	default:
		return nil, id, s.refuse(refusal(wire.Refused), err)
	}
	// A client that the policy does not admit learns nothing of this side.
	answer := s.c.hello()
	if s.c.Confirms {
		answer.Flags |= wire.Confirms
	}
	if err := theirs.Check(answer, true); err != nil {
		answer.Status = wire.BadHello
		return nil, id, s.refuse(answer, err)
	}
	c, err := s.connect(id, theirs, answer)
	return c, id, err
}

// hello waits for the client's hello.
func (s *setUp) hello(heard context.Context, silence context.CancelCauseFunc) ([]byte, error) {
	if s.c.HandshakeTimeout > helloTimeout {
		late := time.AfterFunc(helloTimeout, func() { silence(&timeoutError{"the hello", "limit", helloTimeout}) })
		defer late.Stop()
	}
	hello, err := s.in.Hello(heard)
	if err == nil {
		s.client.Spoke(func() { s.drop(errCrowded) })
		return hello, nil
	}
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(heard), ErrBusy) {
		s.refused.Add(1)
	}
	return nil, timedOut(heard, err)
}

// authorize waits for its turn and has the policy decide.
func (s *setUp) authorize() (*peer.Identity, error) {
	turn, err := s.policies.Enter(s.ctx, s.in.From(), func() {})
	if err != nil {
		return nil, fmt.Errorf("waiting for the evaluation of the peer policy: %w", err)
	}
	s.client.Serve(true)
	defer func() {
		s.client.Serve(false)
		turn.Leave()
	}()
	return authorize(s.ctx, s.in, s.c)
}

// refusal is a hello that says nothing but why the client is refused.
func refusal(s wire.Status) wire.Hello {
	return wire.Hello{Version: wire.Version, Status: s, MaxMessage: 1}
}

// refuse answers the client with a refusal and returns why. It ends in.
func (s *setUp) refuse(answer wire.Hello, why error) error {
	s.refused.Add(1)
	if answer.Status == wire.Exhausted {
		s.pending.MakeRoom()
	}
	if local, ok := s.in.(*localIncoming); ok && answer.Status == wire.Exhausted {
		local.fail(rendezvous.Explain(why)) // it is out of the same resource
		return why
	}
	// The client may be gone; why it is refused matters more.
	_ = s.in.Refuse(s.ctx, answer.Append(nil))
	return why
}

// connect makes the connection with an authorized client, in a slot.
func (s *setUp) connect(id *peer.Identity, theirs, answer wire.Hello) (*Conn, error) {
	token := id.Token()
	who := fair.Process{UID: token.EUID(), PID: token.PID()}
	slot, err := s.slots.Enter(s.ctx, who, func() { s.drop(errStalled) })
	switch {
	case err == nil:
	case s.Listener.ctx.Err() != nil: // not for want of a slot
		return nil, errors.Join(err, s.in.Close())
	case errors.Is(err, fair.ErrFull):
		return nil, s.refuse(refusal(wire.Busy), ErrBusy)
	default:
		return nil, s.refuse(refusal(wire.Busy), fmt.Errorf("waiting for a slot: %w: %w", ErrBusy, err))
	}
	s.client.Leave() // it counts as a handshake now
	c, err := s.accept(slot, id, theirs, answer)
	if err != nil {
		slot.Leave()
	}
	return c, err
}

// accept answers the client and does the handshake.
func (s *setUp) accept(slot *fair.Slot, id *peer.Identity, theirs, answer wire.Hello) (*Conn, error) {
	local, _ := s.in.(*localIncoming)
	var proof Proof
	var err error
	if local != nil && s.c.Security != nil {
		if proof, err = local.check(s.ctx, s.Listener); err != nil {
			if !errors.Is(err, link.ErrPeerGone) {
				s.refused.Add(1)
			}
			return nil, err
		}
	}
	lk, err := s.in.Accept(s.ctx, answer.Append(nil))
	if rendezvous.IsExhausted(err) {
		return nil, s.refuse(refusal(wire.Exhausted), err)
	}
	if err != nil {
		return nil, err
	}
	if local == nil {
		// The client has been told that it is accepted, so Release does not end this.
		if lk, proof, err = s.c.handshake(s.rest, lk, s.endpoint, id, true); err != nil {
			return nil, err
		}
	}
	slot.Keep()
	return newConn(lk, s.c, theirs, id, proof, s.endpoint, false, slot.Leave), nil
}
