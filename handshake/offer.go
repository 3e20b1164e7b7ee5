package handshake

import (
	"fmt"

	"golang.org/x/crypto/blake2b"

	"github.com/sealport/sealport/keys"
)

// Version is the version of the handshake, the first byte of the first message.
const Version = 1

// Role is the side of the handshake. The zero Role is refused.
type Role uint8

const (
	Initiator Role = 1 // the client, which sends the first message
	Responder Role = 2 // the host
)

func (r Role) String() string {
	switch r {
	case Initiator:
		return "initiator"
	case Responder:
		return "responder"
	default:
		return fmt.Sprintf("Role(%d)", uint8(r))
	}
}

// Pattern is a Noise handshake pattern (Noise §7.5). The zero Pattern is XX. The
// numbers are those on the wire.
type Pattern uint8

const (
	XX Pattern = 0 // both sides send a static key, encrypted
	IK Pattern = 1 // the initiator sends its key at once, to a known responder
	NK Pattern = 2 // an anonymous initiator, a known responder
	NN Pattern = 3 // no static keys; a PSK is the only authentication
)

func (p Pattern) String() string {
	switch p {
	case XX:
		return "XX"
	case IK:
		return "IK"
	case NK:
		return "NK"
	case NN:
		return "NN"
	default:
		return fmt.Sprintf("Pattern(%d)", uint8(p))
	}
}

// messages is the number of messages in a pattern.
func (p Pattern) messages() int {
	if p == XX {
		return 3
	}
	return 2
}

// Offer is the handshake that the initiator asks for. There is no negotiation: the
// responder accepts it or refuses. Both sides authenticate it, so an attacker in
// between cannot weaken it.
type Offer struct {
	Pattern Pattern
	Hybrid  bool // ML-KEM-768 is mixed in
	PSK     bool // a secret that both sides know is mixed in
}

// String returns the name of the Noise protocol, and whether it is hybrid.
func (o Offer) String() string {
	name := "Noise_" + o.Pattern.String()
	if at := o.pskPlacement(); at >= 0 {
		name += fmt.Sprintf("psk%d", at)
	}
	name += "_25519_ChaChaPoly_BLAKE2b"
	if o.Hybrid {
		name += " with ML-KEM-768"
	}
	return name
}

// pskPlacement is the number in the name's "psk" modifier (Noise §9), or -1. It is the
// last position, by which the KEM's secret is known; in NN it is the first, so that
// only an initiator that knows the PSK gets an answer.
func (o Offer) pskPlacement() int {
	switch {
	case !o.Hybrid && !o.PSK:
		return -1
	case o.Pattern == NN:
		return 0
	default:
		return o.Pattern.messages()
	}
}

// The offer is sent in the clear before the first Noise message, and the prologue
// has the same bytes:
//
//	offset  size  content
//	0       1     Version
//	1       1     Pattern
//	2       1     flags: 1 hybrid, 2 PSK; others are zero
//	3       1     zero
//	4       4     hint: which key of the responder is meant; zero for any
const (
	offerSize  = 8
	hintOffset = 4

	flagHybrid = 1
	flagPSK    = 2
)

type hint [offerSize - hintOffset]byte

// hintOf returns the hint for a key: enough to distinguish a host's two keys, too
// short to serve as a key. Zero means none.
func hintOf(key keys.PublicKey) hint {
	sum := blake2b.Sum256(append([]byte("sealport key hint\x00"), key.Bytes()...))
	h := hint(sum[:])
	if h == (hint{}) {
		h[len(h)-1] = 1
	}
	return h
}

func (o Offer) encode(h hint) [offerSize]byte {
	b := [offerSize]byte{0: Version, 1: byte(o.Pattern)}
	if o.Hybrid {
		b[2] |= flagHybrid
	}
	if o.PSK {
		b[2] |= flagPSK
	}
	copy(b[hintOffset:], h[:])
	return b
}

// ReadOffer returns the offer in the initiator's first message, by which a responder
// that serves several patterns chooses its [Config]. The offer is not authenticated
// until [State.ReadMessage] has read the same message. message is not kept.
//
// ReadOffer fails with [ErrMessageSize], [ErrVersion], or [ErrOffer] for an offer that
// this package does not know.
func ReadOffer(message []byte) (Offer, error) {
	o, _, err := parseOffer(message)
	if err != nil {
		return Offer{}, &Error{Role: Responder, Cause: err}
	}
	return o, nil
}

func parseOffer(message []byte) (Offer, hint, error) {
	if len(message) < offerSize {
		return Offer{}, hint{}, fmt.Errorf("%w: %d bytes", ErrMessageSize, len(message))
	}
	if message[0] != Version {
		return Offer{}, hint{}, fmt.Errorf("%w: %d, not %d", ErrVersion, message[0], Version)
	}
	o := Offer{
		Pattern: Pattern(message[1]),
		Hybrid:  message[2]&flagHybrid != 0,
		PSK:     message[2]&flagPSK != 0,
	}
	h := hint(message[hintOffset:offerSize])
	switch {
	case o.Pattern > NN:
		return Offer{}, hint{}, fmt.Errorf("%w: unknown pattern %d", ErrOffer, message[1])
	case message[2]&^(flagHybrid|flagPSK) != 0 || message[3] != 0:
		return Offer{}, hint{}, fmt.Errorf("%w: unknown flags", ErrOffer)
	case o.Pattern == NN && (o.Hybrid || !o.PSK):
		return Offer{}, hint{}, fmt.Errorf("%w: NN needs a PSK and is not hybrid", ErrOffer)
	case o.Pattern == NN && h != hint{}, (o.Pattern == IK || o.Pattern == NK) && h == hint{}:
		return Offer{}, hint{}, fmt.Errorf("%w: %v with the wrong kind of hint", ErrOffer, o.Pattern)
	}
	return o, h, nil
}
