package rendezvous

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// ours reports whether a file of this owner is this process's. A process whose own user
// does not exist in its user namespace can't tell its files from those of others.
func ours(uid uint32) bool { return uid == uint32(os.Geteuid()) && !unmapped(uid) }

// trusted reports whether the owner of a directory may replace what this process has in
// it: this user or root. In a user namespace root may be one of the users that
// do not exist there, all of which have the same number. Which of them an owner is can't be seen.
// But no process of the namespace is one of them, and what the owner of a directory
// could do is limited: see openParent.
func trusted(uid uint32) bool { return uid == 0 || uid == uint32(os.Geteuid()) || unmapped(uid) }

// unmapped reports whether a uid certainly stands for the users that do not exist
// in this process's user namespace (user_namespaces(7)). It is false if the namespace has a
// user of that number, such as nobody, who then can't be told from them, and without /proc.
func unmapped(uid uint32) bool {
	overflow, err := readUint("/proc/sys/kernel/overflowuid")
	if err != nil || uid != overflow {
		return false
	}
	text, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return false
	}
	for line := range bytes.Lines(text) {
		var first, outside, count uint32
		if _, err := fmt.Sscan(string(line), &first, &outside, &count); err != nil || uid >= first && uid-first < count {
			return false
		}
	}
	return true
}

func readUint(path string) (uint32, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(string(bytes.TrimSpace(text)), 10, 32)
	return uint32(n), err
}
