package handshake

import (
	"fmt"

	"github.com/sealport/sealport/keys"
)

// Sizes in bytes.
const (
	// MaxMessageSize bounds every handshake message of every pattern, the
	// hybrid and a full payload included. It is the smallest frame that every
	// link carries.
	MaxMessageSize = 4096

	// MaxPayload bounds the application's payload in one message.
	MaxPayload = 1024

	// MaxEndpoint bounds the endpoint's name.
	MaxEndpoint = 127

	// MaxIdentity bounds each kernel identity.
	MaxIdentity = 512

	// MaxBinding bounds Config.Binding.
	MaxBinding = 255
)

// Config is what one side brings to a handshake. New copies what it needs. The
// fields from Endpoint to Binding, and Pattern, Classical and PSK, must be the
// same on both sides, or the handshake fails.
type Config struct {
	// Role is required.
	Role Role

	// Pattern is XX if it is left out. The responder takes no other pattern
	// than this; ReadOffer tells it beforehand which one is asked for.
	Pattern Pattern

	// Classical leaves ML-KEM-768 out of XX, IK and NK: the plain Noise pattern,
	// for the sake of other implementations, secret only while X25519 holds. A
	// side that does not set it requires the hybrid. NN is never hybrid: its PSK
	// does the same against whoever does not have it.
	Classical bool

	// Key is this side's static key: required in XX and IK, and for the
	// responder of NK. Whoever has none by the pattern must not give one.
	Key keys.PrivateKey

	// NextKey is a second key of a responder in rotation; zero: none. It is used
	// for initiators that ask for it by PeerStatic, and Key for all others.
	NextKey keys.PrivateKey

	// PeerStatic is the responder's static key as far as the initiator knows it:
	// required for the initiator of IK and NK. In XX it may be zero; if not, the
	// responder is asked to show that key if it has several, and VerifyPeer still
	// decides. Responders must leave it zero.
	PeerStatic keys.PublicKey

	// PSK is a secret that both sides have, or zero. Required in NN.
	PSK keys.PresharedKey

	// Endpoint is the name under which the host is reached, 1 to MaxEndpoint bytes.
	Endpoint string

	// InitiatorIdentity and ResponderIdentity are the kernel's names for the two
	// processes, each 1 to MaxIdentity bytes, the same on both sides: a process
	// between the two has others, so it can't relay the handshake.
	InitiatorIdentity []byte
	ResponderIdentity []byte

	// Binding is further context, up to MaxBinding bytes, or nil: the Hash of the
	// handshake that protects the channel in which this one is run, or random bytes
	// that the responder sent beforehand, which make a first message good for one
	// connection only.
	Binding []byte

	// Limits are told to the peer, protected. This package does not act on them.
	Limits Limits

	// VerifyPeer decides whether the peer is who it should be. It is called once,
	// by ReadMessage, after the peer has proved that it holds key and before this
	// side reveals its own (XX) or sends anything else. payload came with the
	// proof, from whoever holds key; do not keep it. An error ends the handshake.
	// For the responder of IK the proof may be a replay of the peer's, so nothing
	// should be done here that must not happen twice.
	//
	// It is required where the peer has a static key (XX, IK, the initiator of
	// NK, also if PeerStatic is set), and refused where it has none.
	VerifyPeer func(key keys.PublicKey, payload []byte) error
}

// Limits are what one side tells the other of the sizes that it accepts, in
// bytes. Zero says nothing.
type Limits struct {
	MaxRecord  uint32
	MaxMessage uint64
}

// offer is what this Config asks for or serves.
func (c *Config) offer() Offer {
	return Offer{Pattern: c.Pattern, Hybrid: !c.Classical && c.Pattern != NN, PSK: !c.PSK.IsZero()}
}

// check refuses what can't work, what contradicts itself, and what would be
// weaker than its caller may think.
func (c *Config) check() error {
	initiator := c.Role == Initiator
	hasKey := c.Pattern == XX || c.Pattern == IK || c.Pattern == NK && !initiator
	peerHasKey := c.Pattern == XX || c.Pattern == IK || c.Pattern == NK && initiator
	peerKnown := (c.Pattern == IK || c.Pattern == NK) && initiator

	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{c.Role != Initiator && c.Role != Responder, "no Role"},
		{c.Pattern > NN, "unknown Pattern"},
		{hasKey && c.Key.IsZero(), "this side of the pattern needs a Key"},
		{!hasKey && !c.Key.IsZero(), "Key is given where the pattern has none: the peer would not see it"},
		{!c.NextKey.IsZero() && (initiator || !hasKey), "NextKey is for a responder with a Key"},
		{peerKnown && c.PeerStatic.IsZero(), "this pattern needs PeerStatic"},
		{!c.PeerStatic.IsZero() && (!initiator || !peerHasKey), "PeerStatic is for an initiator whose peer has a key"},
		{peerHasKey && c.VerifyPeer == nil, "VerifyPeer is missing"},
		{!peerHasKey && c.VerifyPeer != nil, "VerifyPeer is given where the peer has no key: it would not be called"},
		{c.Pattern == NN && c.PSK.IsZero(), "NN needs a PSK"},
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
