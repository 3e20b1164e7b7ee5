package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/socket"
)

// owned are the files by which an endpoint's name leads to a listener that made its own
// socket. Only the process that holds the lock of the file at the lock's name touches the
// socket at the socket's name, and each removes only files that it has made or locked.
type owned struct {
	dir    *directory
	dirID  fileID
	rootID fileID // of the root directory from which the directory's path leads to it
	name   string // of the files, without suffix
	lock   *os.File
	sock   fileID // of the socket's file; it is not used again while the socket is open

	shielded  bool      // see shield
	refreshed time.Time // see refresh
}

func (w *owned) lockName() string { return w.name + ".lock" }
func (w *owned) sockName() string { return w.name + ".sock" }

// files are what the endpoint's name leads through.
func (w *owned) files() []string {
	return []string{w.dir.path, w.dir.path + "/" + w.lockName(), w.dir.path + "/" + w.sockName()}
}

// fileID tells files apart.
type fileID struct{ dev, ino uint64 }

// identify returns the file that a name in an open directory leads to.
func identify(at int, name string) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fileID{}, err
	}
	return fileID{uint64(st.Dev), st.Ino}, nil
}

// identifyOpen returns the file that is open as fd.
func identifyOpen(fd int) (fileID, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fileID{}, err
	}
	return fileID{uint64(st.Dev), st.Ino}, nil
}

// errBack is take's error if the directory is not another one.
var errBack = errors.New("the directory is in its place again")

// take makes the endpoint's files, and the socket that listens there, in another directory
// than that of the files that the listener has. If the name was lost and the lock is held, a
// *takenError says who listens there.
func (l *unixListener) take() (*owned, *socket.Listener, error) {
	dir, err := openDir(l.o, l.session, true)
	if err != nil {
		return nil, nil, err
	}
	w := &owned{dir: dir, name: fileName(l.endpoint)}
	if err := w.enter(l.owned, l.lost != ""); err != nil {
		dir.close()
		return nil, nil, err
	}
	sock, err := w.bind(l.o)
	if err != nil {
		return nil, nil, errors.Join(err, w.release(nil))
	}
	return w, sock, nil
}

// enter takes the lock. It returns errBack if the directory is before's. See lockFile
// about ask.
func (w *owned) enter(before *owned, ask bool) error {
	err := w.openForReading()
	if err != nil {
		return err
	}
	if w.dirID, err = identifyOpen(w.dir.fd); err != nil {
		return fmt.Errorf("checking %s: %w", w.dir.path, err)
	}
	if before != nil && w.dirID == before.dirID {
		return errBack
	}
	if w.rootID, err = identify(unix.AT_FDCWD, "/"); err != nil {
		return fmt.Errorf("checking /: %w", err)
	}
	w.shield()
	w.lock, err = w.lockFile(ask)
	return err
}

// lockFile takes the lock of the file at the lock's name. With ask, it returns a *takenError
// if another process holds the lock and listens.
func (w *owned) lockFile(ask bool) (*os.File, error) {
	f, err := w.dir.lock(w.lockName())
	if ask && errors.Is(err, ErrInUse) {
		if taken := (*takenError)(nil); errors.As(w.vacant(), &taken) {
			err = taken
		}
	}
	return f, err
}

// bind makes the socket under another name and moves it to its place when it
// listens, over what a crashed host has left there.
func (w *owned) bind(o Options) (*socket.Listener, error) {
	building := w.name + ".new"
	if err := w.vacant(); err != nil {
		return nil, err
	}
	if err := w.dir.remove(building); err != nil {
		return nil, err
	}
	mode := socketMode
	if o.Shared {
		mode = socketModeShared
	}
	sock, err := w.dir.listen(building, mode)
	if err != nil {
		if !errors.Is(err, unix.EADDRINUSE) {
			err = errors.Join(err, w.dir.remove(building)) // it may be bound, and not listen
		}
		return nil, err
	}
	var made fileID
	if err = w.dir.setMode(building, mode); err == nil {
		made, err = identify(w.dir.fd, building)
	}
	if err == nil {
		err = w.dir.rename(building, w.sockName())
	}
	if err != nil {
		return nil, errors.Join(err, sock.Close(), w.dir.remove(building))
	}
	w.sock = made
	return sock, nil
}

