package pidfd

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/remember"
)

// pidfsMagic is PID_FS_MAGIC of linux/magic.h: the file system whose inode
// numbers are unique to a process (Linux 6.9 and later).
const pidfsMagic = 0x50494446

// Open returns a new close-on-exec pidfd for pid, which the caller closes.
// The caller checks whether pid still is the process that it means.
func Open(pid int) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return -1, fmt.Errorf("pidfd_open: %w", err)
	}
	return fd, nil
}

// Dup returns a second close-on-exec descriptor for the same process.
func Dup(fd int) (int, error) {
	nfd, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("duplicating a pidfd: %w", err)
	}
	return nfd, nil
}

// Close closes a descriptor that Open or Dup returned.
func Close(fd int) error {
	return unix.Close(fd)
}

// Alive returns nil while the process lives and ErrExited once its last thread
// has ended, reaped or not (pidfd_open(2): the pidfd then polls as readable).
func Alive(fd int) error {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(p, 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("polling a pidfd: %w", err)
		case n == 0:
			return nil
		case p[0].Revents&unix.POLLNVAL != 0:
			return ErrNotPidfd
		}
		return ErrExited
	}
}

// Inode returns the number that is unique to the process until the machine
// reboots, or 0 where the kernel has no pidfs (before Linux 6.9) and all pidfds
// share one inode. It returns ErrNotPidfd if fd is certainly something else.
func Inode(fd int) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(fd, &fs); err != nil {
		return 0, fmt.Errorf("statfs of a pidfd: %w", err)
	}
	switch fs.Type {
	case pidfsMagic:
	case unix.ANON_INODE_FS_MAGIC:
		return 0, nil
	default:
		return 0, ErrNotPidfd
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, fmt.Errorf("stat of a pidfd: %w", err)
	}
	return st.Ino, nil
}

// GetInfo asks PIDFD_GET_INFO. It is one system call about the pidfd itself, so
// no race with pid reuse is possible. Errors: ErrExited, ErrForeign, ErrNoInfo,
// ErrThread.
func GetInfo(fd int) (Info, error) {
	k := unix.PidfdInfo{Mask: unix.PIDFD_INFO_PID | unix.PIDFD_INFO_CREDS}
	err := unix.IoctlPidfdInfo(fd, &k)
	switch {
	case err == nil:
	case errors.Is(err, unix.ENOTTY), errors.Is(err, unix.EINVAL):
		return Info{}, ErrNoInfo
	case errors.Is(err, unix.ESRCH), errors.Is(err, unix.EREMOTE):
		// Both for a process that was reaped and for one of another pid
		// namespace; newer kernels say EREMOTE for the latter.
		if err := Alive(fd); err != nil {
			return Info{}, err
		}
		return Info{}, ErrForeign
	default:
		return Info{}, fmt.Errorf("PIDFD_GET_INFO: %w", err)
	}
	if k.Mask&unix.PIDFD_INFO_CREDS == 0 {
		return Info{}, fmt.Errorf("PIDFD_GET_INFO without credentials: %w", ErrNoInfo)
	}
	if k.Pid != k.Tgid {
		return Info{}, ErrThread
	}
	return Info{
		IDs: IDs{RUID: k.Ruid, EUID: k.Euid, SUID: k.Suid, RGID: k.Rgid, EGID: k.Egid, SGID: k.Sgid},
		PID: k.Tgid, PPID: k.Ppid,
	}, nil
}

// nsfs has one inode for each living namespace. Our own never change: a process
// with several threads, such as a Go program, cannot leave its user namespace, and no
// process leaves its pid namespace.
type namespace struct{ dev, ino uint64 }

var (
	ownUserNamespace = remember.Success(func() (namespace, error) { return statNamespace("/proc/self/ns/user") })
	ownPIDNamespace  = remember.Success(func() (namespace, error) { return statNamespace("/proc/self/ns/pid") })
)

func statNamespace(path string) (namespace, error) {
	f, err := StatPath(path)
	return namespace{f.Dev, f.Ino}, err
}

// SameUserNamespace reports whether the process lives in our user namespace. It
// needs the right to ptrace-read the process (ptrace(2)); other answers of the kernel
// are returned as errors, ErrExited among them.
func SameUserNamespace(fd int) (bool, error) {
	same, err := sameNamespace(fd, unix.PIDFD_GET_USER_NAMESPACE, ownUserNamespace)
	if errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return UserNamespaceByProc(fd)
	}
	return same, err
}

// SamePIDNamespace is SameUserNamespace for the pid namespace, from Linux 6.11.
func SamePIDNamespace(fd int) (bool, error) {
	return sameNamespace(fd, unix.PIDFD_GET_PID_NAMESPACE, ownPIDNamespace)
}

// UserNamespaceByProc is SameUserNamespace for kernels before Linux 6.11.
func UserNamespaceByProc(fd int) (bool, error) {
	theirs, err := look(fd, func(dir string) (namespace, error) { return statNamespace(dir + "/ns/user") })
	if err != nil {
		return false, err
	}
	ours, err := ownUserNamespace()
	return theirs == ours, err
}

func sameNamespace(fd int, request uint, own func() (namespace, error)) (bool, error) {
	// The ioctl takes no argument: the kernel refuses any but zero.
	ns, err := unix.IoctlRetInt(fd, request)
	if err != nil {
		if gone := Alive(fd); gone != nil {
			return false, gone
		}
		return false, fmt.Errorf("asking for a namespace: %w", err)
	}
	defer unix.Close(ns)
	theirs, err := Stat(ns)
	if err != nil {
		return false, err
	}
	ours, err := own()
	return theirs.Dev == ours.dev && theirs.Ino == ours.ino, err
}
