package socket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
)

// MaxFrame is the largest frame in bytes: a 64 KiB message with its headers.
const MaxFrame = 64<<10 + 256

// The kinds of datagram.
const (
	kindFrame  = 0 // a frame follows
	kindEnd    = 1 // no more frames; nothing follows
	kindGoAway = 2 // the receiver is asked to end its frames; nothing follows
)

// The send buffer as asked of the kernel, in bytes (it accounts the double, with
// its own overhead). lastBuffer is what the frames of CloseWrite may take when it is full,
// and endBuffer what the end may take when that is full too: a datagram is sent as long as
// those before it take less, so each needs room for one frame above the one before. All
// are within Linux's default net.core.wmem_max of 212,992.
const (
	sendBuffer = 64 << 10
	lastBuffer = 128 << 10
	endBuffer  = 208 << 10
)

// backlogShare: the peer is backlogged when more than 1/backlogShare of the send
// buffer waits for it.
const backlogShare = 4

// The kernel has no event for "the peer has received everything", so WaitDrained
// polls, at growing intervals.
const (
	drainFirst = 50 * time.Microsecond
	drainMost  = 10 * time.Millisecond
)

// hangUpLook is how often the receiver looks for the peer's end, and whether the peer asks
// for ours, while it waits for the reader to take a frame or to deal with it.
const hangUpLook = 50 * time.Millisecond

// Link implements link.Link.
type Link struct {
	sock   *Conn
	cred   *cred.Credentials
	inode  uint64  // of cred.PIDFD, 0 if there is none
	limit  int     // SO_SNDBUF as accounted
	counts *Counts // or nil

	sent uint64 // frames; the writer's
	lost uint64 // Unacknowledged at Close
	read uint64 // frames that the reader has dealt with

	// The receiver owns its buffer while it receives, the caller of ReadFrame
	// from an arrival until the next ReadFrame, which says so on dealt.
	arrivals chan []byte
	dealt    chan struct{}
	holding  bool          // the caller holds an arrival
	kept     atomic.Bool   // and keeps it: the receiver takes another buffer
	readEnd  chan struct{} // closed after the last arrival
	readErr  error         // why; written before readEnd is closed

	scratch []byte // kind and head of the frame being written

	stopped     atomic.Bool // Interrupt was called
	interrupted chan struct{}
	writeEnded  atomic.Bool
	handing     atomic.Bool // the receiver has a frame that has not been dealt with
	reset       atomic.Bool // the peer closed without reading everything
	gone        context.Context
	leave       func()    // ends gone
	asking      sync.Once // this side
	heard       bool      // the receiver has got a kindGoAway
	asked       context.Context
	ask         func()        // ends asked, when the peer has asked for the end
	received    chan struct{} // closed when the receiver has ended
	closed      bool
}

var _ link.Link = (*Link)(nil)

// New makes a Link of a socket, the peer's credentials, and Counts, which may be nil, and
// takes all three over, on error too. Without Counts, Unacknowledged may be far too large,
// and GoAway does not reach a peer that does not read.
func New(sock *Conn, c *cred.Credentials, counts *Counts) (*Link, error) {
	l := &Link{
		sock: sock, cred: c, counts: counts,
		arrivals:    make(chan []byte),
		dealt:       make(chan struct{}),
		readEnd:     make(chan struct{}),
		interrupted: make(chan struct{}),
		received:    make(chan struct{}),
	}
	l.gone, l.leave = context.WithCancel(context.Background())
	l.asked, l.ask = context.WithCancel(context.Background())
	if err := l.prepare(); err != nil {
		return nil, errors.Join(err, sock.Close(), c.Close(), counts.Close())
	}
	go l.receive()
	return l, nil
}

func (l *Link) prepare() (err error) {
	if l.cred.PIDFD >= 0 {
		if l.inode, err = Inode(l.cred.PIDFD); err != nil {
			return err
		}
	}
	if err := l.sock.SetBuffer(sendBuffer); err != nil {
		return err
	}
	l.limit, err = l.sock.SendBuffer()
	return err
}

