package rendezvous

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// place is where a directory of endpoints is.
type place struct {
	path string
	why  string // the default is not in XDG_RUNTIME_DIR; "" if it is, or if it is not the default
}

func (p place) String() string {
	if p.why == "" {
		return p.path
	}
	return p.path + " (" + p.why + ")"
}

// choose returns Options.Dir, or the default: $XDG_RUNTIME_DIR/sealport, or, if that
// runtime directory is not this process's, /run/sealport for root and /tmp/sealport-UID
// for other users. TMPDIR does not count: it differs between the processes of one user.
func choose(o Options) (place, error) {
	if o.Dir != "" {
		return place{path: o.Dir}, nil
	}
	dir, why, err := runtimeDir()
	if err != nil {
		return place{}, err
	}
	if why == "" {
		return place{path: filepath.Join(dir, "sealport")}, nil
	}
	if uid := os.Geteuid(); uid != 0 {
		return place{"/tmp/sealport-" + strconv.Itoa(uid), why}, nil
	}
	return place{"/run/sealport", why}, nil
}

// SharedDir is the default directory of hosts with Options.Shared: other users can enter
// it, and know where it is.
func SharedDir() string {
	if uid := os.Geteuid(); uid != 0 {
		return "/tmp/sealport-shared-" + strconv.Itoa(uid)
	}
	return "/run/sealport-shared"
}

// runtimeDir returns $XDG_RUNTIME_DIR, or why it is not this process's: the variable may
// come from the session of another user (sudo -E, su, a set-user-ID program) or from one that
// has ended, and be missing without a session (cron, services). An error does not
// decide that: a host and a client must not come to different places because one of
// them is out of descriptors or memory.
func runtimeDir() (dir, why string, err error) {
	dir = os.Getenv("XDG_RUNTIME_DIR")
	switch uid := os.Getuid(); {
	case dir == "":
		return "", "XDG_RUNTIME_DIR is not set", nil
	case !filepath.IsAbs(dir):
		return "", fmt.Sprintf("XDG_RUNTIME_DIR is %q, which is not an absolute path", dir), nil
	case uid != os.Geteuid():
		return "", fmt.Sprintf("XDG_RUNTIME_DIR is set by uid %d, who has started this set-user-ID program", uid), nil
	}
	var st unix.Stat_t
	switch err := unix.Stat(dir, &st); err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.EACCES, unix.EPERM, unix.ELOOP, unix.ENAMETOOLONG:
		return "", fmt.Sprintf("XDG_RUNTIME_DIR is %q: %v", dir, err), nil
	default:
		return "", "", fmt.Errorf("checking XDG_RUNTIME_DIR %q: %w", dir, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return "", fmt.Sprintf("XDG_RUNTIME_DIR is %q, which is not a directory", dir), nil
	case !ours(st.Uid):
		return "", fmt.Sprintf("XDG_RUNTIME_DIR is %q, which belongs to uid %d", dir, st.Uid), nil
	}
	return dir, "", nil
}
