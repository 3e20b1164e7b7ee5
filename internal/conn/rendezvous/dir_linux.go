package rendezvous

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// directory is an open, checked directory of endpoints. Files in it are reached through
// the descriptor, so that nobody can put another directory in its place after the
// check, and so that the limit of 108 bytes for a socket's path does not apply
// to the directory's.
type directory struct {
	place
	fd int
}

// Permission bits of the directory and of sockets in it.
const (
	dirMode          fs.FileMode = 0o700
	dirModeShared    fs.FileMode = 0o755
	socketMode       fs.FileMode = 0o600
	socketModeShared fs.FileMode = 0o666
)

// notFoundAdvice is what to do about ErrNotFound.
const notFoundAdvice = "start the host, or make sure that both sides use the same Config.Dir or XDG_RUNTIME_DIR; the clients of a host with Config.Shared must set Config.Dir to its directory"

// sharedAdvice is what to do about a directory that other users may not enter.
const sharedAdvice = "only a host with Config.Shared lets other users connect"

// otherDir says what to do about a directory that is not used: choose another one, or, if it
// is the default and so nobody else's business, what would make that usable.
func (o Options) otherDir(otherwise string) string {
	if o.Dir != "" {
		return "choose another Config.Dir"
	}
	return otherwise + ", or both sides must use another directory (Config.Dir, XDG_RUNTIME_DIR)"
}

// openDir opens and checks the directory for a host (serve) or a client. A host
// creates it if it does not exist.
func openDir(o Options, s session, serve bool) (*directory, error) {
	p, err := choose(o, s)
	if err != nil {
		return nil, err
	}
	if p.why != "" && o.Fallback != nil {
		o.Fallback(p.path, p.why)
	}
	at, name := unix.AT_FDCWD, p.path
	if serve || o.Dir == "" {
		parent, err := openParent(p, o, serve)
		if err != nil {
			return nil, err
		}
		defer unix.Close(parent)
		at, name = parent, filepath.Base(p.path)
		if serve && o.Shared {
			if err := checkReachable(filepath.Dir(p.path)); err != nil {
				return nil, err
			}
		}
		if serve {
			if err := makeDir(parent, name, p, o.Shared); err != nil {
				return nil, err
			}
		}
	}
	fd, err := unix.Openat(at, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
	case unix.ENOENT:
		return nil, fmt.Errorf("%w: the directory %v does not exist; %s", ErrNotFound, p, notFoundAdvice)
	case unix.ENOTDIR, unix.ELOOP:
		return nil, fmt.Errorf("%w: %v%s is not a directory, and symbolic links are not followed; %s", ErrUnsafeDir, p, ownerOf(at, name), o.otherDir("remove it"))
	case unix.EACCES, unix.EPERM:
		return nil, fmt.Errorf("%w: this user may not open %v (%w); %s", ErrPermission, p, err, sharedAdvice)
	default:
		return nil, fmt.Errorf("opening %v: %w", p, err)
	}
	f := &directory{place: p, fd: fd}
	if err := f.check(o, serve); err != nil {
		f.close()
		return nil, err
	}
	return f, nil
}

// openParent opens the directory above one of endpoints. In it only this user and root may
// replace what is there: otherwise another user could make this process serve in a
// directory of its choice. The group of this process may too: on many systems it is
// the user's own, and may write what the user creates.
//
// In a user namespace the owner may be any user of the system that does not exist there,
// as / and /tmp belong to one. If that is not root, it can rename the directory of
// endpoints, and so cut clients off. It can't have one of its own used: check wants
// this process's user as its owner.
func openParent(p place, o Options, serve bool) (fd int, err error) {
	parent := filepath.Dir(p.path)
	fd, err = unix.Open(parent, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	switch err {
	case nil:
	case unix.ENOENT:
		err := fmt.Errorf("the directory above %v does not exist; create it, or choose another Config.Dir: %w", p, err)
		if !serve {
			err = fmt.Errorf("%w: %w", ErrNotFound, err)
		}
		return -1, err
	case unix.EACCES, unix.EPERM:
		return -1, fmt.Errorf("%w: this user may not open %s (%w); choose another Config.Dir", ErrPermission, parent, err)
	default:
		return -1, fmt.Errorf("opening %s: %w", parent, err)
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	switch {
	case err != nil:
		err = fmt.Errorf("checking %s: %w", parent, err)
	case !trusted(st.Uid):
		err = fmt.Errorf("%w: %s belongs to uid %d, who could replace %v; use a directory whose parent belongs to uid %d or to root", ErrUnsafeDir, parent, st.Uid, p, os.Geteuid())
	case (st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && st.Gid != uint32(os.Getegid())) && st.Mode&unix.S_ISVTX == 0:
		err = fmt.Errorf("%w: %s has mode %#o, so other users could replace %v; run chmod go-w on it", ErrUnsafeDir, parent, st.Mode&0o777, p)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// makeDir makes the directory, with its final mode from the first moment, unless it
// exists.
func makeDir(parent int, name string, p place, shared bool) error {
	var err error
	if shared {
		err = makeShared(parent, name)
	} else {
		err = unix.Mkdirat(parent, name, uint32(dirMode))
	}
	switch {
	case err == nil, err == unix.EEXIST:
		return nil
	case isPermission(err):
		return fmt.Errorf("%w: this user may not create %v (%w); choose another Config.Dir", ErrPermission, p, err)
	default:
		return fmt.Errorf("creating %v: %w", p, err)
	}
}

// ownerOf says in an error whom something belongs to, if that can be seen.
func ownerOf(at int, name string) string {
	var st unix.Stat_t
	if unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return ""
	}
	return fmt.Sprintf(", which belongs to uid %d,", st.Uid)
}

// check refuses a directory in which somebody else could replace what a host puts
// there. Others may enter it: the modes of what is in it decide who can connect, so that
// hosts with and without Shared can use one directory. A client that was given a
// directory accepts any owner: its peer policy decides on the host that it finds there.
func (f *directory) check(o Options, serve bool) error {
	var st unix.Stat_t
	if err := unix.Fstat(f.fd, &st); err != nil {
		return fmt.Errorf("checking %v: %w", f.place, err)
	}
	if (serve || o.Dir == "") && !ours(st.Uid) {
		return fmt.Errorf("%w: %v belongs to uid %d, not to this process's uid %d, and is not used; %s",
			ErrUnsafeDir, f.place, st.Uid, os.Geteuid(), o.otherDir("that user or root must remove it"))
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("%w: %v has mode %#o, so other users could replace what is in it; run chmod go-w on it", ErrUnsafeDir, f.place, st.Mode&0o777)
	}
	if serve && o.Shared {
		return checkPassable(f.path, &st)
	}
	return nil
}

func (f *directory) close() { _ = unix.Close(f.fd) }

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
		if isPermission(err) {
			return nil, fmt.Errorf("%w: this user may not open the lock file %s/%s (%w); remove it if no host runs, or choose another Config.Dir", ErrPermission, f.path, name, err)
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
		return fmt.Errorf("%w: this user may not search %s (%w); %s", ErrPermission, f.path, err, sharedAdvice)
	case err != nil:
		return fmt.Errorf("checking %s/%s: %w", f.path, name, err)
	case st.Mode&unix.S_IFMT != unix.S_IFSOCK:
		return fmt.Errorf("%w: %s/%s is not a socket; remove it, or choose another name", ErrNotEndpoint, f.path, name)
	}
	return nil
}

// isPermission reports whether a system call failed because this process may not make or
// reach a file.
func isPermission(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EROFS)
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
