package priority

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Nice values of the levels. Less than the process's own needs CAP_SYS_NICE or
// RLIMIT_NICE.
const (
	niceLow  = 10
	niceHigh = -10
)

// SetThread sets the priority of the calling thread, to which the goroutine must
// be locked. It does not block. Errors are the kernel's, EACCES if the process
// may not raise it.
func SetThread(level Level) error {
	nice := niceLow
	if level == High {
		nice = niceHigh
	}
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice); err != nil {
		return fmt.Errorf("setpriority: %w", err)
	}
	return nil
}