// WriteFrame implements link.Link.
func (l *Link) WriteFrame(ctx context.Context, head, body []byte) error {
	if n := len(head) + len(body); n > MaxFrame {
		return tooLarge(n)
	}
	if l.stopped.Load() || l.writeEnded.Load() {
		return link.ErrClosed
	}
	l.scratch = append(append(l.scratch[:0], kindFrame), head...)
	err := l.sock.Send(ctx, l.scratch, body, -1)
	if err == nil {
		l.sent++
	}
	return l.writeError(err)
}

func (l *Link) writeError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrReset):
		l.reset.Store(true)
		return link.ErrPeerGone
	case errors.Is(err, io.ErrClosedPipe):
		return link.ErrPeerGone
	case errors.Is(err, os.ErrClosed):
		return link.ErrClosed
	}
	return err
}

// ReadFrame implements link.Link.
func (l *Link) ReadFrame(ctx context.Context) ([]byte, error) {
	if l.holding {
		select {
		case l.dealt <- struct{}{}:
			l.holding = false
			l.read++
			l.counts.setDealt(l.read)
		case <-l.interrupted:
			return nil, link.ErrClosed
		}
	}
	select {
	case frame := <-l.arrivals:
		l.holding = true
		return frame, nil
	case <-l.readEnd:
		if l.stopped.Load() {
			return nil, link.ErrClosed
		}
		return nil, l.readErr
	case <-l.interrupted:
		return nil, link.ErrClosed
	case <-ctx.Done():
		return l.readLast(ctx)
	}
}

// readLast is ReadFrame when ctx has ended: what has arrived comes first, and
// some of it may be on its way through the receiver.
func (l *Link) readLast(ctx context.Context) ([]byte, error) {
	for {
		idle, err := l.sock.Idle()
		select {
		case frame := <-l.arrivals:
			l.holding = true
			return frame, nil
		case <-l.interrupted:
			return nil, link.ErrClosed
		case <-l.readEnd:
			return nil, l.readErr
		default:
		}
		if idle || err != nil {
			return nil, ctx.Err()
		}
		runtime.Gosched()
	}
}

// KeepFrame implements link.Link.
func (l *Link) KeepFrame() { l.kept.Store(true) }

// Buffered implements link.Link: what has arrived is known to the kernel only.
func (l *Link) Buffered() bool { return false }

// SyscallPerFrame implements link.Link.
func (l *Link) SyscallPerFrame() bool { return true }

// Carrier implements link.Link.
func (l *Link) Carrier() string { return link.Socket }

// MaxFrame implements link.Link.
func (l *Link) MaxFrame() int { return MaxFrame }

// Backlogged implements link.Link: more than a quarter of the send buffer waits. It
// costs a system call.
func (l *Link) Backlogged() bool {
	n, err := l.sock.Unsent()
	return err == nil && n > l.limit/backlogShare
}

