package wire

import (
	"encoding/binary"
	"fmt"

	"github.com/sealport/sealport/internal/link"
)

// Sizes and version of a set-up message, the first datagram in each direction on
// a Unix socket. The hello follows it.
const (
	SetupVersion = 1
	SetupSize    = 16                       // bytes, without the hello
	MaxSetupSize = SetupSize + MaxHelloSize // bytes, with it

	setupMagic = "SPRT"
)

// ErrSetup means that the peer broke the rules while the connection was being set
// up. It answers errors.Is(err, link.ErrProtocol).
var ErrSetup = fmt.Errorf("connection set-up failed: %w", link.ErrProtocol)

// Carrier is what carries frames after the set-up.
type Carrier uint8

// The carriers.
const (
	CarrierNone   Carrier = 0 // client: the host's choice; host: refused
	CarrierRing   Carrier = 1
	CarrierSocket Carrier = 2
)

// Setup is one set-up message.
type Setup struct {
	Carrier Carrier
	Ring    uint32 // bytes of one direction; client: what it asks for, or 0
	Hello   []byte
}

// Append appends the message's bytes.
func (s Setup) Append(b []byte) []byte {
	b = append(b, setupMagic...)
	b = append(b, SetupVersion, byte(s.Carrier))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(s.Hello)))
	b = binary.LittleEndian.AppendUint32(b, s.Ring)
	b = append(b, 0, 0, 0, 0)
	return append(b, s.Hello...)
}

// ParseSetup reads a set-up message. The hello is a part of b.
func ParseSetup(b []byte) (Setup, error) {
	if len(b) < SetupSize || string(b[:4]) != setupMagic {
		return Setup{}, fmt.Errorf("%w: the peer's first message is not sealport's", ErrSetup)
	}
	if b[4] != SetupVersion {
		return Setup{}, fmt.Errorf("%w: the peer's set-up has version %d, this side's %d", ErrSetup, b[4], SetupVersion)
	}
	s := Setup{Carrier: Carrier(b[5]), Ring: binary.LittleEndian.Uint32(b[8:]), Hello: b[SetupSize:]}
	n := int(binary.LittleEndian.Uint16(b[6:]))
	if n != len(s.Hello) || n > MaxHelloSize || s.Carrier > CarrierSocket || binary.LittleEndian.Uint32(b[12:]) != 0 {
		return Setup{}, fmt.Errorf("%w: malformed set-up message", ErrSetup)
	}
	return s, nil
}
