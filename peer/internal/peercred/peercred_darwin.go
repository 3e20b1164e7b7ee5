package peercred

import (
	"errors"

	"golang.org/x/sys/unix"
)

// get asks for the token first: the other end can only be gone by the second call,
// not be another one.
func get(fd int) (*Credentials, error) {
	token, err := peerToken(fd)
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return nil, ErrNotConnected
	case errors.Is(err, unix.EINVAL): // no process with the pid that the socket has kept
		return nil, ErrExited
	case err != nil:
		return nil, failed("LOCAL_PEERTOKEN", err)
	}
	// Credentials of a connection are those at connect or listen. Datagram sockets
	// have none: EINVAL.
	x, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
	switch {
	case errors.Is(err, unix.ENOTCONN):
		return nil, ErrNotConnected
	case errors.Is(err, unix.EINVAL):
		return nil, ErrDatagram
	case err != nil:
		return nil, failed("LOCAL_PEERCRED", err)
	case x.Ngroups < 1:
		return nil, failed("LOCAL_PEERCRED without groups", unix.EINVAL)
	}
	// The kernel finds the token by the pid that last used the socket.
	k := &Credentials{PIDFD: -1, ByNumber: true, AuditToken: token}
	k.Socket.UID, k.Socket.GID = x.Uid, x.Groups[0] // the first is the effective one
	return k, nil
}

// peerToken returns the audit_token_t of LOCAL_PEERTOKEN: eight words. Package unix
// has no call with that type, but this one, whose answer is eight words too.
func peerToken(fd int) ([8]uint32, error) {
	words, err := unix.GetsockoptICMPv6Filter(fd, unix.SOL_LOCAL, unix.LOCAL_PEERTOKEN)
	if err != nil {
		return [8]uint32{}, err
	}
	return words.Filt, nil
}
