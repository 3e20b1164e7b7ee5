// Package peercred asks the kernel which process is at the other end of a
// connected Unix socket.
//
// It returns what the kernel kept when the connection was made; package peer makes
// an identity of it. Get does not block, and takes a
// reference to the descriptor, so that a connection that is closed meanwhile can't
// be mistaken for another one with its number.
package peercred

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/sealport/sealport/internal/cred"
)

var (
	// ErrNotConnected means that the socket has no other end: it was never
	// connected, it listens, or the kernel has forgotten the other end.
	ErrNotConnected = errors.New("the socket is not connected")

	// ErrDatagram means that the socket was connected by connect(2), for which the
	// kernel keeps no credentials if the socket is of type SOCK_DGRAM.
	ErrDatagram = errors.New("the kernel keeps no credentials for a connected datagram socket")

	// ErrExited means that the process at the other end no longer exists.
	ErrExited = errors.New("the process at the other end has exited")
)

// Credentials are those of the process at the other end: the one that called connect,
// listen or socketpair. The holder owns PIDFD and closes it.
type Credentials struct {
	// Socket is SO_PEERCRED on Linux: effective ids at that moment. On Darwin
	// only UID and GID are set, from LOCAL_PEERCRED.
	Socket cred.UCred

	// Groups are the supplementary groups at that moment (SO_PEERGROUPS). Linux only.
	Groups []uint32

	// Label is the LSM label at that moment (SO_PEERSEC), or "". Linux only.
	Label string

	// PIDFD is a close-on-exec pidfd of the process. -1 on Darwin.
	PIDFD int

	// ByNumber: the kernel found the process by a pid that it had kept, rather
	// than by a reference. Another process may have got that pid meanwhile.
	ByNumber bool

	// AuditToken is LOCAL_PEERTOKEN: the process that last used the other end, as
	// it is now. Darwin only.
	AuditToken [8]uint32
}

// Get returns the credentials of the other end of c.
//
// Errors: ErrNotConnected, ErrDatagram, ErrExited, net.ErrClosed for a closed
// connection, errors.ErrUnsupported where the kernel has no such call, and what the
// kernel answers, such as EMFILE.
func Get(c syscall.Conn) (*Credentials, error) {
	rc, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var k *Credentials
	var getErr error
	if err := rc.Control(func(fd uintptr) { k, getErr = get(int(fd)) }); err != nil {
		return nil, err
	}
	return k, getErr
}

func failed(call string, err error) error { return fmt.Errorf("%s: %w", call, err) }
