package peer

import (
	"fmt"
	"strings"
)

// unitOf returns the unit of the system's service manager from a cgroup path: the
// first part that is not a slice (systemd's cg_path_get_unit). Deeper parts are
// delegated to the unit and can be made by its processes, so they never
// count: /user.slice/user-1000.slice/user@1000.service/cups.service is in
// user@1000.service.
func unitOf(path string) (string, error) {
	for part := range strings.SplitSeq(strings.TrimPrefix(path, "/"), "/") {
		// systemd escapes names that would clash with the kernel's files.
		part = strings.TrimPrefix(part, "_")
		dot := strings.LastIndexByte(part, '.')
		if dot < 1 {
			break // no unit, or "..": outside of our cgroup namespace
		}
		switch part[dot+1:] {
		case "slice":
			continue
		case "service", "scope", "socket", "mount", "swap":
			return part, nil
		}
		break
	}
	return "", fmt.Errorf("%w: cgroup %s is in no unit", ErrUnavailable, printable(path))
}
