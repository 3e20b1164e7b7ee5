//go:build !linux

package peer

// overflowUID is the user id that stands for nobody: there are no user
// namespaces here, and -1 is no user's.
func overflowUID() uint32 { return unset }

// overflowGID is overflowUID for groups.
func overflowGID() uint32 { return unset }
