package priority

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// SetThread sets the nice value of the calling thread: -20 (first) to 19 (last).
// Less than the present value needs CAP_SYS_NICE or RLIMIT_NICE. The goroutine
// must be locked to its thread.
func SetThread(nice int) error {
	if err := unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), nice); err != nil {
		return fmt.Errorf("setpriority: %w", err)
	}
	return nil
}
