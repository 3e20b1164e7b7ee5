package linktest

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Slow is a descriptor that takes an hour to close, for tests of what happens to those
// who receive it: a Unix socket in which a TCP socket waits that lingers, since its peer
// does not read.
type Slow struct {
	FD     int
	reader int // that does not
}

// NewSlow makes one.
func NewSlow() (*Slow, error) {
	reader, writer, err := stalled()
	if err != nil {
		return nil, fmt.Errorf("a TCP socket that lingers: %w", err)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("socketpair: %w", err)
	}
	err = unix.Sendmsg(pair[0], []byte("slow"), unix.UnixRights(writer), nil, 0)
	if err = errors.Join(err, unix.Close(writer), unix.Close(pair[0])); err != nil {
		return nil, fmt.Errorf("sending a descriptor: %w", err)
	}
	return &Slow{pair[1], reader}, nil
}

// Sent closes the descriptor, which was sent to the victim.
func (s *Slow) Sent() error { return unix.Close(s.FD) }

// End has all that close the descriptor wait no longer.
func (s *Slow) End() error { return unix.Close(s.reader) }

// stalled returns a TCP socket with as much unsent data as there can be, and the listening
// socket in which its peer waits to be accepted.
func stalled() (reader, writer int, err error) {
	if reader, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return
	}
	// Little is enough, and quick. The peer inherits its limit.
	if err = unix.SetsockoptInt(reader, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10); err != nil {
		return
	}
	if err = unix.Bind(reader, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return
	}
	if err = unix.Listen(reader, 1); err != nil {
		return
	}
	at, err := unix.Getsockname(reader)
	if err != nil {
		return
	}
	if writer, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return
	}
	if err = unix.SetsockoptInt(writer, unix.SOL_SOCKET, unix.SO_SNDBUF, 4<<10); err != nil {
		return
	}
	if err = unix.Connect(writer, at); err != nil {
		return
	}
	for err == nil {
		_, err = unix.SendmsgN(writer, make([]byte, 64<<10), nil, nil, unix.MSG_DONTWAIT)
	}
	if err != unix.EAGAIN {
		return
	}
	err = unix.SetsockoptLinger(writer, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1, Linger: 3600})
	return
}
