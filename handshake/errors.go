package handshake

import (
	"errors"
	"fmt"
)

// ErrHandshake matches every error of this package. Tell the peer no more than that
// the handshake failed; the causes below are for the local side only.
var ErrHandshake = errors.New("handshake failed")

// Causes, which errors.Is finds in an [*Error].
var (
	// ErrConfig means that [New] was given settings that cannot work or that
	// contradict each other. It is a mistake on this side.
	ErrConfig = errors.New("invalid configuration")

	// ErrOrder means that a call was out of order: WriteMessage when a message
	// is to be read, ReadMessage when one is to be written, either after the
	// last message, or Result before it. It is a mistake on this side.
	ErrOrder = errors.New("call out of order")

	// ErrPayload means that WriteMessage was given a payload above [MaxPayload],
	// or one for a message that is not encrypted. It is a mistake on this side.
	ErrPayload = errors.New("payload is too large, or the message does not encrypt it")

	// ErrVersion means that the initiator uses another version of the protocol.
	ErrVersion = errors.New("peer uses another version of the protocol")

	// ErrOffer means that the initiator offered another pattern, hybrid or PSK
	// than this side is configured for; see [*OfferError].
	ErrOffer = errors.New("peer offers another handshake")

	// ErrMessageSize means that a message has a size that it cannot have.
	ErrMessageSize = errors.New("message has an invalid size")

	// ErrAuthentication means that a message did not decrypt: it was changed in
	// transit, or the two sides disagree about a key, the PSK, the endpoint, an
	// identity or the binding. It is not possible to tell which.
	ErrAuthentication = errors.New("message does not authenticate: it was changed in transit, or the two sides are configured differently")

	// ErrPeerKey means that a public key of the peer is invalid: of small order,
	// not canonical, or not an ML-KEM-768 key.
	ErrPeerKey = errors.New("peer sent an invalid public key")

	// ErrUnknownKey means that the initiator expects a static key that this
	// responder does not have, in a pattern that needs it.
	ErrUnknownKey = errors.New("peer expects another key of this host")

	// ErrPeerRefused means that VerifyPeer refused the peer's static key.
	// errors.Is and errors.As find the error of VerifyPeer too.
	ErrPeerRefused = errors.New("the peer's static key was refused")
)

// Error is the type of every error that this package returns.
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

// Unwrap returns [ErrHandshake] and the cause.
func (e *Error) Unwrap() []error { return []error{ErrHandshake, e.Cause} }

// OfferError says what the initiator offered and what the responder requires.
type OfferError struct {
	Got, Want Offer
}

func (e *OfferError) Error() string {
	return fmt.Sprintf("%v: got %v, want %v", ErrOffer, e.Got, e.Want)
}

// Unwrap returns [ErrOffer].
func (e *OfferError) Unwrap() error { return ErrOffer }
