// Package pidfd asks the Linux kernel about the process behind a pidfd.
//
// A pidfd (pidfd_open(2), SCM_PIDFD, SO_PEERPIDFD) refers to one process for as
// long as it is open: unlike a pid it is never reused. Whatever is looked up
// by number under /proc is therefore only believed after a look at the pidfd has
// shown that the process still lived, which means that no other process had its number.
//
// Functions take plain descriptors and never keep or close one. They do not
// block beyond what reading procfs costs, and all may be called concurrently.
//
// The parsers (parse.go) build everywhere, the rest on Linux only.
package pidfd

import "errors"

var (
	// ErrExited means that the process has exited; it may not be reaped yet.
	ErrExited = errors.New("pidfd: the process has exited")

	// ErrForeign means that the process lives, but is not visible from our pid
	// namespace (or from the one that /proc shows), so that the kernel tells
	// nothing more about it.
	ErrForeign = errors.New("pidfd: the process lives in a pid namespace that is not visible from here")

	// ErrNoInfo means that the kernel has no PIDFD_GET_INFO (before Linux 6.13).
	ErrNoInfo = errors.New("pidfd: the kernel has no PIDFD_GET_INFO")

	// ErrNotPidfd means that the descriptor is something else.
	ErrNotPidfd = errors.New("pidfd: the descriptor is not a pidfd")

	// ErrThread means that the descriptor refers to a thread (PIDFD_THREAD) rather
	// than to its process.
	ErrThread = errors.New("pidfd: the descriptor is that of a thread")

	// ErrMalformed means that a file of procfs does not look as proc(5) says.
	ErrMalformed = errors.New("pidfd: malformed procfs file")

	// ErrUserSpace means that a process, not the kernel, serves the contents of
	// a file.
	ErrUserSpace = errors.New("pidfd: the file's contents come from user space")

	// ErrNoVerity means that a file has no fs-verity digest: it is not enabled
	// for the file, the file system, or the kernel.
	ErrNoVerity = errors.New("pidfd: the file has no fs-verity digest")
)

// IDs are a process's user and group ids (credentials(7)) as seen from the
// user namespace of the caller.
type IDs struct {
	RUID, EUID, SUID uint32
	RGID, EGID, SGID uint32
}

// Info is what the kernel reports of a process at one moment.
type Info struct {
	IDs
	PID  uint32 // thread group, in our pid namespace
	PPID uint32 // parent, in our pid namespace; 0 if it lives outside of it
}

// File identifies a file by its inode. Two equal Files
// are the same file with the same contents, as far as time stamps can tell.
type File struct {
	Dev, Ino     uint64
	Size         int64 // bytes
	Mtime, Ctime int64 // nanoseconds since 1970
}
