package handshake

import (
	"crypto/mlkem"

	"github.com/flynn/noise"

	"github.com/sealport/sealport/keys"
)

// NewNoise is the layer between a State and flynn/noise, for the vectors of others
// that have payloads and prologues which a State would not make.
func NewNoise(o Offer, initiator bool, prologue []byte, static, ephemeral keys.PrivateKey, peer keys.PublicKey, psk []byte) (*noise.HandshakeState, error) {
	d := &dh{static: static, generate: func() (keys.PrivateKey, error) { return ephemeral, nil }}
	return newNoise(o, initiator, prologue, d, peer, psk)
}

// DH is a State's DH function.
func DH(k keys.PrivateKey, public []byte) ([]byte, error) {
	return (&dh{static: k}).DH([]byte{nameStatic}, public)
}

// Fix replaces what is random in s, so that it makes the same messages again.
func (s *State) Fix(ephemeral keys.PrivateKey, decapsulationSeed []byte, encapsulate func(*mlkem.EncapsulationKey768) (shared, ciphertext []byte)) {
	s.rng = entropy{
		ephemeral: func() (keys.PrivateKey, error) { return ephemeral, nil },
		decapsulationKey: func() (*mlkem.DecapsulationKey768, error) {
			return mlkem.NewDecapsulationKey768(decapsulationSeed)
		},
		encapsulate: encapsulate,
	}
}

// FixKEM replaces the encapsulation only.
func (s *State) FixKEM(encapsulate func(*mlkem.EncapsulationKey768) (shared, ciphertext []byte)) {
	s.rng.encapsulate = encapsulate
}

// HybridPSK is what goes into the PSK slot.
var HybridPSK = hybridPSK

// Prologue is what both sides hash first.
func Prologue(c Config, offer [8]byte) []byte { return prologue(offer, &c) }
