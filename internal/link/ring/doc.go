// Package ring carries frames over a pair of single-producer single-consumer byte
// rings, one for each direction of a connection. The rings lie in shared memory
// (Linux), or in the memory of the process when both ends do ([Local]).
//
// Between processes ([New]), the Unix socket by which the memory was handed over
// stays open: it is the doorbell, rung only when the other side sleeps, and it tells
// when the peer has died. While both sides are busy a frame costs no system call, no
// allocation and no goroutine switch. An idle Link costs no CPU: its reader sleeps on
// a channel, and one goroutine sleeps in the netpoller until the doorbell rings or
// the peer is gone.
//
// Layers, from below: [Mapping] is the memory, [Producer] and [Consumer] are the ends
// of one direction, which do no I/O, and [Link] waits, wakes and implements link.Link.
//
// # Layout
//
// docs/PROTOCOL.md, "Ring", fixes every byte. Each direction has control words on
// cache lines of their own, and 2^n bytes of data. Positions (tail, head) are 64 bits
// wide, count bytes since the beginning, and do not wrap in practice. Control words
// are in the byte order of the processor, since both ends run on the same one; the
// length of a frame is little endian.
//
//	word             written by        meaning
//	tail             producer          bytes written
//	head             consumer          bytes copied out; their room is free
//	drained          consumer          frames dealt with
//	go away          consumer          1: the producer is asked for the end
//	consumer waits   both              1: the consumer sleeps, ring the doorbell
//	producer waits   both              n > 0: the producer sleeps until n bytes are free
//
// # No wake-up is lost
//
// The side that wants to sleep (1) stores its waits word, (2) then loads the
// other's position again, and (3) sleeps only if that still gives it nothing to
// do. The side that makes progress (a) stores its position, (b) then loads the
// waits word, and (c) if it is set, clears it and rings. Both store-then-load
// pairs are sequentially consistent (sync/atomic), so (1)(2) and (a)(b) can't both
// miss the other's store: either the sleeper sees the new position and stays
// awake, or the other sees the waits word and rings. A doorbell is remembered until
// the sleeper consumes it, so one that rings early is not lost. The model in
// testdata/wakeup.pml checks this under store buffering, and fails when a fence or
// the second look is removed.
//
// These stores are Swaps: on amd64 the same instruction as a Store (XCHG), and a
// full fence also where the race detector's runtime may make no more than a
// release store of a Store to memory outside Go's heap.
//
// A consumer leaves a producer asleep until as much is free as the producer
// asked for, which is never more than the ring holds; since it rings at the
// latest when the ring is empty, the producer is not forgotten.
//
// # A hostile peer
//
// Everything in the mapping may change at any time to anything. Each side keeps
// private copies of its own positions, reads the other's once into a local
// variable, refuses it if it is out of range, and copies data into private
// memory before looking at it. Indices into the data are masked. A peer that
// overwrites the memory causes an error on this connection, a spurious doorbell, or
// a wait that ends when the socket does, and nothing worse.
package ring
