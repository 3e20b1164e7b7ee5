package ring

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
)

// Bits of Link.state: why calls fail.
const (
	stateGone        = 1 << iota // the peer is dead or has closed its end
	stateInterrupted             // Interrupt
	stateWriteEnded              // CloseWrite
)

// Options configure a Link. The zero value is the default.
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

	exact bool // each frame is acknowledged at once

	missed int // the writer's waits for room since looking for it has paid

	state atomic.Uint32

	peer peer
	cred *cred.Credentials

	// Doorbells: a token is put in for each and stays until it is received.
	readable chan struct{} // for ReadFrame
	writable chan struct{} // for WriteFrame
	drained  chan struct{} // for WaitDrained

	gone        context.Context
	leave       func() // ends gone, after stateGone
	broken      error  // why, if the peer broke the protocol; written before
	asked       context.Context
	ask         func()        // ends asked, when the peer has asked for the end
	interrupted chan struct{} // closed by Interrupt
	closed      bool
}

var _ link.Link = (*Link)(nil)

// peer is the way to the other end of a Link beside the shared memory.
type peer interface {
	ring()         // wakes the goroutines that sleep there; does not block
	hungUp() bool  // reports whether it is dead or has closed
	detach() error // tells it that this end is closed, and frees what is held
}

// newLink makes a Link of the two ends of a mapping, without its peer.
func newLink(m *Mapping, side Side, c *cred.Credentials, p poller) *Link {
	out, in := m.Ends(side)
	l := &Link{
		out: out, in: in, poll: p, cred: c,
		readable:    make(chan struct{}, 1),
		writable:    make(chan struct{}, 1),
		drained:     make(chan struct{}, 1),
		interrupted: make(chan struct{}),
	}
	l.gone, l.leave = context.WithCancel(context.Background())
	l.asked, l.ask = context.WithCancel(context.Background())
	return l
}

// rung is called when the peer has rung: the caller owns no part of the Link.
func (l *Link) rung() {
	if l.out.GoingAway() {
		l.ask()
	}
	poke(l.readable)
	poke(l.writable)
	poke(l.drained)
}

// left is called when the peer is dead or has closed its end.
func (l *Link) left() {
	if l.state.Or(stateGone)&stateGone == 0 {
		l.leave()
	}
}

// goneError is the error of calls that find nothing else after left.
func (l *Link) goneError() error {
	if l.broken != nil {
		return l.broken
	}
	return link.ErrPeerGone
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
		l.peer.ring()
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
		return l.goneError()
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
		if l.pollRoom(n) {
			l.missed = 0
			return l.writeError()
		}
	}
	l.missed++
	short, err := l.out.Arm(n)
	if err != nil || !short {
		return nil // Write reports it, or has room
	}
	select {
	case <-l.writable:
	case <-l.gone.Done():
	case <-l.interrupted:
	case <-ctx.Done():
		return ctx.Err()
	}
	return l.writeError()
}

// pollRoom looks for room for a frame of n bytes for as long as that is worth it. It
// returns true if there may be some or the Link's state has changed.
func (l *Link) pollRoom(n int) bool {
	look := func() bool {
		ok, err := l.out.Room(n)
		return ok || err != nil || l.state.Load() != 0
	}
	if l.poll.local {
		return yieldUntil(look)
	}
	for range writerLooks {
		Pause(lookPauses)
		if look() {
			return true
		}
	}
	return false
}

// ReadFrame implements link.Link.
func (l *Link) ReadFrame(ctx context.Context) ([]byte, error) {
	if l.exact {
		l.in.Release()
	}
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
			l.peer.ring()
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
			return nil, l.goneError()
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
	case <-l.gone.Done():
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

// KeepFrame implements link.Link.
func (l *Link) KeepFrame() { l.in.Keep() }

// Buffered implements link.Link.
func (l *Link) Buffered() bool { return l.in.Buffered() }

// SyscallPerFrame implements link.Link.
func (l *Link) SyscallPerFrame() bool { return false }

// Carrier implements link.Link.
func (l *Link) Carrier() string {
	if _, ok := l.peer.(local); ok {
		return link.Memory
	}
	return link.Ring
}

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
			return l.goneError()
		}
		if !l.out.ArmDrained() {
			return nil
		}
		select {
		case <-l.drained:
		case <-l.gone.Done():
		case <-l.interrupted:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Unacknowledged implements link.Link.
func (l *Link) Unacknowledged() uint64 { return l.out.Unacknowledged() }

// Gone implements link.Link.
func (l *Link) Gone() context.Context { return l.gone }

// HungUp implements link.Link.
func (l *Link) HungUp() bool { return l.state.Load()&stateGone != 0 || l.peer.hungUp() }

// GoAway implements link.Link.
func (l *Link) GoAway() {
	l.in.GoAway()
	l.peer.ring()
}

// GoingAway implements link.Link.
func (l *Link) GoingAway() context.Context { return l.asked }

// Credentials implements link.Link.
func (l *Link) Credentials() *cred.Credentials { return l.cred }

// CloseWrite implements link.Link.
func (l *Link) CloseWrite(ctx context.Context, last ...[]byte) error {
	if l.state.Load()&stateWriteEnded != 0 {
		return nil
	}
	err := l.writeLast(ctx, last)
	l.state.Or(stateWriteEnded)
	l.out.End()
	if l.out.MustWake() {
		l.peer.ring()
	}
	return err
}

func (l *Link) writeLast(ctx context.Context, last [][]byte) error {
	for _, frame := range last {
		if l.state.Load()&stateGone != 0 {
			return l.goneError()
		}
		if ok, err := l.out.Write(nil, frame); !ok {
			if err := l.writeSlow(ctx, nil, frame, err); err != nil {
				return err
			}
		}
		if l.out.MustWake() {
			l.peer.ring()
		}
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
	return errors.Join(err, l.peer.detach(), l.cred.Close())
}
