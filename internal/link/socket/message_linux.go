package socket

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/cred"
)

// Control is what came along with a datagram. The receiver owns the descriptors.
// Closing FD may block for as long as the peer likes, unless it is known what it is:
// see CloseForeign.
type Control struct {
	Cred    cred.UCred
	HasCred bool
	PIDFD   int   // SCM_PIDFD, or -1
	NoPIDFD error // why the kernel could not make one, such as EMFILE
	FD      int   // SCM_RIGHTS, or -1
}

// Close closes the descriptors, FD in the background.
func (c *Control) Close() {
	if c.PIDFD >= 0 {
		_ = CloseFD(c.PIDFD)
		c.PIDFD = -1
	}
	if c.FD >= 0 {
		CloseForeign(c.FD)
		c.FD = -1
	}
}

// Send sends one datagram, head followed by body, and fd with it unless that is
// -1. It blocks while the socket is full, until ctx ends. Errors: ctx.Err(),
// os.ErrClosed, io.ErrClosedPipe (the peer has closed), ErrReset (it has, without receiving
// everything), or the kernel's.
func (c *Conn) Send(ctx context.Context, head, body []byte, fd int) error {
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	var serr error
	send := func(sock uintptr) bool {
		_, serr = retry(func() (int, error) {
			return unix.SendmsgBuffers(int(sock), [][]byte{head, body}, rights, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		})
		return serr != unix.EAGAIN
	}
	if err := c.waitWrite(ctx, send); err != nil {
		return err
	}
	return sendError(serr)
}

func sendError(err error) error {
	switch err {
	case nil:
		return nil
	case unix.EPIPE:
		return io.ErrClosedPipe
	case unix.ECONNRESET:
		return ErrReset
	default:
		return fmt.Errorf("send: %w", err)
	}
}

// trySend sends a small datagram if there is room.
func (c *Conn) trySend(b []byte) error {
	var serr error
	err := c.rc.Control(func(fd uintptr) {
		_, serr = retry(func() (int, error) {
			return unix.SendmsgN(int(fd), b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		})
	})
	return errors.Join(err, serr)
}

// SendLast sends a last datagram without blocking, even if the send buffer is full: it
// then raises the limit to max bytes for it. That works if SetBuffer was given clearly
// less, else the error answers unix.EAGAIN.
func (c *Conn) SendLast(b []byte, max int) error {
	var serr error
	err := c.rc.Control(func(fd uintptr) {
		send := func() (int, error) {
			return unix.SendmsgN(int(fd), b, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		}
		if _, serr = retry(send); serr != unix.EAGAIN {
			return
		}
		if serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, max); serr == nil {
			_, serr = retry(send)
		}
	})
	if err != nil {
		return err
	}
	return sendError(serr)
}

// Receive receives one datagram into buf, with what came along, and blocks until
// there is one or ctx ends. Errors: ctx.Err(), os.ErrClosed, io.EOF, ErrReset,
// ErrTruncated (the datagram is lost), ErrDescriptor, or the kernel's.
func (c *Conn) Receive(ctx context.Context, buf []byte) (n int, ctl Control, err error) {
	return c.receive(ctx, buf, false)
}

// ReceiveDescriptor is Receive for a datagram that may carry a descriptor.
func (c *Conn) ReceiveDescriptor(ctx context.Context, buf []byte) (n int, ctl Control, err error) {
	return c.receive(ctx, buf, true)
}

func (c *Conn) receive(ctx context.Context, buf []byte, descriptor bool) (int, Control, error) {
	// Room for credentials, one descriptor and a pidfd.
	var oob [128]byte
	room := oob[:unix.CmsgSpace(unix.SizeofUcred)+2*unix.CmsgSpace(4)]
	var m received
	ctl := Control{PIDFD: -1, FD: -1}
	var rerr error
	recv := func(sock uintptr) bool {
		c.receiving.Store(true)
		m, ctl, rerr = c.next(int(sock), buf, room, descriptor)
		c.receiving.Store(rerr != unix.EAGAIN)
		return rerr != unix.EAGAIN
	}
	if err := c.waitRead(ctx, recv); err != nil {
		return 0, ctl, err
	}
	var err error
	switch {
	case rerr == unix.ECONNRESET:
		err = ErrReset
	case rerr != nil:
		err = fmt.Errorf("recv: %w", rerr)
	case m.flags&unix.MSG_TRUNC != 0:
		err = ErrTruncated
	case m.n == 0:
		// An empty datagram looks the same; a peer that keeps to the protocol
		// sends none.
		err = io.EOF
	}
	if err != nil {
		ctl.Close()
		return 0, ctl, err
	}
	return m.n, ctl, nil
}

// parseControl reads the kernel's control messages, all of them on error too: the
// caller closes the descriptors that came.
func parseControl(oob []byte) (ctl Control, fds []int, err error) {
	ctl = Control{PIDFD: -1, FD: -1}
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return ctl, nil, fmt.Errorf("control data: %w", err)
	}
	for _, m := range msgs {
		if m.Header.Level != unix.SOL_SOCKET {
			continue
		}
		switch m.Header.Type {
		case unix.SCM_CREDENTIALS:
			u, perr := unix.ParseUnixCredentials(&m)
			if perr != nil {
				err = fmt.Errorf("SCM_CREDENTIALS: %w", perr)
				continue
			}
			ctl.Cred = cred.UCred{PID: u.Pid, UID: u.Uid, GID: u.Gid}
			ctl.HasCred = true
		case unix.SCM_RIGHTS:
			some, perr := unix.ParseUnixRights(&m)
			if perr != nil {
				err = fmt.Errorf("SCM_RIGHTS: %w", perr)
			}
			fds = append(fds, some...)
		case unix.SCM_PIDFD:
			if len(m.Data) >= 4 {
				fd := int32(binary.NativeEndian.Uint32(m.Data))
				if ctl.PIDFD = int(max(-1, fd)); fd < 0 {
					ctl.NoPIDFD = unix.Errno(-fd)
				}
			}
		}
	}
	return ctl, fds, err
}

// Credentials makes the peer's credentials of what came with its hello and of
// what the socket says. It takes over ctl.PIDFD.
func (c *Conn) Credentials(ctl *Control) (*cred.Credentials, error) {
	if !ctl.HasCred {
		return nil, cred.ErrNone
	}
	switch ctl.NoPIDFD {
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM:
		return nil, fmt.Errorf("receiving a pidfd: %w", ctl.NoPIDFD)
	}
	k := cred.New(unix.Close)
	k.Message = ctl.Cred
	u, serr := c.PeerCred()
	k.Socket = u
	err := c.rc.Control(func(fd uintptr) {
		// No LSM, or a label that does not fit: no label, and policies that ask
		// for one refuse.
		if label, err := unix.GetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_PEERSEC); err == nil {
			k.Label = label
		}
	})
	if err := errors.Join(err, serr); err != nil {
		return nil, err
	}
	k.PIDFD, ctl.PIDFD = ctl.PIDFD, -1
	return k, nil
}

