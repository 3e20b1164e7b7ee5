package handshake

import (
	"crypto/mlkem"
	"encoding/binary"
	"fmt"
)

// layout describes one message of a handshake. It follows from the offer alone, so
// nothing in a message says how to parse it.
//
//	message = prefix, Noise message
//	Noise message = keys and tags as by the pattern, payload
//	payload = kem, limits, application's payload
type layout struct {
	prefix    int  // bytes before the Noise message
	overhead  int  // bytes of the Noise message without its payload
	ephemeral bool // the Noise message begins with an ephemeral key
	kem       int  // bytes of ML-KEM at the beginning of the payload
	protected bool // the payload is encrypted: it has limits and may have more
}

const (
	dhLen  = 32 // DHLEN of 25519, Noise §12.1
	tagLen = 16 // of Poly1305, Noise §5.1

	// limitsSize is MaxRecord, 4 bytes, and MaxMessage, 8, big-endian.
	limitsSize = 4 + 8
)

// layout returns that of message i, counted from 0.
func (o Offer) layout(i int) layout {
	l := layout{ephemeral: o.Pattern != XX || i < 2}
	encrypted := true // by any key, even one that everyone can compute
	switch {
	case o.Pattern == XX && i == 0: // e
		l.overhead = dhLen
		encrypted = o.pskPlacement() >= 0
	case o.Pattern == XX && i == 1: // e, ee, s, es
		l.overhead, l.protected = dhLen+dhLen+tagLen, true
	case o.Pattern == XX: // s, se
		l.overhead, l.protected = dhLen+tagLen, true
	case o.Pattern == IK && i == 0: // e, es, s, ss
		l.overhead, l.protected = dhLen+dhLen+tagLen, true
	default: // e and DHs
		l.overhead, l.protected = dhLen, true
	}
	if encrypted {
		l.overhead += tagLen
	}
	if i == 0 {
		l.prefix = offerSize
	}
	// The encapsulation key is always in the payload, where Noise hashes it. So is
	// the ciphertext in XX, which mixes in the secret one message later.
	switch {
	case !o.Hybrid:
	case i == 0:
		l.kem = mlkem.EncapsulationKeySize768
	case i == 1 && o.Pattern == XX:
		l.kem = mlkem.CiphertextSize768
	case i == 1: // the PSK encrypts this message's payload already
		l.prefix = mlkem.CiphertextSize768
	}
	return l
}

// fixed is the size of the payload without the application's part.
func (l layout) fixed() int {
	if l.protected {
		return l.kem + limitsSize
	}
	return l.kem
}

// check refuses a message of a size that it cannot have.
func (l layout) check(size int) error {
	least := l.prefix + l.overhead + l.fixed()
	most := least
	if l.protected {
		most += MaxPayload
	}
	if size < least || size > most {
		return fmt.Errorf("%w: %d bytes, not %d to %d", ErrMessageSize, size, least, most)
	}
	return nil
}

// payload returns a Noise payload.
func (l layout) payload(kem []byte, limits Limits, application []byte) ([]byte, error) {
	if len(application) > MaxPayload || len(application) > 0 && !l.protected {
		return nil, fmt.Errorf("%w: %d bytes", ErrPayload, len(application))
	}
	out := make([]byte, 0, l.fixed()+len(application))
	out = append(out, kem...)
	if l.protected {
		out = binary.BigEndian.AppendUint32(out, limits.MaxRecord)
		out = binary.BigEndian.AppendUint64(out, limits.MaxMessage)
	}
	return append(out, application...), nil
}

// split is the inverse of payload. check has checked the size.
func (l layout) split(payload []byte) (kem []byte, limits Limits, application []byte) {
	kem, rest := payload[:l.kem:l.kem], payload[l.kem:]
	if l.protected {
		limits.MaxRecord = binary.BigEndian.Uint32(rest)
		limits.MaxMessage = binary.BigEndian.Uint64(rest[4:])
		rest = rest[limitsSize:]
	}
	return kem, limits, rest
}
