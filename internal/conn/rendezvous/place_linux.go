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

// session is what the default directory depends on. A listener keeps to that of the moment
// at which it was made: a program may clear its environment, or change its user, when it
// has begun to serve.
type session struct {
	runtimeDir string // XDG_RUNTIME_DIR
	uid, euid  int
}

func currentSession() session {
	return session{os.Getenv("XDG_RUNTIME_DIR"), os.Getuid(), os.Geteuid()}
}

// choose returns Options.Dir, or the default: $XDG_RUNTIME_DIR/sealport, or, if that
// runtime directory is not this process's, /run/sealport for root and /tmp/sealport-UID
// for other users. TMPDIR does not count: it differs between the processes of one user.
func choose(o Options, s session) (place, error) {
	if o.Dir != "" {
		return place{path: o.Dir}, nil
	}
	why, err := s.noRuntimeDir()
	if err != nil {
		return place{}, err
	}
	switch {
	case why == "":
		return place{path: filepath.Join(s.runtimeDir, "sealport")}, nil
	case s.euid != 0:
		return place{"/tmp/sealport-" + strconv.Itoa(s.euid), why}, nil
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

// noRuntimeDir returns why $XDG_RUNTIME_DIR is not this process's, or "" if it is: the
// variable may come from the session of another user (sudo -E, su, a set-user-ID program) or
// from one that has ended, and be missing without a session (cron, services). An error does
// not decide that: a host and a client must not come to different places because one of
// them is out of descriptors or memory.
func (s session) noRuntimeDir() (why string, err error) {
	dir := s.runtimeDir
	switch {
	case dir == "":
		return "XDG_RUNTIME_DIR is not set", nil
	case !filepath.IsAbs(dir):
		return fmt.Sprintf("XDG_RUNTIME_DIR is %q, which is not an absolute path", dir), nil
	case s.uid != s.euid:
		return fmt.Sprintf("XDG_RUNTIME_DIR is set by uid %d, who has started this set-user-ID program", s.uid), nil
	}
	var st unix.Stat_t
	switch err := unix.Stat(dir, &st); err {
	case nil:
	case unix.ENOENT, unix.ENOTDIR, unix.EACCES, unix.EPERM, unix.ELOOP, unix.ENAMETOOLONG:
		return fmt.Sprintf("XDG_RUNTIME_DIR is %q: %v", dir, err), nil
	default:
		return "", fmt.Errorf("checking XDG_RUNTIME_DIR %q: %w", dir, err)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Sprintf("XDG_RUNTIME_DIR is %q, which is not a directory", dir), nil
	case !ours(st.Uid):
		return fmt.Sprintf("XDG_RUNTIME_DIR is %q, which belongs to uid %d", dir, st.Uid), nil
	}
	return "", nil
}
