// Package safefile reads and writes small files on which security depends: keys and
// lists of trusted keys.
//
// Before it opens a file, it walks the path from the root and checks that only root
// and this process's user can change what the path refers to: every directory and
// symbolic link on the way belongs to one of the two, and no directory is writable
// by others unless it is sticky, as /tmp is. The directory that contains the file must
// not be writable by others even so: they could put another file of this user there. A link into another user's
// directory is refused by the same rule. After this walk no other user can change the
// path, so opening it is not a race.
//
// There are two limits. A symbolic link in a sticky directory is accepted, because the
// volumes of Kubernetes have such links. Others could put another link of this user or
// root there, which leads to another file that passes all checks. And owners and modes
// are what the file system says: it is refused if another user has mounted it with FUSE,
// but a server of NFS or SMB is trusted.
//
// On Linux it looks at modes, owners and POSIX access control lists. On Darwin it looks
// at modes and owners, not at lists.
//
// In a user namespace that does not know every user, directories and links of unknown
// owners are accepted on the way, because root's are among them, but not where others
// can create entries, and not files: see owner.go.
//
// It writes by a temporary file, which a rename makes the file. Everything that can fail
// is done before the rename, so that after an error nothing has changed; the one step
// that comes after it has an error of its own, [ErrNotDurable].
//
// A lack of descriptors or memory is never [ErrInsecure]: see [IsExhausted].
//
// All functions block on the disk and may be called concurrently. They work on Linux
// and Darwin; on other systems they return [errors.ErrUnsupported].
package safefile
