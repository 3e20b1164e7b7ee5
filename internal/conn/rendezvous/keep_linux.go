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

// look returns what is lost, and what to call it. Where this process cannot look, because
// its user or its root directory has changed since, nothing is.
func (l *unixListener) look() (s loss, what string) {
	w := l.owned
	if w == nil { // since leave
		return loss{dir: true}, l.lost
	}
	elsewhere := func(at int, name string, id fileID) bool {
		there, err := identify(at, name)
		return err == nil && there != id || err == unix.ENOENT || err == unix.ENOTDIR || err == unix.ELOOP
	}
	dir := w.dir.path
	switch p, err := choose(l.o, l.session); {
	case elsewhere(unix.AT_FDCWD, "/", w.rootID): // so do all paths
	case err == nil && p.why == "" && p.path != dir && l.session.euid == os.Geteuid():
		// The user's runtime directory is there again, and clients look in it.
		s.dir, dir = true, p.path
	default:
		s.dir = elsewhere(unix.AT_FDCWD, dir, w.dirID)
	}
	s.sock = elsewhere(w.dir.fd, w.sockName(), w.sock)
	if id, err := identifyOpen(int(w.lock.Fd())); err == nil {
		s.lock = elsewhere(w.dir.fd, w.lockName(), id)
	}
	switch {
	case s.dir:
		what = "the directory " + dir
	case s.sock:
		what = fmt.Sprintf("the socket %s/%s", dir, w.sockName())
	case s.lock:
		what = fmt.Sprintf("the lock file %s/%s", dir, w.lockName())
	}
	return s, what
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

// patience is how long a listener that has left waits for the host that serves in its
// directory's place. If their directories were exchanged, that one leaves, too: it needs up
// to lookInterval to notice, and some time. Two hosts whose sockets alone are exchanged are
// not waited for: each holds its lock, and the other seems to listen without one.
const patience = 3 * lookInterval

// keep makes the endpoint's name lead to the listener again, if it no longer does. It
// returns what there is to report, or nil.
func (l *unixListener) keep() *LostError {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	var s loss
	var err error
	for range attempts {
		var what string
		if s, what = l.look(); s == (loss{}) {
			err = nil
			break
		}
		if l.lost == "" {
			l.lost = what
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
	return l.report(s, err)
}

// report returns what there is to report when the name was lost, and trying to take it again
// has returned err.
func (l *unixListener) report(s loss, err error) *LostError {
	lost := &LostError{What: l.lost, Err: Explain(err)}
	var taken *takenError
	again := l.inUse
	l.inUse = errors.Is(err, ErrInUse)
	switch {
	case err == nil:
		l.lost, l.told = "", false
		return lost
	case errors.As(err, &taken):
		if lost.Ended = time.Since(l.left) >= patience; lost.Ended {
			return lost
		}
	case err == errBack, l.inUse && !again, l.inUse && !s.dir && !s.sock:
		// The process that holds the lock may be about to listen, or to fail.
		return nil
	}
	if l.told {
		return nil
	}
	l.told = true
	return lost
}

// retake makes what is lost again.
func (l *unixListener) retake(s loss) error {
	w, old := l.owned, l.sock.Load()
	if s.dir {
		// As when the listener was made: the default directory may be another one now,
		// for clients too.
		next, sock, err := l.take()
		if err != nil {
			if taken := (*takenError)(nil); errors.As(err, &taken) {
				l.leave(taken)
			}
			return err
		}
		l.owned = next
		l.sock.Store(sock)
		l.watch.on(next.files()...)
		if w == nil {
			_ = old.Close()
			return nil
		}
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
		l.sock.Store(sock)
		_ = old.Close()
	}
	l.watch.on(w.files()...)
	return nil
}

// leave gives up the files in a directory in whose place another host serves: that host may
// have to take its own name again there. The socket stays open, without a name, for Accept.
func (l *unixListener) leave(to *takenError) {
	l.watch.on(to.files...)
	if w := l.owned; w != nil {
		l.owned, l.left = nil, time.Now()
		_ = w.release(nil)
	}
}
