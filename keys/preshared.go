package keys

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"

	"github.com/sealport/sealport/keys/internal/bech32"
)

// PresharedKeySize is the length of a raw pre-shared key in bytes (Noise §9).
const PresharedKeySize = 32

// presharedPrefix starts the text of a pre-shared key, before bech32m's "1".
const presharedPrefix = "SEALPORT-PRESHARED-KEY-"

// PresharedKey is a secret that both sides of a handshake have: an additional
// condition for getting in, or with the pattern NN the only one.
//
// It is as opaque as a PrivateKey. The zero PresharedKey is none; see IsZero.
type PresharedKey struct {
	redacted
	secret func() *[PresharedKeySize]byte // nil for none; see redacted
}

// GeneratePreshared returns a new random pre-shared key.
func GeneratePreshared() PresharedKey {
	raw := make([]byte, PresharedKeySize)
	if _, err := rand.Read(raw); err != nil {
		panic("keys: " + err.Error()) // can't fail, by crypto/rand's documentation
	}
	defer clear(raw)
	return newPreshared(raw)
}

// NewPreshared returns the pre-shared key with these 32 bytes, which it copies. They
// must be random: a password is not, and can be guessed offline. It fails with
// ErrMalformedKey on another length and on 32 zeros.
func NewPreshared(raw []byte) (PresharedKey, error) {
	var zero [PresharedKeySize]byte
	if len(raw) != PresharedKeySize || subtle.ConstantTimeCompare(raw, zero[:]) == 1 {
		return PresharedKey{}, fmt.Errorf("%w: a pre-shared key is %d random bytes", ErrMalformedKey, PresharedKeySize)
	}
	return newPreshared(raw), nil
}

func newPreshared(raw []byte) PresharedKey {
	hidden := [PresharedKeySize]byte(raw)
	return PresharedKey{secret: func() *[PresharedKeySize]byte { return &hidden }}
}

// ParsePreshared reads the text form, "SEALPORT-PRESHARED-KEY-1…", without
// surrounding space. It fails with ErrMalformedKey; the text is not part of the
// error.
func ParsePreshared(text string) (PresharedKey, error) {
	raw, err := bech32.Decode(presharedPrefix, text)
	if err != nil {
		return PresharedKey{}, fmt.Errorf("%w: not %s1… or mistyped", ErrMalformedKey, presharedPrefix)
	}
	defer clear(raw)
	return NewPreshared(raw)
}

// IsZero reports whether k is the zero value, which is none.
func (k PresharedKey) IsZero() bool { return k.secret == nil }

// Equal reports in constant time whether k and other are the same. The zero value
// equals nothing, not even itself.
func (k PresharedKey) Equal(other PresharedKey) bool {
	return k.secret != nil && other.secret != nil &&
		subtle.ConstantTimeCompare(k.secret()[:], other.secret()[:]) == 1
}

// RevealSecretText returns the secret itself as text, 82 characters, or "" for the
// zero value.
func (k PresharedKey) RevealSecretText() string {
	if k.secret == nil {
		return ""
	}
	return bech32.Encode(presharedPrefix, k.secret()[:])
}

// RevealSecretBytes returns the secret itself in a new slice, which the caller
// clears, or nil for the zero value. Package handshake needs it.
func (k PresharedKey) RevealSecretBytes() []byte {
	if k.secret == nil {
		return nil
	}
	return append([]byte(nil), k.secret()[:]...)
}
