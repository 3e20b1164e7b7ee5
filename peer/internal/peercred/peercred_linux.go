package peercred

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/peer/internal/pidfd"
)

func get(fd int) (*Credentials, error) {
	// A listening socket has credentials, too: its own.
	if _, err := unix.Getpeername(fd); errors.Is(err, unix.ENOTCONN) {
		return nil, ErrNotConnected
	} else if err != nil {
		return nil, failed("getpeername", err)
	}
	u, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil, failed("SO_PEERCRED", err)
	}
	// unix(7) calls it "no process": pid 0 with ids of -1. A pid of 0 alone is a
	// process outside of our pid namespace.
	if u.Pid == 0 && u.Uid == none && u.Gid == none {
		return nil, ErrDatagram
	}
	k := &Credentials{Socket: cred.UCred{PID: u.Pid, UID: u.Uid, GID: u.Gid}}
	if k.Groups, err = groups(fd); err != nil {
		return nil, failed("SO_PEERGROUPS", err)
	}
	// No LSM, or a label that does not fit: no label, and policies that ask for
	// one refuse.
	if label, err := unix.GetsockoptString(fd, unix.SOL_SOCKET, unix.SO_PEERSEC); err == nil {
		k.Label = label
	}
	k.PIDFD, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD)
	switch {
	case err == nil:
		return k, nil
	case errors.Is(err, unix.ENOPROTOOPT):
		return byNumber(k)
	// Kernels before Linux 6.16 have no pidfd for a process that was reaped.
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ESRCH):
		return nil, ErrExited
	}
	return nil, failed("SO_PEERPIDFD", err)
}

// none is the user or group of no process: (uid_t)-1.
const none = ^uint32(0)

// byNumber opens the pidfd by pid, for kernels before Linux 6.5. The caller
// compares the ids of the process with those that the socket kept.
func byNumber(k *Credentials) (*Credentials, error) {
	if k.Socket.PID <= 0 {
		return nil, pidfd.ErrForeign
	}
	fd, err := pidfd.Open(int(k.Socket.PID))
	if errors.Is(err, unix.ESRCH) {
		return nil, ErrExited
	}
	if err != nil {
		return nil, err
	}
	k.PIDFD, k.ByNumber = fd, true
	return k, nil
}
