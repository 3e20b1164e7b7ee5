//go:build !unix

package rendezvous

// Without a carrier of the system's, nothing of the system's is used up.
var exhaustions []exhaustion
