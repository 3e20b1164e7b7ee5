package ring

// Side tells which direction of a mapping an end writes.
type Side int

// The host creates the memory file, the client opens it.
const (
	Host Side = iota
	Client
)

// Mapping is a memory file with two rings in it, mapped into this process.
type Mapping struct {
	mem  []byte
	size int
}

// Ends returns the producer and the consumer that this side uses. They must not
// be used after Unmap. To be called once.
func (m *Mapping) Ends(side Side) (*Producer, *Consumer) {
	data := func(dir int) []byte {
		at := controlPages + dir*m.size
		return m.mem[at : at+m.size : at+m.size]
	}
	out, in := 0, 1 // direction 0 is client to host
	if side == Host {
		out, in = 1, 0
	}
	mask, maxFrame := uint64(m.size-1), MaxFrame(m.size)
	return &Producer{w: wordsAt(m.mem, out*controlSize), data: data(out), mask: mask, maxFrame: maxFrame},
		&Consumer{w: wordsAt(m.mem, in*controlSize), data: data(in), mask: mask, maxFrame: maxFrame}
}

// Size is the data size of one direction in bytes.
func (m *Mapping) Size() int { return m.size }
