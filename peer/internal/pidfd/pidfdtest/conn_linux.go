// Package pidfdtest makes connections on which the kernel attaches credentials,
// and processes to see them from, for tests of package peer. It stands apart from
// the carriers, so that those tests do not depend on them.
package pidfdtest

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/cred"
)

// MaxMessage is the size of the largest message that Receive takes, in bytes.
const MaxMessage = 4096

// Conn is one end of a SOCK_SEQPACKET connection, or a listener. All methods block.
type Conn struct{ fd int }

// Listen makes a listener at path.
func Listen(path string) (*Conn, error) {
	c, err := socket()
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(c.fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, errors.Join(fmt.Errorf("bind: %w", err), c.Close())
	}
	// Peers of other users must get in: that is what the tests are about.
	if err := unix.Chmod(path, 0o777); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	if err := unix.Listen(c.fd, 16); err != nil {
		return nil, errors.Join(fmt.Errorf("listen: %w", err), c.Close())
	}
	return c, nil
}

// Accept waits for a client.
func (c *Conn) Accept() (*Conn, error) {
	for {
		fd, _, err := unix.Accept4(c.fd, unix.SOCK_CLOEXEC)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("accept: %w", err)
		}
		return &Conn{fd}, nil
	}
}

// Dial connects to a listener.
func Dial(path string) (*Conn, error) {
	c, err := socket()
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(c.fd, &unix.SockaddrUnix{Name: path}); err != nil {
		return nil, errors.Join(fmt.Errorf("connect: %w", err), c.Close())
	}
	return c, nil
}

// Adopt makes a Conn of a descriptor that this process inherited.
func Adopt(fd int) *Conn { return &Conn{fd} }

// FD returns the descriptor, which stays the Conn's.
func (c *Conn) FD() int { return c.fd }

// Close closes the descriptor.
func (c *Conn) Close() error { return unix.Close(c.fd) }

// Send sends a message with the credentials that the kernel chooses.
func (c *Conn) Send(b []byte) error { return unix.Sendmsg(c.fd, b, nil, nil, unix.MSG_NOSIGNAL) }

// SendAs sends a message with chosen credentials, if the kernel permits.
func (c *Conn) SendAs(u cred.UCred, b []byte) error {
	rights := unix.UnixCredentials(&unix.Ucred{Pid: u.PID, Uid: u.UID, Gid: u.GID})
	return unix.Sendmsg(c.fd, b, rights, nil, unix.MSG_NOSIGNAL)
}

// Receive waits for a message and the credentials of its sender. The caller
// closes the credentials.
func (c *Conn) Receive() ([]byte, *cred.Credentials, error) {
	b, oob := make([]byte, MaxMessage), make([]byte, 256)
	n, on, flags, _, err := unix.Recvmsg(c.fd, b, oob, unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR {
		n, on, flags, _, err = unix.Recvmsg(c.fd, b, oob, unix.MSG_CMSG_CLOEXEC)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("recvmsg: %w", err)
	}
	if flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		return nil, nil, errors.New("pidfdtest: truncated message")
	}
	creds := cred.New(unix.Close)
	messages, err := unix.ParseSocketControlMessage(oob[:on])
	if err != nil {
		return nil, nil, fmt.Errorf("control messages: %w", err)
	}
	for _, m := range messages {
		if m.Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch m.Header.Type {
		case unix.SCM_CREDENTIALS:
			u, err := unix.ParseUnixCredentials(&m)
			if err != nil {
				return nil, nil, fmt.Errorf("SCM_CREDENTIALS: %w", err)
			}
			creds.Message = cred.UCred{PID: u.Pid, UID: u.Uid, GID: u.Gid}
		case unix.SCM_PIDFD:
			// An int like those of SCM_RIGHTS; negative is the kernel's error.
			fds, err := parsePidfd(m.Data)
			if err != nil {
				return nil, nil, err
			}
			creds.PIDFD = fds
		}
	}
	u, err := unix.GetsockoptUcred(c.fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
	if err != nil {
		return nil, nil, fmt.Errorf("SO_PEERCRED: %w", err)
	}
	creds.Socket = cred.UCred{PID: u.Pid, UID: u.Uid, GID: u.Gid}
	return b[:n], creds, nil
}

// WaitExit waits until the process behind a pidfd has exited. It need not be
// reaped then.
func WaitExit(pidfd int) error {
	p := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	for {
		if _, err := unix.Poll(p, -1); err != unix.EINTR {
			return err
		}
	}
}

func socket() (*Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	// Accepted sockets inherit both.
	for _, option := range []int{unix.SO_PASSCRED, unix.SO_PASSPIDFD} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, 1); err != nil {
			return nil, errors.Join(fmt.Errorf("setsockopt: %w", err), unix.Close(fd))
		}
	}
	return &Conn{fd}, nil
}

func parsePidfd(b []byte) (int, error) {
	if len(b) != 4 {
		return -1, errors.New("pidfdtest: SCM_PIDFD is not an int")
	}
	fd := int32(b[0]) | int32(b[1])<<8 | int32(b[2])<<16 | int32(b[3])<<24
	return int(max(fd, -1)), nil
}
