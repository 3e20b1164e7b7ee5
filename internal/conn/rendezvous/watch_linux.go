package rendezvous

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lookInterval is how long a listener waits, without an event of the directory's,
	// before it looks whether its name leads to it. There is no event when a directory
	// above is moved or mounted over, nor without inotify.
	lookInterval = 3 * time.Second

	// lookPause is how long it waits at least, however many events there are.
	lookPause = 100 * time.Millisecond
)

// watch says when it is time to look whether an endpoint's name leads to its files.
type watch struct {
	events *os.File // inotify(7), or nil without
	looked time.Time
	closed chan struct{}
}

// newWatch returns a watch of nothing.
func newWatch() *watch { return &watch{closed: make(chan struct{})} }

// on watches files, and nothing else any more. They are watched themselves, not by the
// directory's entries, so that other endpoints there cost nothing. If one of them is gone,
// or the system allows no more inotify instances, watches or descriptors, the watch goes by
// time alone. on is not called after close, nor during wait.
func (w *watch) on(files ...string) {
	if w.events != nil {
		_ = w.events.Close()
		w.events = nil
	}
	fd, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		return
	}
	events := os.NewFile(uintptr(fd), "inotify")
	err = events.SetReadDeadline(time.Time{}) // it fails if the runtime cannot poll the descriptor
	for _, file := range files {
		if err == nil {
			// IN_ATTRIB: the number of its names has changed. IN_DELETE_SELF comes
			// only when nobody has the file open.
			_, err = unix.InotifyAddWatch(fd, file, unix.IN_ATTRIB|unix.IN_MOVE_SELF|unix.IN_DONT_FOLLOW)
		}
	}
	if err != nil {
		_ = events.Close()
		return
	}
	w.events = events
}

// wait waits until it is time to look. It returns false after close.
func (w *watch) wait() bool {
	defer func() { w.looked = time.Now() }()
	if w.events == nil {
		return w.sleep(lookInterval)
	}
	if !w.sleep(lookPause - time.Since(w.looked)) {
		return false
	}
	if err := w.events.SetReadDeadline(time.Now().Add(lookInterval)); err != nil {
		return false
	}
	var events [4096]byte // their number and kind do not matter
	_, err := w.events.Read(events[:])
	return err == nil || errors.Is(err, os.ErrDeadlineExceeded)
}

// sleep returns false after close.
func (w *watch) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-w.closed:
		return false
	}
}

// close ends wait.
func (w *watch) close() {
	close(w.closed)
	if w.events != nil {
		_ = w.events.Close()
	}
}
