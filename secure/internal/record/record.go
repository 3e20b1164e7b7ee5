// Package record seals and opens records: what a secure connection puts into the
// frames of its link. It is bytes in, bytes out, one Sealer and one Opener for
// each direction.
//
// docs/PROTOCOL.md, "Records", fixes every byte. A record is
//
//	type (1) ‖ 0 (1) ‖ skip (2, little endian) ‖ ChaCha20-Poly1305(plaintext)
//
// Its nonce is a counter that both sides keep and that never travels: whatever is
// left out, repeated, moved or comes from elsewhere does not open. The first four
// bytes and the length of the plaintext are authenticated with it.
//
// Records are sealed from and opened in private memory only: x/crypto reads the
// ciphertext twice, so that a peer who could change it meanwhile would get
// plaintext that nobody authenticated.
package record

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"golang.org/x/crypto/chacha20poly1305"
)

// Type is what a record is for.
type Type byte

// The types.
const (
	Data      Type = 0 // the plaintext is a frame of the layer above
	Close     Type = 1 // the end of this direction; empty
	Rekey     Type = 2 // the next record has the next key (Noise §4.2, REKEY); empty
	Handshake Type = 3 // a message of a handshake that will replace the keys
	Switch    Type = 4 // the next record has the key of that handshake; empty
	Ready     Type = 5 // the responder has accepted the initiator's key; empty

	types = 6
)

// Sizes in bytes.
const (
	HeaderSize = 4
	Overhead   = HeaderSize + chacha20poly1305.Overhead
	KeySize    = chacha20poly1305.KeySize
)

// A key is replaced by the next (Rekey) after so many records or bytes, whichever
// comes first. ChaCha20-Poly1305 itself would allow far more (RFC 9001 §6.6: no
// limit for confidentiality); it is to bound what a stolen key opens.
const (
	RekeyRecords = 1 << 22
	RekeyBytes   = 1 << 32

	// DueSkip: so many records abandoned in a row make a Rekey due, which the
	// caller keeps until it is sent, long before there is no room for their
	// number.
	DueSkip = 1 << 15

	// hardFactor: an Opener refuses a peer who goes on for so many times as
	// long with one key.
	hardFactor = 2
)

var (
	// ErrOpen means that a record does not open: it was changed, left out,
	// repeated, moved, or belongs to another connection or direction. Final.
	ErrOpen = errors.New("record does not authenticate")

	// ErrMalformed means that a record, though authentic, breaks the protocol.
	// Final.
	ErrMalformed = errors.New("malformed record")

	// ErrExhausted means that the counter has come to its end. Final.
	ErrExhausted = errors.New("record counter exhausted")
)

// lastNonce is the last counter for records; the one behind it is Noise's for
// REKEY (§4.2).
const lastNonce = math.MaxUint64 - 1

// state is what both directions have in common.
type state struct {
	aead    cipher.AEAD
	counter uint64 // of the next record
	records uint64 // with this key
	bytes   uint64
	err     error

	// Scratch that would escape to the heap for each record.
	nonce [chacha20poly1305.NonceSize]byte
	ad    [HeaderSize + 4]byte
}

func (s *state) setKey(key *[KeySize]byte) {
	aead, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic("record: " + err.Error()) // only for a key of another length
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

// nonceOf is four zero bytes and the counter, little endian (Noise §12.3).
func (s *state) nonceOf(counter uint64) []byte {
	binary.LittleEndian.PutUint64(s.nonce[4:], counter)
	return s.nonce[:]
}

// adOf is what is authenticated with a plaintext of n bytes.
func (s *state) adOf(header []byte, n int) []byte {
	copy(s.ad[:], header)
	binary.LittleEndian.PutUint32(s.ad[HeaderSize:], uint32(n))
	return s.ad[:]
}

func (s *state) count(n int) {
	s.records++
	s.bytes += uint64(n)
}

// Sealer makes the records of one direction. It is used by one goroutine at a
// time.
type Sealer struct {
	state
	skip uint16 // records sealed since the last that was sent
}

// NewSealer returns a Sealer. The key stays the caller's to clear.
func NewSealer(key *[KeySize]byte) *Sealer {
	s := &Sealer{}
	s.setKey(key)
	return s
}

// Seal appends a record to dst. The plaintext is head followed by body; neither
// may overlap with dst. The caller says by Sent or Abandoned what has become of
// the record before the next is sealed.
//
// It fails with ErrExhausted, finally.
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
	// Whatever becomes of the record, its nonce is used.
	s.counter++
	s.count(n)
	return dst, nil
}

// Sent is called when the last record is on its way.
func (s *Sealer) Sent() { s.skip = 0 }

// Abandoned is called when the last record will not be sent: its nonce is left
// out, and the next record says so.
func (s *Sealer) Abandoned() { s.skip++ }

// Due reports whether a Rekey record should be sent before the next.
func (s *Sealer) Due() bool {
	return s.records >= RekeyRecords || s.bytes >= RekeyBytes || s.skip >= DueSkip
}

// Rekey is called after a Rekey record was sent.
func (s *Sealer) Rekey() { s.rekey() }

// Replace is called after a Switch record was sent. The key stays the caller's to
// clear.
func (s *Sealer) Replace(key *[KeySize]byte) { s.setKey(key) }

// Opener opens the records of one direction. It is used by one goroutine at a
// time.
type Opener struct{ state }

// NewOpener returns an Opener. The key stays the caller's to clear.
func NewOpener(key *[KeySize]byte) *Opener {
	o := &Opener{}
	o.setKey(key)
	return o
}

// Open opens a record, appends its plaintext to dst and returns its type and the
// longer slice. dst must not overlap with frame, which is left as it was. After
// Rekey it has the next key. Errors are final: ErrOpen, ErrMalformed,
// ErrExhausted.
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
	case n > 0 && t != Data && t != Handshake, n == 0 && t == Handshake:
		return 0, nil, fmt.Errorf("%w: type %d with %d bytes", ErrMalformed, t, n)
	case o.records > hardFactor*RekeyRecords || o.bytes > hardFactor*RekeyBytes:
		return 0, nil, fmt.Errorf("%w: the peer does not change its key", ErrMalformed)
	case t == Rekey:
		o.rekey()
	}
	return t, plain, nil
}

// Replace is called after a Switch record. The key stays the caller's to clear.
func (o *Opener) Replace(key *[KeySize]byte) { o.setKey(key) }
