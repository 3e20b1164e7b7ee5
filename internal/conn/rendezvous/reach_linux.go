package rendezvous

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link/socket"
)

// errNoProc means that nothing in a directory can be reached.
var errNoProc = errors.New("/proc is not mounted here, and the system does not allow what would do instead; mount /proc, or allow unshare(CLONE_FS)")

// listen binds a socket to a name in the directory: see socket.Listen.
func (f *directory) listen(file string, mode fs.FileMode) (sock *socket.Listener, err error) {
	err = f.reach(file, func(path string) error {
		sock, err = socket.Listen(path, mode)
		return err
	})
	if isPermission(err) {
		err = fmt.Errorf("%w: making a socket in %s: %w", ErrPermission, f.path, err)
	} else if err != nil {
		err = fmt.Errorf("making a socket in %s: %w", f.path, err)
	}
	return sock, err
}

// dial connects to the socket of a name in the directory: see socket.Dial.
func (f *directory) dial(ctx context.Context, file string, descriptors bool) (sock *socket.Conn, err error) {
	err = f.reach(file, func(path string) error {
		sock, err = socket.Dial(ctx, path, descriptors)
		return err
	})
	return sock, err
}

// reach calls use with a path by which bind(2) and connect(2) reach a file in this
// directory, whatever is at the directory's own path by now, and however long that is: a
// socket's path has at most 107 bytes. The path leads through /proc; without that it
// is relative to a working directory that only the calling thread has. It returns
// errNoProc if it can do neither.
func (f *directory) reach(file string, use func(path string) error) error {
	self := fmt.Sprintf("/proc/self/fd/%d", f.fd)
	var there, here unix.Stat_t
	if unix.Stat(self, &there) == nil && unix.Fstat(f.fd, &here) == nil && there.Ino == here.Ino && there.Dev == here.Dev {
		return use(self + "/" + file) // at most 20 bytes longer than the file's name
	}
	err := onThread(func() error {
		if err := unix.Fchdir(f.fd); err != nil {
			return fmt.Errorf("entering %s: %w", f.path, err)
		}
		return use(file)
	})
	if errors.Is(err, errNoThread) {
		return fmt.Errorf("reaching %s/%s: %w (%v)", f.path, file, errNoProc, err)
	}
	return err
}
