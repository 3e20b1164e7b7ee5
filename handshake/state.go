package handshake

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"

	"github.com/sealport/sealport/internal/fips"
	"github.com/sealport/sealport/keys"
)

// State is one side of one handshake. The initiator writes the first message, and
// then the sides take turns. A State must be used by one goroutine at a time. No call
// blocks, except [State.ReadMessage] while Config.VerifyPeer does.
//
// The first error is final: every later call returns it. The secrets are then
// cleared, including those of a [Result] whose keys were not taken.
type State struct {
	config Config
	offer  Offer
	header [offerSize]byte // the offer as on the wire
	dh     dh
	rng    entropy
	kem    kem
	noise  *noise.HandshakeState

	next       int // the next message, counted from 0
	local      keys.PublicKey
	peer       keys.PublicKey
	peerLimits Limits
	result     *Result
	err        error
}

// New starts a handshake. It fails with [ErrConfig] if a setting is missing or
// settings contradict each other, and with [errors.ErrUnsupported] in a program with
// GODEBUG=fips140=only. The slices of c are copied. Call [State.Close] to
// abandon the handshake; it is not needed after an error or the end.
func New(c Config) (*State, error) {
	if err := c.check(); err != nil {
		return nil, &Error{Role: c.Role, Pattern: c.Pattern, Cause: err}
	}
	s := &State{config: c, offer: c.offer(), rng: random}
	s.config.InitiatorIdentity = bytes.Clone(c.InitiatorIdentity)
	s.config.ResponderIdentity = bytes.Clone(c.ResponderIdentity)
	s.config.Binding = bytes.Clone(c.Binding)
	return s, nil
}

// Done reports whether the handshake is complete, so that [State.Result] returns the
// result.
func (s *State) Done() bool { return s.result != nil }

// Writes reports whether it is this side's turn to write a message. It is false after
// the last message and after an error.
func (s *State) Writes() bool {
	initiators := s.next%2 == 0
	return s.err == nil && !s.Done() && initiators == (s.config.Role == Initiator)
}

// WriteMessage appends the next message, which contains payload, to dst and returns
// the extended slice. payload is not kept, and dst and payload must not overlap. The
// message has at most [MaxMessageSize] bytes. After an error the bytes between dst's
// length and capacity are undefined.
//
// payload has at most [MaxPayload] bytes, and must be empty in the first message of
// XX, which is not encrypted. Other messages encrypt it, but who can read it, and how
// well the peer is authenticated by then, differs: see docs/HANDSHAKE.md, "Payloads".
//
// Errors are final: [ErrOrder] and [ErrPayload] are mistakes on this side.
func (s *State) WriteMessage(dst, payload []byte) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if !s.Writes() {
		return nil, s.fail(ErrOrder)
	}
	// New has checked it for its own goroutine; see crypto/fips140.WithoutEnforcement.
	if err := fips.Check(); err != nil {
		return nil, s.fail(err)
	}
	out, err := s.write(dst, payload)
	if err != nil {
		return nil, s.fail(err)
	}
	return out, nil
}

func (s *State) write(dst, application []byte) ([]byte, error) {
	l := s.offer.layout(s.next)
	var kemBytes []byte
	switch s.next {
	case 0: // the initiator's first, which determines the prologue
		if err := s.start(hintFor(s.config.PeerStatic), s.config.Key); err != nil {
			return nil, err
		}
		dst = append(dst, s.header[:]...)
		if s.offer.Hybrid {
			key, err := s.kem.offer(s.rng)
			if err != nil {
				return nil, err
			}
			kemBytes = key
		}
	case 1: // the responder's first, in which IK and NK mix in the KEM's secret
		if s.offer.Hybrid {
			ciphertext, psk, err := s.kem.answer(s.rng, s.config.PSK)
			if err != nil {
				return nil, err
			}
			if err := s.mixPSK(psk); err != nil {
				return nil, err
			}
			if l.kem > 0 {
				kemBytes = ciphertext
			} else {
				dst = append(dst, ciphertext...)
			}
		}
	}
	payload, err := l.payload(kemBytes, s.config.Limits, application)
	if err != nil {
		return nil, err
	}
	defer clear(payload)
	out, first, second, err := s.noise.WriteMessage(dst, payload)
	if err != nil {
		return nil, err
	}
	s.advance(first, second)
	return out, nil
}

// ReadMessage reads the peer's next message and returns the application payload in it,
// in a slice that the caller owns. message is neither changed nor kept. ReadMessage
// blocks while Config.VerifyPeer does.
//
// Errors are final. [ErrOrder] is a mistake on this side. [ErrMessageSize],
// [ErrVersion], [ErrOffer], [ErrAuthentication], [ErrPeerKey], [ErrUnknownKey] and
// [ErrPeerRefused] are caused by the peer or by an attacker in between.
func (s *State) ReadMessage(message []byte) (payload []byte, err error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.Done() || s.Writes() {
		return nil, s.fail(ErrOrder)
	}
	if err := fips.Check(); err != nil {
		return nil, s.fail(err)
	}
	payload, err = s.read(message)
	if err != nil {
		return nil, s.fail(err)
	}
	return payload, nil
}

