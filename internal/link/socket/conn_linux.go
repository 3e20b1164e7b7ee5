package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrTruncated means that a datagram or its control data was larger than what
// is expected here.
var ErrTruncated = errors.New("datagram or control data larger than expected")

// ErrReset is returned once in place of io.EOF if the peer closed its end while
// datagrams from this side waited there, not received. Datagrams that it sent
// before are returned after it.
var ErrReset = errors.New("peer closed without reading everything")

// longAgo is a deadline that makes blocked calls return.
var longAgo = time.Unix(1, 0)

// Conn is a connected SOCK_SEQPACKET socket. One goroutine may send while
// another receives; Ring, Interrupt and Close may be called at any time.
type Conn struct {
	f           *os.File
	rc          syscall.RawConn
	ringFD      func(fd uintptr)
	interrupted atomic.Bool
	receiving   atomic.Bool // false: Receive has found nothing and has nothing in hand

	refuses bool        // descriptors: none can be in the queue
	foreign atomic.Bool // one is there that is not expected
	reset   atomic.Bool // ECONNRESET is to be returned next

	looking   sync.Mutex // held while the queue is looked through
	abandoned bool       // by Close
}

// NewConn takes a connected, non-blocking SOCK_SEQPACKET descriptor over. If the socket
// refuses descriptors (SO_PASSRIGHTS is 0), it must have done so from the beginning.
func NewConn(fd int) (*Conn, error) {
	f := os.NewFile(uintptr(fd), "sealport")
	rc, err := f.SyscallConn()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("socket in the netpoller: %w", err)
	}
	c := &Conn{f: f, rc: rc, refuses: refusesDescriptors(fd)}
	bell := []byte{0}
	c.ringFD = func(fd uintptr) {
		// EAGAIN: enough doorbells are on their way. EPIPE: the reader sees the end.
		_, _ = unix.SendmsgN(int(fd), bell, nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	}
	return c, nil
}

// Pair returns the two ends of a new connection, both attaching credentials to
// what they receive and refusing descriptors, where the kernel can.
func Pair() (*Conn, *Conn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	for _, fd := range fds {
		_, err := refuseDescriptors(fd)
		if err := errors.Join(err, passCredentials(fd)); err != nil {
			unix.Close(fds[0])
			unix.Close(fds[1])
			return nil, nil, err
		}
	}
	a, err := NewConn(fds[0])
	if err != nil {
		unix.Close(fds[1])
		return nil, nil, err
	}
	b, err := NewConn(fds[1])
	if err != nil {
		a.Close()
		return nil, nil, err
	}
	return a, b, nil
}

// passCredentials asks the kernel to attach the sender's credentials to each
// datagram received. Kernels before 6.5 have no pidfd to give.
func passCredentials(fd int) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSCRED, 1); err != nil {
		return fmt.Errorf("SO_PASSCRED: %w", err)
	}
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PASSPIDFD, 1); err != nil && err != unix.ENOPROTOOPT {
		return fmt.Errorf("SO_PASSPIDFD: %w", err)
	}
	return nil
}

// StopCredentials ends what a Conn begins with: credentials on each datagram
// received. A carrier that does not look at them saves their cost.
func (c *Conn) StopCredentials() error {
	var serr error
	err := c.rc.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSPIDFD, 0)
		serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_PASSCRED, 0)
	})
	return errors.Join(err, serr)
}

// SetBuffer sets the send buffer in bytes, as far as the system's limit allows.
func (c *Conn) SetBuffer(n int) error {
	var serr error
	err := c.rc.Control(func(fd uintptr) {
		serr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, n)
	})
	return errors.Join(err, serr)
}

// Ring sends a datagram of one byte without blocking: a doorbell. It allocates
// nothing, and reports no failure: a full socket holds enough doorbells,
// and the reader notices a broken one.
func (c *Conn) Ring() { _ = c.rc.Control(c.ringFD) }

