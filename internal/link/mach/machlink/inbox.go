package machlink

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
)

// The bounds of an inbox. A connection that reaches either is not received for
// until half of it is read.
const (
	inboxFrames = 64
	inboxBytes  = 256 << 10
)

// Frames are acknowledged, for the writer's Backlogged and Unacknowledged, in batches: after
// so many, or so long after the reader went idle.
const (
	ackFrames = 8
	ackDelay  = 200 * time.Microsecond
	// ackRetry is for when the peer's control queue is full, which takes a peer
	// that does not receive at all.
	ackRetry = 100 * time.Millisecond
)

// inbox is what has been received and not yet read.
type inbox struct {
	mu       sync.Mutex
	frames   [][]byte // from next on
	next     int
	bytes    int      // in those frames
	free     [][]byte // to be used again; inboxBytes at most
	freeSize int
	current  []byte // what ReadFrame returned last
	err      error  // after the last frame
	ended    bool   // err is set
	paused   bool   // the data port is out of the set
	released bool

	dealt     uint64 // frames that the reader has dealt with
	announced uint64 // of those, what the peer knows of
	unheard   bool   // the last announcement could not be sent

	saidGoAway bool // a peer is asked once

	ack   [mach.HeaderSize + 8]byte // the message that tells the peer
	ready chan struct{}             // something changed; the reader's only
	timer *time.Timer               // the reader's only
}

// dataPort receives the peer's frames and its end.
type dataPort struct{ c *Link }

func (p dataPort) broken(err error) { p.c.broken(err) }

func (p dataPort) message(m *mach.Message, n *mach.Notification) (kept bool) {
	c := p.c
	if n != nil {
		// The peer's send-once right was never used, or no right is left: it
		// died, or gave up the connection without an end.
		if n.ID == mach.NotifySendOnce || n.ID == mach.NotifyNoSenders {
			c.endRead(link.ErrPeerGone)
		}
		return false
	}
	if c.dialing() {
		return c.hostAnswered(m)
	}
	if err := c.attest(m); err != nil {
		c.fail(err)
		return false
	}
	switch m.ID {
	case idFrame:
		frame, err := parsePlain(m, MaxFrame)
		if err == nil {
			c.deliver(frame)
			return false
		}
		c.fail(fmt.Errorf("%w: %w", link.ErrProtocol, err))
	case idEnd:
		err := parseEnd(m)
		if err == nil {
			c.endRead(io.EOF)
			return false
		}
		c.fail(fmt.Errorf("%w: %w", link.ErrProtocol, err))
	default:
		c.fail(fmt.Errorf("%w: message id %#x", link.ErrProtocol, uint32(m.ID)))
	}
	return false
}

// attest compares the sender's audit token with that of the peer's hello. Other
// ids end the connection as another process does: the policy accepted the peer with
// those of the hello. The audit user and session (words 0 and 6) decide nothing.
func (c *Link) attest(m *mach.Message) error {
	t := m.Trailer
	if !t.Attested || !t.Token.SameProcess(c.peer) || !t.Token.SameIDs(c.peer) {
		return fmt.Errorf("%w: a message with audit token %v, the hello had %v", link.ErrPeerChanged, t.Token, c.peer)
	}
	return nil
}

// deliver copies a frame into the inbox, and stops receiving if that is full.
func (c *Link) deliver(frame []byte) {
	in := &c.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended || in.released {
		return
	}
	buf := in.buffer(len(frame))
	copy(buf, frame)
	in.frames = append(in.frames, buf)
	in.bytes += len(buf)
	if !in.paused && (in.waiting() >= inboxFrames || in.bytes >= inboxBytes) {
		// If this fails the next frame tries again; far beyond the bounds it
		// is the connection that ends.
		if err := c.loop.k.MoveMember(c.data, mach.Null); err == nil {
			in.paused = true
		} else if in.waiting() > 2*inboxFrames || in.bytes > 2*inboxBytes {
			in.endLocked(fmt.Errorf("pausing a connection: %w", err))
		}
	}
	in.wake()
}

// waiting is the number of frames to be read.
func (in *inbox) waiting() int { return len(in.frames) - in.next }

// buffer returns memory for a frame, used before if possible.
func (in *inbox) buffer(n int) []byte {
	if last := len(in.free) - 1; last >= 0 {
		b := in.free[last]
		in.free = in.free[:last]
		in.freeSize -= cap(b)
		if cap(b) >= n {
			return b[:n]
		}
	}
	return make([]byte, n, max(n, 64))
}

// recycle takes back the frame that was read last.
func (in *inbox) recycle() {
	if b := in.current; b != nil && in.freeSize+cap(b) <= inboxBytes {
		in.free = append(in.free, b)
		in.freeSize += cap(b)
	}
	in.current = nil
}

func (in *inbox) wake() {
	select {
	case in.ready <- struct{}{}:
	default:
	}
}

func (in *inbox) endLocked(err error) {
	if !in.ended {
		in.ended, in.err = true, err
		in.wake()
	}
}

