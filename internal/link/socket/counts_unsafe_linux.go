package socket

import (
	"sync/atomic"
	"unsafe"

	"github.com/sealport/sealport/internal/link/memfd"
)

// CountsSize is the size in bytes of the memory file of Counts.
const CountsSize = 4096

// The words of Counts, on a cache line for each writer (docs/PROTOCOL.md, "Socket").
const (
	countsLine = 128 // bytes between what the client and what the host writes
	offDealt   = 0   // u64: frames that the writer of the line has dealt with
	offGoAway  = 8   // u32: 1: it asks the other side to end its frames
)

// Counts is memory in which the two sides of a Link tell each other what the kernel does
// not tell, whether or not the other reads. Nothing in it is trusted: a peer that lies
// deceives only itself, and so does what has a copy of the peer's memory.
type Counts struct {
	mem        []byte
	own, peers line
}

// line is what one side writes.
type line struct {
	dealt  *atomic.Uint64
	goAway *atomic.Uint32
}

// NewCounts makes Counts for the host's side, and the descriptor for the client, which the
// caller closes.
func NewCounts() (c *Counts, fd int, err error) {
	mem, fd, err := memfd.Create(CountsSize)
	if err != nil {
		return nil, -1, err
	}
	return &Counts{mem: mem, own: lineAt(mem, countsLine), peers: lineAt(mem, 0)}, fd, nil
}

// OpenCounts checks a descriptor that a host has sent and maps it, for the client's side.
// The descriptor stays the caller's.
func OpenCounts(fd int) (*Counts, error) {
	mem, err := memfd.Open(fd, CountsSize)
	if err != nil {
		return nil, err
	}
	return &Counts{mem: mem, own: lineAt(mem, 0), peers: lineAt(mem, countsLine)}, nil
}

func lineAt(mem []byte, at int) line {
	return line{
		dealt:  (*atomic.Uint64)(unsafe.Pointer(&mem[at+offDealt : at+offDealt+8][0])),
		goAway: (*atomic.Uint32)(unsafe.Pointer(&mem[at+offGoAway : at+offGoAway+4][0])),
	}
}

// Close releases the memory. Nil is allowed.
func (c *Counts) Close() error {
	if c == nil || c.mem == nil {
		return nil
	}
	mem := c.mem
	c.mem = nil
	return memfd.Unmap(mem)
}
