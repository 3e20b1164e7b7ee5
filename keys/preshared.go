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

// PresharedKey is a secret that both sides of a handshake know, in addition to
// their static keys or, with pattern NN, instead of them.
//
// It is as opaque as a [PrivateKey]. The zero PresharedKey is no key; see
// [PresharedKey.IsZero].
type PresharedKey struct {
	redacted
	secret func() *[PresharedKeySize]byte // nil for no key; see redacted
}

// GeneratePreshared returns a new random pre-shared key.
func GeneratePreshared() PresharedKey {
	raw := make([]byte, PresharedKeySize)
	if _, err := rand.Read(raw); err != nil {
		panic("keys: " + err.Error()) // crypto/rand documents that it never fails
	}
	defer clear(raw)
	return newPreshared(raw)
}

// NewPreshared returns the pre-shared key with these 32 bytes, which it copies; the
// caller should clear them. They must be random. A password is not: it can be
// guessed offline. NewPreshared fails with [ErrMalformedKey] for another length and
// for 32 zeros.
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

// ParsePreshared parses the text form, "SEALPORT-PRESHARED-KEY-1…", without
// surrounding space. It fails with [ErrMalformedKey]; the error does not contain the
// text.
func ParsePreshared(text string) (PresharedKey, error) {
	raw, err := bech32.Decode(presharedPrefix, text)
	if err != nil {
		return PresharedKey{}, malformed(presharedPrefix, text)
	}
	defer clear(raw)
	return NewPreshared(raw)
}

// IsZero reports whether k is the zero value, which is no key.
func (k PresharedKey) IsZero() bool { return k.secret == nil }

// Equal reports in constant time whether k and other are the same. The zero value
// equals nothing, not even itself.
func (k PresharedKey) Equal(other PresharedKey) bool {
	return k.secret != nil && other.secret != nil &&
		subtle.ConstantTimeCompare(k.secret()[:], other.secret()[:]) == 1
}

// RevealSecretText returns the secret itself in text form,
// "SEALPORT-PRESHARED-KEY-1…", 82 characters, or "" for the zero value.
func (k PresharedKey) RevealSecretText() string {
	if k.secret == nil {
		return ""
	}
	return bech32.Encode(presharedPrefix, k.secret()[:])
}

// RevealSecretBytes returns the secret itself in a new slice, which the caller
// should clear, or nil for the zero value. It is for package handshake.
func (k PresharedKey) RevealSecretBytes() []byte {
	if k.secret == nil {
		return nil
	}
	return append([]byte(nil), k.secret()[:]...)
}
