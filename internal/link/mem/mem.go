// Package mem is a link.Link within one process, for tests of the layers
// above: two queues, bounded in bytes, behind one mutex. It says that the peer
// is behind while any frame waits in its queue.
package mem

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
)

// MaxFrame is the largest frame in bytes; Capacity is what one direction holds.
const (
	MaxFrame = 16 << 10
	Capacity = 64 << 10

	frameCost = 64 // an empty frame takes room too
)

// pipe is one direction.
type pipe struct {
	frames [][]byte
	bytes  int
	ended  bool // CloseWrite or Close by the writer
	killed bool // Kill by the writer
	closed bool // the reader is gone
	taking bool // the reader holds a frame that it has not dealt with
}

// pair is what both ends share.
type pair struct {
	mu     sync.Mutex
	change chan struct{} // closed and replaced when anything changes
	pipes  [2]pipe
	gone   [2]chan struct{} // told to end i: the other end is gone
}

// Link implements link.Link.
type Link struct {
	p           *pair
	side        int
	interrupted bool
	closed      bool
}

var _ link.Link = (*Link)(nil)

// Pair returns the two ends of a new connection.
func Pair() (*Link, *Link) {
	p := &pair{change: make(chan struct{}), gone: [2]chan struct{}{make(chan struct{}), make(chan struct{})}}
	return &Link{p: p, side: 0}, &Link{p: p, side: 1}
}

func (l *Link) out() *pipe { return &l.p.pipes[l.side] }
func (l *Link) in() *pipe  { return &l.p.pipes[1-l.side] }

// until calls try with the lock held until it says done, ctx ends or Interrupt.
func (l *Link) until(ctx context.Context, try func() (done bool, err error)) error {
	for ended := false; ; {
		l.p.mu.Lock()
		if l.interrupted {
			l.p.mu.Unlock()
			return link.ErrClosed
		}
		done, err := try()
		change := l.p.change
		if done {
			l.p.changedLocked()
		}
		l.p.mu.Unlock()
		if done || err != nil {
			return err
		}
		if ended {
			return ctx.Err()
		}
		select {
		case <-change:
		case <-ctx.Done():
			ended = true // once more: what came before goes first
		}
	}
}

func (p *pair) changedLocked() {
	close(p.change)
	p.change = make(chan struct{})
}

// WriteFrame implements link.Link.
func (l *Link) WriteFrame(ctx context.Context, head, body []byte) error {
	n := len(head) + len(body)
	if n > MaxFrame {
		return fmt.Errorf("%w: %d bytes, the limit is %d", link.ErrFrameTooLarge, n, MaxFrame)
	}
	return l.until(ctx, func() (bool, error) {
		out := l.out()
		switch {
		case out.ended:
			return false, link.ErrClosed
		case out.closed:
			return false, link.ErrPeerGone
		case out.bytes+n+frameCost > Capacity:
			return false, nil
		}
		frame := make([]byte, 0, n)
		out.frames = append(out.frames, append(append(frame, head...), body...))
		out.bytes += n + frameCost
		return true, nil
	})
}

// ReadFrame implements link.Link.
func (l *Link) ReadFrame(ctx context.Context) (frame []byte, err error) {
	err = l.until(ctx, func() (bool, error) {
		in := l.in()
		if in.taking {
			in.taking = false
			l.p.changedLocked()
		}
		switch {
		case len(in.frames) > 0:
			frame = in.frames[0]
			in.frames = in.frames[1:]
			in.bytes -= len(frame) + frameCost
			in.taking = true
			return true, nil
		case in.ended && !in.killed:
			return false, io.EOF
		case in.killed:
			return false, link.ErrPeerGone
		}
		return false, nil
	})
	return frame, err
}

// Buffered implements link.Link.
func (l *Link) Buffered() bool { return false }

// SyscallPerFrame implements link.Link.
func (l *Link) SyscallPerFrame() bool { return true }

// MaxFrame implements link.Link.
func (l *Link) MaxFrame() int { return MaxFrame }

// Backlogged implements link.Link.
func (l *Link) Backlogged() bool { return l.Unacknowledged() != 0 }

// WaitDrained implements link.Link.
func (l *Link) WaitDrained(ctx context.Context) error {
	return l.until(ctx, func() (bool, error) {
		out := l.out()
		if out.closed {
			return false, link.ErrPeerGone
		}
		return len(out.frames) == 0 && !out.taking, nil
	})
}

// Unacknowledged implements link.Link.
func (l *Link) Unacknowledged() uint64 {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	n := uint64(len(l.out().frames))
	if l.out().taking {
		n++
	}
	return n
}

// Gone implements link.Link.
func (l *Link) Gone() <-chan struct{} { return l.p.gone[l.side] }

// HungUp implements link.Link.
func (l *Link) HungUp() bool {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	return l.out().closed
}

// Credentials implements link.Link: there are none.
func (l *Link) Credentials() *cred.Credentials { return nil }

// CloseWrite implements link.Link.
func (l *Link) CloseWrite(context.Context) error {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.out().ended = true
	l.p.changedLocked()
	return nil
}

// Interrupt implements link.Link.
func (l *Link) Interrupt() {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.interrupted = true
	l.p.changedLocked()
}

// Close implements link.Link.
func (l *Link) Close() error {
	l.end(false)
	return nil
}

// Kill ends the Link as the death of its process would.
func (l *Link) Kill() { l.end(true) }

func (l *Link) end(killed bool) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	if l.closed {
		return
	}
	l.closed, l.interrupted = true, true
	if out := l.out(); !out.ended {
		out.ended, out.killed = true, killed
	}
	l.in().closed = true
	close(l.p.gone[1-l.side])
	l.p.changedLocked()
}
