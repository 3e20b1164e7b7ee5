package handshake

import (
	"errors"
	"fmt"
)

// ErrHandshake matches every error of this package. Whoever reports a failure to
// the peer says this much and no more; the causes below are for this side only.
var ErrHandshake = errors.New("handshake failed")

// Causes. Each is found by errors.Is in an *Error.
var (
	// ErrConfig means that New was given settings that can't work or that
	// contradict each other. The mistake is on this side.
	ErrConfig = errors.New("bad configuration")

	// ErrOrder means that a message was to be written when one should be read,
	// or the other way round, or after the last. The mistake is on this side.
	ErrOrder = errors.New("message out of turn")

	// ErrPayload means that WriteMessage was given a payload above MaxPayload,
	// or one in a message that would not protect it. The mistake is on this side.
	ErrPayload = errors.New("payload too large or not protected here")

	// ErrVersion means that the initiator speaks another version.
	ErrVersion = errors.New("peer speaks another version of the protocol")

	// ErrOffer means that the initiator offered another pattern, hybrid or PSK
	// than this side was configured for; see *OfferError.
	ErrOffer = errors.New("peer offers another handshake")

	// ErrMessageSize means that a message is shorter or longer than it can be.
	ErrMessageSize = errors.New("message has an impossible size")

	// ErrAuthentication means that a message did not decrypt: it was changed on
	// the way, or the sides disagree about a key, the PSK, the endpoint, an
	// identity or the binding. Which of these can't be told.
	ErrAuthentication = errors.New("message does not authenticate: changed on the way, or the two sides are configured differently")

	// ErrPeerKey means that a public key of the peer is not one that an honest
	// peer has: of small order, not canonical, or no ML-KEM-768 key.
	ErrPeerKey = errors.New("peer sent an impossible public key")

	// ErrUnknownKey means that the initiator expects a static key which this
	// responder does not have, in a pattern that can't do without.
	ErrUnknownKey = errors.New("peer expects another key of this host")

	// ErrPeerRefused means that VerifyPeer refused the peer's static key. The
	// error of VerifyPeer is found by errors.Is and errors.As as well.
	ErrPeerRefused = errors.New("peer's static key refused")
)

// Error is what every call of this package fails with.
type Error struct {
	Role    Role
	Pattern Pattern
	Message int // 1 to 3: the message that failed; 0 in New and ReadOffer
	Cause   error
}

func (e *Error) Error() string {
	if e.Message == 0 {
		return fmt.Sprintf("handshake: %v", e.Cause)
	}
	return fmt.Sprintf("handshake: %v of %v, message %d: %v", e.Role, e.Pattern, e.Message, e.Cause)
}

// Unwrap lets errors.Is hold for ErrHandshake and for the cause.
func (e *Error) Unwrap() []error { return []error{ErrHandshake, e.Cause} }

// OfferError says what the initiator offered and what the responder wants.
type OfferError struct {
	Got, Want Offer
}

func (e *OfferError) Error() string {
	return fmt.Sprintf("%v: got %v, want %v", ErrOffer, e.Got, e.Want)
}

// Unwrap lets errors.Is(err, ErrOffer) hold.
func (e *OfferError) Unwrap() error { return ErrOffer }
