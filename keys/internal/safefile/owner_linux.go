package safefile

import (
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// overflow reports whether id is what the kernel shows for users (kind "uid") or
// groups ("gid") that this process's user namespace does not know.
func overflow(kind string, id uint32) (bool, error) {
	const usual = 65534 // the kernel's default
	text, err := readProc("/proc/sys/kernel/overflow" + kind)
	if err != nil {
		return false, err
	}
	if n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 32); err == nil {
		return uint64(id) == n, nil
	}
	return id == usual, nil
}

// unmapped reports whether id stands for users or groups that this process's user
// namespace does not know. Without /proc that cannot be seen, and it returns false: then
// id is a user like any other.
func unmapped(kind string, id uint32) (bool, error) {
	if shown, err := overflow(kind, id); err != nil || !shown {
		return false, err
	}
	table, err := readProc("/proc/self/" + kind + "_map")
	return table != "" && !mapsAll(table), err
}

// readProc returns the content of a file of /proc, or "" if it cannot be read. A lack of
// descriptors or memory is an error, so that it is not reported as a stranger's file.
func readProc(path string) (string, error) {
	text, err := os.ReadFile(path)
	if IsExhausted(err) {
		return "", err
	}
	return string(text), nil
}

// mapsAll reports whether a user namespace with this table (user_namespaces(7)) knows
// every user. It returns true for a table that it does not understand: then 65534 is a
// user like any other.
func mapsAll(table string) bool {
	// Each line is a range: its first ID inside, its first ID outside, its length.
	var mapped uint64
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return true
		}
		length, err := strconv.ParseUint(fields[2], 10, 32)
		if err != nil {
			return true
		}
		mapped += length
	}
	return mapped >= 1<<32-1 // 4294967295 is no ID
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