// Drain receives and drops datagrams, calling poke after each, until the peer
// closes (io.EOF), resets (ErrReset; then io.EOF), sends a descriptor (ErrDescriptor),
// or Interrupt. StopCredentials must have been called.
func (c *Conn) Drain(poke func()) error {
	var scratch [16]byte
	var n int
	var rerr error
	read := func(fd uintptr) bool {
		if c.refuses {
			n, rerr = retry(func() (int, error) { return unix.Read(int(fd), scratch[:]) })
		} else {
			var m received
			m, _, rerr = c.next(int(fd), scratch[:], nil, false)
			n = m.n
		}
		return rerr != unix.EAGAIN
	}
	for {
		if err := c.rc.Read(read); err != nil {
			return c.ended(err)
		}
		switch {
		case rerr == unix.ECONNRESET:
			return ErrReset
		case rerr != nil:
			return fmt.Errorf("recv: %w", rerr)
		case n == 0:
			return io.EOF
		}
		poke()
	}
}

// ended turns the netpoller's errors after Interrupt or Close into os.ErrClosed.
func (c *Conn) ended(err error) error {
	if err == nil {
		return nil
	}
	if c.interrupted.Load() || errors.Is(err, os.ErrClosed) {
		return os.ErrClosed
	}
	return err
}

// waitWrite calls try with the descriptor, and again each time that the socket
// becomes writable, until it returns true, ctx ends (ctx.Err()) or Interrupt
// (os.ErrClosed). It looks at ctx only when it has to wait.
func (c *Conn) waitWrite(ctx context.Context, try func(fd uintptr) bool) error {
	return c.wait(ctx, c.rc.Write, c.f.SetWriteDeadline, try)
}

// waitRead is waitWrite for readable.
func (c *Conn) waitRead(ctx context.Context, try func(fd uintptr) bool) error {
	return c.wait(ctx, c.rc.Read, c.f.SetReadDeadline, try)
}

func (c *Conn) wait(ctx context.Context, do func(func(uintptr) bool) error, deadline func(time.Time) error, try func(fd uintptr) bool) error {
	if ctx.Done() == nil {
		return c.ended(do(try))
	}
	done := false
	if err := do(func(fd uintptr) bool { done = try(fd); return true }); err != nil || done {
		return c.ended(err)
	}
	fired := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		_ = deadline(longAgo)
		close(fired)
	})
	err := do(try)
	if stop() {
		return c.ended(err)
	}
	// The deadline is being set: wait for that, then take it back.
	<-fired
	_ = deadline(time.Time{})
	if c.interrupted.Load() { // perhaps in between
		_ = deadline(longAgo)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		return ctx.Err()
	}
	return c.ended(err)
}

// Interrupt makes blocked and later calls that wait return os.ErrClosed.
func (c *Conn) Interrupt() {
	c.interrupted.Store(true)
	_ = c.f.SetDeadline(longAgo)
}

// CloseWrite tells the peer that nothing more comes: it reads what was sent,
// then io.EOF.
func (c *Conn) CloseWrite() error {
	var serr error
	err := c.rc.Control(func(fd uintptr) { serr = unix.Shutdown(int(fd), unix.SHUT_WR) })
	return errors.Join(err, serr)
}

// Close closes the socket. Blocked calls return os.ErrClosed. It does not wait for
// descriptors that a peer has sent and that were not received: then the peer sees the
// end, and the socket is closed in the background.
func (c *Conn) Close() error {
	c.interrupted.Store(true)
	if c.refuses {
		return c.f.Close()
	}
	foreign, err := c.abandon()
	if err != nil {
		return err
	}
	if !foreign {
		return c.f.Close()
	}
	_ = c.f.SetDeadline(longAgo) // blocked calls return
	background.add(func() { _ = closeFile(c.f, c.rc) })
	return nil
}

// retry repeats a system call that a signal interrupted.
func retry(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}
