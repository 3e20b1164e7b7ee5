package rendezvous

import (
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// errNoThread means that onThread could not run.
var errNoThread = errors.New("unshare(CLONE_FS)")

// onThread runs f on a thread that shares neither its working directory nor its umask
// with others, and that ends with f. It returns errNoThread if the system does not allow
// that, as seccomp filters of containers may not.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The process's first thread does not end, and its working directory is
			// what others see as the process's. Nothing else runs on it meanwhile.
			defer runtime.UnlockOSThread()
			done <- onThread(f)
			return
		}
		// Never unlocked, so that the thread ends with the goroutine.
		if err := unix.Unshare(unix.CLONE_FS); err != nil {
			done <- fmt.Errorf("%w: %v", errNoThread, err)
			return
		}
		done <- f()
	}()
	return <-done
}