// endRead says that nothing more is to be read, and stops receiving: a peer that
// goes on sending fills the kernel's queue and no more.
func (c *Link) endRead(err error) {
	in := &c.in
	in.mu.Lock()
	first := !in.ended
	in.endLocked(err)
	if first && !in.paused && !in.released {
		// Failing, it costs the receipt of messages that are thrown away.
		in.paused = c.loop.k.MoveMember(c.data, mach.Null) == nil
	}
	in.mu.Unlock()
	if first {
		c.reply(answer{err: err})
	}
}

// Buffered implements link.Link. ReadFrame then calls the kernel only under the
// lock that Close takes before it frees.
func (c *Link) Buffered() bool {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return c.in.waiting() > 0 && !c.stopped.Load()
}

// ReadFrame implements link.Link.
func (c *Link) ReadFrame(ctx context.Context) ([]byte, error) {
	in := &c.in
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.current != nil {
		in.recycle()
		in.dealt++
	}
	if in.dealt-in.announced >= ackFrames {
		c.announceLocked()
	}
	for {
		if c.stopped.Load() {
			return nil, link.ErrClosed
		}
		if in.waiting() > 0 {
			return c.popLocked(), nil
		}
		if in.ended {
			if in.dealt != in.announced {
				c.announceLocked() // the peer may wait for it before it goes
			}
			return nil, in.err
		}
		idle := in.idleTimer()
		in.mu.Unlock()
		var err error
		tell := false
		select {
		case <-in.ready:
		case <-idle:
			tell = true
		case <-c.interrupted:
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			c.fetch()
		}
		in.mu.Lock()
		if in.timer != nil {
			in.timer.Stop()
		}
		if tell || (err != nil && in.dealt != in.announced) {
			c.announceLocked() // a reader that gives up may not come back soon
		}
		if err != nil && in.waiting() == 0 && !in.ended {
			return nil, err
		}
	}
}

// KeepFrame implements link.Link.
func (c *Link) KeepFrame() {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	if c.in.current != nil {
		c.in.current = []byte{} // for recycle
	}
}

// fetch receives one message from the data port if the kernel has one, without
// waiting: a reader whose context has ended gets a frame that the peer has sent,
// also if the loop has not received it yet.
func (c *Link) fetch() {
	if !c.loop.join() {
		return // Close has ended the loop meanwhile
	}
	c.loop.do(c.fetchNow)
	c.loop.leave()
}

// fetchNow is fetch on the loop's goroutine. A port that is a member of a set is
// not received from, so it leaves the set meanwhile.
func (c *Link) fetchNow() {
	in, k := &c.in, c.loop.k
	in.mu.Lock()
	if in.waiting() == 0 && !in.ended && !in.paused && !in.released {
		in.paused = k.MoveMember(c.data, mach.Null) == nil
	}
	fetching := in.paused && in.waiting() == 0 && !in.ended && !in.released
	in.mu.Unlock()
	if !fetching {
		return
	}
	c.loop.receive(c.data, mach.RcvTimeout)
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended {
		return
	}
	if err := mach.Release(func() error { return k.MoveMember(c.data, c.loop.set) }); err != nil {
		in.endLocked(fmt.Errorf("resuming a connection: %w", err))
		return
	}
	in.paused = false
}

// idleTimer returns when to announce what was dealt with, or nil if there is
// nothing to tell.
func (in *inbox) idleTimer() <-chan time.Time {
	if in.dealt == in.announced {
		return nil
	}
	delay := ackDelay
	if in.unheard {
		delay = ackRetry
	}
	if in.timer == nil {
		in.timer = time.NewTimer(delay)
	} else {
		in.timer.Reset(delay)
	}
	return in.timer.C
}

// popLocked takes the next frame, and receives again when half is read.
func (c *Link) popLocked() []byte {
	in := &c.in
	frame := in.frames[in.next]
	in.frames[in.next] = nil
	if in.next++; in.next == len(in.frames) || in.next >= inboxFrames {
		// Move what is left to the front: few, and seldom.
		in.frames = in.frames[:copy(in.frames, in.frames[in.next:])]
		in.next = 0
	}
	in.bytes -= len(frame)
	in.current = frame
	if in.paused && !in.ended && !in.released && in.waiting() <= inboxFrames/2 && in.bytes <= inboxBytes/2 {
		switch err := mach.Release(func() error { return c.loop.k.MoveMember(c.data, c.loop.set) }); {
		case err == nil:
			in.paused = false
		case in.waiting() == 0: // no later call would try again
			in.endLocked(fmt.Errorf("resuming a connection: %w", err))
		}
	}
	return frame
}

// announceLocked tells the peer how many frames were dealt with. If that fails it
// is tried again with a later frame, or when the reader is idle.
func (c *Link) announceLocked() {
	in := &c.in
	c.out.mu.Lock()
	to := c.out.rights.control
	c.out.mu.Unlock()
	if in.released || to == mach.Null {
		return
	}
	var count [8]byte
	le.PutUint64(count[:], in.dealt)
	h := mach.Header{Remote: to, RemoteBits: mach.CopySend, ID: idDrained}
	_, err := send(c.loop.k, mach.Compose(in.ack[:0], h, nil, count[:]), 0)
	if in.unheard = err != nil; err == nil {
		in.announced = in.dealt
	}
}
