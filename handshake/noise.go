package handshake

import (
	"fmt"
	"io"

	"github.com/flynn/noise"

	"github.com/sealport/sealport/keys"
)

// dh is Noise's DH function "25519" for one handshake, with keys that are parsed once.
// flynn/noise passes private keys as bytes, and curve25519 would recompute the public
// key for each DH, which is half of its work. So the bytes that flynn/noise gets are
// only the name of a key that stays here.
type dh struct {
	static    keys.PrivateKey
	ephemeral keys.PrivateKey
	generate  func() (keys.PrivateKey, error)
}

// The names of the two keys.
const (
	nameStatic    = 's'
	nameEphemeral = 'e'
)

func (d *dh) GenerateKeypair(io.Reader) (noise.DHKey, error) {
	k, err := d.generate()
	if err != nil {
		return noise.DHKey{}, err
	}
	d.ephemeral = k
	return noise.DHKey{Private: []byte{nameEphemeral}, Public: k.Public().Bytes()}, nil
}

// DH refuses points of small order, and so an all-zero result (Noise §12.1), and
// second encodings of a point.
func (d *dh) DH(name, public []byte) ([]byte, error) {
	peer, err := keys.NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPeerKey, err)
	}
	k := d.static
	if name[0] == nameEphemeral {
		k = d.ephemeral
	}
	shared, err := k.SharedSecret(peer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPeerKey, err)
	}
	return shared, nil
}

func (d *dh) DHLen() int     { return keys.PublicKeySize }
func (d *dh) DHName() string { return "25519" }

// patterns maps a Pattern to that of flynn/noise.
var patterns = [...]noise.HandshakePattern{
	XX: noise.HandshakeXX,
	IK: noise.HandshakeIK,
	NK: noise.HandshakeNK,
	NN: noise.HandshakeNN,
}

// newNoise starts Noise for an offer. psk may be nil if it is set before the message
// that mixes it in; NN needs it at once.
func newNoise(o Offer, initiator bool, prologue []byte, d *dh, peer keys.PublicKey, psk []byte) (*noise.HandshakeState, error) {
	c := noise.Config{
		CipherSuite:  noise.NewCipherSuite(d, noise.CipherChaChaPoly, noise.HashBLAKE2b),
		Pattern:      patterns[o.Pattern],
		Initiator:    initiator,
		Prologue:     prologue,
		PresharedKey: psk,
	}
	if at := o.pskPlacement(); at >= 0 {
		c.PresharedKeyPlacement = at
	}
	if !d.static.IsZero() {
		c.StaticKeypair = noise.DHKey{Private: []byte{nameStatic}, Public: d.static.Public().Bytes()}
	}
	// Only if the pattern has it as a pre-message: otherwise Noise would refuse
	// the key that arrives.
	if initiator && (o.Pattern == IK || o.Pattern == NK) {
		c.PeerStatic = peer.Bytes()
	}
	return noise.NewHandshakeState(c)
}
