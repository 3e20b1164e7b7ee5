package rendezvous

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// makeShared makes a directory with its final mode, whatever the umask, so that no mode
// is changed later: another user may have put something else in its place by then,
// and another host would meet a directory that is not shared yet.
func makeShared(parent int, name string) error {
	err := onThread(func() error {
		unix.Umask(0)
		return unix.Mkdirat(parent, name, uint32(dirModeShared))
	})
	if errors.Is(err, errNoThread) {
		// The umask takes what it takes. If that is too much, checkPassable tells.
		err = unix.Mkdirat(parent, name, uint32(dirModeShared))
	}
	return err
}

// checkReachable refuses a directory to which no other user gets: each one on the way, by
// its own path or by what symbolic links on that are for, must let others than its
// owner pass. Whom it lets pass, all users or a group, is the administrator's choice. It
// looks at paths, because it protects from a mistake and from no attack.
func checkReachable(path string) error {
	paths := []string{path}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
		paths = append(paths, real)
	}
	for _, path := range paths {
		for dir := path; ; dir = filepath.Dir(dir) {
			var st unix.Stat_t
			if err := unix.Stat(dir, &st); err != nil {
				return fmt.Errorf("checking %s: %w", dir, err)
			}
			if err := checkPassable(dir, &st); err != nil {
				return err
			}
			if dir == filepath.Dir(dir) {
				break
			}
		}
	}
	return nil
}

// checkPassable refuses a directory that lets only this user and root pass.
func checkPassable(dir string, st *unix.Stat_t) error {
	// Somebody else's directory lets that user pass.
	if st.Mode&0o011 != 0 || st.Uid != 0 && st.Uid != uint32(os.Geteuid()) {
		return nil
	}
	return fmt.Errorf("%w: other users cannot reach the endpoint as Config.Shared demands, because %s has mode %#o; "+
		"run chmod go+x on it if others may enter it, or set Config.Dir to a directory that they can reach, such as %s",
		ErrPermission, dir, st.Mode&0o777, SharedDir())
}

// setMode gives a socket that this process has just bound exactly this mode, of which
// the umask may have taken some, if others are to connect to it; and checks it. A file
// system that has no modes would let everybody connect.
func (f *directory) setMode(name string, mode fs.FileMode) error {
	var st, now unix.Stat_t
	err := unix.Fstatat(f.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	now = st
	if err == nil && mode != socketMode && st.Mode&0o777 != uint32(mode) {
		err = unix.Fchmodat(f.fd, name, uint32(mode), unix.AT_SYMLINK_NOFOLLOW)
		if err == unix.EOPNOTSUPP || err == unix.EPERM {
			// Before Linux 6.6, or a seccomp filter that does not know fchmodat2. Only
			// this user can put a link in the socket's place.
			err = unix.Fchmodat(f.fd, name, uint32(mode), 0)
		}
		if err == nil {
			err = unix.Fstatat(f.fd, name, &now, unix.AT_SYMLINK_NOFOLLOW)
		}
	}
	switch got := now.Mode & 0o777; {
	case err != nil:
		return fmt.Errorf("sharing %s/%s: %w", f.path, name, err)
	case now.Ino != st.Ino || now.Dev != st.Dev || now.Mode&unix.S_IFMT != unix.S_IFSOCK || !ours(now.Uid):
		return fmt.Errorf("%w: %s/%s was replaced while it was made; find out by which program", ErrUnsafeDir, f.path, name)
	case got&^uint32(mode) != 0, mode != socketMode && got != uint32(mode):
		return fmt.Errorf("%w: %s/%s has mode %#o although it was made with %#o; use a directory in a file system that has modes",
			ErrUnsafeDir, f.path, name, got, mode)
	}
	return nil
}
