package handshake

import "encoding/binary"

// The prologue (Noise §6) is what both sides must agree on. It is not sent:
//
//	size  content
//	8     "sealport"
//	8     the offer, as in the first message
//	2+n   endpoint
//	2+n   initiator's identity
//	2+n   responder's identity
//	2+n   binding
//
// Lengths are big-endian. The first two fields have a fixed size and each of the
// others begins with its length, so different inputs never have the same bytes.
const prologueLabel = "sealport"

func prologue(offer [offerSize]byte, c *Config) []byte {
	fields := [][]byte{[]byte(c.Endpoint), c.InitiatorIdentity, c.ResponderIdentity, c.Binding}
	out := append([]byte(prologueLabel), offer[:]...)
	for _, f := range fields {
		out = binary.BigEndian.AppendUint16(out, uint16(len(f))) // checked by Config.check
		out = append(out, f...)
	}
	return out
}
