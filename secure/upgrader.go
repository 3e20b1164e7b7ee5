package secure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/upgrade"
	"github.com/sealport/sealport/keys"
)

// workers bounds how many hosts' handshakes compute at a time in this process, so
// that a flood of them leaves a processor to the connections that live.
var workers = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))

// upgrader implements upgrade.Upgrader.
type upgrader struct {
	Config
	role     handshake.Role
	halfOpen *halfOpen
}

var _ upgrade.Upgrader = (*upgrader)(nil)

func newUpgrader(c Config, role handshake.Role) *upgrader {
	return &upgrader{Config: c, role: role, halfOpen: newHalfOpen(c.MaxHalfOpen, c.MaxHalfOpenPerUser)}
}

// Enter implements upgrade.Upgrader.
func (u *upgrader) Enter(ctx context.Context, uid uint32) (func(), error) {
	return u.halfOpen.enter(ctx, uid)
}

// Client implements upgrade.Upgrader.
func (u *upgrader) Client(ctx context.Context, l link.Link, s upgrade.Side) (link.Link, upgrade.Result, error) {
	return u.run(ctx, l, s, nil)
}

// Host implements upgrade.Upgrader.
func (u *upgrader) Host(ctx context.Context, l link.Link, s upgrade.Side) (link.Link, upgrade.Result, error) {
	first, err := l.ReadFrame(ctx)
	if err != nil {
		return nil, upgrade.Result{}, errors.Join(failed(err), discard(l))
	}
	return u.run(ctx, l, s, first)
}

// run does the handshake and makes the link. A host has read the first message.
func (u *upgrader) run(ctx context.Context, l link.Link, s upgrade.Side, first []byte) (link.Link, upgrade.Result, error) {
	fail := func(err error) (link.Link, upgrade.Result, error) {
		return nil, upgrade.Result{}, errors.Join(failed(err), discard(l))
	}
	pattern, err := u.pattern(first)
	if err != nil {
		return fail(err)
	}
	p := parameters{upgrader: u, ctx: ctx, side: s, pattern: pattern}
	st, err := handshake.New(p.config())
	if err != nil {
		return fail(err)
	}
	defer st.Close()
	read, msg := u.role == handshake.Responder, first
	for !st.Done() {
		if !read && !st.Writes() {
			if msg, err = l.ReadFrame(ctx); err != nil {
				return fail(err)
			}
			read = true
		}
		answer, err := u.step(ctx, st, msg, read)
		if err != nil {
			return fail(err)
		}
		if answer != nil {
			if err := l.WriteFrame(ctx, nil, answer); err != nil {
				return fail(err)
			}
		}
		read = false
	}
	res, err := st.Result()
	if err != nil {
		return fail(err)
	}
	sealed := newLink(l, p, res)
	if err := sealed.confirm(ctx); err != nil {
		return nil, upgrade.Result{}, errors.Join(failed(err), discard(sealed))
	}
	sealed.startTimers()
	return sealed, resultOf(res), nil
}

