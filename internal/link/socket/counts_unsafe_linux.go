package socket

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/memfd"
)

// CountsSize is the size in bytes of the memory file of Counts.
const CountsSize = 4096

// The u64 words of Counts, on a cache line for each writer (docs/PROTOCOL.md, "Socket").
const (
	clientLine = 0
	hostLine   = 128
	offDealt   = 0 // frames that the writer of the line has dealt with
	offGoAway  = 8 // 1: it asks the other side to end its frames
)

// mapAfter is how often a word is read or written before the file is mapped. Before, each
// costs a system call, as a datagram does. To unmap memory that was touched takes as long as
// ten of them or more: each processor that runs the process has to be interrupted. Many
// connections end earlier.
const mapAfter = 32

// oneByte is the largest value that a system call reads or writes. Such calls are not atomic.
// As only the last byte of a value changes up to here, nobody sees a half of it, and what is
// read from a value that just exceeds it is too little, if anything.
const oneByte = 1<<8 - 1

// Counts is memory in which the two sides of a Link tell each other what the kernel does
// not tell, whether or not the other reads. Nothing in it is trusted: a peer that lies
// deceives only itself, and so does what has a copy of the peer's memory.
//
// Its methods may be called concurrently, except Close. Nil stands for a peer that never
// tells anything.
type Counts struct {
	own, peers int // offsets of the lines

	mapped atomic.Pointer[[CountsSize]byte]

	mu   sync.Mutex
	fd   int // -1 if it is mapped or closed
	uses int
}

// NewCounts makes Counts for the host's side. The client gets a copy of FD.
func NewCounts() (*Counts, error) {
	fd, err := memfd.Create(CountsSize)
	if err != nil {
		return nil, err
	}
	return newCounts(fd, hostLine, clientLine), nil
}

// OpenCounts checks a descriptor that a host has sent, for the client's side. It takes the
// descriptor over, unless it fails.
func OpenCounts(fd int) (*Counts, error) {
	if err := memfd.Check(fd, CountsSize); err != nil {
		return nil, err
	}
	return newCounts(fd, clientLine, hostLine), nil
}

func newCounts(fd, own, peers int) *Counts {
	return &Counts{own: own, peers: peers, fd: fd}
}

// FD is the descriptor of the memory file, before the first use, and stays the Counts'.
// It is -1 for nil.
func (c *Counts) FD() int {
	if c == nil {
		return -1
	}
	return c.fd
}

// setDealt says how many frames this side has dealt with.
func (c *Counts) setDealt(frames uint64) {
	if c != nil {
		c.store(c.own+offDealt, frames)
	}
}

// askToEnd asks the peer to end its frames.
func (c *Counts) askToEnd() {
	if c != nil {
		c.store(c.own+offGoAway, 1)
	}
}

// peerDealt is how many frames the peer says that it has dealt with.
func (c *Counts) peerDealt() uint64 {
	if c == nil {
		return 0
	}
	return c.load(c.peers + offDealt)
}

// peerAsks reports whether the peer asks this side to end its frames.
func (c *Counts) peerAsks() bool { return c != nil && c.load(c.peers+offGoAway) != 0 }

func (c *Counts) store(at int, v uint64) {
	if mem := c.mapped.Load(); mem != nil {
		word(mem, at).Store(v)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.often() && v <= oneByte {
		var b [8]byte
		binary.NativeEndian.PutUint64(b[:], v)
		n, err := retry(func() (int, error) { return unix.Pwrite(c.fd, b[:], int64(at)) })
		if err == nil && n == len(b) {
			return
		}
	}
	// Without memory the peer believes too little, until the next call.
	if mem := c.memory(); mem != nil {
		word(mem, at).Store(v)
	}
}

func (c *Counts) load(at int) uint64 {
	if mem := c.mapped.Load(); mem != nil {
		return word(mem, at).Load()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.often() {
		var b [8]byte
		n, err := retry(func() (int, error) { return unix.Pread(c.fd, b[:], int64(at)) })
		if v := binary.NativeEndian.Uint64(b[:]); err == nil && n == len(b) && v <= oneByte {
			return v
		}
	}
	if mem := c.memory(); mem != nil {
		return word(mem, at).Load()
	}
	return 0
}

// often counts a use and reports whether it is time for memory. mu is held.
func (c *Counts) often() bool {
	c.uses++
	return c.uses > mapAfter
}

// memory returns the mapping, which it makes if there is none yet, or nil if it can't. mu
// is held.
func (c *Counts) memory() *[CountsSize]byte {
	if mem := c.mapped.Load(); mem != nil || c.fd < 0 {
		return mem
	}
	mem, err := memfd.Map(c.fd, CountsSize)
	if err != nil {
		return nil
	}
	_ = CloseFD(c.fd)
	c.fd = -1
	c.mapped.Store((*[CountsSize]byte)(mem))
	return c.mapped.Load()
}

func word(mem *[CountsSize]byte, at int) *atomic.Uint64 {
	return (*atomic.Uint64)(unsafe.Pointer(&mem[at]))
}

// Close releases the memory.
func (c *Counts) Close() error {
	if c == nil {
		return nil
	}
	if mem := c.mapped.Swap(nil); mem != nil {
		return memfd.Unmap(mem[:])
	}
	if c.fd < 0 {
		return nil
	}
	fd := c.fd
	c.fd = -1
	return CloseFD(fd)
}
