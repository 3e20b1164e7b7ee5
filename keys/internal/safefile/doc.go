// Package safefile reads and writes small files that decide about security: keys
// and lists of trusted keys.
//
// Before it opens anything it walks the path from the root and demands that
// nobody but root and this process's user could have put something else there:
// every folder and every symbolic link on the way belongs to one of the two, and
// no folder is writable by others unless it is sticky (as /tmp is). A link into
// another user's folder is refused by the same rule. After that walk nobody
// outside those two can change what the path means, so opening it is no race.
//
// It looks at mode bits and owners only: access control lists, and the file
// systems that ignore modes, are beyond it.
//
// Linux and Darwin only. Elsewhere every call returns errors.ErrUnsupported.
package safefile
