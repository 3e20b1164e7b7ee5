package mach

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// ErrMalformed is returned for bytes that can't be a Mach message: the kernel
// never produces them.
var ErrMalformed = errors.New("mach: malformed message")

// Sizes in bytes (mach/message.h, LP64).
const (
	HeaderSize         = 24 // mach_msg_header_t
	BodySize           = 4  // mach_msg_body_t: the number of descriptors
	PortDescriptorSize = 12
	OOLDescriptorSize  = 16
	// AuditTrailerSize is a mach_msg_audit_trailer_t.
	AuditTrailerSize = 52
	// MaxTrailerSize is what a receive buffer must have room for beyond the
	// message (MAX_TRAILER_SIZE, mach_msg_max_trailer_t).
	MaxTrailerSize = 68
)

// bitsComplex marks a message with descriptors (MACH_MSGH_BITS_COMPLEX).
const bitsComplex = 0x80000000

var le = binary.LittleEndian

// Header is a mach_msg_header_t. In a message to be sent Remote is the
// destination; in a received one Remote is the reply right and Local the port
// that it arrived on.
type Header struct {
	RemoteBits, LocalBits, VoucherBits Disposition

	Complex bool   // descriptors follow
	Size    uint32 // header and body in bytes, without the trailer
	Remote  Name
	Local   Name
	Voucher Name
	ID      int32 // the program's own; the kernel's notifications have 64–72
}

// Put writes the header to the first HeaderSize bytes of b.
func (h Header) Put(b []byte) {
	bits := uint32(h.RemoteBits) | uint32(h.LocalBits)<<8 | uint32(h.VoucherBits)<<16
	if h.Complex {
		bits |= bitsComplex
	}
	_ = b[HeaderSize-1]
	le.PutUint32(b[0:], bits)
	le.PutUint32(b[4:], h.Size)
	le.PutUint32(b[8:], uint32(h.Remote))
	le.PutUint32(b[12:], uint32(h.Local))
	le.PutUint32(b[16:], uint32(h.Voucher))
	le.PutUint32(b[20:], uint32(h.ID))
}

// ParseHeader reads the first HeaderSize bytes of b. It does not look at Size.
func ParseHeader(b []byte) (Header, error) {
	if len(b) < HeaderSize {
		return Header{}, fmt.Errorf("%w: %d bytes are less than a header", ErrMalformed, len(b))
	}
	bits := le.Uint32(b)
	return Header{
		RemoteBits:  Disposition(bits & 0x1f),
		LocalBits:   Disposition(bits >> 8 & 0x1f),
		VoucherBits: Disposition(bits >> 16 & 0x1f),
		Complex:     bits&bitsComplex != 0,
		Size:        le.Uint32(b[4:]),
		Remote:      Name(le.Uint32(b[8:])),
		Local:       Name(le.Uint32(b[12:])),
		Voucher:     Name(le.Uint32(b[16:])),
		ID:          int32(le.Uint32(b[20:])),
	}, nil
}

// DescriptorType is a mach_msg_descriptor_type_t.
type DescriptorType uint8

const (
	PortRight         DescriptorType = 0
	OutOfLine         DescriptorType = 1
	OutOfLinePorts    DescriptorType = 2
	OutOfLineVolatile DescriptorType = 3
	GuardedPort       DescriptorType = 4
)

// VirtualCopy is MACH_MSG_VIRTUAL_COPY, the cheap way to copy out-of-line memory.
const VirtualCopy = 1

// Descriptor is one of a complex message's descriptors.
type Descriptor struct {
	Type DescriptorType

	Name        Name        // PortRight, GuardedPort
	Disposition Disposition // PortRight, GuardedPort, OutOfLinePorts

	Address    uint64 // OutOfLine*: in the receiver's address space; GuardedPort: context
	Size       uint32 // OutOfLine: bytes; OutOfLinePorts: number of names
	Copy       uint8  // OutOfLine*
	Deallocate bool   // OutOfLine*: sender gives the memory up
}

// EncodedSize is the number of bytes the descriptor takes in a message.
func (d Descriptor) EncodedSize() int {
	if d.Type == PortRight {
		return PortDescriptorSize
	}
	return OOLDescriptorSize
}

// Put writes the descriptor to the first EncodedSize bytes of b.
func (d Descriptor) Put(b []byte) {
	switch d.Type {
	case PortRight:
		le.PutUint32(b[0:], uint32(d.Name))
		le.PutUint32(b[4:], 0)
		le.PutUint32(b[8:], uint32(d.Disposition)<<16|uint32(d.Type)<<24)
	case GuardedPort:
		le.PutUint64(b[0:], d.Address)
		le.PutUint32(b[8:], uint32(d.Disposition)<<16|uint32(d.Type)<<24)
		le.PutUint32(b[12:], uint32(d.Name))
	default:
		le.PutUint64(b[0:], d.Address)
		b[8] = 0
		if d.Deallocate {
			b[8] = 1
		}
		b[9] = d.Copy
		b[10] = uint8(d.Disposition)
		b[11] = uint8(d.Type)
		le.PutUint32(b[12:], d.Size)
	}
}

