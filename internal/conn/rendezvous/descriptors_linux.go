package rendezvous

import "math"

// perClient is how many descriptors a client needs at most: its socket, its pidfd, the copy
// of that in its identity, and, for as long as it has sent little on a socket, the memory
// file of its counts.
const perClient = 4

// otherDescriptors is what a program needs beside those: standard files, the runtime's
// poller, the endpoint, its directory, its lock file, its watch and its reserve, the memory
// files of rings that are being set up, and a few files of its own.
const otherDescriptors = 32

// DescriptorLimit is how many descriptors this process may have, if that is known and a
// client needs any.
func DescriptorLimit() (limit uint64, ok bool) { return maxDescriptors() }

// EnoughDescriptors reports whether a host of this process may have as many descriptors
// as so many clients need. ok is true if the limit is not known.
func EnoughDescriptors(clients int) (needed, limit uint64, ok bool) {
	needed = min(uint64(clients), math.MaxUint64/perClient-otherDescriptors)*perClient + otherDescriptors
	limit, known := maxDescriptors()
	return needed, limit, !known || needed <= limit
}
