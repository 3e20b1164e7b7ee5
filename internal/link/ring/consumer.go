package ring

import (
	"bytes"
	"encoding/binary"
)

// batch is how much a consumer copies out of the ring at a time, in bytes, when
// small frames wait: about half an L1 cache, so that they are still there when
// they are looked at.
const batch = 16 << 10

// firstBuffer is the private memory of a consumer at its first frame, in bytes.
// It grows to what arrives, at most to bufferLimit.
const firstBuffer = 2 << 10

// Consumer is the reading end of one direction. It is used by one goroutine at
// a time.
//
// It copies whatever has arrived, several frames or a part of one, into private
// memory and looks at it only there.
type Consumer struct {
	w        words
	data     []byte
	mask     uint64
	pos      uint64 // our head: bytes copied out
	frames   uint64 // handed out
	released uint64 // frames as last published
	buf      []byte
	r, end   int // buf[r:end] is copied out, not yet handed out
	maxFrame int
	ended    bool
	checked  bool // what is behind the end marker
	err      error
}

// Next returns the next frame if all of it lies in private memory. The slice is
// valid until the next Fill.
func (c *Consumer) Next() ([]byte, bool) {
	size, ok := c.pending()
	if !ok || c.end-c.r < size {
		return nil, false
	}
	n := int(binary.LittleEndian.Uint32(c.buf[c.r:]))
	at := c.r + frameHeader
	c.r += size
	c.frames++
	return c.buf[at : at+n : at+n], true
}

// Keep leaves what Next has returned to the caller for good.
func (c *Consumer) Keep() { c.buf = bytes.Clone(c.buf) }

// Buffered reports whether Next would return a frame.
func (c *Consumer) Buffered() bool {
	size, ok := c.pending()
	return ok && c.end-c.r >= size
}

// pending returns the bytes that the frame at r takes, if its header is there,
// and notes the end marker and impossible lengths.
func (c *Consumer) pending() (size int, ok bool) {
	if c.end-c.r < frameAlign || c.ended || c.err != nil {
		return 0, false
	}
	n := binary.LittleEndian.Uint32(c.buf[c.r:])
	if n > uint32(c.maxFrame) {
		if n == endMarker {
			c.ended = true
		} else {
			c.err = ErrCorrupt
		}
		return 0, false
	}
	return int(align(frameHeader + uint64(n))), true
}

// Frames is the number of frames handed out.
func (c *Consumer) Frames() uint64 { return c.frames }

// Ended reports whether the peer's end marker was reached. The next Fill reports what
// is behind it.
func (c *Consumer) Ended() bool { return c.ended }

// Release tells the producer that every frame handed out has been dealt with. It
// costs nothing when nothing has changed.
func (c *Consumer) Release() {
	if c.released != c.frames {
		c.released = c.frames
		c.w.drained.Store(c.frames)
	}
}

// GoAway asks the producer for the end. The caller rings.
func (c *Consumer) GoAway() { c.w.goAway.Store(1) }

// MustWake reports, at most once for each time that the producer's side went to
// sleep, that the caller has to ring its doorbell. To be asked after each Fill,
// and before the consumer sleeps.
func (c *Consumer) MustWake() bool {
	need := c.w.producerWaits.Load()
	if need == 0 {
		return false
	}
	// The producer may have written since; then we overestimate what is free
	// and ring early, and it goes back to sleep. Whatever it asks for, it is
	// woken when we have everything.
	used := c.w.tail.Load() - c.pos
	if used != 0 && used+uint64(need) > uint64(len(c.data)) {
		return false
	}
	return c.w.producerWaits.Swap(0) != 0
}

// Fill copies what has arrived into private memory, frees its room in the ring,
// and returns the number of bytes, 0 if there was nothing. Slices returned by
// Next are invalid then. It does not block. ErrCorrupt is final.
func (c *Consumer) Fill() (int, error) {
	if c.err != nil || c.ended {
		return 0, c.checkEnd()
	}
	avail := c.w.tail.Load() - c.pos
	if avail == 0 {
		return 0, nil
	}
	if avail > uint64(len(c.data)) {
		c.err = ErrCorrupt
		return 0, c.err
	}
	// Move the first part of a frame to the front, then read the rest of it, or
	// a batch.
	have := c.end - c.r
	if c.r > 0 {
		copy(c.buf, c.buf[c.r:c.end])
		c.r, c.end = 0, have
	}
	want := batch - have
	if size, ok := c.pending(); ok {
		want = max(want, size-have)
	} else if c.err != nil {
		return 0, c.err
	}
	n := min(int(avail), want)
	if have+n > len(c.buf) {
		c.grow(have + n)
	}
	at := c.pos & c.mask
	k := copy(c.buf[have:have+n], c.data[at:])
	copy(c.buf[have+k:have+n], c.data)
	c.pos += uint64(n)
	c.w.head.Swap(c.pos)
	c.end = have + n
	c.pending()
	return n, c.err
}

// checkEnd is called after the end marker or an error, which stays. Behind an end marker
// there must be nothing; what is published later is not looked at.
func (c *Consumer) checkEnd() error {
	if c.err == nil && !c.checked {
		c.checked = true
		if c.end-c.r > frameAlign || !c.Empty() {
			c.err = ErrCorrupt
		}
	}
	return c.err
}

// grow makes room for n bytes in private memory; n is at most a batch or a
// frame, whichever is larger.
func (c *Consumer) grow(n int) {
	size := max(firstBuffer, len(c.buf))
	for size < n {
		size *= 2
	}
	size = min(size, max(batch, int(align(frameHeader+uint64(c.maxFrame)))))
	buf := make([]byte, size)
	copy(buf, c.buf[:c.end])
	c.buf = buf
}

// Empty reports whether nothing has arrived since the last Fill.
func (c *Consumer) Empty() bool { return c.w.tail.Load() == c.pos }

// Arm announces that the consumer goes to sleep. It returns false if something
// has arrived: then the caller must not sleep, and calls Disarm.
func (c *Consumer) Arm() bool {
	c.w.consumerWaits.Swap(1)
	return c.Empty()
}

// Disarm takes the announcement back.
func (c *Consumer) Disarm() { c.w.consumerWaits.Store(0) }
