package message

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/link"
)

// Version is the protocol version that this package speaks.
const Version = 1

// Mode is how an endpoint speaks after the hello.
type Mode uint8

// The modes.
const (
	Plain  Mode = 0
	Secure Mode = 1
)

func (m Mode) String() string {
	switch m {
	case Plain:
		return "plain"
	case Secure:
		return "secure"
	}
	return fmt.Sprintf("mode %d", uint8(m))
}

// Status is the host's answer to a hello.
type Status uint8

// The statuses. A client's hello carries Accepted.
const (
	Accepted Status = 0
	Refused  Status = 1 // by the peer policy
	Busy     Status = 2 // as many connections as the host takes
	BadHello Status = 3 // version, mode or limits do not fit; see the answer's own
)

var (
	// ErrNotHello means that what the peer said first is not sealport's hello.
	// It answers errors.Is(err, link.ErrProtocol).
	ErrNotHello = fmt.Errorf("peer does not speak sealport: %w", link.ErrProtocol)

	// ErrVersion means that the peer speaks another protocol version.
	ErrVersion = errors.New("peer speaks another protocol version")

	// ErrMode means that one side is plain and the other secure.
	ErrMode = errors.New("one side is plain, the other secure")
)

// Sizes of a hello in bytes. Later versions may append; what they append is
// ignored.
const (
	HelloSize    = 24
	MaxHelloSize = 1024
)

const magic = "sealport"

// Hello is what each side says before anything else.
type Hello struct {
	Version    uint16
	Mode       Mode
	Status     Status
	MaxMessage uint64 // bytes; the largest message that this side receives
}

// Append appends the hello's bytes.
func (h Hello) Append(b []byte) []byte {
	b = append(b, magic...)
	b = binary.LittleEndian.AppendUint16(b, h.Version)
	b = append(b, byte(h.Mode), byte(h.Status), 0, 0, 0, 0)
	return binary.LittleEndian.AppendUint64(b, h.MaxMessage)
}

// ParseHello reads a hello of any version; Check judges it.
func ParseHello(b []byte) (Hello, error) {
	if len(b) < HelloSize || len(b) > MaxHelloSize || string(b[:8]) != magic {
		return Hello{}, ErrNotHello
	}
	return Hello{
		Version:    binary.LittleEndian.Uint16(b[8:]),
		Mode:       Mode(b[10]),
		Status:     Status(b[11]),
		MaxMessage: binary.LittleEndian.Uint64(b[16:]),
	}, nil
}

// Check reports whether a side that said mine can talk to one that said theirs.
func (theirs Hello) Check(mine Hello) error {
	switch {
	case theirs.Version != mine.Version:
		return fmt.Errorf("%w: %d, this side %d", ErrVersion, theirs.Version, mine.Version)
	case theirs.Mode != mine.Mode:
		return fmt.Errorf("%w: the peer is %s, this side %s; use the constructors of package %s", ErrMode, theirs.Mode, mine.Mode,
			map[Mode]string{Plain: "transport", Secure: "secure"}[theirs.Mode])
	case theirs.MaxMessage == 0:
		return fmt.Errorf("%w: it receives no messages", ErrNotHello)
	}
	return nil
}
