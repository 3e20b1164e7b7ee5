package rendezvous

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// directory is an open, checked directory of endpoints. Files in it are reached through
// the descriptor, so that nobody can put another directory in its place after the
// check, and so that the limit of 108 bytes for a socket's path does not apply
// to the directory's.
type directory struct {
	path string
	fd   int
}

// defaultDir is $XDG_RUNTIME_DIR/sealport, else /run/sealport for root, else
// /tmp/sealport-UID.
func defaultDir() string {
	if dir := os.Getenv("XDG_RUNTIME_DIR"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "sealport")
	}
	if uid := os.Geteuid(); uid != 0 {
		return "/tmp/sealport-" + strconv.Itoa(uid)
	}
	return "/run/sealport"
}

// Permission bits of the directory and of sockets in it.
const (
	dirMode          fs.FileMode = 0o700
	dirModeShared    fs.FileMode = 0o755
	socketMode       fs.FileMode = 0o600
	socketModeShared fs.FileMode = 0o666
)

// notFoundAdvice is what to do about ErrNotFound.
const notFoundAdvice = "start the host, or make sure that both sides use the same Config.Dir or XDG_RUNTIME_DIR"

// openDir opens and checks the directory for a host (serve) or a client. A host
// creates it if it does not exist.
func openDir(o Options, serve bool) (*directory, error) {
	path := o.Dir
	if path == "" {
		path = defaultDir()
	}
	at, name, made := unix.AT_FDCWD, path, false
	if serve {
		parent, err := openParent(path)
		if err != nil {
			return nil, err
		}
		defer unix.Close(parent)
		at, name = parent, filepath.Base(path)
		if made, err = makeDir(parent, path); err != nil {
			return nil, err
		}
	}
	fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
	case unix.ENOENT:
		return nil, fmt.Errorf("%w: the directory %s does not exist; %s", ErrNotFound, path, notFoundAdvice)
	case unix.ENOTDIR, unix.ELOOP:
		return nil, fmt.Errorf("%w: %s is not a directory, and symbolic links are not followed; use a directory", ErrUnsafeDir, path)
	case unix.EACCES, unix.EPERM:
		return nil, fmt.Errorf("%w: opening %s: %w", ErrPermission, path, err)
	default:
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	f := &directory{path: path, fd: fd}
	err = f.check(o, serve)
	if err == nil && made && o.Shared {
		err = f.share()
	}
	if err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// openParent opens the directory above path, in which only this user and root may
// replace what is there: otherwise another user could make this process serve in, or
// share, a directory of its own or of its choice. The group of this process may too: on
// many systems it is the user's own, and may write what the user creates.
func openParent(path string) (fd int, err error) {
	parent := filepath.Dir(path)
	fd, err = unix.Open(parent, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
	case unix.ENOENT:
		return -1, fmt.Errorf("%w: the directory above %s does not exist; create it, or set XDG_RUNTIME_DIR", ErrNotFound, path)
	case unix.EACCES, unix.EPERM:
		return -1, fmt.Errorf("%w: opening %s: %w", ErrPermission, parent, err)
	default:
		return -1, fmt.Errorf("opening %s: %w", parent, err)
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	switch uid := uint32(os.Geteuid()); {
	case err != nil:
		err = fmt.Errorf("checking %s: %w", parent, err)
	case st.Uid != uid && st.Uid != 0:
		err = fmt.Errorf("%w: %s belongs to uid %d, who could replace %s; use a directory whose parent belongs to uid %d or to root", ErrUnsafeDir, parent, st.Uid, path, uid)
	case (st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && st.Gid != uint32(os.Getegid())) && st.Mode&unix.S_ISVTX == 0:
		err = fmt.Errorf("%w: %s has mode %#o, so that other users could replace %s; run chmod go-w on it", ErrUnsafeDir, parent, st.Mode&0o777, path)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// makeDir makes the directory, strict from the first moment, unless it exists.
func makeDir(parent int, path string) (made bool, err error) {
	switch err := unix.Mkdirat(parent, filepath.Base(path), uint32(dirMode)); err {
	case nil:
		return true, nil
	case unix.EEXIST:
		return false, nil
	case unix.EACCES, unix.EPERM, unix.EROFS:
		return false, fmt.Errorf("%w: creating %s: %w", ErrPermission, path, err)
	default:
		return false, fmt.Errorf("creating %s: %w", path, err)
	}
}

// share lets other users into a directory that this process has made.
func (f *directory) share() error {
	if err := unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", f.fd), uint32(dirModeShared)); err != nil {
		return fmt.Errorf("sharing %s: %w", f.path, err)
	}
	return nil
}

// check refuses a directory in which somebody else could replace what a host puts
// there. A client that was given a directory accepts any owner: its peer policy
// decides on the host that it finds there.
func (f *directory) check(o Options, serve bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return fmt.Errorf("checking %s: %w", f.path, err)
	}
	if (serve || o.Dir == "") && st.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("%w: %s belongs to uid %d, not to uid %d; remove it, or use another directory", ErrUnsafeDir, f.path, st.Uid, os.Geteuid())
	}
	forbidden := uint32(0o077)
	if o.Shared || !serve {
		forbidden = 0o022
	}
	if st.Mode&forbidden != 0 {
		return fmt.Errorf("%w: %s has mode %#o; run chmod go-%s on it", ErrUnsafeDir, f.path, st.Mode&0o777, map[uint32]string{0o077: "rwx", 0o022: "w"}[forbidden])
	}
	return nil
}

func (f *directory) close() { _ = unix.Close(f.fd) }

// socketPath is a path by which bind(2) and connect(2) reach a file in the
// directory. It is at most 20 bytes longer than the file's name.
func (f *directory) socketPath(file string) string {
	return fmt.Sprintf("/proc/self/fd/%d/%s", f.fd, file)
}

// fileName is the name of an endpoint's files, without suffix. Names that would
// not fit into a socket's path are cut and made unique again by their hash; "~"
// occurs in no endpoint's name.
func fileName(endpoint string) string {
	const whole, kept, hash = 72, 39, 16
	if len(endpoint) <= whole {
		return endpoint
	}
	sum := sha256.Sum256([]byte(endpoint))
	return endpoint[:kept] + "~" + hex.EncodeToString(sum[:hash])
}

// lock takes the endpoint's lock file, for as long as the file returned is open.
// Only its holder touches the endpoint's socket.
func (f *directory) lock(name string) (*os.File, error) {
	for {
		fd, err := unix.Openat(f.fd, name, unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, uint32(socketMode))
		if err == unix.EACCES {
			return nil, fmt.Errorf("%w: opening the lock file %s/%s: %w", ErrPermission, f.path, name, err)
		} else if err != nil {
			return nil, fmt.Errorf("opening the lock file %s/%s: %w", f.path, name, err)
		}
		locked, err := f.lockOpen(fd, name)
		if locked {
			return os.NewFile(uintptr(fd), name), nil
		}
		unix.Close(fd)
		if err != nil {
			return nil, err
		}
	}
}

// lockOpen takes the lock of the open lock file fd. It returns false if the host before
// this one has removed the file since it was opened: then the lock guards nothing.
func (f *directory) lockOpen(fd int, name string) (bool, error) {
	switch err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
	case unix.EWOULDBLOCK:
		return false, fmt.Errorf("%w: another host serves it in %s; stop that host, or choose another name", ErrInUse, f.path)
	default:
		return false, fmt.Errorf("locking %s/%s: %w", f.path, name, err)
	}
	var ours, there unix.Stat_t
	if err := unix.Fstat(fd, &ours); err != nil {
		return false, fmt.Errorf("checking the lock file: %w", err)
	}
	err := unix.Fstatat(f.fd, name, &there, unix.AT_SYMLINK_NOFOLLOW)
	return err == nil && ours.Ino == there.Ino && ours.Dev == there.Dev, nil
}

// isSocket reports whether name is a socket; ErrNotEndpoint if it is something
// else, fs.ErrNotExist if it is nothing.
func (f *directory) isSocket(name string) error {
	var st unix.Stat_t
	err := unix.Fstatat(f.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == unix.ENOENT:
		return fs.ErrNotExist
	case err == unix.EACCES:
		return fmt.Errorf("%w: searching %s: %w", ErrPermission, f.path, err)
	case err != nil:
		return fmt.Errorf("checking %s/%s: %w", f.path, name, err)
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return fmt.Errorf("%w: %s/%s is not a socket; remove it, or choose another name", ErrNotEndpoint, f.path, name)
	}
	return nil
}

func (f *directory) remove(name string) error {
	if err := unix.Unlinkat(f.fd, name, 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing %s/%s: %w", f.path, name, err)
	}
	return nil
}

func (f *directory) rename(from, to string) error {
	if err := unix.Renameat(f.fd, from, f.fd, to); err != nil {
		return fmt.Errorf("renaming %s/%s: %w", f.path, from, err)
	}
	return nil
}
