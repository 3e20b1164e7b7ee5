package ring

import (
	"encoding/binary"
	"sync/atomic"
	"unsafe"
)

// words are the shared control words of one direction. The peer may write any
// of them at any time: load each once, check, keep a private copy.
type words struct {
	tail          *atomic.Uint64
	head          *atomic.Uint64
	drained       *atomic.Uint64
	goAway        *atomic.Uint32
	consumerWaits *atomic.Uint32
	producerWaits *atomic.Uint32
}

// wordsAt returns the control words that begin at off in a mapping. The mapping
// is page-aligned, so every word is aligned for atomic access.
func wordsAt(mem []byte, off int) words {
	u64 := func(o int) *atomic.Uint64 { return (*atomic.Uint64)(unsafe.Pointer(&mem[off+o : off+o+8][0])) }
	u32 := func(o int) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&mem[off+o : off+o+4][0])) }
	return words{
		tail:          u64(offTail),
		head:          u64(offHead),
		drained:       u64(offDrained),
		goAway:        u32(offGoAway),
		consumerWaits: u32(offConsumerWaits),
		producerWaits: u32(offProducerWaits),
	}
}

// Producer is the writing end of one direction. It is used by one goroutine at
// a time, except for the methods that say otherwise.
type Producer struct {
	w        words
	data     []byte
	mask     uint64
	pos      uint64 // our tail
	seen     uint64 // the peer's head when last looked at
	maxFrame int
	written  uint64 // frames
	lost     uint64 // Unacknowledged at Detach
	detached bool
	ended    bool
	err      error
}

// MaxFrame is the largest frame that Write takes, in bytes.
func (p *Producer) MaxFrame() int { return p.maxFrame }

// Write copies one frame, head followed by body, into the ring and publishes
// it. It returns false, and writes nothing, if there is no room now. It does
// not block. Errors: ErrTooLarge (the ring stays usable), ErrCorrupt (final).
//
// After true the caller asks MustWake.
func (p *Producer) Write(head, body []byte) (bool, error) {
	n := len(head) + len(body)
	if n > p.maxFrame {
		return false, ErrTooLarge
	}
	need := align(frameHeader+uint64(n)) + reserved
	if uint64(len(p.data))-(p.pos-p.seen) < need {
		if free, err := p.free(); err != nil || free < need {
			return false, err
		}
	}
	// A frame begins at a multiple of 8, so its length does not wrap.
	i := p.pos & p.mask
	binary.LittleEndian.PutUint32(p.data[i:i+frameHeader], uint32(n))
	at := p.put(p.pos+frameHeader, head)
	for len(body) > publishStep {
		// The consumer copies the first part of a large frame while we write
		// the next.
		at = p.put(at, body[:publishStep])
		body = body[publishStep:]
		p.w.tail.Store(at)
	}
	at = p.put(at, body)
	p.pos = align(at)
	p.w.tail.Swap(p.pos)
	p.written++
	return true, nil
}

// put copies b to position at, around the end if need be, and returns the
// position behind it.
func (p *Producer) put(at uint64, b []byte) uint64 {
	n := copy(p.data[at&p.mask:], b)
	if n < len(b) {
		copy(p.data, b[n:])
	}
	return at + uint64(len(b))
}

// free looks at the peer's head and returns the bytes free.
func (p *Producer) free() (uint64, error) {
	if p.err != nil {
		return 0, p.err
	}
	head := p.w.head.Load()
	used := p.pos - head
	// Outside [seen, pos] the subtraction is above the ring's size or above
	// what was used when we last looked: a head never goes back.
	if used > uint64(len(p.data)) || used > p.pos-p.seen {
		p.err = ErrCorrupt
		return 0, p.err
	}
	p.seen = head
	return uint64(len(p.data)) - used, nil
}

// End writes the end marker: the consumer reads no frame after it. There is
// always room for it. Idempotent. The caller asks MustWake.
func (p *Producer) End() {
	if p.ended {
		return
	}
	p.ended = true
	i := p.pos & p.mask
	binary.LittleEndian.PutUint32(p.data[i:i+frameHeader], endMarker)
	p.pos += frameAlign
	p.w.tail.Swap(p.pos)
}

// MustWake reports, at most once for each time that the consumer went to sleep,
// that the caller has to ring its doorbell. To be asked after each Write.
func (p *Producer) MustWake() bool {
	return p.w.consumerWaits.Load() != 0 && p.w.consumerWaits.Swap(0) != 0
}

// Arm announces that the producer sleeps until a frame of n bytes fits, and
// more than that where the ring is large, so that it is not woken for each
// frame. It returns false if there is room already: then the caller must not
// sleep. The announcement is never withdrawn, since another goroutine may sleep
// by it (ArmDrained): a doorbell too many does no harm.
func (p *Producer) Arm(n int) (bool, error) {
	need := align(frameHeader+uint64(n)) + reserved
	p.w.producerWaits.Swap(uint32(max(need, uint64(len(p.data))/2)))
	free, err := p.free()
	return err == nil && free < need, err
}

// ArmDrained announces that a goroutine on the producer's side sleeps until the
// consumer has copied everything out. It returns false if it already has. It may
// be called concurrently with everything else, Arm included: whichever
// request is stored last, both are woken at the latest when the ring is empty.
func (p *Producer) ArmDrained() bool {
	p.w.producerWaits.Swap(uint32(len(p.data)))
	return p.Backlogged()
}

// Room reports whether a frame of n bytes fits now.
func (p *Producer) Room(n int) (bool, error) {
	free, err := p.free()
	return err == nil && free >= align(frameHeader+uint64(n))+reserved, err
}

// Backlogged reports whether the consumer has not copied out all that was written.
// It may be called concurrently with everything else.
func (p *Producer) Backlogged() bool {
	// A peer that changes these words deceives only itself.
	return p.w.tail.Load() != p.w.head.Load()
}

// Published is the position up to which this side has written. It may be called
// concurrently with everything else.
func (p *Producer) Published() uint64 { return p.w.tail.Load() }

// GoingAway reports whether the consumer has asked for the end. It may be called
// concurrently with everything else.
func (p *Producer) GoingAway() bool { return p.w.goAway.Load() != 0 }

// Unacknowledged is the number of frames written that the consumer does not claim to
// have dealt with.
func (p *Producer) Unacknowledged() uint64 {
	if p.detached {
		return p.lost
	}
	// A peer that claims more than was written counts as having drained all.
	return p.written - min(p.w.drained.Load(), p.written)
}

// Detach is called before Unmap: after it only Unacknowledged may be called, and says
// what it said last.
func (p *Producer) Detach() { p.lost, p.detached = p.Unacknowledged(), true }
