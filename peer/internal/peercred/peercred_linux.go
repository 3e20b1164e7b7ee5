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
	// Ids of -1 are what the kernel answers if it has kept none (unix(7)); no process
	// has them. A pid of 0 is a process outside of our pid namespace.
	if u.Uid == none {
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
	if k.PIDFD, err = unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEERPIDFD); err != nil {
		return withoutPIDFD(k, err)
	}
	return k, nil
}

// none is the user of no process: (uid_t)-1.
const none = ^uint32(0)

// withoutPIDFD is the rest of get where SO_PEERPIDFD has failed.
func withoutPIDFD(k *Credentials, err error) (*Credentials, error) {
	switch {
	case errors.Is(err, unix.ENOPROTOOPT): // before Linux 6.5
		return byNumber(k)
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.ESRCH):
		// Kernels before Linux 6.16 have no pidfd for a process that was reaped.
		return nil, ErrExited
	default:
		return nil, failed("SO_PEERPIDFD", err)
	}
}

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
