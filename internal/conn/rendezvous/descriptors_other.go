//go:build !linux

package rendezvous

// EnoughDescriptors reports whether a host of this process may have as many descriptors
// as so many clients need. Mach ports and memory need none.
func EnoughDescriptors(int) (needed, limit uint64, ok bool) { return 0, 0, true }
