package socket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotListening means that an inherited descriptor is not a listening
// SOCK_SEQPACKET socket of the AF_UNIX family.
var ErrNotListening = errors.New("not a listening unix SOCK_SEQPACKET socket")

// backlog is how many clients may wait to be accepted. The kernel accepts them in the order
// in which they came, so that all of them delay one that comes behind a flood. Further
// ones wait in connect(2), which is in turn too.
const backlog = 128

// redialWait is how long a connect(2) waits for room in the backlog before it looks at the
// context again. The kernel offers no event for that room, only a queue for those that
// wait in connect(2): who tried again and again instead would never come before those
// that do, such as the processes that keep the backlog full.
const redialWait = 20 * time.Millisecond

// dialling limits how many threads wait in connect(2) at a time.
var dialling = make(chan struct{}, 64)

// closeWait is how long closing a listener may take before it goes on in the background.
const closeWait = 100 * time.Millisecond

// Listener is a listening socket.
type Listener struct {
	f       *os.File
	rc      syscall.RawConn
	refuses bool // descriptors: none can wait with a client
	closed  atomic.Bool
}

// Listen binds a SOCK_SEQPACKET socket to path with exactly the given
// permission bits from the first moment on, less the umask, and listens. It
// does not replace what exists at path (EADDRINUSE).
func Listen(path string, mode fs.FileMode) (*Listener, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	refuses, err := refuseDescriptors(fd)
	if err != nil {
		unix.Close(fd)
		return nil, err
	}
	// Linux creates the file with the mode of the socket's own inode.
	if err := unix.Fchmod(fd, uint32(mode.Perm())); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("fchmod socket: %w", err)
	}
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind: %w", err)
	}
	if err := unix.Listen(fd, backlog); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("listen: %w", err)
	}
	return newListener(fd, refuses)
}

// Adopt listens on a descriptor that this process inherited. The Listener has a copy: the
// descriptor stays the caller's, and open, on error too.
func Adopt(fd int) (*Listener, error) {
	get := func(opt int) int {
		v, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, opt)
		if err != nil {
			return -1
		}
		return v
	}
	if get(unix.SO_DOMAIN) != unix.AF_UNIX || get(unix.SO_TYPE) != unix.SOCK_SEQPACKET || get(unix.SO_ACCEPTCONN) != 1 {
		return nil, ErrNotListening
	}
	// Of the copy, whatever fails can close that.
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("F_DUPFD_CLOEXEC: %w", err)
	}
	// Clients that have connected already may have sent descriptors.
	if _, err := refuseDescriptors(own); err != nil {
		unix.Close(own)
		return nil, err
	}
	if err := unix.SetNonblock(own, true); err != nil {
		unix.Close(own)
		return nil, fmt.Errorf("O_NONBLOCK: %w", err)
	}
	return newListener(own, false)
}

// newListener takes a listening socket over, on error too.
func newListener(fd int, refuses bool) (*Listener, error) {
	// Accepted sockets inherit it, so that a hello sent before accept carries
	// credentials too.
	if err := passCredentials(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "sealport-listener")
	rc, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("socket in the netpoller: %w", err)
	}
	return &Listener{f: f, rc: rc, refuses: refuses}, nil
}

