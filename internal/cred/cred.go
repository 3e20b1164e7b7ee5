// Package cred holds the credentials that a kernel attached to a message or keeps for a
// connection, as they are. Package peer makes an identity of them and authorizes it.
package cred

import "errors"

// ErrNone is returned where the kernel attached no credentials to a message
// that must carry them.
var ErrNone = errors.New("cred: the kernel attached no credentials")

// UCred is Linux's struct ucred (unix(7), SCM_CREDENTIALS).
type UCred struct {
	PID int32  // thread group; 0 if it lives in another pid namespace
	UID uint32 // as seen from our user namespace
	GID uint32
}

// Credentials are the credentials of the process that sent one message.
//
// On Linux they are taken from the peer's hello, not only from the socket: a
// connected socket names the process that called listen or connect, which need
// not be the one that sends (systemd activation, an inherited connection).
//
// The holder owns PIDFD and closes it with Close.
type Credentials struct {
	// Message is SCM_CREDENTIALS of the hello. The kernel fills it with the
	// sender's real uid and gid; a privileged sender may choose others.
	Message UCred

	// PIDFD is SCM_PIDFD of the hello, or -1 where the kernel attached none
	// (before Linux 6.5, or the sender was already reaped). Close-on-exec.
	PIDFD int

	// Socket is SO_PEERCRED: the process that called connect (or listen), with its
	// effective ids at that moment. It may be another process than Message's.
	Socket UCred

	// Label is SO_PEERSEC, the peer's LSM label, or "" where no LSM gives one.
	Label string

	// AuditToken is Darwin's audit_token_t as the kernel put it into the
	// trailer of the hello. All zero on other systems.
	AuditToken [8]uint32

	close func(fd int) error
}

// New returns empty Credentials; closeFD closes PIDFD.
func New(closeFD func(fd int) error) *Credentials {
	return &Credentials{PIDFD: -1, close: closeFD}
}

// Close closes PIDFD. It is idempotent, but not safe for concurrent use.
func (c *Credentials) Close() error {
	if c == nil || c.PIDFD < 0 || c.close == nil {
		return nil
	}
	fd := c.PIDFD
	c.PIDFD = -1
	return c.close(fd)
}
