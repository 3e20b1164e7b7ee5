package socket

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Whatever gives up the last reference to a descriptor waits for it to be closed, and
// that takes as long as the process that made it likes: a TCP socket lingers for up to
// 18 hours, a file in user space (FUSE) is flushed when its server likes. So nothing of
// ours closes what a peer has sent, or a socket in which that waits, but these goroutines.
// Each of them that waits holds a thread.
const (
	maxClosers = 4   // goroutines of this process
	maxBacklog = 128 // what may wait for them before there are no new connections
)

// How long a close may take before it is interrupted, again and again at growing
// intervals: a lingering socket then waits no longer, however deep in other sockets'
// queues it is.
const (
	interruptFirst = time.Millisecond
	interruptMost  = time.Second
)

// ErrBacklog means that there can be no new connection before more of the descriptors that
// peers have sent are closed.
var ErrBacklog = errors.New("too many descriptors that peers have sent take long to close")

// closer closes descriptors in the background. Nobody waits for its goroutines, which
// end when there is nothing to do.
type closer struct {
	mu      sync.Mutex
	running int
	waiting []func()
}

// background is the closer of this process.
var background closer

// add has a goroutine call do, which closes something. It does not block.
func (c *closer) add(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waiting = append(c.waiting, do)
	if c.running < maxClosers {
		c.running++
		go c.run()
	}
}

func (c *closer) run() {
	for {
		c.mu.Lock()
		if len(c.waiting) == 0 {
			c.running--
			c.mu.Unlock()
			return
		}
		next := c.waiting[0]
		c.waiting = c.waiting[1:]
		c.mu.Unlock()
		interrupting(next)
	}
}

// full reports whether too much waits.
func (c *closer) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.waiting) >= maxBacklog
}

// interrupting calls do and sends its thread signals while that takes long. SIGURG is
// the one by which Go's runtime interrupts its threads: it has no effect on programs.
func interrupting(do func()) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	thread, closed := unix.Gettid(), make(chan struct{})
	var signals sync.WaitGroup
	defer signals.Wait()
	signals.Go(func() {
		t := time.NewTimer(interruptFirst)
		defer t.Stop()
		for wait := interruptFirst; ; wait = min(2*wait, interruptMost) {
			t.Reset(wait)
			select {
			case <-t.C:
				_ = unix.Tgkill(os.Getpid(), thread, unix.SIGURG)
			case <-closed:
				return
			}
		}
	})
	do()
	close(closed)
}

// CloseFD closes a descriptor that this process has made, or that cannot take long to
// close: a pidfd, or a memory file.
func CloseFD(fd int) error { return unix.Close(fd) }

// CloseForeign closes a descriptor that a peer has sent, in the background.
func CloseForeign(fd int) { background.add(func() { _ = unix.Close(fd) }) }

// closeFile closes a socket in which descriptors may wait. It blocks as long as that
// takes, and nobody else does.
func closeFile(f *os.File, rc syscall.RawConn) error {
	// A goroutine that is still in a call would be the one that closes the file, and
	// wait. It is not the last reference then.
	last := -1
	_ = rc.Control(func(fd uintptr) {
		if copied, err := unix.FcntlInt(fd, unix.F_DUPFD_CLOEXEC, 0); err == nil {
			last = copied
		}
	})
	err := f.Close()
	if last >= 0 {
		_ = unix.Close(last)
	}
	return err
}
