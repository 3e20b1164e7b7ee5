package peer

import (
	"errors"
	"fmt"
	"net"

	"github.com/sealport/sealport/peer/internal/peercred"
	"github.com/sealport/sealport/peer/internal/pidfd"
)

// FromConn identifies the process at the other end of a connected Unix socket, so
// that a daemon with a [net.UnixListener] can use the policies of this package:
//
//	id, err := peer.FromConn(conn)
//	if err != nil {
//		return err
//	}
//	defer id.Close()
//	if err := peer.Check(ctx, peer.SameUser(), id); err != nil {
//		return err
//	}
//
// On Linux the identity is that of the process that made the other end: it called
// connect, if c was accepted; listen, if c was dialled; or socketpair, which is often
// this process or its parent. The kernel vouches for it as of that call, not for
// each message: a process that inherited or was passed the descriptor, and whatever
// program the process has executed since, writes under the same identity. Where a
// service manager listens for a service, a client that dials sees the service manager.
//
// On Darwin it is the process that last used the other end. The kernel finds it by
// its pid, which another process of the same user may have got meanwhile.
//
// The process must still have the effective user and group id with which it made
// its end, else FromConn returns [ErrChanged]: a daemon that listens as root and then
// drops its privileges is not identified by its clients. The real ids are the current
// ones. On Linux [Identity.Groups] returns the groups at the time of that call.
//
// Before Linux 6.5 the kernel gives only a pid and ids. There FromConn takes the process
// with that pid for the peer if it has those ids. [Identity.Assurance] reports that this
// is not safe against reuse of the pid, and what distinguishes processes of one user
// (executable, unit, descent) is [ErrUnavailable].
//
// FromConn does not block, and may be called while other goroutines use c, which is
// neither read from nor kept. The caller closes the Identity; closing c does not affect
// it. Stream and SOCK_SEQPACKET sockets can be identified, and
// datagram sockets that socketpair made.
//
// Errors: [ErrNoIdentity] for a socket that has no other end, and for a datagram
// socket that connect made; [ErrGone] when the process has exited, even if another one
// holds its end; [ErrChanged]; [ErrUnavailable] for a process that is not visible from
// our pid namespace; [net.ErrClosed] for a closed connection; [errors.ErrUnsupported]
// on other systems than Linux and Darwin, and before Linux 5.3; else the kernel's, such
// as EMFILE. No error leaves anything open.
func FromConn(c *net.UnixConn) (*Identity, error) {
	if c == nil {
		return nil, fmt.Errorf("%w: nil connection", ErrNoIdentity)
	}
	k, err := peercred.Get(c)
	switch {
	case err == nil:
		return identifyConn(k)
	case errors.Is(err, peercred.ErrExited):
		return nil, ErrGone
	case errors.Is(err, pidfd.ErrForeign):
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case errors.Is(err, peercred.ErrNotConnected), errors.Is(err, peercred.ErrDatagram), errors.Is(err, errors.ErrUnsupported):
		return nil, fmt.Errorf("%w: %w", ErrNoIdentity, err)
	}
	return nil, fmt.Errorf("peer: credentials of the connection: %w", err)
}

// FromPIDFD identifies the process that a pidfd refers to, and that the caller
// knows by pid in its own pid namespace: from SO_PEERPIDFD, [os.Process.WithHandle],
// or the PidFD field of [syscall.SysProcAttr].
//
// The identity is that of the process now. It is not known to be at the end
// of any connection: the caller must know that. [Identity.Connector] is zero, and
// [Identity.Label] returns ErrUnavailable.
//
// FromPIDFD does not block, and may be called concurrently. The caller keeps pidfd and
// closes it; the Identity has a duplicate, and the caller closes the Identity too. pidfd
// must stay open until FromPIDFD returns.
//
// Errors: [ErrContradiction] when the pidfd is that of another process, or of a
// thread; [ErrNoIdentity] when the descriptor is not open or not a pidfd, or pid is not
// positive; [ErrGone] when the process has exited; [ErrUnavailable] for a process that
// is not visible from our pid namespace; [errors.ErrUnsupported] on other systems than
// Linux; else the kernel's, such as EMFILE. No error leaves anything open.
func FromPIDFD(pid, pidfd int) (*Identity, error) {
	if pid <= 0 {
		return nil, fmt.Errorf("%w: pid %d is not that of a process", ErrNoIdentity, pid)
	}
	return identifyNumbered(pid, pidfd)
}
