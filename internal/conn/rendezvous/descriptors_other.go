//go:build !linux

package rendezvous

// DescriptorLimit is how many descriptors this process may have, if that is known and a
// client needs any. Mach ports and memory need none.
func DescriptorLimit() (limit uint64, ok bool) { return 0, false }

// EnoughDescriptors reports whether a host of this process may have as many descriptors
// as so many clients need. Mach ports and memory need none.
func EnoughDescriptors(int) (needed, limit uint64, ok bool) { return 0, 0, true }
