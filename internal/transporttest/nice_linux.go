package transporttest

import "golang.org/x/sys/unix"

// threadNice is the nice value of the calling thread.
func threadNice() int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	if err != nil {
		return -100
	}
	return 20 - n // as getpriority(2) says it to C programs
}
