package handshake

import (
	"fmt"

	"github.com/sealport/sealport/internal/fips"
	"github.com/sealport/sealport/keys"
)

// Sizes in bytes.
const (
	// MaxMessageSize is the largest handshake message of any pattern, including
	// the hybrid and a full payload. Every link carries frames of this size.
	MaxMessageSize = 4096

	// MaxPayload is the largest application payload in one message.
	MaxPayload = 1024

	// MaxEndpoint is the longest name of an endpoint.
	MaxEndpoint = 127

	// MaxIdentity is the longest kernel identity.
	MaxIdentity = 512

	// MaxBinding is the longest Config.Binding.
	MaxBinding = 255
)

// Config configures one side of a handshake. [New] copies what it needs. The fields
// Pattern, Classical, PSK and those from Endpoint to Binding must be the same on both
// sides, or the handshake fails.
type Config struct {
	// Role is required: there is no default.
	Role Role

	// Pattern is the only pattern that this side uses; the zero value is [XX]. A
	// responder that serves several patterns chooses by [ReadOffer].
	Pattern Pattern

	// Classical leaves ML-KEM-768 out of XX, IK and NK. The handshake is then the
	// plain Noise pattern, which other implementations know, and secret only as
	// long as X25519 is not broken. A side that does not set Classical requires
	// the hybrid. NN is never hybrid: its PSK gives the same protection against
	// everyone who does not know the PSK.
	Classical bool

	// Key is this side's static key. It is required in XX and IK, and for the
	// responder of NK; otherwise it must be zero.
	Key keys.PrivateKey

	// NextKey is a second key for a responder that is rotating its key, or zero.
	// It is used for initiators that ask for it by PeerStatic; Key is used for
	// all others.
	NextKey keys.PrivateKey

	// PeerStatic is the responder's static key, if the initiator knows it. It is
	// required for the initiator of IK and NK. In XX it is optional: it asks a
	// responder with two keys to use this one, and VerifyPeer still decides. For
	// responders it must be zero.
	PeerStatic keys.PublicKey

	// PSK is a secret that both sides know, or zero. It is required in NN.
	PSK keys.PresharedKey

	// Endpoint is the name of the host's endpoint, 1 to MaxEndpoint bytes.
	Endpoint string

	// InitiatorIdentity and ResponderIdentity are the kernel-verified identities
	// of the two processes, each 1 to MaxIdentity bytes. A process between the
	// two has another identity, so it cannot relay the handshake.
	InitiatorIdentity []byte
	ResponderIdentity []byte

	// Binding is further context that both sides share, up to MaxBinding bytes,
	// or nil. Examples are the Hash of the handshake that protects the channel
	// in which this one runs, and random bytes from the responder, which make a
	// first message valid for one connection only.
	Binding []byte

	// Limits are sent to the peer, encrypted. This package does not enforce them.
	Limits Limits

	// VerifyPeer decides whether to accept the peer's static key. ReadMessage
	// calls it once, after the peer has proved that it holds key and before this
	// side reveals its own key (XX) or sends anything else. payload is the
	// application payload of the message with the proof; it must not be kept. An
	// error ends the handshake. For the responder of IK the proof may be a
	// replay, so VerifyPeer must not have effects that must not happen twice.
	//
	// It is required where the peer has a static key (XX, IK, the initiator of
	// NK, even if PeerStatic is set), and must be nil where it has none.
	VerifyPeer func(key keys.PublicKey, payload []byte) error
}

// Limits are the sizes in bytes that one side accepts, as it tells the other. Zero
// means not stated.
type Limits struct {
	MaxRecord  uint32
	MaxMessage uint64
}

// offer returns the handshake that c asks for or serves.
func (c *Config) offer() Offer {
	return Offer{Pattern: c.Pattern, Hybrid: !c.Classical && c.Pattern != NN, PSK: !c.PSK.IsZero()}
}

// check refuses settings that cannot work, that contradict each other, or that would
// be weaker than the caller may think.
func (c *Config) check() error {
	if err := fips.Check(); err != nil {
		return err
	}
	initiator := c.Role == Initiator
	hasKey := c.Pattern == XX || c.Pattern == IK || c.Pattern == NK && !initiator
	peerHasKey := c.Pattern == XX || c.Pattern == IK || c.Pattern == NK && initiator
	peerKnown := (c.Pattern == IK || c.Pattern == NK) && initiator

	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{c.Role != Initiator && c.Role != Responder, "Role is missing"},
		{c.Pattern > NN, "Pattern is unknown"},
		{hasKey && c.Key.IsZero(), "Key is missing: this side of the pattern needs one"},
		{!hasKey && !c.Key.IsZero(), "Key is set, but the pattern does not use one on this side"},
		{!c.NextKey.IsZero() && (initiator || !hasKey), "NextKey is set, but only a responder with a Key uses it"},
		{peerKnown && c.PeerStatic.IsZero(), "PeerStatic is missing: the pattern needs it"},
		{!c.PeerStatic.IsZero() && (!initiator || !peerHasKey), "PeerStatic is set, but only an initiator whose peer has a key uses it"},
		{peerHasKey && c.VerifyPeer == nil, "VerifyPeer is missing"},
		{!peerHasKey && c.VerifyPeer != nil, "VerifyPeer is set, but the peer has no key to verify"},
		{c.Pattern == NN && c.PSK.IsZero(), "PSK is missing: NN needs one"},
		{len(c.Endpoint) < 1 || len(c.Endpoint) > MaxEndpoint, "Endpoint is empty or too long"},
		{len(c.InitiatorIdentity) < 1 || len(c.InitiatorIdentity) > MaxIdentity, "InitiatorIdentity is empty or too long"},
		{len(c.ResponderIdentity) < 1 || len(c.ResponderIdentity) > MaxIdentity, "ResponderIdentity is empty or too long"},
		{len(c.Binding) > MaxBinding, "Binding is too long"},
	} {
		if rule.broken {
			return fmt.Errorf("%w: %s", ErrConfig, rule.text)
		}
	}
	return nil
}
