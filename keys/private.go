package keys

import (
	"crypto/ecdh"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"

	"github.com/sealport/sealport/keys/internal/bech32"
)

// PrivateKeySize is the length of a raw private key in bytes (RFC 7748).
const PrivateKeySize = 32

// secretPrefix starts the text of a private key, before bech32m's "1".
const secretPrefix = "SEALPORT-SECRET-KEY-"

// ErrNoKey is returned for a zero [PrivateKey] or [PublicKey].
var ErrNoKey = errors.New("keys: no key given")

// PrivateKey is the identity of a host or client: a process that has it can act as
// that host or client.
//
// It is opaque. Copies share the secret, == does not compile, and printing or
// marshalling one yields a placeholder. The zero PrivateKey is no key; see
// [PrivateKey.IsZero].
type PrivateKey struct {
	redacted

	// nil for no key. See redacted for why it is a function. It also forbids ==,
	// whose timing would reveal the secret.
	secret func() *secret
}

type secret struct {
	key    *ecdh.PrivateKey // parsed once: deriving its public half costs a DH
	public PublicKey
}

// Generate returns a new random key. In a program with GODEBUG=fips140=only it returns
// the zero key, and what takes a key returns [errors.ErrUnsupported].
func Generate() PrivateKey {
	if checkFIPS() != nil {
		return PrivateKey{}
	}
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic("keys: " + err.Error()) // crypto/rand documents that it never fails
	}
	return newPrivateKey(key)
}

// NewPrivateKey returns the key with these 32 bytes, which it copies; the caller
// should clear them. It is for keys that are stored in another form; use [Generate]
// for new keys. The bytes must be random, which is not checked. It fails with
// [ErrMalformedKey] for another length and for 32 zeros.
func NewPrivateKey(raw []byte) (PrivateKey, error) {
	if err := checkFIPS(); err != nil {
		return PrivateKey{}, err
	}
	var zero [PrivateKeySize]byte
	if len(raw) != PrivateKeySize || subtle.ConstantTimeCompare(raw, zero[:]) == 1 {
		return PrivateKey{}, fmt.Errorf("%w: a private key is %d random bytes", ErrMalformedKey, PrivateKeySize)
	}
	key, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("%w: %w", ErrMalformedKey, err)
	}
	return newPrivateKey(key), nil
}

func newPrivateKey(key *ecdh.PrivateKey) PrivateKey {
	hidden := &secret{key: key, public: PublicKey{raw: [PublicKeySize]byte(key.PublicKey().Bytes())}}
	return PrivateKey{secret: func() *secret { return hidden }}
}

// ParsePrivateKey parses the text form, "SEALPORT-SECRET-KEY-1…", without
// surrounding space. It fails with [ErrNotSecretKey] for a public key, with
// [ErrLockedKey] for a locked key (see [Unlock]), else with [ErrMalformedKey]. The
// error does not contain the text.
func ParsePrivateKey(text string) (PrivateKey, error) {
	switch {
	case strings.HasPrefix(text, publicPrefix):
		return PrivateKey{}, ErrNotSecretKey
	case strings.HasPrefix(text, lockedPrefix):
		return PrivateKey{}, ErrLockedKey
	}
	raw, err := bech32.Decode(secretPrefix, text)
	if err != nil {
		return PrivateKey{}, malformed(secretPrefix, text)
	}
	defer clear(raw)
	return NewPrivateKey(raw)
}

// RevealSecretText returns the secret itself in text form, "SEALPORT-SECRET-KEY-1…",
// 79 characters, or "" for the zero value. It is the only method that reveals the
// secret: anyone who sees the text can act as this host or client.
func (k PrivateKey) RevealSecretText() string {
	if k.secret == nil {
		return ""
	}
	raw := k.secret().key.Bytes()
	defer clear(raw)
	return bech32.Encode(secretPrefix, raw)
}

// IsZero reports whether k is the zero value, which is no key.
func (k PrivateKey) IsZero() bool { return k.secret == nil }

// Public returns the public key, or its zero value for the zero PrivateKey.
func (k PrivateKey) Public() PublicKey {
	if k.secret == nil {
		return PublicKey{}
	}
	return k.secret().public
}

// Equal reports in constant time whether k and other are the same key. The zero
// value equals nothing, not even itself.
func (k PrivateKey) Equal(other PrivateKey) bool {
	if k.secret == nil || other.secret == nil {
		return false
	}
	a, b := k.secret().key.Bytes(), other.secret().key.Bytes()
	defer clear(a)
	defer clear(b)
	return subtle.ConstantTimeCompare(a, b) == 1
}

// SharedSecret returns the X25519 shared secret (RFC 7748) of k and peer, 32 bytes
// in a new slice, which the caller should clear. Noise calls it DH. Do not use the
// result as a key without hashing it. SharedSecret fails with [ErrNoKey] for zero
// keys and never returns 32 zeros.
func (k PrivateKey) SharedSecret(peer PublicKey) ([]byte, error) {
	if err := checkFIPS(); err != nil {
		return nil, err
	}
	if k.secret == nil || peer.IsZero() {
		return nil, ErrNoKey
	}
	remote, err := ecdh.X25519().NewPublicKey(peer.raw[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformedKey, err)
	}
	shared, err := k.secret().key.ECDH(remote) // refuses an all-zero result
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformedKey, err)
	}
	return shared, nil
}