// parseDescriptor reads one descriptor and returns what follows it.
func parseDescriptor(b []byte) (d Descriptor, rest []byte, err error) {
	if len(b) < PortDescriptorSize {
		return d, nil, fmt.Errorf("%w: descriptor cut off", ErrMalformed)
	}
	d.Type = DescriptorType(b[11])
	if len(b) < d.EncodedSize() {
		return d, nil, fmt.Errorf("%w: descriptor cut off", ErrMalformed)
	}
	switch d.Type {
	case PortRight:
		d.Name, d.Disposition = Name(le.Uint32(b)), Disposition(b[10])
	case GuardedPort:
		d.Address, d.Disposition, d.Name = le.Uint64(b), Disposition(b[10]), Name(le.Uint32(b[12:]))
	case OutOfLine, OutOfLineVolatile, OutOfLinePorts:
		d.Address, d.Size = le.Uint64(b), le.Uint32(b[12:])
		d.Deallocate, d.Copy = b[8] != 0, b[9]
		if d.Type == OutOfLinePorts {
			d.Disposition = Disposition(b[10])
		}
	default:
		return d, nil, fmt.Errorf("%w: descriptor type %d", ErrMalformed, d.Type)
	}
	return d, b[d.EncodedSize():], nil
}

// Message is a view of a received message: its slices lie in the buffer.
type Message struct {
	Header
	Count   int    // number of descriptors
	Body    []byte // what follows header and descriptors
	Trailer Trailer

	descriptors []byte // exactly Count of them, checked
}

// ParseMessage reads a message with its trailer as Receive left it in buf. The
// kernel wrote headers, descriptors and trailer, so an error means that the
// buffer holds no message; the body is the sender's.
func ParseMessage(buf []byte) (Message, error) {
	m, err := parseUntilTrailer(buf)
	if err != nil {
		return m, err
	}
	// Size is at most len(buf): rounding up can't overflow an int.
	at := (int(m.Size) + 3) &^ 3
	if at > len(buf) {
		return m, fmt.Errorf("%w: no room for the trailer", ErrMalformed)
	}
	m.Trailer, err = ParseTrailer(buf[at:])
	return m, err
}

// parseUntilTrailer reads what Destroy needs.
func parseUntilTrailer(buf []byte) (m Message, err error) {
	if m.Header, err = ParseHeader(buf); err != nil {
		return m, err
	}
	if m.Size < HeaderSize || uint64(m.Size) > uint64(len(buf)) {
		return m, fmt.Errorf("%w: size %d in a buffer of %d bytes", ErrMalformed, m.Size, len(buf))
	}
	m.Body = buf[HeaderSize:m.Size:m.Size]
	// A bare header keeps its bits: see Kernel.Receive.
	if !m.Complex || m.Size == HeaderSize {
		return m, nil
	}
	if len(m.Body) < BodySize {
		return m, fmt.Errorf("%w: complex without a descriptor count", ErrMalformed)
	}
	count := le.Uint32(m.Body)
	all := m.Body[BodySize:]
	if uint64(count) > uint64(len(all)/PortDescriptorSize) {
		return m, fmt.Errorf("%w: %d descriptors in %d bytes", ErrMalformed, count, len(all))
	}
	rest := all
	for range count {
		if _, rest, err = parseDescriptor(rest); err != nil {
			return m, err
		}
	}
	m.Count = int(count)
	m.descriptors, m.Body = all[:len(all)-len(rest)], rest
	return m, nil
}

// Descriptors ranges over the message's descriptors in order.
func (m *Message) Descriptors() iter.Seq[Descriptor] {
	return func(yield func(Descriptor) bool) {
		rest := m.descriptors
		for range m.Count {
			d, next, err := parseDescriptor(rest)
			if err != nil || !yield(d) {
				return // an error is impossible: ParseMessage checked
			}
			rest = next
		}
	}
}

// Compose writes a message into buf, which must have capacity for it, and
// returns the message: header (Size is filled in, and Complex if need be), descriptors,
// then the parts of the body, padded with zeros to a multiple of four as the
// kernel demands. Parts that lie in buf may not move: compose them elsewhere.
func Compose(buf []byte, h Header, descriptors []Descriptor, body ...[]byte) []byte {
	n := HeaderSize
	h.Complex = h.Complex || len(descriptors) > 0
	if h.Complex {
		n += BodySize
		for _, d := range descriptors {
			n += d.EncodedSize()
		}
	}
	at := n
	for _, part := range body {
		n += len(part)
	}
	end := n
	n = (n + 3) &^ 3
	buf = buf[:n]
	clear(buf[end:n])
	for _, part := range body {
		at += copy(buf[at:], part)
	}
	h.Size = uint32(n)
	h.Put(buf)
	if h.Complex {
		le.PutUint32(buf[HeaderSize:], uint32(len(descriptors)))
		at = HeaderSize + BodySize
		for _, d := range descriptors {
			d.Put(buf[at:])
			at += d.EncodedSize()
		}
	}
	return buf
}
