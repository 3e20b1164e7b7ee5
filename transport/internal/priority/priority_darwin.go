package priority

import "github.com/sealport/sealport/internal/link/mach"

// SetThread sets the quality of service of the calling thread, to which the
// goroutine must be locked. It does not block and needs no privilege.
func SetThread(level Level) error {
	if level == High {
		return mach.SetThreadQoS(mach.QoSUserInteractive, 0)
	}
	return mach.SetThreadQoS(mach.QoSUtility, 0)
}