// WaitDrained implements link.Link.
func (l *Link) WaitDrained(ctx context.Context) error {
	for wait := drainFirst; l.Backlogged(); wait = min(2*wait, drainMost) {
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-l.gone.Done():
			t.Stop()
			return link.ErrPeerGone
		case <-l.interrupted:
			t.Stop()
			return link.ErrClosed
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
	switch {
	case l.stopped.Load():
		return link.ErrClosed
	case l.sock.HungUp(): // the kernel has dropped what waited
		return link.ErrPeerGone
	}
	return nil
}

// leastDatagram is less than the kernel accounts for any datagram in the send buffer, in
// bytes: struct sk_buff and struct skb_shared_info alone are larger.
const leastDatagram = 256

// Unacknowledged implements link.Link. Without Counts it is how many frames the send
// buffer can hold, if the kernel does not say that there are none.
func (l *Link) Unacknowledged() uint64 {
	switch {
	case l.closed:
		return l.lost
	case l.counts != nil:
		// A peer that claims more than was written counts as having dealt with all.
		return l.sent - min(l.counts.peerDealt(), l.sent)
	case l.endRead(): // the peer has ended gracefully
		if !l.reset.Load() {
			return 0
		}
	case !l.reset.Load() && l.sock.idleOut():
		return min(l.sent, 1) // the peer may have one in hand
	}
	return min(l.sent, uint64(l.limit/leastDatagram)+1)
}

// endRead reports whether the peer's end was read.
func (l *Link) endRead() bool {
	select {
	case <-l.readEnd:
		return l.readErr == io.EOF
	default:
		return false
	}
}

// Gone implements link.Link. A peer is noticed to be gone when its last frame
// has been read, by a write, or within hangUpLook.
func (l *Link) Gone() context.Context { return l.gone }

// HungUp implements link.Link. It also finds out whether the peer has left
// something unread, for Unacknowledged.
func (l *Link) HungUp() bool {
	if !l.sock.HungUp() {
		return false
	}
	if l.sock.ClearReset() {
		l.reset.Store(true)
		return true
	}
	// The receiver may have that error in hand. Unless it has a frame, it is about
	// to say so and to end.
	for !l.handing.Load() && !l.stopped.Load() {
		select {
		case <-l.gone.Done():
			return true
		default:
			runtime.Gosched()
		}
	}
	return true
}

// GoAway implements link.Link.
func (l *Link) GoAway() {
	l.counts.askToEnd()
	// If there is no room the peer has datagrams to receive, and looks at its Counts then.
	l.asking.Do(func() { _ = l.sock.trySend([]byte{kindGoAway}) })
}

// GoingAway implements link.Link. A peer's request is noticed when it is received, or,
// while frames wait to be read, within hangUpLook.
func (l *Link) GoingAway() context.Context { return l.asked }

// Credentials implements link.Link.
func (l *Link) Credentials() *cred.Credentials { return l.cred }

// CloseWrite implements link.Link. The first frame and the end need no room: see
// lastBuffer. Where the system allows no larger buffer (net.core.wmem_max) they wait for it.
func (l *Link) CloseWrite(ctx context.Context, last ...[]byte) error {
	if l.writeEnded.Swap(true) {
		return nil
	}
	err := l.writeLast(ctx, last)
	if eerr := l.sendLast(ctx, []byte{kindEnd}, endBuffer); eerr != nil && !errors.Is(eerr, link.ErrPeerGone) {
		err = errors.Join(err, fmt.Errorf("sending the end: %w", eerr))
	}
	return err
}

func (l *Link) writeLast(ctx context.Context, last [][]byte) error {
	for _, frame := range last {
		if len(frame) > MaxFrame {
			return tooLarge(len(frame))
		}
		l.scratch = append(append(l.scratch[:0], kindFrame), frame...)
		if err := l.sendLast(ctx, l.scratch, lastBuffer); err != nil {
			return err
		}
		l.sent++
	}
	return nil
}

// sendLast sends a datagram in a send buffer of at least so many bytes, and waits only if
// that is full too.
func (l *Link) sendLast(ctx context.Context, b []byte, buffer int) error {
	err := l.sock.SendLast(b, buffer)
	if errors.Is(err, unix.EAGAIN) {
		err = l.sock.Send(ctx, b, nil, -1)
	}
	return l.writeError(err)
}

func tooLarge(n int) error {
	return fmt.Errorf("%w: %d bytes, the limit is %d", link.ErrFrameTooLarge, n, MaxFrame)
}

// Interrupt implements link.Link.
func (l *Link) Interrupt() {
	if !l.stopped.Swap(true) {
		close(l.interrupted)
		l.sock.Interrupt()
	}
}

// Close implements link.Link.
func (l *Link) Close() error {
	if l.closed {
		return nil
	}
	l.Interrupt()
	err := l.CloseWrite(context.Background())
	<-l.received
	l.lost, l.closed = l.Unacknowledged(), true
	return errors.Join(err, l.sock.Close(), l.cred.Close(), l.counts.Close())
}
