package rendezvous

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Programs that clean directories such as /tmp of old files must not take those of a
// living host. systemd-tmpfiles, whose rules are in tmpfiles.d(5), leaves alone
//
//   - a directory below the one that it cleans, with all that is in it, if a process holds
//     flock(2) on it (shield): the lock ends with the process, and is that of the inode, so
//     that it works between containers too;
//   - files of which one of the times is new (refresh). So do all programs that go by age;
//   - sockets whose path is in /proc/net/unix. A listener's never is: that file has the
//     string that was given to bind(2), which is neither the final name nor the
//     directory's path, because neither may be used before it is checked and listens.

// refreshInterval is how often the times of the files are set: at least every 6 hours, says
// the XDG base directory specification.
const refreshInterval = time.Hour

// openForReading replaces the directory's descriptor by one that flock(2) accepts, if this
// process may read the directory.
func (w *owned) openForReading() error {
	fd, err := unix.Openat(w.dir.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err == unix.EACCES {
		return nil
	} else if err != nil {
		return fmt.Errorf("opening %s: %w", w.dir.path, err)
	}
	w.dir.close()
	w.dir.fd = fd
	return nil
}

// shield keeps programs that clean out of the directory. It fails while one is there, and
// where the file system has no locks.
func (w *owned) shield() {
	w.shielded = w.shielded || unix.Flock(w.dir.fd, unix.LOCK_SH|unix.LOCK_NB) == nil
}

// refresh makes the files new, unless that was done less than refreshInterval ago by the
// clock that programs that clean go by.
func (w *owned) refresh() {
	now := time.Now().Round(0)
	if ago := now.Sub(w.refreshed); ago >= 0 && ago < refreshInterval {
		return
	}
	w.refreshed = now
	for _, name := range []string{w.lockName(), w.sockName()} {
		// It fails if the user of this process has changed since.
		_ = unix.UtimesNanoAt(w.dir.fd, name, []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}, unix.AT_SYMLINK_NOFOLLOW)
	}
}

// loss is which of the names lead elsewhere than to the listener's files.
type loss struct{ dir, lock, sock bool }

// what says what was lost.
func (s loss) what(w *owned) string {
	switch {
	case s.dir:
		return "the directory " + w.dir.path
	case s.sock:
		return fmt.Sprintf("the socket %s/%s", w.dir.path, w.sockName())
	}
	return fmt.Sprintf("the lock file %s/%s", w.dir.path, w.lockName())
}

// look returns what is lost. Where this process cannot look, because its user or its root
// directory has changed since, nothing is.
func (w *owned) look() (s loss) {
	elsewhere := func(at int, name string, id fileID) bool {
		there, err := identify(at, name)
		return err == nil && there != id || err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP
	}
	s.dir = elsewhere(unix.AT_FDCWD, w.dir.path, w.dirID) && !elsewhere(unix.AT_FDCWD, "/", w.rootID)
	s.sock = elsewhere(w.dir.fd, w.sockName(), w.sock)
	if id, err := identifyOpen(int(w.lock.Fd())); err == nil {
		s.lock = elsewhere(w.dir.fd, w.lockName(), id)
	}
	return s
}

// Watch implements Listener.
func (l *unixListener) Watch() error {
	for l.watch != nil && l.watch.wait() {
		if lost := l.keep(); lost != nil {
			return lost
		}
	}
	return os.ErrClosed
}

// attempts is how often keep looks and takes at once: more may be removed meanwhile, as by
// a program that removes the whole directory.
const attempts = 4

// keep makes the endpoint's name lead to the listener again, if it no longer does. It
// returns what there is to report, or nil.
func (l *unixListener) keep() *LostError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	var err error
	for range attempts {
		s := l.owned.look()
		if s == (loss{}) {
			err = nil
			break
		}
		if l.lost == "" {
			l.lost = s.what(l.owned)
		}
		if err = l.retake(s); err != nil && !errors.Is(err, fs.ErrNotExist) && err != errBack {
			break
		}
	}
	if err == nil {
		l.owned.shield()
		l.owned.refresh()
	}
	if l.lost == "" {
		return nil
	}
	lost := &LostError{What: l.lost, Err: Explain(err)}
	var taken *takenError
	switch {
	case err == nil:
		l.lost, l.told = "", false
	case errors.As(err, &taken):
		lost.Ended = true
	case l.told || errors.Is(err, ErrInUse) || err == errBack:
		// The process that holds the lock may be about to listen, or to fail.
		return nil
	default:
		l.told = true
	}
	return lost
}

// retake makes what is lost again.
func (l *unixListener) retake(s loss) error {
	w := l.owned
	if s.dir {
		// As when the listener was made: the default directory may be another one now,
		// for clients too.
		next, sock, err := take(l.endpoint, l.o, w)
		if err != nil {
			return err
		}
		old := l.sock
		l.owned, l.sock = next, sock
		l.watch.on(next.files()...)
		// What cannot be removed elsewhere leads nobody here.
		_ = w.release(old)
		return nil
	}
	if s.lock {
		again, err := w.lockFile(s.sock)
		if err != nil {
			return err
		}
		_ = w.lock.Close()
		w.lock = again
	}
	if s.sock {
		sock, err := w.bind(l.o)
		if err != nil {
			return err
		}
		old := l.sock
		l.sock = sock
		_ = old.Close()
	}
	l.watch.on(w.files()...)
	return nil
}
