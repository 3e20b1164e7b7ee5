package rendezvous

import "golang.org/x/sys/unix"

// LockOpen takes the lock of a lock file in dir that was opened before, as a host does.
func LockOpen(dir string, fd int, name string) (bool, error) {
	at, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	f := &directory{place: place{path: dir}, fd: at}
	defer f.close()
	return f.lockOpen(fd, name)
}
