package rendezvous

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/socket"
)

// adopted is a socket that systemd has passed, from the first Listen that adopted it until
// the process ends. Each listener has a copy of fd. When none listens, clients wait in the
// backlog, as they do for a service that systemd has not started yet.
type adopted struct {
	fd    int  // a copy of this package's own
	inUse bool // by a listener
}

// adoptions are the sockets that were adopted, by the number under which systemd has passed
// them. The number may belong to anything by now, while the environment still names it.
var (
	adoptMu   sync.Mutex
	adoptions = map[int]*adopted{}
)

// listenAdopted serves an endpoint by the socket that systemd has passed for it. It returns
// nil if there is none. On error the descriptor stays open, as systemd has passed it or an
// earlier listener has left it, and can be adopted later.
func listenAdopted(endpoint string, o Options) (*unixListener, error) {
	passed, ok := activated(endpoint)
	if !ok {
		return nil, nil
	}
	a, sock, err := adopt(passed)
	switch {
	case errors.Is(err, socket.ErrNotListening):
		return nil, fmt.Errorf("%w: the socket that systemd passed for %s: %w", ErrNotEndpoint, endpoint, err)
	case err != nil:
		return nil, fmt.Errorf("adopting the socket that systemd passed for %s: %w", endpoint, err)
	}
	l := &unixListener{o: o, adopted: a}
	l.sock.Store(sock)
	return l, nil
}

// activated returns the descriptor that systemd has passed for an endpoint
// (sd_listen_fds(3)): FileDescriptorName= is the endpoint's name.
func activated(endpoint string) (fd int, ok bool) {
	const first = 3 // SD_LISTEN_FDS_START
	if pid, err := strconv.Atoi(os.Getenv("LISTEN_PID")); err != nil || pid != os.Getpid() {
		return 0, false
	}
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil {
		return 0, false
	}
	for i, name := range strings.Split(os.Getenv("LISTEN_FDNAMES"), ":") {
		if i < n && name == endpoint {
			return first + i, true
		}
	}
	return 0, false
}

// adopt makes a listener of a descriptor of systemd's. The first time that this succeeds it
// closes the descriptor and keeps a copy, which it uses from then on.
func adopt(passed int) (*adopted, *socket.Listener, error) {
	adoptMu.Lock()
	defer adoptMu.Unlock()
	a := adoptions[passed]
	if a == nil {
		fd, err := unix.FcntlInt(uintptr(passed), unix.F_DUPFD_CLOEXEC, 0)
		if err == unix.EBADF { // closed by this program
			return nil, nil, fmt.Errorf("%w: %w", socket.ErrNotListening, err)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("F_DUPFD_CLOEXEC: %w", err)
		}
		a = &adopted{fd: fd}
	}
	if a.inUse {
		return nil, nil, fmt.Errorf("%w: by this process; close its other host or listener first", ErrInUse)
	}
	sock, err := socket.Adopt(a.fd)
	switch {
	case err == nil && adoptions[passed] == nil:
		adoptions[passed] = a
		_ = unix.Close(passed)
	case err != nil && adoptions[passed] == nil:
		_ = unix.Close(a.fd)
	}
	a.inUse = err == nil
	return a, sock, err
}

// release lets another listener adopt the socket.
func (a *adopted) release() {
	adoptMu.Lock()
	defer adoptMu.Unlock()
	a.inUse = false
}
