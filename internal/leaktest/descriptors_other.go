//go:build !darwin

package leaktest

import (
	"os"
	"strings"
)

// Descriptors returns what the open descriptors refer to, without those of Go's
// runtime.
func Descriptors() (open []string) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		to, err := os.Readlink("/proc/self/fd/" + e.Name())
		// The directory itself was open while it was read.
		if err != nil || strings.HasPrefix(to, "anon_inode:[event") || strings.HasPrefix(to, "/proc/") {
			continue
		}
		if kind, _, found := strings.Cut(to, ":["); found {
			to = kind // without its inode
		}
		open = append(open, to)
	}
	return open
}
