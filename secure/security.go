package secure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/wire"
	"github.com/sealport/sealport/keys"
)

// workers limits how many handshakes the hosts of this process compute at a time,
// so that a flood of them leaves a processor to the established connections.
var workers = make(chan struct{}, max(1, runtime.GOMAXPROCS(0)-1))

// security implements conn.Security.
type security struct {
	Config
	role handshake.Role
}

var _ conn.Security = (*security)(nil)

func newSecurity(c Config, role handshake.Role) *security {
	return &security{Config: c, role: role}
}

// HalfOpen implements conn.Security.
func (u *security) HalfOpen() (total, perUser int) { return u.MaxHalfOpen, u.MaxHalfOpenPerUser }

// Client implements conn.Security.
func (u *security) Client(ctx context.Context, l link.Link, s conn.Side) (link.Link, conn.Proof, error) {
	return u.run(ctx, l, s, nil)
}

// Host implements conn.Security.
func (u *security) Host(ctx context.Context, l link.Link, s conn.Side) (link.Link, conn.Proof, error) {
	first, err := l.ReadFrame(ctx)
	if err != nil {
		return nil, conn.Proof{}, errors.Join(failed(err), discard(l))
	}
	return u.run(ctx, l, s, first)
}

// run does the handshake and makes the link. A host has read the first message. On
// error it closes l.
func (u *security) run(ctx context.Context, l link.Link, s conn.Side, first []byte) (link.Link, conn.Proof, error) {
	pattern, err := u.pattern(first)
	keySent := false
	fail := func(err error) (link.Link, conn.Proof, error) {
		if u.role == handshake.Responder && rendezvous.IsExhausted(err) {
			_ = l.CloseWrite(ctx, exhaustedFrame) // the client may be gone
		}
		if keySent && hungUp(err) {
			return nil, conn.Proof{}, errors.Join(keyRefused(pattern, u.Key.Public()), discard(l))
		}
		return nil, conn.Proof{}, errors.Join(failed(err), discard(l))
	}
	if err != nil {
		return fail(err)
	}
	p := parameters{security: u, ctx: ctx, side: s, pattern: pattern}
	st, err := handshake.New(p.config())
	if err != nil {
		return fail(err)
	}
	defer st.Close()
	read, msg := u.role == handshake.Responder, first
	for !st.Done() {
		if !read && !st.Writes() {
			if msg, err = u.readFrame(ctx, l); err != nil {
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
			keySent = p.sendsKey() && (pattern == handshake.IK || st.Done())
		}
		read = false
	}
	res, err := st.Result()
	if err != nil {
		return fail(err)
	}
	sealed := newLink(l, p, res)
	l = sealed
	if err := sealed.confirm(ctx); err != nil {
		return fail(err)
	}
	if err := sealed.trusted(ctx); err != nil {
		return fail(err)
	}
	sealed.startTimers()
	return sealed, resultOf(res), nil
}

// exhaustedFrame is what a host sends in place of its next frame in a first handshake
// that it could not decide on: the status of a hello.
var exhaustedFrame = []byte{byte(wire.Exhausted)}

// errHostExhausted is the error of a client that has got it.
var errHostExhausted = fmt.Errorf("%w: the host has no descriptors or memory left to decide on this client; see the host's log for the limit", rendezvous.ErrExhausted)

// readFrame reads the next frame of a first handshake, with the ready.
func (u *security) readFrame(ctx context.Context, l link.Link) ([]byte, error) {
	frame, err := l.ReadFrame(ctx)
	if err == nil && u.role == handshake.Initiator && bytes.Equal(frame, exhaustedFrame) {
		return nil, errHostExhausted
	}
	return frame, err
}

// step reads msg, if there is one, and writes the next message, if it is this
// side's turn. A host computes as one of the workers.
func (u *security) step(ctx context.Context, st *handshake.State, msg []byte, read bool) (answer []byte, err error) {
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

// authorize asks Trust about the peer's key, within step. Trust may block, so the
// worker is released meanwhile.
func (p parameters) authorize(key keys.PublicKey) error {
	if p.role == handshake.Responder {
		<-workers
		defer func() { workers <- struct{}{} }()
	}
	if p.known.IsZero() {
		return p.Trust.Verify(p.ctx, p.side.Endpoint, key)
	}
	// The rest is for a rehandshake.
	if !p.known.Equal(key) {
		return errOtherKey
	}
	if e, ok := p.Trust.(keys.Expecter); ok {
		// Verify could trust again, on first use, a key that was just removed.
		for _, k := range e.Expected(p.side.Endpoint) {
			if k.Equal(key) {
				return nil
			}
		}
		return keys.ErrUntrusted
	}
	err := p.Trust.Verify(p.ctx, p.side.Endpoint, key)
	if errors.Is(err, keys.ErrTrustFile) || rendezvous.IsExhausted(err) {
		return nil // a file that cannot be read does not end established connections
	}
	return err
}

// pattern is this side's pattern, or the anonymous one if a host allows it and the
// first message asks for it.
func (u *security) pattern(first []byte) (handshake.Pattern, error) {
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
	*security
	ctx     context.Context // of the current handshake, for Trust
	side    conn.Side
	pattern handshake.Pattern
	binding []byte         // hash of the previous handshake
	known   keys.PublicKey // the peer's key in the previous handshake
}

// config returns the configuration of the next handshake.
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
		c.VerifyPeer = func(key keys.PublicKey, _ []byte) error { return p.authorize(key) }
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

// sendsKey reports whether this side is a client that shows a static key.
func (p parameters) sendsKey() bool {
	return p.role == handshake.Initiator && (p.pattern == handshake.XX || p.pattern == handshake.IK)
}

func resultOf(res *handshake.Result) conn.Proof {
	key, _ := res.PeerStatic()
	hash := res.Hash()
	return conn.Proof{Key: key, Hash: hash[:]}
}

// hungUp reports whether the other side closed the connection.
func hungUp(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, link.ErrPeerGone) }

// failed makes an ErrHandshake of err. A peer that refuses closes the connection
// without a reason.
func failed(err error) error {
	var other *keys.UntrustedError
	switch {
	case errors.As(err, &other) && len(other.Expected) > 0:
		return &handshakeError{other.Error(), err}
	case hungUp(err):
		return &handshakeError{"the other side closed the connection; its log has the reason", link.ErrPeerGone}
	case errors.Is(err, ErrHandshake):
		return fmt.Errorf("secure: %w", err)
	case errors.Is(err, ErrRecord):
		return fmt.Errorf("%w; %w", err, ErrHandshake)
	}
	return fmt.Errorf("secure: %w: %w", ErrHandshake, err)
}

// handshakeError is an ErrHandshake whose text says all that there is to say of its cause.
type handshakeError struct {
	text  string
	cause error
}

func (e *handshakeError) Error() string { return "secure: " + ErrHandshake.Error() + ": " + e.text }

func (e *handshakeError) Unwrap() []error { return []error{ErrHandshake, e.cause} }

// keyRefused is the error of a client whose host closed the connection instead of
// accepting the client's key. In IK the key is in the first message, which the host
// may refuse for another reason.
func keyRefused(pattern handshake.Pattern, key keys.PublicKey) error {
	refused, why := "key", "its trust file does not list the key, or cannot be used"
	if pattern == handshake.IK {
		refused = "first message, with its key"
		why += ", or its own key is not the one that this client expects"
	}
	return &handshakeError{
		fmt.Sprintf("the host did not accept this client's %s %v: %s; the host's log has the reason", refused, key, why),
		link.ErrPeerGone,
	}
}

// discard closes a link that is not in use yet.
func discard(l link.Link) error {
	l.Interrupt()
	return l.Close()
}

// Local implements conn.Security. The same process holds both private keys, so
// only trust remains to be checked.
func (u *security) Local(ctx context.Context, endpoint string, other conn.Security) (ofHost, ofClient conn.Proof, err error) {
	h, ok := other.(*security)
	if !ok || !u.SkipInProcessEncryption || !h.SkipInProcessEncryption {
		return ofHost, ofClient, fmt.Errorf("secure: %w: both sides must set SkipInProcessEncryption", ErrHandshake)
	}
	if u.Pattern != h.Pattern && !(u.Pattern == handshake.NK && h.AllowAnonymous) || u.Classical != h.Classical {
		return ofHost, ofClient, fmt.Errorf("secure: %w: %w", ErrHandshake, handshake.ErrOffer)
	}
	if !u.PSK.IsZero() || !h.PSK.IsZero() {
		if !u.PSK.Equal(h.PSK) {
			return ofHost, ofClient, fmt.Errorf("secure: %w: %w", ErrHandshake, handshake.ErrAuthentication)
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
		return ofHost, ofClient, failed(err)
	}
	if u.Pattern != handshake.NK {
		ofClient.Key = u.Key.Public()
		if err := h.Trust.Verify(ctx, endpoint, ofClient.Key); err != nil {
			return ofHost, ofClient, failed(err)
		}
	}
	if learner, ok := u.Trust.(keys.Learner); ok {
		if err := learner.Learn(ctx, endpoint, ofHost.Key); err != nil {
			return ofHost, ofClient, failed(err)
		}
	}
	return ofHost, ofClient, nil
}
