package wire

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/link"
)

// Version is the protocol version that this module speaks.
const Version = 1

// Sizes of a hello in bytes. Later versions may append; what they append is
// ignored.
const (
	HelloSize      = 25 // without the content name
	MaxHelloSize   = 1024
	MaxContentName = 128

	helloMagic = "sealport"
)

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
	Accepted  Status = 0
	Refused   Status = 1 // by the peer policy
	Busy      Status = 2 // as many connections as the host takes
	BadHello  Status = 3 // version, mode, content or limits do not fit; see the answer's own
	Exhausted Status = 4 // the host is out of descriptors, memory or disk space
)

// Flags of a hello.
type Flags uint8

// Confirms means, in a host's hello, that the host's application decides on the
// client: the host sends Accept before anything else, or a goodbye.
const Confirms Flags = 1

var (
	// ErrNotHello means that what the peer said first is not sealport's hello.
	// It answers errors.Is(err, link.ErrProtocol).
	ErrNotHello = fmt.Errorf("peer does not use sealport's protocol: %w", link.ErrProtocol)

	// ErrVersion means that the peer speaks another protocol version.
	ErrVersion = errors.New("peer uses another protocol version")

	// ErrMode means that one side is plain and the other secure.
	ErrMode = errors.New("one side is plain, the other secure")

	// ErrType means that the two sides exchange messages of different content.
	ErrType = errors.New("the two sides have different types of messages")
)

// Hello is what each side says before anything else.
type Hello struct {
	Version    uint16
	Mode       Mode
	Status     Status
	Flags      Flags
	MaxMessage uint64 // bytes; the largest message that this side receives
	Content    string // what messages are: at most MaxContentName bytes; "" in a refusal that says no more
}

// Append appends the hello's bytes.
func (h Hello) Append(b []byte) []byte {
	b = append(b, helloMagic...)
	b = binary.LittleEndian.AppendUint16(b, h.Version)
	b = append(b, byte(h.Mode), byte(h.Status), byte(h.Flags), 0, 0, 0)
	b = binary.LittleEndian.AppendUint64(b, h.MaxMessage)
	b = append(b, byte(len(h.Content)))
	return append(b, h.Content...)
}

// ParseHello reads a hello of any version; Check compares it.
func ParseHello(b []byte) (Hello, error) {
	if len(b) < HelloSize || len(b) > MaxHelloSize || string(b[:8]) != helloMagic {
		return Hello{}, ErrNotHello
	}
	h := Hello{
		Version:    binary.LittleEndian.Uint16(b[8:]),
		Mode:       Mode(b[10]),
		Status:     Status(b[11]),
		Flags:      Flags(b[12]),
		MaxMessage: binary.LittleEndian.Uint64(b[16:]),
	}
	content := b[HelloSize:]
	if n := int(b[24]); n <= MaxContentName && n <= len(content) && IsContentName(content[:n]) {
		h.Content = string(content[:n])
		return h, nil
	}
	return Hello{}, fmt.Errorf("%w: invalid content name", ErrNotHello)
}

// IsContentName reports whether name is at most MaxContentName bytes of printable
// ASCII without spaces.
func IsContentName[S string | []byte](name S) bool {
	for i := range len(name) {
		if name[i] <= ' ' || name[i] > '~' {
			return false
		}
	}
	return len(name) <= MaxContentName
}

// Check reports whether a side that said mine can talk to one that said theirs, which is
// the client's or the host's.
func (theirs Hello) Check(mine Hello, client bool) error {
	switch {
	case theirs.Version != mine.Version:
		return fmt.Errorf("%w: the peer has version %d, this side %d; update the older program", ErrVersion, theirs.Version, mine.Version)
	case theirs.Mode != mine.Mode:
		peer, this, secure := "host", "client", "client"
		if client {
			peer, this = this, peer
		}
		// Never advice to do without encryption.
		if (theirs.Mode == Secure) == client {
			secure = "host"
		}
		return fmt.Errorf("%w: the %s is %v, this %s %v; the %s must use package secure", ErrMode, peer, theirs.Mode, this, mine.Mode, secure)
	case theirs.MaxMessage == 0:
		return fmt.Errorf("%w: it accepts no messages", ErrNotHello)
	case theirs.Content != mine.Content:
		return fmt.Errorf("%w: the peer has %q, this side %q; use the same type and codec on both sides", ErrType, theirs.Content, mine.Content)
	}
	return nil
}
