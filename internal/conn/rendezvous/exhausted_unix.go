//go:build unix

package rendezvous

import (
	"fmt"
	"syscall"
)

var exhaustions = []exhaustion{
	{syscall.EMFILE, func() string {
		return descriptorLimit() + "this process has reached its limit of open descriptors; close some, or raise the limit (RLIMIT_NOFILE, ulimit -n)"
	}},
	{syscall.ETOOMANYREFS, func() string {
		return descriptorLimit() + "processes of this user have sent each other more descriptors than that and not received them; receive them, or raise the limit (RLIMIT_NOFILE, ulimit -n)"
	}},
	{syscall.ENFILE, advice("the system has reached its limit of open files; raise the limit (fs.file-max, kern.maxfiles)")},
	{syscall.ENOMEM, advice("the system has no memory left for this; raise the process's or the system's limit")},
	{syscall.ENOBUFS, advice("the system has no memory left for sockets; raise its limit")},
	{syscall.ENOSPC, advice("the file system is full; free some space, or use another directory")},
	{syscall.EDQUOT, advice("the user's disk quota is used up; free some space, or use another directory")},
}

func advice(s string) func() string { return func() string { return s } }

// descriptorLimit says how many descriptors this process may have.
func descriptorLimit() string {
	limit, ok := maxDescriptors()
	if !ok {
		return ""
	}
	return fmt.Sprintf("the limit is %d: ", limit)
}

func maxDescriptors() (limit uint64, ok bool) {
	var l syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l)
	return uint64(l.Cur), err == nil
}
