package transporttest

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// processTicks is the CPU time of this process, in hundredths of a second.
func processTicks() int {
	var u unix.Rusage
	must(unix.Getrusage(unix.RUSAGE_SELF, &u))
	return int((u.Utime.Nano() + u.Stime.Nano()) / 1e7)
}

// heap is how many bytes Go holds for what lives.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// threadNice is the nice value of the calling thread.
func threadNice() int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
	if err != nil {
		return -100
	}
	return 20 - n // as getpriority(2) says it to C programs
}
