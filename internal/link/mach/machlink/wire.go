package machlink

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
)

// MaxFrame is the largest frame in bytes, chosen so that a message with its
// header and trailer fits into 32 KiB: xnu's allocator serves sizes up to
// KHEAP_MAX_SIZE from zones and maps memory for each larger one
// (osfmk/kern/kalloc.c). That this pays was not measured on a Mac.
const MaxFrame = 32<<10 - 256

// MaxHello is the largest hello and answer in bytes.
const MaxHello = 1024

// Message ids ("SP", version 1 of this protocol, kind). Another version would
// take other ids.
const (
	idConnect int32 = 0x53500101 + iota
	idAccept
	idRefuse
	idFrame
	idEnd
	idDrained
	idGoAway
	idWake // to our own loop
)

// bufferSize holds the largest message of the protocol with its trailer. The
// kernel destroys what is larger.
const bufferSize = mach.HeaderSize + lengthSize + (MaxFrame+3)&^3 + mach.MaxTrailerSize

const lengthSize = 4 // a frame's or hello's length, little endian

var le = binary.LittleEndian

var errMalformed = errors.New("malformed message")

// rights are what one side gives the other.
type rights struct {
	data, control mach.Name // send rights
	end           mach.Name // send-once right to data
}

// descriptors of rights as they are made from receive rights.
func offer(data, control mach.Name) []mach.Descriptor {
	return []mach.Descriptor{
		{Type: mach.PortRight, Name: data, Disposition: mach.MakeSend},
		{Type: mach.PortRight, Name: control, Disposition: mach.MakeSend},
		{Type: mach.PortRight, Name: data, Disposition: mach.MakeSendOnce},
	}
}

// errDied means that a port in a message died on the way: its owner has gone, or
// lies.
var errDied = fmt.Errorf("%w: a port died on the way", errMalformed)

// parseConnect reads a connect message.
func parseConnect(m *mach.Message) (rights, []byte, error) {
	if m.ID != idConnect || !m.Trailer.Attested {
		return rights{}, nil, fmt.Errorf("%w: message id %#x", errMalformed, uint32(m.ID))
	}
	return parseOffer(m)
}

// parseOffer reads a connect or accept message: three rights and the hello. The
// hello lies in the message. Nothing is taken over on error.
func parseOffer(m *mach.Message) (r rights, hello []byte, err error) {
	if m.Remote != mach.Null || m.Count != 3 {
		return r, nil, fmt.Errorf("%w: %d descriptors in an offer", errMalformed, m.Count)
	}
	want := [3]mach.Disposition{mach.MoveSend, mach.MoveSend, mach.MoveSendOnce}
	var names [3]mach.Name
	i := 0
	for d := range m.Descriptors() {
		if d.Type == mach.PortRight && d.Name == mach.DeadPort {
			return r, nil, fmt.Errorf("%w: descriptor %d of an offer", errDied, i)
		}
		if d.Type != mach.PortRight || d.Disposition != want[i] || !d.Name.Valid() {
			return r, nil, fmt.Errorf("%w: descriptor %d of an offer", errMalformed, i)
		}
		names[i] = d.Name
		i++
	}
	if names[0] == names[1] {
		return r, nil, fmt.Errorf("%w: one port offered twice", errMalformed)
	}
	hello, err = parsePayload(m.Body, MaxHello)
	return rights{names[0], names[1], names[2]}, hello, err
}

// parsePlain reads the payload of a message that may carry no rights.
func parsePlain(m *mach.Message, limit int) ([]byte, error) {
	if m.Complex || m.Remote != mach.Null {
		return nil, fmt.Errorf("%w: unexpected rights", errMalformed)
	}
	return parsePayload(m.Body, limit)
}

// parsePayload reads a length and so many bytes, padded to a multiple of four.
func parsePayload(b []byte, limit int) ([]byte, error) {
	if len(b) < lengthSize {
		return nil, fmt.Errorf("%w: no length", errMalformed)
	}
	n, b := le.Uint32(b), b[lengthSize:]
	if uint64(n) > uint64(limit) || (uint64(n)+3)&^3 != uint64(len(b)) {
		return nil, fmt.Errorf("%w: length %d with %d bytes, limit %d", errMalformed, n, len(b), limit)
	}
	return b[:n:n], nil
}

// parseEnd checks the end of the peer's frames, which is a header alone.
func parseEnd(m *mach.Message) error {
	if m.Complex || m.Remote != mach.Null || len(m.Body) != 0 {
		return fmt.Errorf("%w: end with %d bytes", errMalformed, len(m.Body))
	}
	return nil
}

// parseDrained reads the number of frames that the peer has dealt with.
func parseDrained(m *mach.Message) (uint64, error) {
	if m.Complex || m.Remote != mach.Null || len(m.Body) != 8 {
		return 0, fmt.Errorf("%w: drained count", errMalformed)
	}
	return le.Uint64(m.Body), nil
}

// compose writes a message with a payload of up to two parts into buf, which
// has capacity for it.
func compose(buf []byte, h mach.Header, descriptors []mach.Descriptor, head, body []byte) []byte {
	var length [lengthSize]byte
	le.PutUint32(length[:], uint32(len(head)+len(body)))
	return mach.Compose(buf[:0], h, descriptors, length[:], head, body)
}

// composeHello is compose for a connect, accept or refuse message.
func composeHello(h mach.Header, descriptors []mach.Descriptor, hello []byte) ([]byte, error) {
	if len(hello) > MaxHello {
		return nil, fmt.Errorf("%w: hello of %d bytes, the limit is %d", link.ErrFrameTooLarge, len(hello), MaxHello)
	}
	return compose(make([]byte, 0, mach.HeaderSize+mach.BodySize+3*mach.PortDescriptorSize+lengthSize+MaxHello), h, descriptors, hello, nil), nil
}
