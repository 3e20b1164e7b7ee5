package keys

import (
	"bytes"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/blake2b"

	"github.com/sealport/sealport/keys/internal/bech32"
)

// PublicKeySize is the length of a raw public key in bytes (RFC 7748).
const PublicKeySize = 32

// publicPrefix starts the text of a public key, before bech32m's "1".
const publicPrefix = "sealport"

var (
	// ErrMalformedKey is returned for text or bytes that are not a key of the
	// expected kind: mistyped, truncated, or a value that key generation never
	// produces.
	ErrMalformedKey = errors.New("keys: malformed key")

	// ErrSecretKey is returned by [ParsePublicKey] for the text of a private or
	// pre-shared key: the secret was probably pasted in the wrong place.
	// It matches [ErrMalformedKey] too.
	ErrSecretKey = fmt.Errorf("%w: this is a secret key, where a public key is needed", ErrMalformedKey)

	// ErrNotSecretKey is returned by [ParsePrivateKey] for the text of a public
	// key. It matches [ErrMalformedKey] too.
	ErrNotSecretKey = fmt.Errorf("%w: this is a public key, where a secret key is needed", ErrMalformedKey)

	// ErrLockedKey is returned for the text of a locked key where no passphrase
	// is available. It matches [ErrMalformedKey] too.
	ErrLockedKey = fmt.Errorf("%w: this key is locked under a passphrase", ErrMalformedKey)
)

// PublicKey is the public half of an identity. It is comparable and may be a map
// key. It is always canonical, so one identity never has two values. The zero
// PublicKey is no key; see [PublicKey.IsZero].
//
// Compare keys with [PublicKey.Equal], which never accepts a zero key.
type PublicKey struct {
	raw [PublicKeySize]byte
}

// lowOrder has the canonical u coordinates of the X25519 points of small order.
// Every shared secret with one of them is zero (RFC 7748 §6.1).
var lowOrder = [...]string{
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0100000000000000000000000000000000000000000000000000000000000000",
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
}

var lowOrderPoints = func() (set map[[PublicKeySize]byte]bool) {
	set = make(map[[PublicKeySize]byte]bool, len(lowOrder))
	for _, text := range lowOrder {
		raw, err := hex.DecodeString(text)
		if err != nil {
			panic(err)
		}
		set[[PublicKeySize]byte(raw)] = true
	}
	return set
}()

// NewPublicKey returns the key with these 32 bytes, which it copies. It fails with
// [ErrMalformedKey] for what key generation never produces: another length, a value
// that is not reduced modulo 2^255-19 (a second encoding of another key), and a
// point of small order.
func NewPublicKey(raw []byte) (PublicKey, error) {
	if len(raw) != PublicKeySize {
		return PublicKey{}, fmt.Errorf("%w: %d bytes, not %d", ErrMalformedKey, len(raw), PublicKeySize)
	}
	k := PublicKey{raw: [PublicKeySize]byte(raw)}
	if !k.canonical() {
		return PublicKey{}, fmt.Errorf("%w: not reduced", ErrMalformedKey)
	}
	if lowOrderPoints[k.raw] {
		return PublicKey{}, fmt.Errorf("%w: point of small order", ErrMalformedKey)
	}
	return k, nil
}

// canonical reports whether the little-endian value is below 2^255-19.
func (k PublicKey) canonical() bool {
	if top := k.raw[PublicKeySize-1]; top != 0x7f {
		return top < 0x7f
	}
	for _, b := range k.raw[1 : PublicKeySize-1] {
		if b != 0xff {
			return true
		}
	}
	return k.raw[0] < 0xed
}

// ParsePublicKey parses the text form, "sealport1…", without surrounding space. It
// fails with [ErrSecretKey] or [ErrLockedKey] for a secret, else with
// [ErrMalformedKey]. The error does not contain the text.
func ParsePublicKey(text string) (PublicKey, error) {
	switch upper := strings.ToUpper(text); {
	case strings.HasPrefix(upper, secretPrefix), strings.HasPrefix(upper, presharedPrefix):
		return PublicKey{}, ErrSecretKey
	case strings.HasPrefix(upper, lockedPrefix):
		return PublicKey{}, ErrLockedKey
	}
	raw, err := bech32.Decode(publicPrefix, text)
	if err != nil {
		return PublicKey{}, malformed(publicPrefix, text)
	}
	return NewPublicKey(raw)
}

// malformed is the error for a text that is not of a kind.
func malformed(prefix, text string) error {
	if text != "" && strings.TrimSpace(text) != text {
		return fmt.Errorf("%w: it has white space around it", ErrMalformedKey)
	}
	return fmt.Errorf("%w: not %s1… or mistyped", ErrMalformedKey, prefix)
}

// IsZero reports whether k is the zero value, which is no key.
func (k PublicKey) IsZero() bool { return k.raw == [PublicKeySize]byte{} }

// Equal reports in constant time whether k and other are the same key. The zero
// value equals nothing, not even itself, so two missing keys never match.
func (k PublicKey) Equal(other PublicKey) bool {
	return subtle.ConstantTimeCompare(k.raw[:], other.raw[:]) == 1 && !k.IsZero()
}

// Bytes returns the 32 raw bytes in a new slice.
func (k PublicKey) Bytes() []byte { return bytes.Clone(k.raw[:]) }

// String returns the text form, "sealport1…", 67 characters, or "(no public key)"
// for the zero value.
func (k PublicKey) String() string {
	if k.IsZero() {
		return "(no public key)"
	}
	return bech32.Encode(publicPrefix, k.raw[:])
}

// Fingerprint returns six groups of four hexadecimal digits for comparison by
// people, such as "1f3a-9c02-77b1-e4d0-5a68-c93b". It is 96 bits of a hash: finding
// another key with the same fingerprint is infeasible. Programs compare keys with
// [PublicKey.Equal].
func (k PublicKey) Fingerprint() string {
	if k.IsZero() {
		return "(no public key)"
	}
	sum := blake2b.Sum256(append([]byte("sealport fingerprint\x00"), k.raw[:]...))
	digits := hex.EncodeToString(sum[:12])
	groups := make([]string, 0, 6)
	for i := 0; i < len(digits); i += 4 {
		groups = append(groups, digits[i:i+4])
	}
	return strings.Join(groups, "-")
}

// MarshalText implements [encoding.TextMarshaler] with the text form, in a new slice. It
// fails with [ErrMalformedKey] for the zero value.
func (k PublicKey) MarshalText() ([]byte, error) {
	if k.IsZero() {
		return nil, fmt.Errorf("%w: zero public key", ErrMalformedKey)
	}
	return []byte(k.String()), nil
}

// UnmarshalText implements [encoding.TextUnmarshaler] as [ParsePublicKey] does. After
// an error k is unchanged. It must not be called while k is in use.
func (k *PublicKey) UnmarshalText(text []byte) error {
	parsed, err := ParsePublicKey(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}
