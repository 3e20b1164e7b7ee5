package rendezvous

import (
	"errors"
	"syscall"
)

// ErrExhausted means that a process is out of descriptors, memory or disk space.
var ErrExhausted = errors.New("system resource exhausted")

// exhaustion are the system's errors for that.
var exhaustion = []struct {
	errno  syscall.Errno
	advice string
}{
	{syscall.EMFILE, "this process has reached its limit of open descriptors; close some, or raise the limit (RLIMIT_NOFILE, ulimit -n)"},
	{syscall.ENFILE, "the system has reached its limit of open files; raise the limit (fs.file-max, kern.maxfiles)"},
	{syscall.ETOOMANYREFS, "processes of this user have sent each other more descriptors than this process may have open, and not received them; receive them, or raise the limit (RLIMIT_NOFILE, ulimit -n)"},
	{syscall.ENOMEM, "the system has no memory left for this; raise the process's or the system's limit"},
	{syscall.ENOBUFS, "the system has no memory left for sockets; raise its limit"},
	{syscall.ENOSPC, "the file system is full; free some space, or use another directory"},
	{syscall.EDQUOT, "the user's disk quota is used up; free some space, or use another directory"},
}

// IsExhausted reports whether err is ErrExhausted or one of the system's errors for
// that.
func IsExhausted(err error) bool {
	if errors.Is(err, ErrExhausted) {
		return true
	}
	for _, e := range exhaustion {
		if errors.Is(err, e.errno) {
			return true
		}
	}
	return false
}

// exhaustedError is ErrExhausted with what to do about it. It answers errors.Is
// for the system's error too.
type exhaustedError struct {
	cause  error
	advice string
}

func (e *exhaustedError) Error() string {
	return ErrExhausted.Error() + ": " + e.cause.Error() + ": " + e.advice
}

func (e *exhaustedError) Unwrap() []error { return []error{ErrExhausted, e.cause} }

// Explain makes an ErrExhausted, with the limit and what to do, of an error of the
// system's that means that. Other errors are returned as they are.
func Explain(err error) error {
	if err == nil || errors.Is(err, ErrExhausted) {
		return err
	}
	for _, e := range exhaustion {
		if errors.Is(err, e.errno) {
			advice := e.advice
			if e.errno == syscall.EMFILE {
				advice = descriptorLimit() + advice
			}
			return &exhaustedError{err, advice}
		}
	}
	return err
}
