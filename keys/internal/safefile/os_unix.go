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

// owner returns the user ID of a file's owner.
func owner(fi fs.FileInfo) (uint32, error) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%s: unknown owner: %w", fi.Name(), errors.ErrUnsupported)
	}
	return st.Uid, nil
}

// changeTime returns the time at which content or mode last changed. Unlike the time
// of modification it cannot be set back.
func changeTime(fi fs.FileInfo) time.Time {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return fi.ModTime()
	}
	return time.Unix(ctim(st).Unix())
}

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
