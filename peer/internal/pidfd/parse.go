package pidfd

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// Status is what ParseStatus takes from /proc/PID/status.
type Status struct {
	IDs
	Groups []uint32 // supplementary groups; may be empty
}

// ParseFdinfo returns the "Pid:" line of a pidfd's /proc/self/fdinfo/N
// (proc_pid_fdinfo(5)): 0 if the process is not in that procfs's pid namespace,
// -1 once it has been reaped. Without such a line it is no pidfd: ErrNotPidfd.
func ParseFdinfo(b []byte) (int, error) {
	v, ok := field(b, "Pid:")
	if !ok {
		return 0, ErrNotPidfd
	}
	n, err := strconv.ParseInt(string(v), 10, 32)
	if err != nil || n < -1 {
		return 0, fmt.Errorf("fdinfo Pid: %w", ErrMalformed)
	}
	return int(n), nil
}

// IsOwnProc takes from /proc/self/status whether that /proc is one of the pid namespace that
// this process is in: NSpid has a number for each namespace from that of the /proc down
// to that of the process.
func IsOwnProc(status []byte) bool {
	v, ok := field(status, "NSpid:")
	ids, err := numbers(v)
	return ok && err == nil && len(ids) == 1
}

// ParseStatus takes ids and groups from /proc/PID/status (proc_pid_status(5)).
// The process chooses its Name: line, but the kernel escapes line ends in it.
func ParseStatus(b []byte) (Status, error) {
	var s Status
	for _, l := range []struct {
		name                       string
		real, effective, savedIDOf *uint32
	}{
		{"Uid:", &s.RUID, &s.EUID, &s.SUID},
		{"Gid:", &s.RGID, &s.EGID, &s.SGID},
	} {
		v, ok := field(b, l.name)
		ids, err := numbers(v)
		// The fourth is the file system id, which decides nothing here.
		if !ok || err != nil || len(ids) != 4 {
			return Status{}, fmt.Errorf("status %s %w", l.name, ErrMalformed)
		}
		*l.real, *l.effective, *l.savedIDOf = ids[0], ids[1], ids[2]
	}
	v, ok := field(b, "Groups:")
	if !ok {
		return Status{}, fmt.Errorf("status Groups: %w", ErrMalformed)
	}
	var err error
	if s.Groups, err = numbers(v); err != nil {
		return Status{}, fmt.Errorf("status Groups: %w", err)
	}
	return s, nil
}

// ParseCgroup returns the path in the hierarchy that systemd manages from
// /proc/PID/cgroup (cgroups(7)): that of name=systemd where one is mounted
// (version 1 and hybrid set-ups), else the one of version 2.
func ParseCgroup(b []byte) (string, error) {
	unified, found := "", false
	for line := range bytes.Lines(b) {
		parts := strings.SplitN(strings.TrimSuffix(string(line), "\n"), ":", 3)
		if len(parts) != 3 || !strings.HasPrefix(parts[2], "/") {
			return "", fmt.Errorf("cgroup: %w", ErrMalformed)
		}
		switch {
		case parts[1] == "name=systemd":
			return parts[2], nil
		case parts[0] == "0" && parts[1] == "":
			unified, found = parts[2], true
		}
	}
	if !found {
		return "", fmt.Errorf("cgroup: no hierarchy of systemd's: %w", ErrMalformed)
	}
	return unified, nil
}

// ParseBootID reads /proc/sys/kernel/random/boot_id: a UUID in text.
func ParseBootID(b []byte) (id [16]byte, err error) {
	s := strings.TrimSuffix(string(b), "\n")
	digits := strings.ReplaceAll(s, "-", "")
	if len(s) != 36 || len(digits) != 32 {
		return id, fmt.Errorf("boot_id: %w", ErrMalformed)
	}
	if _, err := hex.Decode(id[:], []byte(digits)); err != nil {
		return [16]byte{}, fmt.Errorf("boot_id: %w", ErrMalformed)
	}
	return id, nil
}

// field returns what follows name at the start of a line, without white space
// around it. The first such line counts.
func field(b []byte, name string) ([]byte, bool) {
	for line := range bytes.Lines(b) {
		if v, ok := bytes.CutPrefix(line, []byte(name)); ok {
			return bytes.TrimSpace(v), true
		}
	}
	return nil, false
}

// numbers reads decimal numbers separated by white space.
func numbers(b []byte) ([]uint32, error) {
	var ns []uint32
	for f := range bytes.FieldsSeq(b) {
		n, err := strconv.ParseUint(string(f), 10, 32)
		if err != nil {
			return nil, ErrMalformed
		}
		ns = append(ns, uint32(n))
	}
	return ns, nil
}
