package safefile

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// overflow reports whether id is what the kernel shows for users (kind "uid") or
// groups ("gid") that this process's user namespace does not know.
func overflow(kind string, id uint32) bool {
	known := uint64(65534) // the kernel's default
	if text, err := os.ReadFile("/proc/sys/kernel/overflow" + kind); err == nil {
		if n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32); err == nil {
			known = n
		}
	}
	return uint64(id) == known
}

// unmapped reports whether id stands for users or groups that this process's user
// namespace does not know. Without /proc that cannot be seen, and it returns false:
// id is then a user as others are.
func unmapped(kind string, id uint32) bool {
	if !overflow(kind, id) {
		return false
	}
	table, err := os.ReadFile("/proc/self/" + kind + "_map")
	if err != nil {
		return false
	}
	// Each line is a range: its first ID inside, its first ID outside, its length.
	var mapped uint64
	for line := range strings.Lines(string(table)) {
		var inside, outside, length uint64
		if _, err := fmt.Sscan(line, &inside, &outside, &length); err != nil {
			return false
		}
		mapped += length
	}
	return mapped < 1<<32-1 // 4294967295 is no ID
}

// isOwner reports whether the kernel takes this process for the owner of an open
// file, whatever number it shows: only the owner may set O_NOATIME (open(2)), and a
// process with CAP_FOWNER, if the owner is mapped.
func isOwner(f *os.File) bool {
	conn, err := f.SyscallConn()
	if err != nil {
		return false
	}
	owns := false
	err = conn.Control(func(fd uintptr) {
		flags, err := unix.FcntlInt(fd, unix.F_GETFL, 0)
		if err == nil {
			_, err = unix.FcntlInt(fd, unix.F_SETFL, flags|unix.O_NOATIME)
		}
		owns = err == nil
	})
	return owns && err == nil
}
