package ring

import "errors"

// The layout of the shared mapping (docs/PROTOCOL.md, "Ring"). Lines are 128
// bytes apart because amd64 prefetches lines in pairs and arm64 has 128-byte
// lines on Apple hardware.
const (
	lineSize = 128

	offTail           = 0 * lineSize // u64
	offHead           = 1 * lineSize // u64
	offDrained        = 1*lineSize + 8
	offGoAway         = 1*lineSize + 16
	offConsumerWaits  = 2 * lineSize // u32
	offProducerWaits  = 3 * lineSize // u32
	controlSize       = 4 * lineSize // one direction
	controlPages      = 4096         // both directions, rounded to a page
	frameAlign        = 8            // every frame begins at a multiple of it
	frameHeader       = 4            // u32 length, little endian
	endMarker         = ^uint32(0)   // in place of a length: no more frames
	reserved          = frameAlign   // always left free, so that the end marker fits
	publishStep       = 16 << 10     // a large frame is published in steps of so many bytes
	maxFrameLimit     = 64<<10 + 256 // so that a 64 KiB message with its headers is one frame
	maxFrameRingShare = 2            // a frame takes at most 1/2 of the ring
)

// Sizes of one direction's data in bytes, powers of two.
const (
	MinSize = 16 << 10
	MaxSize = 64 << 20
)

var (
	// ErrCorrupt means that the peer wrote an impossible value into the shared
	// memory. The ring is dead and repeats it.
	ErrCorrupt = errors.New("impossible value in shared memory")

	// ErrTooLarge is returned for a frame above MaxFrame. Nothing is written.
	ErrTooLarge = errors.New("frame too large")

	// ErrMapping means that a descriptor is not what a ring needs: a memfd of the
	// right size, sealed against resizing.
	ErrMapping = errors.New("not the memory of a ring")
)

// ValidSize reports whether size is allowed for one direction of a ring.
func ValidSize(size int) bool {
	return size >= MinSize && size <= MaxSize && size&(size-1) == 0
}

// MaxFrame is the largest frame, in bytes, that a ring of the given size
// carries: half the ring, but never more than 64 KiB and 256 bytes.
func MaxFrame(size int) int {
	return min(size/maxFrameRingShare-frameAlign-reserved, maxFrameLimit)
}

// FileSize is the size in bytes of the memory file for two directions of size
// bytes each.
func FileSize(size int) int { return controlPages + 2*size }

// align rounds n up to the next frame boundary.
func align(n uint64) uint64 { return (n + frameAlign - 1) &^ (frameAlign - 1) }
