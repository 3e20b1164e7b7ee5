package socket

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrDescriptor means that a peer has sent a descriptor where none is expected, or more
// than one. It is final for the receiving side.
var ErrDescriptor = errors.New("unexpected descriptor")

// From Linux 6.16 a socket can refuse descriptors (SO_PASSRIGHTS): the sender gets EPERM,
// and none gets into its queue. Accepted sockets inherit that from the listening one.
//
// Where a socket does not, each receiving call first looks at the next datagram, without
// taking it from the queue (MSG_PEEK). A datagram with descriptors stays there, since the
// kernel would close those for which there is no room in the thread that receives it.
// The socket is then closed in the background.

// refuseDescriptors makes a socket refuse descriptors. It returns false if the kernel
// can't.
func refuseDescriptors(fd int) (bool, error) {
	err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS, 0)
	if err == unix.ENOPROTOOPT {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("SO_PASSRIGHTS: %w", err)
	}
	return true, nil
}

// refusesDescriptors reports whether a socket refuses descriptors.
func refusesDescriptors(fd int) bool {
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSRIGHTS)
	return err == nil && on == 0
}

// RefuseDescriptors makes the socket refuse descriptors from now on, where the kernel
// can. It returns ErrDescriptor if the peer has sent one already, and must not be called
// while another goroutine receives.
func (c *Conn) RefuseDescriptors() error {
	if c.refuses {
		return nil
	}
	var refuses, found bool
	var serr error
	err := c.rc.Control(func(fd uintptr) {
		if refuses, serr = refuseDescriptors(int(fd)); refuses {
			found, serr = c.holdsDescriptors(int(fd))
		}
	})
	if err := errors.Join(err, serr); err != nil {
		return err
	}
	if found {
		c.foreign.Store(true)
		return ErrDescriptor
	}
	c.refuses = refuses
	return nil
}

// holdsDescriptors looks for a datagram with descriptors among those that wait to be
// received. No other call may receive meanwhile.
func (c *Conn) holdsDescriptors(fd int) (found bool, err error) {
	waits := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	if _, err := retry(func() (int, error) { return unix.Poll(waits, 0) }); err == nil && waits[0].Revents == 0 {
		return false, nil // the queue is empty
	}
	// With credentials and room for just these: then there are credentials exactly if
	// there is a datagram, also an empty one, and MSG_CTRUNC exactly if it has more.
	restore, err := onlyCredentials(fd)
	if err != nil {
		return false, err
	}
	defer restore()
	defer func() { _ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, -1) }()
	var oob [128]byte
	room, scratch := oob[:unix.CmsgSpace(unix.SizeofUcred)], make([]byte, 1)
	for offset := 0; ; {
		// An empty datagram that was shown once is not shown again.
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PEEK_OFF, offset); err != nil {
			return false, fmt.Errorf("SO_PEEK_OFF: %w", err)
		}
		m, err := receive(fd, scratch, room, unix.MSG_PEEK|unix.MSG_TRUNC)
		switch {
		case err == unix.ECONNRESET:
			c.reset.Store(true) // for the next call that receives
		case err == unix.EAGAIN, err == nil && m.oobn == 0:
			return false, nil
		case err != nil:
			return false, fmt.Errorf("recv: %w", err)
		case m.flags&unix.MSG_CTRUNC != 0:
			return true, nil
		}
		offset += m.n
	}
}

// onlyCredentials has credentials come with each datagram, and no pidfd, until restore.
func onlyCredentials(fd int) (restore func(), err error) {
	credentials, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED)
	if err != nil {
		return nil, fmt.Errorf("SO_PASSCRED: %w", err)
	}
	pidfd, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSPIDFD)
	hasPIDFD := err == nil && pidfd != 0
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return nil, fmt.Errorf("SO_PASSCRED: %w", err)
	}
	if hasPIDFD {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSPIDFD, 0); err != nil {
			return nil, fmt.Errorf("SO_PASSPIDFD: %w", err)
		}
	}
	return func() {
		// In this order: at no time does the kernel not note who sends a datagram.
		if hasPIDFD {
			_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSPIDFD, 1)
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, credentials)
	}, nil
}

// received is what one recvmsg says.
type received struct{ n, oobn, flags int }

// receive is a recvmsg that does not block.
func receive(fd int, buf, oob []byte, flags int) (m received, err error) {
	m.n, err = retry(func() (n int, err error) {
		n, m.oobn, m.flags, _, err = unix.Recvmsg(fd, buf, oob, flags|unix.MSG_DONTWAIT|unix.MSG_CMSG_CLOEXEC)
		return n, err
	})
	return m, err
}

// next is receive with what came along, at most one descriptor and only if expected; else
// it returns ErrDescriptor, and the datagram stays where it is. Without room for control
// data, no credentials may be asked for.
func (c *Conn) next(fd int, buf, room []byte, expected bool) (m received, ctl Control, err error) {
	ctl = Control{PIDFD: -1, FD: -1}
	if c.reset.Load() && c.reset.Swap(false) {
		return m, ctl, unix.ECONNRESET
	}
	if c.refuses {
		if m, err = receive(fd, buf, room, 0); err == nil {
			ctl, _, err = parseControl(room[:m.oobn])
		}
		return m, ctl, err
	}
	c.looking.Lock()
	defer c.looking.Unlock()
	switch {
	case c.abandoned:
		return m, ctl, os.ErrClosed
	case c.foreign.Load():
		return m, ctl, ErrDescriptor
	}
	if m, err = receive(fd, buf, room, unix.MSG_PEEK); err != nil {
		return m, ctl, err
	}
	ctl, fds, err := parseControl(room[:m.oobn])
	switch cut := m.flags&unix.MSG_CTRUNC != 0; {
	case err != nil:
	case expected && cut && len(fds) == 0:
		c.foreign.Store(true)
		err = unix.EMFILE // there was room: this process may have no more
	case cut || len(fds) > 1 || len(fds) > 0 && !expected:
		c.foreign.Store(true)
		err = ErrDescriptor
	default:
		err = c.drop(fd)
	}
	if err != nil {
		for _, fd := range fds {
			CloseForeign(fd)
		}
		ctl.Close()
		return m, ctl, err
	}
	if len(fds) == 1 {
		ctl.FD = fds[0]
	}
	return m, ctl, nil
}

// drop takes the datagram that was looked at from the queue. Its descriptors are held
// elsewhere by now, so that closing them here takes no time.
func (c *Conn) drop(fd int) error {
	_, err := receive(fd, nil, nil, 0)
	for err == unix.ECONNRESET { // it came after the look, but is said first
		c.reset.Store(true)
		_, err = receive(fd, nil, nil, 0)
	}
	return err
}

// abandon makes sure that nothing is received any more and reports whether a descriptor
// waits in the socket, so that closing it may take long. Then the peer sees the end. It
// returns os.ErrClosed if the socket was closed or abandoned before.
func (c *Conn) abandon() (foreign bool, err error) {
	c.looking.Lock()
	defer c.looking.Unlock()
	if c.abandoned {
		return false, os.ErrClosed
	}
	err = c.rc.Control(func(fd uintptr) {
		_ = unix.Shutdown(int(fd), unix.SHUT_RD) // nothing can be added now
		found, err := c.holdsDescriptors(int(fd))
		if foreign = c.foreign.Load() || found || err != nil; foreign {
			_ = unix.Shutdown(int(fd), unix.SHUT_RDWR)
		}
	})
	if err != nil {
		return false, os.ErrClosed
	}
	c.abandoned = true
	return foreign, nil
}
