//go:build linux || darwin

package safefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"time"
)

const (
	noFollow = syscall.O_NOFOLLOW
	nonBlock = syscall.O_NONBLOCK
)

func supported() error { return nil }

// status returns what the system says of a file that package os has looked at.
func status(fi fs.FileInfo) *syscall.Stat_t { return fi.Sys().(*syscall.Stat_t) }

// owner returns the IDs of a file's owner and group.
func owner(fi fs.FileInfo) (uid, gid uint32) { return status(fi).Uid, status(fi).Gid }

// device returns the number of a file's file system.
func device(fi fs.FileInfo) uint64 { return uint64(status(fi).Dev) }

// changeTime returns the time at which content or mode last changed. Unlike the time
// of modification it cannot be set back.
func changeTime(fi fs.FileInfo) time.Time { return time.Unix(ctim(status(fi)).Unix()) }

// tryLock takes an exclusive flock(2) without blocking. It returns false if another
// open file holds it.
func tryLock(f *os.File) (bool, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return false, err
	}
	var lockErr error
	if err := conn.Control(func(fd uintptr) {
		lockErr = syscall.Flock(int(fd), syscall.LOCK_EX|syscall.LOCK_NB)
	}); err != nil {
		return false, err
	}
	switch {
	case lockErr == nil:
		return true, nil
	case errors.Is(lockErr, syscall.EWOULDBLOCK), errors.Is(lockErr, syscall.EINTR):
		return false, nil
	default:
		return false, fmt.Errorf("locking %s: %w", f.Name(), lockErr)
	}
}

// IsExhausted reports whether this process or the system has no descriptors or memory
// left, which says nothing about a file.
func IsExhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOMEM)
}

// cannot reports whether a file system or a sandbox refuses an operation because it
// does not have it. There are as many ways to say so as there are of them: EINVAL is
// what Linux returns for flags that a file system does not know and for fsync(2) of
// what has none, EPERM for link(2) on a file system without links.
func cannot(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EINVAL, syscall.EPERM, syscall.ENOTTY, syscall.EMLINK} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return errors.Is(err, errors.ErrUnsupported) // ENOSYS, ENOTSUP, EOPNOTSUPP
}
