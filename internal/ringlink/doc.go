// Package ringlink carries frames over a pair of shared-memory rings (Linux).
// The Unix socket by which the memory was handed over stays open: it is the
// doorbell, rung only when the other side sleeps, and the death notice.
//
// While both sides are busy a frame costs no system call, no allocation and no
// goroutine switch. An idle Link costs no CPU: its reader sleeps on a channel
// and one goroutine, the watcher, sleeps in the netpoller until the doorbell
// rings or the peer is gone.
package ringlink
