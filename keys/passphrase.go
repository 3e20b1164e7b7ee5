package keys

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sealport/sealport/keys/internal/bech32"
)

// lockedPrefix starts the text of a key under a passphrase.
const lockedPrefix = "SEALPORT-LOCKED-KEY-"

// ErrPassphrase is returned by [Unlock] for a wrong passphrase or a locked key that
// was tampered with: the two cannot be distinguished.
var ErrPassphrase = errors.New("keys: wrong passphrase")

// errNoPassphrase refuses to lock a key under nothing.
var errNoPassphrase = fmt.Errorf("%w: it is empty", ErrPassphrase)

// The locked form, before it is encoded as text:
//
//	offset  size  content
//	0       1     version: 1
//	1       4     Argon2id passes, big-endian
//	5       4     Argon2id memory in KiB, big-endian
//	9       1     Argon2id lanes
//	10      16    salt
//	26      24    XChaCha20-Poly1305 nonce
//	50      48    private key and tag; bytes 0 to 49 are the associated data
const (
	lockedVersion = 1
	saltOffset    = 10
	nonceOffset   = saltOffset + 16
	sealedOffset  = nonceOffset + chacha20poly1305.NonceSizeX
	lockedSize    = sealedOffset + PrivateKeySize + chacha20poly1305.Overhead
)

// cost is what one guess at a passphrase costs.
type cost struct {
	passes uint32
	memory uint32 // KiB
	lanes  uint8
}

// lockCost is the second recommended option of RFC 9106 §4: 64 MiB, for machines
// that cannot spare two GiB. It takes some 0.1 s.
var lockCost = cost{passes: 3, memory: 64 << 10, lanes: 4}

// maxCost bounds what a key file can make its reader spend: 1 GiB and some ten
// seconds. sealport never writes more.
var maxCost = cost{passes: 16, memory: 1 << 20, lanes: 16}

// derive stretches a passphrase to a key.
func (c cost) derive(passphrase, salt []byte) []byte {
	return argon2.IDKey(passphrase, salt, c.passes, c.memory, c.lanes, chacha20poly1305.KeySize)
}

func (c cost) sane() bool {
	return 1 <= c.passes && c.passes <= maxCost.passes &&
		1 <= c.lanes && c.lanes <= maxCost.lanes &&
		8*uint32(c.lanes) <= c.memory && c.memory <= maxCost.memory // RFC 9106 §3.1
}

// Lock encrypts k under a passphrase and returns the text form,
// "SEALPORT-LOCKED-KEY-1…": XChaCha20-Poly1305 under a key derived from the
// passphrase by Argon2id (RFC 9106). It computes for some 0.1 s and uses 64 MiB of
// memory. passphrase is not kept; the caller may clear it.
//
// It fails with [ErrNoKey] for the zero key and [ErrPassphrase] for an empty
// passphrase.
func Lock(k PrivateKey, passphrase []byte) (string, error) {
	if err := checkFIPS(); err != nil {
		return "", err
	}
	if k.IsZero() {
		return "", ErrNoKey
	}
	if len(passphrase) == 0 {
		return "", errNoPassphrase
	}
	locked := make([]byte, sealedOffset, lockedSize)
	locked[0] = lockedVersion
	binary.BigEndian.PutUint32(locked[1:], lockCost.passes)
	binary.BigEndian.PutUint32(locked[5:], lockCost.memory)
	locked[9] = lockCost.lanes
	if _, err := rand.Read(locked[saltOffset:sealedOffset]); err != nil {
		return "", step("locking the key", err)
	}
	key := lockCost.derive(passphrase, locked[saltOffset:nonceOffset])
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return "", step("locking the key", err)
	}
	raw := k.secret().key.Bytes()
	defer clear(raw)
	locked = aead.Seal(locked, locked[nonceOffset:sealedOffset], raw, locked[:sealedOffset])
	return bech32.Encode(lockedPrefix, locked), nil
}

// Unlock decrypts the text form that [Lock] returned. It takes as long as Lock did.
// A text that demands more than 1 GiB of memory or 16 passes is refused. passphrase
// is not kept.
//
// It fails with [ErrPassphrase] for a wrong passphrase and [ErrMalformedKey] for a
// text that is not a locked key.
func Unlock(text string, passphrase []byte) (PrivateKey, error) {
	if err := checkFIPS(); err != nil {
		return PrivateKey{}, err
	}
	locked, err := bech32.Decode(lockedPrefix, text)
	if err != nil || len(locked) != lockedSize {
		return PrivateKey{}, malformed(lockedPrefix, text)
	}
	if locked[0] != lockedVersion {
		return PrivateKey{}, fmt.Errorf("%w: version %d of the locked form; this program reads version %d", ErrMalformedKey, locked[0], lockedVersion)
	}
	c := cost{
		passes: binary.BigEndian.Uint32(locked[1:]),
		memory: binary.BigEndian.Uint32(locked[5:]),
		lanes:  locked[9],
	}
	if !c.sane() {
		return PrivateKey{}, fmt.Errorf("%w: Argon2id with %d passes, %d KiB and %d lanes is out of bounds", ErrMalformedKey, c.passes, c.memory, c.lanes)
	}
	key := c.derive(passphrase, locked[saltOffset:nonceOffset])
	defer clear(key)
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return PrivateKey{}, step("unlocking the key", err)
	}
	raw, err := aead.Open(nil, locked[nonceOffset:sealedOffset], locked[sealedOffset:], locked[:sealedOffset])
	if err != nil {
		return PrivateKey{}, ErrPassphrase
	}
	defer clear(raw)
	return NewPrivateKey(raw)
}

// IsLocked reports whether text begins like a locked key.
func IsLocked(text string) bool { return strings.HasPrefix(text, lockedPrefix+"1") }