// step reads msg, if there is one, and writes the next message, if it is this
// side's turn. A host does that as one of the workers.
func (u *upgrader) step(ctx context.Context, st *handshake.State, msg []byte, read bool) (answer []byte, err error) {
	if u.role == handshake.Responder {
		select {
		case workers <- struct{}{}:
			defer func() { <-workers }()
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if read {
		if _, err := st.ReadMessage(msg); err != nil {
			return nil, err
		}
	}
	if st.Writes() {
		return st.WriteMessage(nil, nil)
	}
	return nil, nil
}

// ask asks Trust, within step. That may take long, so a worker's place is left
// meanwhile.
func (p parameters) ask(key keys.PublicKey) error {
	if p.role == handshake.Responder {
		<-workers
		defer func() { workers <- struct{}{} }()
	}
	if p.known.IsZero() {
		return p.Trust.Verify(p.ctx, p.side.Endpoint, key)
	}
	// From here on: a handshake within a connection.
	if !p.known.Equal(key) {
		return errOtherKey
	}
	if e, ok := p.Trust.(keys.Expecter); ok {
		// Verify might trust on first use what was just removed.
		for _, k := range e.Expected(p.side.Endpoint) {
			if k.Equal(key) {
				return nil
			}
		}
		return keys.ErrUntrusted
	}
	err := p.Trust.Verify(p.ctx, p.side.Endpoint, key)
	if errors.Is(err, keys.ErrTrustFile) {
		return nil // a slip of the editor does not end what lives
	}
	return err
}

// pattern is this side's, or the anonymous one where a host allows it and the
// first message asks for it.
func (u *upgrader) pattern(first []byte) (handshake.Pattern, error) {
	if u.role == handshake.Initiator || !u.AllowAnonymous {
		return u.Pattern, nil
	}
	offer, err := handshake.ReadOffer(first)
	if err != nil {
		return 0, err
	}
	if offer.Pattern == handshake.NK {
		return handshake.NK, nil
	}
	return u.Pattern, nil
}

// parameters are what the handshakes of one connection have in common.
type parameters struct {
	*upgrader
	ctx     context.Context // for asking Trust in the handshake at hand
	side    upgrade.Side
	pattern handshake.Pattern
	binding []byte         // the handshake before
	known   keys.PublicKey // the peer's key in the handshake before
}

// config is what package handshake needs.
func (p parameters) config() handshake.Config {
	c := handshake.Config{
		Role:      p.role,
		Pattern:   p.pattern,
		Classical: p.Classical,
		PSK:       p.PSK,
		Endpoint:  p.side.Endpoint,
		Binding:   p.binding,
	}
	host := p.role == handshake.Responder
	if host {
		c.InitiatorIdentity, c.ResponderIdentity = p.side.Peer, p.side.Self
	} else {
		c.InitiatorIdentity, c.ResponderIdentity = p.side.Self, p.side.Peer
	}
	if p.pattern != handshake.NN && (host || p.pattern != handshake.NK) {
		c.Key, c.NextKey = p.Key, p.NextKey
	}
	if e, ok := p.Trust.(keys.Expecter); ok && !host {
		c.PeerStatic = p.known
		if expected := e.Expected(p.side.Endpoint); c.PeerStatic.IsZero() && len(expected) > 0 {
			c.PeerStatic = expected[0]
		}
	}
	if p.peerHasKey() {
		c.VerifyPeer = func(key keys.PublicKey, _ []byte) error { return p.ask(key) }
	}
	return c
}

// peerHasKey reports whether the pattern gives the peer a static key.
func (p parameters) peerHasKey() bool {
	switch p.pattern {
	case handshake.NN:
		return false
	case handshake.NK:
		return p.role == handshake.Initiator
	}
	return true
}

func resultOf(res *handshake.Result) upgrade.Result {
	key, _ := res.PeerStatic()
	hash := res.Hash()
	return upgrade.Result{Key: key, Hash: hash[:]}
}

// failed names the failure of a handshake. A peer that hangs up had something
// against it, and does not say what.
func failed(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, link.ErrPeerGone) {
		return fmt.Errorf("%w: the other side ended it, and tells its Config.Logger and OnError only why: %w", ErrHandshake, link.ErrPeerGone)
	}
	return fmt.Errorf("%w: %w", ErrHandshake, err)
}

// discard closes a link that nobody uses.
func discard(l link.Link) error {
	l.Interrupt()
	return l.Close()
}

// Local implements upgrade.Upgrader: the same process holds both private keys, so
// that what remains to be checked is whether each side trusts the other's.
func (u *upgrader) Local(ctx context.Context, endpoint string, other upgrade.Upgrader) (ofHost, ofClient upgrade.Result, err error) {
	h, ok := other.(*upgrader)
	if !ok || !u.SkipInProcessEncryption || !h.SkipInProcessEncryption {
		return ofHost, ofClient, fmt.Errorf("%w: both sides must say SkipInProcessEncryption", ErrHandshake)
	}
	if u.Pattern != h.Pattern && !(u.Pattern == handshake.NK && h.AllowAnonymous) || u.Classical != h.Classical {
		return ofHost, ofClient, fmt.Errorf("%w: %w", ErrHandshake, handshake.ErrOffer)
	}
	if !u.PSK.IsZero() || !h.PSK.IsZero() {
		if !u.PSK.Equal(h.PSK) {
			return ofHost, ofClient, fmt.Errorf("%w: %w", ErrHandshake, handshake.ErrAuthentication)
		}
	}
	if u.Pattern == handshake.NN {
		return ofHost, ofClient, nil
	}
	ofHost.Key = h.Key.Public()
	if e, ok := u.Trust.(keys.Expecter); ok && !h.NextKey.IsZero() {
		if expected := e.Expected(endpoint); len(expected) > 0 && expected[0].Equal(h.NextKey.Public()) {
			ofHost.Key = expected[0]
		}
	}
	if err := u.Trust.Verify(ctx, endpoint, ofHost.Key); err != nil {
		return ofHost, ofClient, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	if u.Pattern == handshake.NK {
		return ofHost, ofClient, nil
	}
	ofClient.Key = u.Key.Public()
	if err := h.Trust.Verify(ctx, endpoint, ofClient.Key); err != nil {
		return ofHost, ofClient, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	return ofHost, ofClient, nil
}
