package handshake

import (
	"crypto/hkdf"
	"crypto/mlkem"
	"fmt"
	"hash"

	"golang.org/x/crypto/blake2b"

	"github.com/sealport/sealport/keys"
)

// entropy is the source of what is random in a handshake. Tests replace it to make
// vectors.
type entropy struct {
	ephemeral        func() (keys.PrivateKey, error)
	decapsulationKey func() (*mlkem.DecapsulationKey768, error)
	encapsulate      func(*mlkem.EncapsulationKey768) (shared, ciphertext []byte)
}

// random is the entropy outside of tests.
var random = entropy{
	ephemeral:        func() (keys.PrivateKey, error) { return keys.Generate(), nil },
	decapsulationKey: mlkem.GenerateKey768,
	encapsulate:      (*mlkem.EncapsulationKey768).Encapsulate,
}

// hybridLabel separates this use of HKDF from all others, and a handshake with the
// user's PSK from one without.
const (
	hybridLabel    = "sealport hybrid 1 ML-KEM-768"
	hybridLabelPSK = "sealport hybrid 1 ML-KEM-768 and PSK"
)

// hybridPSK returns the PSK for Noise: HKDF with BLAKE2b of the KEM's shared secret,
// with the user's PSK (or 32 zeros) as the salt, and with label, encapsulation key
// and ciphertext, whose sizes are fixed, as the info. It is random to everyone who
// does not know both secrets. See docs/HANDSHAKE.md, "Why it is at least as strong as
// X25519 alone".
func hybridPSK(shared, userPSK, encapsulationKey, ciphertext []byte) ([]byte, error) {
	label := hybridLabelPSK
	if len(userPSK) == 0 {
		label, userPSK = hybridLabel, make([]byte, keys.PresharedKeySize)
	}
	info := make([]byte, 0, len(label)+1+mlkem.EncapsulationKeySize768+mlkem.CiphertextSize768)
	info = append(info, label...)
	info = append(info, 0)
	info = append(info, encapsulationKey...)
	info = append(info, ciphertext...)
	return hkdf.Key(newBLAKE2b, shared, userPSK, string(info), keys.PresharedKeySize)
}

func newBLAKE2b() hash.Hash {
	h, err := blake2b.New512(nil)
	if err != nil {
		panic(err) // fails only for a key that is too long
	}
	return h
}

// kem is one side's part in ML-KEM during a handshake.
type kem struct {
	ours   *mlkem.DecapsulationKey768 // initiator
	theirs *mlkem.EncapsulationKey768 // responder
	key    []byte                     // the initiator's encapsulation key as sent
}

// offer generates the initiator's key pair and returns the encapsulation key.
func (k *kem) offer(e entropy) ([]byte, error) {
	ours, err := e.decapsulationKey()
	if err != nil {
		return nil, err
	}
	k.ours, k.key = ours, ours.EncapsulationKey().Bytes()
	return k.key, nil
}

// take checks the initiator's encapsulation key (FIPS 203 §7.2).
func (k *kem) take(encapsulationKey []byte) error {
	theirs, err := mlkem.NewEncapsulationKey768(encapsulationKey)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPeerKey, err)
	}
	k.theirs, k.key = theirs, encapsulationKey
	return nil
}

// answer is the responder's part: it returns the ciphertext to send and the PSK.
func (k *kem) answer(e entropy, userPSK keys.PresharedKey) (ciphertext, psk []byte, err error) {
	user := userPSK.RevealSecretBytes()
	defer clear(user)
	shared, ciphertext := e.encapsulate(k.theirs)
	defer clear(shared)
	psk, err = hybridPSK(shared, user, k.key, ciphertext)
	return ciphertext, psk, err
}

// finish is the initiator's part. A ciphertext that was changed yields another PSK
// (FIPS 203 §6.3, implicit rejection), and Noise then fails.
func (k *kem) finish(ciphertext []byte, userPSK keys.PresharedKey) (psk []byte, err error) {
	user := userPSK.RevealSecretBytes()
	defer clear(user)
	shared, err := k.ours.Decapsulate(ciphertext)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPeerKey, err)
	}
	defer clear(shared)
	return hybridPSK(shared, user, k.key, ciphertext)
}
