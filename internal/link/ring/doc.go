// Package ring is a pair of single-producer single-consumer byte rings in
// shared memory, one for each direction of a connection, and the rules by which
// one side sleeps and the other wakes it. It does no I/O but the mapping: who
// must be woken is returned to the caller, who owns the doorbell.
//
// # Layout
//
// docs/PROTOCOL.md, "Ring", fixes every byte. Each direction has four control
// words on cache lines of their own, and 2^n bytes of data. Positions (tail,
// head) count bytes since the beginning and never wrap in practice (2^64).
//
//	word             written by        meaning
//	tail             producer          bytes written
//	head             consumer          bytes copied out; their room is free
//	taken            consumer          frames dealt with
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
// awake, or the other sees the waits word and rings. A doorbell is remembered by
// the sleeper until it is consumed, so ringing early is not ringing in vain. The
// model in testdata/wakeup.pml checks this under store buffering, and fails when
// a fence or the second look is taken out.
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
// memory before looking at it. Indices into the data are masked. The worst that
// scribbling does is an error on this connection, a spurious doorbell, or a
// wait that ends when the socket does.
package ring
