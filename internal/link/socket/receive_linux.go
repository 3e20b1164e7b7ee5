package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/link"
)

// receive passes frames to ReadFrame, one at a time, then the reason why there
// are no more, and waits for the end of the socket. New starts it, Close joins
// it.
func (l *Link) receive() {
	defer close(l.received)
	buf := make([]byte, 1+MaxFrame)
	look := time.NewTimer(hangUpLook)
	defer look.Stop()
	ended := false
	end := func(err error) {
		if !ended {
			ended, l.readErr = true, err
			close(l.readEnd)
		}
	}
	for {
		frame, err := l.receiveFrame(buf)
		switch {
		case err == nil && ended:
			// A frame after the end marker: the peer breaks the protocol. Drop it.
		case err == nil:
			if !l.handOver(frame, look) {
				return
			}
			if l.kept.Swap(false) {
				buf = make([]byte, len(buf))
			}
		case errors.Is(err, ErrReset):
			l.reset.Store(true)
		case errors.Is(err, os.ErrClosed):
			return
		case errors.Is(err, ErrDescriptor): // which is in the way of what follows
			end(err)
			l.hungUp()
			l.sock.Interrupt() // the peer may live, and a write wait
			return
		case errors.Is(err, io.EOF), errors.Is(err, link.ErrProtocol), errors.Is(err, link.ErrPeerChanged):
			end(err)
		case errors.Is(err, link.ErrPeerGone):
			end(err)
			l.hungUp()
			return
		default: // the socket has failed
			end(link.ErrPeerGone)
			l.hungUp()
			l.sock.Interrupt()
			return
		}
	}
}

// handOver passes a frame to ReadFrame and waits until that has dealt with it;
// false after Interrupt. While that takes long it looks now and then whether the
// peer has hung up, which would be noticed only behind the frame.
func (l *Link) handOver(frame []byte, look *time.Timer) bool {
	l.handing.Store(true)
	defer l.handing.Store(false)
	look.Reset(hangUpLook)
	arrivals, dealt := l.arrivals, (chan struct{})(nil)
	for {
		select {
		case arrivals <- frame:
			arrivals, dealt = nil, l.dealt
		case <-dealt:
			return true
		case <-l.interrupted:
			return false
		case <-look.C:
			if l.counts.peerAsks() {
				l.ask()
			}
			if l.sock.HungUp() {
				l.hungUp()
			} else {
				look.Reset(hangUpLook)
			}
		}
	}
}

// hungUp is called by the receiver when the socket has ended.
func (l *Link) hungUp() {
	if l.gone.Err() != nil {
		return
	}
	if l.sock.ClearReset() {
		l.reset.Store(true)
	}
	l.leave()
}

// receiveFrame receives and checks datagrams up to the next frame. io.EOF is the peer's
// end, and link.ErrPeerGone that of the socket.
func (l *Link) receiveFrame(buf []byte) ([]byte, error) {
	for {
		n, err := l.receiveChecked(buf)
		if err != nil {
			return nil, err
		}
		switch {
		case buf[0] == kindFrame:
			return buf[1:n:n], nil
		case buf[0] == kindEnd && n == 1:
			return nil, io.EOF
		case buf[0] == kindGoAway && n == 1 && !l.heard: // once, so that no flood keeps us here
			l.heard = true
			l.ask()
			continue
		}
		return nil, fmt.Errorf("%w: datagram of kind %d with %d bytes", link.ErrProtocol, buf[0], n)
	}
}

// receiveChecked receives a datagram of the peer's.
func (l *Link) receiveChecked(buf []byte) (n int, err error) {
	n, ctl, err := l.sock.Receive(context.Background(), buf)
	switch {
	case err == io.EOF:
		return 0, link.ErrPeerGone
	case errors.Is(err, ErrTruncated), errors.Is(err, ErrDescriptor):
		return 0, fmt.Errorf("%w: %w", link.ErrProtocol, err)
	case err != nil:
		return 0, err
	}
	defer ctl.Close()
	// GoAway leaves its datagram out if there is no room, so there is a frame before it.
	if buf[0] == kindFrame && l.counts.peerAsks() {
		l.ask()
	}
	return n, l.attest(&ctl)
}

// attest compares the credentials of a datagram with those of the hello.
func (l *Link) attest(ctl *Control) error {
	if !ctl.HasCred || ctl.Cred != l.cred.Message {
		return fmt.Errorf("%w: pid %d uid %d gid %d, the connection is of pid %d uid %d gid %d", link.ErrPeerChanged,
			ctl.Cred.PID, ctl.Cred.UID, ctl.Cred.GID, l.cred.Message.PID, l.cred.Message.UID, l.cred.Message.GID)
	}
	if l.inode == 0 {
		return nil // no pidfs: a pid is all there is
	}
	switch ctl.NoPIDFD {
	case nil:
	case unix.EMFILE, unix.ENFILE, unix.ENOMEM:
		return l.attestAlive(ctl)
	default:
		return fmt.Errorf("%w, as far as can be told: receiving a pidfd: %w", link.ErrPeerChanged, ctl.NoPIDFD)
	}
	if ctl.PIDFD < 0 {
		return fmt.Errorf("%w: the kernel gave no pidfd", link.ErrPeerChanged)
	}
	inode, err := Inode(ctl.PIDFD)
	if err != nil {
		return fmt.Errorf("%w: %w", link.ErrPeerChanged, err)
	}
	if inode != l.inode {
		return fmt.Errorf("%w: pid %d was reused", link.ErrPeerChanged, ctl.Cred.PID)
	}
	return nil
}

// attestAlive is attest where this process had no descriptor left for the sender's pidfd,
// and the sender has the pid of the peer.
//
// The pid is the peer's as long as the peer has not been waited for, and it can't be
// waited for before all of its threads have ended, which its pidfd says (pidfd_open(2)):
// an exec, or the end of its first thread alone, changes neither. The datagram came after
// the hello in the same queue, so that the peer lived already when it was sent. If the
// peer lives now, after it was received, it has had that pid all the time. So the pid is
// as good as the pidfd that the kernel would have made of it.
func (l *Link) attestAlive(ctl *Control) error {
	fds := []unix.PollFd{{Fd: int32(l.cred.PIDFD), Events: unix.POLLIN}}
	n, err := retry(func() (int, error) { return unix.Poll(fds, 0) })
	if err == nil && n == 0 {
		return nil
	}
	return fmt.Errorf("%w: who sent its last frames cannot be told: receiving a pidfd: %w", link.ErrPeerGone, ctl.NoPIDFD)
}
