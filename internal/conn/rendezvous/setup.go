package rendezvous

import (
	"encoding/binary"
	"fmt"
)

// The set-up message: the first datagram in each direction on Linux
// (docs/PROTOCOL.md, "Set-up"). The hello follows it.
const (
	setupMagic   = "SPRT"
	setupVersion = 1
	setupSize    = 16
	maxHello     = 1024
)

// Carriers.
const (
	carrierNone   = 0 // client: the host's choice; host: refused
	carrierRing   = 1
	carrierSocket = 2
)

// setup is one set-up message.
type setup struct {
	carrier byte
	ring    uint32 // bytes for one direction; client: 0 or its wish
	hello   []byte
}

func (s setup) append(b []byte) []byte {
	b = append(b, setupMagic...)
	b = append(b, setupVersion, s.carrier)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.hello)))
	b = binary.LittleEndian.AppendUint32(b, s.ring)
	b = append(b, 0, 0, 0, 0)
	return append(b, s.hello...)
}

// parseSetup reads a set-up message. The hello is a part of b.
func parseSetup(b []byte) (setup, error) {
	if len(b) < setupSize || string(b[:4]) != setupMagic {
		return setup{}, fmt.Errorf("%w: the peer's first message is not sealport's", ErrSetup)
	}
	if b[4] != setupVersion {
		return setup{}, fmt.Errorf("%w: the peer's set-up has version %d, this side's %d", ErrSetup, b[4], setupVersion)
	}
	s := setup{carrier: b[5], ring: binary.LittleEndian.Uint32(b[8:]), hello: b[setupSize:]}
	n := int(binary.LittleEndian.Uint16(b[6:]))
	if n != len(s.hello) || n > maxHello || s.carrier > carrierSocket || binary.LittleEndian.Uint32(b[12:]) != 0 {
		return setup{}, fmt.Errorf("%w: malformed set-up message", ErrSetup)
	}
	return s, nil
}