// Accept waits for a connection. It returns os.ErrClosed after Close. Other
// errors (EMFILE, ENOMEM, ErrBacklog …) are not final; EMFILE and ENFILE are returned
// only while a client waits to be accepted.
func (l *Listener) Accept() (*Conn, error) {
	if background.full() && !l.closed.Load() {
		return nil, ErrBacklog
	}
	var fd int
	var aerr error
	err := l.rc.Read(func(sock uintptr) bool {
		fd, aerr = accept(int(sock))
		if aerr == unix.EMFILE || aerr == unix.ENFILE {
			// The kernel looks for a descriptor first, then for a client.
			if !waiting(int(sock)) {
				return false
			}
			// The client may have come later than that, when there were some again.
			fd, aerr = accept(int(sock))
		}
		return aerr != unix.EAGAIN
	})
	// The netpoller's own error for a descriptor that is closed while it waits
	// can't be told by errors.Is.
	if l.closed.Load() {
		if err == nil && aerr == nil {
			if c, err := NewConn(fd); err == nil {
				_ = c.Close()
			}
		}
		return nil, os.ErrClosed
	}
	if err := errors.Join(err, aerr); err != nil {
		return nil, fmt.Errorf("accept: %w", err)
	}
	c, err := NewConn(fd)
	if err != nil {
		return nil, err
	}
	if err := c.prepare(); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// prepare sets what an accepted socket inherits, unless it was connected before the
// listening socket was adopted.
func (c *Conn) prepare() error {
	var serr error
	err := c.rc.Control(func(fd uintptr) { serr = passCredentials(int(fd)) })
	if err := errors.Join(err, serr); err != nil {
		return err
	}
	if err := c.RefuseDescriptors(); !errors.Is(err, ErrDescriptor) {
		return err
	}
	return nil // Receive says it again
}

func accept(sock int) (int, error) {
	return retry(func() (int, error) {
		fd, _, err := unix.Accept4(sock, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		return fd, err
	})
}

// waiting reports whether a client waits to be accepted.
func waiting(fd int) bool {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := retry(func() (int, error) { return unix.Poll(fds, 0) })
	return err != nil || n > 0
}

// Close closes the socket and unblocks Accept.
func (l *Listener) Close() error {
	if l.closed.Swap(true) {
		return os.ErrClosed
	}
	if l.refuses {
		return l.f.Close()
	}
	// Clients that were not accepted may have sent descriptors. If this process holds
	// the last reference to the socket, it closes them too.
	_ = l.f.SetDeadline(longAgo) // Accept returns
	done := make(chan error, 1)
	background.add(func() { done <- closeFile(l.f, l.rc) })
	soon := time.NewTimer(closeWait)
	defer soon.Stop()
	select {
	case err := <-done:
		return err
	case <-soon.C:
		return nil
	}
}

// Dial connects to the socket at path. It blocks while the host's backlog is
// full, until ctx ends (ctx.Err()). With descriptors the host may send some, until
// RefuseDescriptors. ErrBacklog is not final. Other errors are the kernel's.
func Dial(ctx context.Context, path string, descriptors bool) (*Conn, error) {
	if background.full() {
		return nil, ErrBacklog
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	if err := prepareDial(ctx, fd, path, descriptors); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return NewConn(fd)
}

func prepareDial(ctx context.Context, fd int, path string, descriptors bool) error {
	if !descriptors {
		if _, err := refuseDescriptors(fd); err != nil {
			return err
		}
	}
	if err := passCredentials(fd); err != nil {
		return err
	}
	return connect(ctx, fd, path)
}

func connect(ctx context.Context, fd int, path string) error {
	to := &unix.SockaddrUnix{Name: path}
	_, err := retry(func() (int, error) { return 0, unix.Connect(fd, to) })
	if err == unix.EAGAIN {
		err = connectInTurn(ctx, fd, to)
	}
	if err != nil && err != ctx.Err() {
		return fmt.Errorf("connect: %w", err)
	}
	return err
}

// connectInTurn waits in connect(2), which takes a thread, until there is room in the
// backlog or ctx ends.
func connectInTurn(ctx context.Context, fd int, to unix.Sockaddr) error {
	select {
	case dialling <- struct{}{}:
		defer func() { <-dialling }()
	case <-ctx.Done():
		return ctx.Err()
	}
	wait := unix.NsecToTimeval(redialWait.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &wait); err != nil {
		return err
	}
	if err := unix.SetNonblock(fd, false); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch err := unix.Connect(fd, to); err {
		case nil:
			return errors.Join(unix.SetNonblock(fd, true), unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &unix.Timeval{}))
		case unix.EINTR, unix.EAGAIN:
		default:
			return err
		}
	}
}