func (s *State) read(message []byte) ([]byte, error) {
	if s.next == 0 {
		if err := s.accept(message); err != nil {
			return nil, err
		}
	}
	l := s.offer.layout(s.next)
	if err := l.check(len(message)); err != nil {
		return nil, err
	}
	prefix, message := message[:l.prefix], message[l.prefix:]
	if l.ephemeral {
		// Refuse an invalid key here, not in the write that first uses it.
		if _, err := keys.NewPublicKey(message[:dhLen]); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrPeerKey, err)
		}
	}
	if s.next == 1 && s.offer.Hybrid && l.kem == 0 {
		if err := s.finishKEM(prefix); err != nil {
			return nil, err
		}
	}
	payload, first, second, err := s.noise.ReadMessage(nil, message)
	if errors.Is(err, ErrPeerKey) {
		return nil, err
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAuthentication, err)
	}
	kemBytes, limits, application := l.split(payload)
	if l.protected {
		s.peerLimits = limits
	}
	// Verify the peer before using anything else that it sent.
	if err := s.verifyPeer(application); err != nil {
		return nil, err
	}
	switch {
	case l.kem == 0:
	case s.next == 0:
		err = s.kem.take(kemBytes)
	default:
		err = s.finishKEM(kemBytes)
	}
	if err != nil {
		return nil, err
	}
	s.advance(first, second)
	return application, nil
}

// accept checks the initiator's offer, which must be the one that the responder is
// configured for, and chooses the static key.
func (s *State) accept(message []byte) error {
	got, wanted, err := parseOffer(message)
	if err != nil {
		return err
	}
	if got != s.offer {
		return &OfferError{Got: got, Want: s.offer}
	}
	key := s.config.Key
	switch {
	case wanted == hint{} || wanted == hintFor(key.Public()):
	case wanted == hintFor(s.config.NextKey.Public()):
		key = s.config.NextKey
	case s.offer.Pattern != XX: // in XX the initiator decides about the key it gets
		return ErrUnknownKey
	}
	return s.start(wanted, key)
}

// start starts Noise once offer and key are known.
func (s *State) start(h hint, key keys.PrivateKey) (err error) {
	s.header = s.offer.encode(h)
	s.local = key.Public()
	s.dh = dh{static: key, generate: s.rng.ephemeral}
	var psk []byte // in the hybrid it is set by mixPSK, when the KEM's secret is known
	if !s.offer.Hybrid {
		psk = s.config.PSK.RevealSecretBytes()
		defer clear(psk)
	}
	s.noise, err = newNoise(s.offer, s.config.Role == Initiator, prologue(s.header, &s.config), &s.dh, s.config.PeerStatic, psk)
	return err
}

// hintFor returns the hint for key, or zero for no key.
func hintFor(key keys.PublicKey) hint {
	if key.IsZero() {
		return hint{}
	}
	return hintOf(key)
}

func (s *State) finishKEM(ciphertext []byte) error {
	psk, err := s.kem.finish(ciphertext, s.config.PSK)
	if err != nil {
		return err
	}
	return s.mixPSK(psk)
}

// mixPSK gives Noise the hybrid's PSK before the message that mixes it in.
func (s *State) mixPSK(psk []byte) error {
	defer clear(psk)
	return s.noise.SetPresharedKey(psk) // copies
}

// verifyPeer calls VerifyPeer in the message that proves the peer's static key: the
// one that contains it, or the first one of a responder whose key was known.
func (s *State) verifyPeer(payload []byte) error {
	raw := s.noise.PeerStatic()
	if len(raw) == 0 || !s.peer.IsZero() {
		return nil
	}
	key, err := keys.NewPublicKey(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPeerKey, err)
	}
	if err := s.config.VerifyPeer(key, payload); err != nil {
		return fmt.Errorf("%w: %w", ErrPeerRefused, err)
	}
	s.peer = key
	return nil
}

// advance goes on to the next message or completes the handshake: first and second
// are then Noise's two CipherStates (Noise §5.3, Split).
func (s *State) advance(first, second *noise.CipherState) {
	s.next++
	if first == nil {
		return
	}
	send, receive := first, second
	if s.config.Role == Responder {
		send, receive = second, first
	}
	s.result = &Result{
		offer:  s.offer,
		local:  s.local,
		peer:   s.peer,
		limits: s.peerLimits,
		hash:   [HashSize]byte(s.noise.ChannelBinding()),
	}
	hidden := &secrets{send: send.UnsafeKey(), receive: receive.UnsafeKey()}
	s.result.secrets = func() *secrets { return hidden }
	s.forget()
}

// Result returns the outcome of the handshake, the same *Result each time. Before the
// handshake is complete it fails with [ErrOrder], which is final like every error.
func (s *State) Result() (*Result, error) {
	if s.err != nil {
		return nil, s.err
	}
	if !s.Done() {
		return nil, s.fail(ErrOrder)
	}
	return s.result, nil
}

// Close abandons the handshake and clears its secrets, including those of a [Result]
// whose keys were not taken. Every later call fails with [ErrOrder], or with the
// earlier error. Close is idempotent.
func (s *State) Close() {
	if s.err == nil {
		_ = s.fail(ErrOrder)
	}
}

// fail makes cause the final error and returns it as an Error.
func (s *State) fail(cause error) error {
	s.err = &Error{Role: s.config.Role, Pattern: s.config.Pattern, Message: s.next + 1, Cause: cause}
	if s.result != nil {
		s.result.Wipe()
		s.result = nil
	}
	s.forget()
	return s.err
}

// forget drops the references to the secrets: those inside flynn/noise, crypto/ecdh
// and crypto/mlkem cannot be cleared from here.
func (s *State) forget() {
	s.noise, s.dh, s.kem = nil, dh{}, kem{}
	s.config.Key, s.config.NextKey, s.config.PSK = keys.PrivateKey{}, keys.PrivateKey{}, keys.PresharedKey{}
	s.config.VerifyPeer = nil
}

// String describes the state of the handshake without its secrets.
func (s *State) String() string {
	return fmt.Sprintf("handshake %v of %v at message %d", s.config.Role, s.offer, s.next+1)
}

// GoString returns the same as String.
func (s *State) GoString() string { return s.String() }

// Format writes the same as String for every verb.
func (s *State) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }
