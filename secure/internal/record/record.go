// Package record seals and opens records, which a secure connection puts into the
// frames of its link. It converts bytes only, with one [Sealer] and one [Opener] for
// each direction.
//
// docs/PROTOCOL.md, "Records", specifies every byte. A record is
//
//	type (1) ‖ 0 (1) ‖ skip (2, little-endian) ‖ ChaCha20-Poly1305(plaintext)
//
// Its nonce is a counter that both sides keep and that is not sent: a record that is
// dropped, repeated, moved or from another connection does not open. The first four
// bytes and the length of the plaintext are authenticated too.
//
// Records must be sealed from and opened in private memory: x/crypto reads the
// ciphertext twice, so a peer that can change it in between would choose the
// plaintext.
//
// A Sealer or Opener must be used by one goroutine at a time. No call blocks.
package record

import (
	"crypto/cipher"
	"crypto/fips140"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"golang.org/x/crypto/chacha20poly1305"
)

// Type says what a record contains.
type Type byte

// The types.
const (
	Data      Type = 0 // the plaintext is a frame of the layer above; not empty
	Close     Type = 1 // the end of this direction; empty
	Rekey     Type = 2 // the next record has the next key (Noise §4.2, REKEY); empty
	Handshake Type = 3 // a message of a rehandshake, which will replace the keys
	Switch    Type = 4 // the next record has the key of the rehandshake; empty
	Ready     Type = 5 // the responder has accepted the initiator's key; empty; number 0

	types = 6
)

// Sizes in bytes.
const (
	HeaderSize = 4
	Overhead   = HeaderSize + chacha20poly1305.Overhead
	KeySize    = chacha20poly1305.KeySize
)

// A key is replaced (Rekey) after this many records or bytes, whichever comes first.
// ChaCha20-Poly1305 would allow far more (RFC 9001 §6.6: no limit for
// confidentiality); the limits bound what a stolen key opens.
const (
	RekeyRecords = 1 << 22
	RekeyBytes   = 1 << 32

	// DueSkip is the number of records abandoned in a row after which a Rekey is
	// due. The caller keeps that record until it is sent, long before the number
	// of abandoned records no longer fits.
	DueSkip = 1 << 15

	// maxRekeys is how many Rekeys an Opener accepts in a row. A key that no other
	// record was sent with needs no successor; a sender that abandons DueSkip records
	// behind a Rekey sends another one nevertheless.
	maxRekeys = 16

	// hardFactor is how many times these limits an Opener lets a peer use a key
	// before it refuses the records.
	hardFactor = 2
)

var (
	// ErrOpen means that a record does not open: it was changed, repeated, moved
	// or follows a dropped one, or it belongs to another connection or direction.
	ErrOpen = errors.New("record does not authenticate")

	// ErrMalformed means that a record is authentic and violates the protocol.
	ErrMalformed = errors.New("malformed record")

	// ErrExhausted means that the counter has reached its end.
	ErrExhausted = errors.New("record counter exhausted")
)

// lastNonce is the last counter for records. Noise uses the next one for REKEY (§4.2).
const lastNonce = math.MaxUint64 - 1

// state is the part that Sealer and Opener share.
type state struct {
	aead    cipher.AEAD
	counter uint64 // of the next record
	records uint64 // with this key
	bytes   uint64
	err     error

	// Buffers that would otherwise escape to the heap for each record.
	nonce [chacha20poly1305.NonceSize]byte
	ad    [HeaderSize + 4]byte
}

func (s *state) setKey(key *[KeySize]byte) {
	var aead cipher.AEAD
	var err error
	// There is a key because a handshake was allowed. Its successors are used by whichever
	// goroutine sends or receives, which must not fail then for GODEBUG=fips140=only.
	fips140.WithoutEnforcement(func() { aead, err = chacha20poly1305.New(key[:]) })
	if err != nil {
		panic("record: " + err.Error()) // fails only for a key of another length
	}
	s.aead, s.counter, s.records, s.bytes = aead, 0, 0, 0
}

// rekey replaces the key by the next one (Noise §4.2, REKEY).
func (s *state) rekey() {
	var zeros, next [KeySize]byte
	nonce := s.nonceOf(math.MaxUint64)
	sealed := s.aead.Seal(nil, nonce, zeros[:], nil)
	copy(next[:], sealed)
	s.setKey(&next)
	clear(next[:])
	clear(sealed)
}

// nonceOf returns four zero bytes and the counter, little-endian (Noise §12.3).
func (s *state) nonceOf(counter uint64) []byte {
	binary.LittleEndian.PutUint64(s.nonce[4:], counter)
	return s.nonce[:]
}

// adOf returns the associated data for a plaintext of n bytes.
func (s *state) adOf(header []byte, n int) []byte {
	copy(s.ad[:], header)
	binary.LittleEndian.PutUint32(s.ad[HeaderSize:], uint32(n))
	return s.ad[:]
}

func (s *state) count(n int) {
	s.records++
	s.bytes += uint64(n)
}

// Sealer seals the records of one direction. It must be used by one goroutine at a
// time.
type Sealer struct {
	state
	skip uint16 // records sealed since the last that was sent
	used bool   // a record was sent with the key
}

// NewSealer returns a Sealer. key is not kept; the caller should clear it.
func NewSealer(key *[KeySize]byte) *Sealer {
	s := &Sealer{}
	s.setKey(key)
	return s
}

// Seal appends a record to dst and returns the extended slice. The plaintext is head
// followed by body; neither is kept, and neither may overlap dst. The caller calls
// [Sealer.Sent] or [Sealer.Abandoned] before it seals the next record.
//
// It fails with [ErrExhausted], which is final.
func (s *Sealer) Seal(dst []byte, t Type, head, body []byte) ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if s.counter > lastNonce || s.skip == math.MaxUint16 {
		s.err = ErrExhausted
		return nil, s.err
	}
	n := len(head) + len(body)
	at := len(dst)
	dst = append(dst, byte(t), 0, byte(s.skip), byte(s.skip>>8))
	ad := s.adOf(dst[at:], n)
	plain := body
	if len(head) > 0 {
		dst = append(append(dst, head...), body...)
		plain = dst[at+HeaderSize:]
	}
	dst = s.aead.Seal(dst[:at+HeaderSize], s.nonceOf(s.counter), plain, ad)
	// The nonce is used even if the record is never sent.
	s.counter++
	s.count(n)
	return dst, nil
}

// Sent says that the last record was sent.
func (s *Sealer) Sent() { s.skip, s.used = 0, true }

// Abandoned says that the last record will not be sent: its nonce is skipped, and the
// next record says so.
func (s *Sealer) Abandoned() { s.skip++ }

// Due reports whether a Rekey record should be sent before the next.
func (s *Sealer) Due() bool {
	return s.records >= RekeyRecords || s.bytes >= RekeyBytes || s.skip >= DueSkip
}

// Used reports whether a record was sent with the key.
func (s *Sealer) Used() bool { return s.used }

// Rekey replaces the key after a Rekey record was sent.
func (s *Sealer) Rekey() {
	s.rekey()
	s.used = false
}

// Replace replaces the key after a Switch record was sent. key is not kept; the caller
// should clear it.
func (s *Sealer) Replace(key *[KeySize]byte) {
	s.setKey(key)
	s.used = false
}

// Opener opens the records of one direction. It must be used by one goroutine at a
// time.
type Opener struct {
	state
	rekeys int // in a row
}

// NewOpener returns an Opener. key is not kept; the caller should clear it.
func NewOpener(key *[KeySize]byte) *Opener {
	o := &Opener{}
	o.setKey(key)
	return o
}

// Open opens a record, appends its plaintext to dst, and returns its type and the
// extended slice. frame is neither changed nor kept, and dst must not overlap it. A
// Rekey record replaces the key.
//
// It fails with [ErrOpen], [ErrMalformed] or [ErrExhausted]. The first error is final:
// every later call returns it.
func (o *Opener) Open(dst, frame []byte) (Type, []byte, error) {
	if o.err != nil {
		return 0, nil, o.err
	}
	t, plain, err := o.open(dst, frame)
	o.err = err
	return t, plain, err
}

func (o *Opener) open(dst, frame []byte) (Type, []byte, error) {
	if len(frame) < Overhead {
		return 0, nil, fmt.Errorf("%w: %d bytes", ErrOpen, len(frame))
	}
	skip := uint64(binary.LittleEndian.Uint16(frame[2:]))
	counter := o.counter + skip
	if counter < o.counter || counter > lastNonce {
		return 0, nil, ErrExhausted
	}
	header, sealed := frame[:HeaderSize], frame[HeaderSize:]
	n := len(sealed) - chacha20poly1305.Overhead
	plain, err := o.aead.Open(dst, o.nonceOf(counter), sealed, o.adOf(header, n))
	if err != nil {
		return 0, nil, ErrOpen
	}
	o.counter = counter + 1
	o.count(n)
	t := Type(header[0])
	switch {
	case t >= types || header[1] != 0:
		return 0, nil, fmt.Errorf("%w: type %d", ErrMalformed, header[0])
	case (n > 0) != (t == Data || t == Handshake):
		return 0, nil, fmt.Errorf("%w: type %d with %d bytes", ErrMalformed, t, n)
	case t == Ready && counter > 0:
		return 0, nil, fmt.Errorf("%w: ready with number %d", ErrMalformed, counter)
	case o.records > hardFactor*RekeyRecords || o.bytes > hardFactor*RekeyBytes:
		return 0, nil, fmt.Errorf("%w: the peer does not change its key", ErrMalformed)
	case t != Rekey:
		o.rekeys = 0
	case o.rekeys == maxRekeys:
		return 0, nil, fmt.Errorf("%w: more than %d rekeys in a row", ErrMalformed, maxRekeys)
	default:
		o.rekeys++
		o.rekey()
	}
	return t, plain, nil
}

// Replace replaces the key after a Switch record. key is not kept; the caller should
// clear it.
func (o *Opener) Replace(key *[KeySize]byte) { o.setKey(key) }