// PeerCred is SO_PEERCRED: the process that called connect or listen.
func (c *Conn) PeerCred() (k cred.UCred, err error) {
	cerr := c.rc.Control(func(fd uintptr) {
		var u *unix.Ucred
		if u, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); err != nil {
			err = fmt.Errorf("SO_PEERCRED: %w", err)
			return
		}
		k = cred.UCred{PID: u.Pid, UID: u.Uid, GID: u.Gid}
	})
	return k, errors.Join(cerr, err)
}

// Unsent is the number of bytes that the peer has not received yet, as the
// kernel accounts them. SendBuffer is their limit.
func (c *Conn) Unsent() (int, error) {
	var n int
	var serr error
	err := c.rc.Control(func(fd uintptr) { n, serr = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n, errors.Join(err, serr)
}

// idleOut reports whether the peer has received everything.
func (c *Conn) idleOut() bool {
	n, err := c.Unsent()
	return err == nil && n == 0
}

// HungUp reports whether the peer has closed its socket.
func (c *Conn) HungUp() bool {
	fds := []unix.PollFd{{}}
	err := c.rc.Control(func(fd uintptr) {
		fds[0].Fd = int32(fd)
		_, _ = unix.Poll(fds, 0)
	})
	return err != nil || fds[0].Revents&unix.POLLHUP != 0
}

// ClearReset reports whether the peer has closed without reading everything: what
// Send or Receive would say next as ErrReset, and now do not.
func (c *Conn) ClearReset() bool {
	if c.reset.Swap(false) {
		return true
	}
	pending := 0
	err := c.rc.Control(func(fd uintptr) {
		pending, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR)
	})
	return err == nil && unix.Errno(pending) == unix.ECONNRESET
}

// Idle reports whether nothing waits to be received and the goroutine that calls
// Receive has nothing in hand: it has called it again and waits. It may be called
// by any goroutine. A moment of doubt counts as not idle.
func (c *Conn) Idle() (bool, error) {
	var n int
	var serr error
	err := c.rc.Control(func(fd uintptr) { n, serr = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	if err := errors.Join(err, serr); err != nil {
		return false, err
	}
	// In this order: a datagram that was taken before we looked at the queue is
	// in hand until Receive has been called again.
	return n == 0 && !c.receiving.Load(), nil
}

// SendBuffer is SO_SNDBUF in bytes, as the kernel accounts them.
func (c *Conn) SendBuffer() (int, error) {
	var n int
	var serr error
	err := c.rc.Control(func(fd uintptr) { n, serr = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF) })
	return n, errors.Join(err, serr)
}

// Inode is the inode of a descriptor. Of a pidfd on pidfs (Linux 6.9) it names
// one process for as long as the system runs.
func Inode(fd int) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return 0, fmt.Errorf("fstat: %w", err)
	}
	return st.Ino, nil
}
