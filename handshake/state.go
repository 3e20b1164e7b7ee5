package handshake

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/flynn/noise"

	"github.com/sealport/sealport/keys"
)

// State is one side of one handshake. The initiator writes the first message, and
// then they take turns. It is not safe for concurrent use, and no call blocks,
// except where VerifyPeer does.
//
// The first error is final: every later call repeats it and the secrets are
// cleared, also those of a Result from which TakeKeys has not been called.
type State struct {
	config Config
	offer  Offer
	header [offerSize]byte // the offer as it was on the wire
	dh     dh
	rng    entropy
	kem    kem
	noise  *noise.HandshakeState

	next       int // the message that is due, from 0
	local      keys.PublicKey
	peer       keys.PublicKey
	peerLimits Limits
	result     *Result
	err        error
}

// New starts a handshake. It fails with ErrConfig if c contradicts itself or
// leaves something out. Call Close if the handshake is given up.
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

// Done reports whether the last message has been written or read, so that Result
// has something to return.
func (s *State) Done() bool { return s.result != nil }

// Writes reports whether it is this side's turn to write a message. It is false
// when the State is done or has failed.
func (s *State) Writes() bool {
	initiators := s.next%2 == 0
	return s.err == nil && !s.Done() && initiators == (s.config.Role == Initiator)
}

// WriteMessage appends the next message to dst, with payload in it, and returns
// the longer slice. dst and payload stay the caller's and must not overlap. The
// message is at most MaxMessageSize bytes. After an error what is between dst's
// length and capacity is undefined.
//
// payload is up to MaxPayload bytes, and must be empty in the first message of XX,
// which protects nothing. Elsewhere it is secret, but from whom, and how well the
// peer is known by then, differs: see docs/HANDSHAKE.md, "Payloads".
//
// Errors are final, and all are this side's mistakes: ErrOrder, ErrPayload.
func (s *State) WriteMessage(dst, payload []byte) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if !s.Writes() {
		return nil, s.fail(ErrOrder)
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
	case 0: // the initiator's first: only now is it known what the prologue is
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
	case 1: // the responder's: IK and NK mix the KEM's secret in this very message
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

// ReadMessage takes the peer's next message and returns the application's payload
// in it, in a slice that is the caller's. message is not kept.
//
// Errors are final: ErrOrder is this side's mistake; ErrMessageSize, ErrVersion,
// ErrOffer, ErrAuthentication, ErrPeerKey, ErrUnknownKey and ErrPeerRefused are
// the peer's doing, or that of somebody between.
func (s *State) ReadMessage(message []byte) (payload []byte, err error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.Done() || s.Writes() {
		return nil, s.fail(ErrOrder)
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
		// Refuse a bad key here, not in the write that first computes with it.
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
	// Whom we talk to comes before what else he sent.
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

// accept is the responder's look at the offer, which must be the one it is
// configured for, and its choice of a static key.
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
	case s.offer.Pattern != XX: // XX shows the key that there is, and the initiator judges
		return ErrUnknownKey
	}
	return s.start(wanted, key)
}

// start begins Noise once offer and key are settled.
func (s *State) start(h hint, key keys.PrivateKey) (err error) {
	s.header = s.offer.encode(h)
	s.local = key.Public()
	s.dh = dh{static: key, generate: s.rng.ephemeral}
	var psk []byte // in the hybrid not before the KEM's secret is known: see mixPSK
	if !s.offer.Hybrid {
		psk = s.config.PSK.RevealSecretBytes()
		defer clear(psk)
	}
	s.noise, err = newNoise(s.offer, s.config.Role == Initiator, prologue(s.header, &s.config), &s.dh, s.config.PeerStatic, psk)
	return err
}

// hintFor is hintOf, and none for no key.
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

// mixPSK hands the hybrid's PSK to Noise, in time for the message that mixes it in.
func (s *State) mixPSK(psk []byte) error {
	defer clear(psk)
	return s.noise.SetPresharedKey(psk) // copies
}

// verifyPeer asks VerifyPeer in the message that proves the peer's static key:
// where it arrives, or the first of a responder whose key was known.
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

// advance goes on to the next message, or ends the handshake: first and second
// are Noise's two CipherStates then (Noise §5.3, Split).
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

// Result returns what the handshake agreed on: the same *Result each time. Before
// the end it fails with ErrOrder, which is final like any error.
func (s *State) Result() (*Result, error) {
	if s.err != nil {
		return nil, s.err
	}
	if !s.Done() {
		return nil, s.fail(ErrOrder)
	}
	return s.result, nil
}

// Close gives the handshake up and clears its secrets, those in a Result too from
// which TakeKeys has not been called. Every later call fails with ErrOrder, or
// with the error from before. Idempotent.
func (s *State) Close() {
	if s.err == nil {
		_ = s.fail(ErrOrder)
	}
}

// fail makes cause final, and returns it with its circumstances.
func (s *State) fail(cause error) error {
	s.err = &Error{Role: s.config.Role, Pattern: s.config.Pattern, Message: s.next + 1, Cause: cause}
	if s.result != nil {
		s.result.Wipe()
		s.result = nil
	}
	s.forget()
	return s.err
}

// forget drops the secrets for the collector: the insides of flynn/noise,
// crypto/ecdh and crypto/mlkem can't be cleared from here.
func (s *State) forget() {
	s.noise, s.dh, s.kem = nil, dh{}, kem{}
	s.config.Key, s.config.NextKey, s.config.PSK = keys.PrivateKey{}, keys.PrivateKey{}, keys.PresharedKey{}
	s.config.VerifyPeer = nil
}

// String says what the State is at, without its secrets.
func (s *State) String() string {
	return fmt.Sprintf("handshake %v of %v at message %d", s.config.Role, s.offer, s.next+1)
}

// GoString is String.
func (s *State) GoString() string { return s.String() }

// Format writes String, whatever the verb.
func (s *State) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }
