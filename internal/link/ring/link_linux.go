package ring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/socket"
)

// Bits of Link.state: why calls no longer do what they were made for.
const (
	stateGone        = 1 << iota // the socket has ended
	stateInterrupted             // Interrupt
	stateWriteEnded              // CloseWrite
)

// Options configure a Link. The zero value is what Config in transport calls
// default.
type Options struct {
	// PollThreshold is the rate in frames per second from which the reader polls
	// longer before it sleeps. 0 means DefaultPollThreshold, negative that it
	// never polls.
	PollThreshold int
}

// Link implements link.Link.
type Link struct {
	out  *Producer
	in   *Consumer
	poll poller

	missed int // the writer's waits for room since looking for it has paid

	state atomic.Uint32

	m    *Mapping
	sock *socket.Conn
	cred *cred.Credentials

	// Doorbells: a token is put in for each and stays until it is taken.
	readable chan struct{} // for ReadFrame
	writable chan struct{} // for WriteFrame
	taken    chan struct{} // for WaitDrained

	gone        chan struct{} // closed by the watcher, with stateGone
	interrupted chan struct{} // closed by Interrupt
	watched     chan struct{} // closed when the watcher has ended
	closed      bool
}

var _ link.Link = (*Link)(nil)

// New makes a Link of a mapping, the socket by which it was handed over, and the
// peer's credentials, and takes all three over.
func New(m *Mapping, side Side, sock *socket.Conn, c *cred.Credentials, o Options) *Link {
	out, in := m.Ends(side)
	l := &Link{
		out: out, in: in, m: m, sock: sock, cred: c,
		poll:        newPoller(o.PollThreshold),
		readable:    make(chan struct{}, 1),
		writable:    make(chan struct{}, 1),
		taken:       make(chan struct{}, 1),
		gone:        make(chan struct{}),
		interrupted: make(chan struct{}),
		watched:     make(chan struct{}),
	}
	go l.watch()
	return l
}

// watch passes doorbells on until the socket ends. New starts it, Close joins it.
func (l *Link) watch() {
	defer close(l.watched)
	// Reset or end of file: the peer is gone either way, and what it left
	// unread is in the ring's own count.
	_ = l.sock.Drain(func() {
		poke(l.readable)
		poke(l.writable)
		poke(l.taken)
	})
	l.state.Or(stateGone)
	close(l.gone)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// WriteFrame implements link.Link.
func (l *Link) WriteFrame(ctx context.Context, head, body []byte) error {
	if l.state.Load() != 0 {
		return l.writeError()
	}
	ok, err := l.out.Write(head, body)
	if !ok {
		if err := l.writeSlow(ctx, head, body, err); err != nil {
			return err
		}
	}
	if l.out.MustWake() {
		l.sock.Ring()
	}
	return nil
}

// writeError says why the writer can't go on, in order of what the caller
// should hear first.
func (l *Link) writeError() error {
	switch state := l.state.Load(); {
	case state&(stateInterrupted|stateWriteEnded) != 0:
		return link.ErrClosed
	case state&stateGone != 0:
		return link.ErrPeerGone
	default:
		return nil
	}
}

// writeSlow waits for room and writes the frame.
func (l *Link) writeSlow(ctx context.Context, head, body []byte, err error) error {
	n := len(head) + len(body)
	for {
		switch {
		case errors.Is(err, ErrTooLarge):
			return fmt.Errorf("%w: %d bytes, the limit is %d", link.ErrFrameTooLarge, n, l.out.MaxFrame())
		case err != nil:
			return fmt.Errorf("%w: %w", link.ErrProtocol, err)
		}
		if err := l.waitRoom(ctx, n); err != nil {
			return err
		}
		var ok bool
		if ok, err = l.out.Write(head, body); ok {
			return nil
		}
	}
}

// waitRoom returns when a frame of n bytes may fit.
func (l *Link) waitRoom(ctx context.Context, n int) error {
	// The reader needs some microseconds for a batch: less than sleeping costs,
	// unless it is not running at all, which the last time tells.
	if l.missed == 0 || l.missed%probeEvery == 0 {
		for range writerLooks {
			Pause(lookPauses)
			if ok, err := l.out.Room(n); ok || err != nil || l.state.Load() != 0 {
				l.missed = 0
				return l.writeError()
			}
		}
	}
	l.missed++
	short, err := l.out.Arm(n)
	if err != nil || !short {
		return nil // Write reports it, or has room
	}
	select {
	case <-l.writable:
	case <-l.gone:
	case <-l.interrupted:
	case <-ctx.Done():
		return ctx.Err()
	}
	return l.writeError()
}

// ReadFrame implements link.Link.
func (l *Link) ReadFrame(ctx context.Context) ([]byte, error) {
	if frame, ok := l.in.Next(); ok {
		return frame, nil
	}
	l.in.Release()
	for {
		// Before the look at the ring: what a peer wrote before it went is there
		// when we see that it has gone.
		state := l.state.Load()
		if state&stateInterrupted != 0 {
			return nil, link.ErrClosed
		}
		l.poll.beforeLook(l.in.Frames(), l.out.Published())
		n, err := l.in.Fill()
		l.poll.looked(n)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", link.ErrProtocol, err)
		}
		if l.in.MustWake() {
			l.sock.Ring()
		}
		if frame, ok := l.in.Next(); ok {
			return frame, nil
		}
		switch {
		case n > 0:
			continue // a part of a frame
		case l.in.Ended():
			return nil, io.EOF
		case state&stateGone != 0:
			return nil, link.ErrPeerGone
		}
		if err := l.waitData(ctx); err != nil {
			return nil, err
		}
	}
}

// waitData returns when there may be something to read.
func (l *Link) waitData(ctx context.Context) error {
	start, found := l.poll.spin(l.in, &l.state)
	if found {
		return nil
	}
	if !l.in.Arm() {
		l.in.Disarm()
		return nil
	}
	var err error
	select {
	case <-l.readable:
	case <-l.gone:
	case <-l.interrupted:
	case <-ctx.Done():
		// What came before the end of ctx goes first, and its doorbell may be on
		// its way.
		if l.in.Empty() {
			err = ctx.Err()
		}
	}
	l.in.Disarm()
	l.poll.slept(start)
	return err
}

// Buffered implements link.Link.
func (l *Link) Buffered() bool { return l.in.Buffered() }

// SyscallPerFrame implements link.Link.
func (l *Link) SyscallPerFrame() bool { return false }

// MaxFrame implements link.Link.
func (l *Link) MaxFrame() int { return l.out.MaxFrame() }

// Backlogged implements link.Link: the peer has not copied out every frame.
func (l *Link) Backlogged() bool { return l.out.Backlogged() }

// WaitDrained implements link.Link.
func (l *Link) WaitDrained(ctx context.Context) error {
	for {
		if state := l.state.Load(); state&stateInterrupted != 0 {
			return link.ErrClosed
		} else if state&stateGone != 0 {
			return link.ErrPeerGone
		}
		if !l.out.ArmTaken() {
			return nil
		}
		select {
		case <-l.taken:
		case <-l.gone:
		case <-l.interrupted:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Unacknowledged implements link.Link.
func (l *Link) Unacknowledged() uint64 { return l.out.Unacknowledged() }

// Gone implements link.Link.
func (l *Link) Gone() <-chan struct{} { return l.gone }

// HungUp implements link.Link.
func (l *Link) HungUp() bool { return l.state.Load()&stateGone != 0 || l.sock.HungUp() }

// Credentials implements link.Link.
func (l *Link) Credentials() *cred.Credentials { return l.cred }

// CloseWrite implements link.Link.
func (l *Link) CloseWrite(context.Context) error {
	if l.state.Or(stateWriteEnded)&stateWriteEnded != 0 {
		return nil
	}
	l.out.End()
	if l.out.MustWake() {
		l.sock.Ring()
	}
	return nil
}

// Interrupt implements link.Link.
func (l *Link) Interrupt() {
	if l.state.Or(stateInterrupted)&stateInterrupted == 0 {
		close(l.interrupted)
	}
}

// Close implements link.Link.
func (l *Link) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	l.Interrupt()
	err := l.CloseWrite(context.Background())
	l.out.Detach()
	err = errors.Join(err, l.sock.Close())
	<-l.watched
	return errors.Join(err, l.m.Unmap(), l.cred.Close())
}
