package safefile

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Users can mount file systems of their own with FUSE, over directories of theirs, as in
// /tmp, and may let others see them (user_allow_other in fuse.conf). The owners and modes
// there are what that user's program says.

// checkMount refuses a directory on a file system that another user has mounted. Where
// that cannot be seen it accepts it: without /proc, and in a user namespace that does not
// know every user, where the numbers of users are those of another namespace.
func checkMount(path string, dev uint64) error {
	if unix.Major(dev) != 0 { // a disk
		return nil
	}
	above, err := os.Lstat(filepath.Dir(path))
	if err != nil || device(above) == dev { // nothing is mounted here
		return err
	}
	users, err := readProc("/proc/self/uid_map")
	if err != nil || !mapsAll(users) {
		return err
	}
	mounts, err := readProc("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	user := mountedBy(mounts, unix.Major(dev), unix.Minor(dev))
	if user == 0 || int64(user) == int64(os.Geteuid()) {
		return nil
	}
	return &InsecureError{path, fmt.Sprintf("user %d has mounted this file system (FUSE), and decides what is in it; use a directory on another one", user)}
}

// mountedBy returns the user who has mounted a device by a table of
// /proc/self/mountinfo, or 0.
func mountedBy(table string, major, minor uint32) (user uint32) {
	device := fmt.Sprintf("%d:%d", major, minor)
	for line := range strings.Lines(table) {
		// ID, its parent's ID, device …, after a dash type, source, options
		mount, fsys, _ := strings.Cut(line, " - ")
		before, after := strings.Fields(mount), strings.Fields(fsys)
		if len(before) < 3 || before[2] != device || len(after) == 0 {
			continue
		}
		for option := range strings.SplitSeq(after[len(after)-1], ",") {
			number, ok := strings.CutPrefix(option, "user_id=")
			if !ok {
				continue
			}
			if id, err := strconv.ParseUint(number, 10, 32); err == nil {
				return uint32(id)
			}
		}
	}
	return 0
}
