// Package safefile reads and writes small files on which security depends: keys and
// lists of trusted keys.
//
// Before it opens a file, it walks the path from the root and checks that only root
// and this process's user can change what the path refers to: every directory and
// symbolic link on the way belongs to one of the two, and no directory is writable
// by others unless it is sticky, as /tmp is. A link into another user's directory is
// refused by the same rule. After this walk no other user can change the path, so
// opening it is not a race.
//
// It checks mode bits and owners only, not access control lists, and not file systems
// that ignore modes.
//
// All functions block on the disk and may be called concurrently. They work on Linux
// and Darwin; on other systems they return [errors.ErrUnsupported].
package safefile