// vacant makes sure that nobody listens at the socket's name. It returns a *takenError if
// somebody does, and another error if that can't be told. A host that holds the lock is met
// here only if this process does not; a socket of systemd's, or one made by hand, has no
// lock.
func (w *owned) vacant() error {
	place := w.sockName()
	err := w.dir.isSocket(place)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	path := w.dir.path + "/" + place
	taken := &takenError{path: path, files: w.files()}
	ctx, cancel := context.WithCancel(context.Background())
	cancel() // a full backlog is a living host too
	c, err := w.dir.dial(ctx, place, false)
	switch {
	case err == nil:
		if k, err := c.PeerCred(); err == nil {
			taken.pid = k.PID
		}
		_ = c.Close()
		return taken
	case errors.Is(err, context.Canceled), errors.Is(err, unix.EPROTOTYPE):
		return taken
	case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.ENOENT):
		return nil
	case isPermission(err): // such as systemd's, with SocketUser=
		return fmt.Errorf("%w: checking whether a process listens on %s: %w; remove it if there is none, or choose another name", ErrPermission, path, err)
	}
	return fmt.Errorf("checking whether a process listens on %s: %w", path, err)
}

// takenError is ErrInUse with who listens at an endpoint's socket.
type takenError struct {
	path  string
	files []string // that the endpoint's name leads through
	pid   int32    // 0: not known, such as in another pid namespace
}

func (e *takenError) Error() string {
	who := "another process"
	if e.pid > 0 {
		who = fmt.Sprintf("process %d", e.pid)
	}
	return fmt.Sprintf("%v: %s listens on %s; stop it, or choose another name", ErrInUse, who, e.path)
}

func (e *takenError) Unwrap() error { return ErrInUse }

// release closes the socket, unless it is nil, removes those of the endpoint's files that
// are still this host's, the socket first, and gives up the lock. The system has no call that
// removes a name only if it leads to a certain file: if another program removes the lock file
// just when this has looked, and another host takes the name at once, that host loses its
// files, and takes the name again as after any loss.
func (w *owned) release(sock io.Closer) error {
	defer w.dir.close()
	mine, err := w.mine(w.sockName(), w.sock)
	locked, lerr := w.locked()
	err = errors.Join(err, lerr)
	if mine && !locked && lerr == nil {
		// Nobody else may touch it meanwhile. If another host has the lock, that host
		// replaces the socket.
		switch again, lerr := w.lockFile(false); {
		case lerr == nil:
			_ = w.lock.Close()
			w.lock, locked = again, true
		case !errors.Is(lerr, ErrInUse):
			err = errors.Join(err, lerr)
		}
	}
	if mine && locked {
		err = errors.Join(err, w.dir.remove(w.sockName()))
	}
	if sock != nil {
		err = errors.Join(err, sock.Close())
	}
	if locked {
		err = errors.Join(err, w.dir.remove(w.lockName()))
	}
	return errors.Join(err, w.lock.Close())
}

// locked reports whether the lock is that of the file at the lock's name.
func (w *owned) locked() (bool, error) {
	id, err := identifyOpen(int(w.lock.Fd()))
	if err != nil {
		return false, fmt.Errorf("checking the lock file: %w", err)
	}
	return w.mine(w.lockName(), id)
}

// mine reports whether a name in the directory leads to a file.
func (w *owned) mine(name string, id fileID) (bool, error) {
	there, err := identify(w.dir.fd, name)
	if err == unix.ENOENT {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("checking %s/%s: %w", w.dir.path, name, err)
	}
	return there == id, nil
}
