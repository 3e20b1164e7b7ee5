//go:build !linux

package peer

// overflowUID is an id that no user has: there are no user namespaces here, and -1 is
// not a user id.
func overflowUID() uint32 { return unset }

// overflowGID is overflowUID for groups.
func overflowGID() uint32 { return unset }
