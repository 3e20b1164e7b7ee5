package rendezvous

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"
)

// reserve is a descriptor that a listener holds for the moment in which the process
// has no other: given up, it makes room to accept a client and to refuse it, which
// would otherwise wait in the backlog without an answer.
type reserve struct {
	mu     sync.Mutex
	fd     int  // or -1 while it is lent
	closed bool // the listener is
}

func openReserve() (*reserve, error) {
	fd, err := openNull()
	if err != nil {
		return nil, err
	}
	return &reserve{fd: fd}, nil
}

func openNull() (int, error) {
	fd, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT || err == unix.EACCES { // such as in a chroot
		fd, err = unix.Open("/", unix.O_PATH|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return -1, fmt.Errorf("reserving a descriptor: %w", err)
	}
	return fd, nil
}

// lend gives the descriptor up, if there is one, until restore.
func (r *reserve) lend() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd < 0 {
		return false
	}
	_ = unix.Close(r.fd)
	r.fd = -1
	return true
}

// restore opens the descriptor again. If another has taken its place meanwhile,
// the listener goes on without a reserve until the next client that it accepts.
func (r *reserve) restore() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fd >= 0 || r.closed {
		return
	}
	if fd, err := openNull(); err == nil {
		r.fd = fd
	}
}

func (r *reserve) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.fd >= 0 {
		_ = unix.Close(r.fd)
		r.fd = -1
	}
}
