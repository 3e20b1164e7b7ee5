package message

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealport/sealport/internal/ctxlock"
	"github.com/sealport/sealport/internal/link"
)

// ErrTooLarge is returned by Send for a message above the limit of either side.
// Nothing of it is sent and the Conn stays usable.
var ErrTooLarge = errors.New("message too large")

// A frame is a sequence of items, each a little-endian word, its kind in the
// two upper bits and its length below, and so many bytes (docs/PROTOCOL.md,
// "Messages").
const (
	kindWhole   = 0 // a message
	kindFirst   = 1 // the first fragment of one; after the word, a u64: its size
	kindNext    = 2 // a further fragment
	kindControl = 3 // no message: something about the connection

	kindShift = 30
	itemWord  = 4
	firstWord = itemWord + 8
	maxItem   = 1<<kindShift - 1
)

// Config is what both sides have agreed on, and how to use the link.
type Config struct {
	MaxSend    int  // bytes; what the peer said it receives, or less
	MaxReceive int  // bytes; what this side said
	PeerLimits bool // MaxSend is what the peer said, for errors

	// Coalesce: while the link says that the peer is backlogged, small messages
	// share frames. Not for a link on which a frame costs less
	// than finding that out.
	Coalesce bool

	// FollowGoAway: when the peer asks for it, flush and end this side's messages. It takes
	// a goroutine.
	FollowGoAway bool

	// Closed makes the error that Receive returns, in place of io.EOF, after the
	// peer has closed with a reason, which is valid UTF-8 of at most MaxReason
	// bytes.
	Closed func(reason string) error
}

// closeTimeout bounds what Close does to push out what is coalesced.
const closeTimeout = 5 * time.Second

// Conn carries messages. All methods may be called concurrently, but Receive,
// WaitAccepted, Goodbye and PeerClosed by one goroutine at a time.
type Conn struct {
	l           link.Link
	cfg         Config
	maxWhole    int // the largest message that is sent in one frame
	maxFragment int

	// Of the goroutines that work beside the callers.
	ctx    context.Context // ended by Abort
	cancel context.CancelFunc

	unfollow func() bool
	asked    atomic.Bool   // the peer has asked for the end
	followed chan struct{} // closed when that is done

	amu   sync.Mutex // held while GoAway uses the link
	freed bool       // the link may be closed

	wmu        ctxlock.Mutex
	werr       error // final
	word       [firstWord]byte
	coalescing coalescer
	batch      []byte       // scratch of SendBatch
	frames     uint64       // written
	counts     []frameCount // of those that are not known to be acknowledged; at most maxCounts
	sent       counter
	closed     bool // with wmu and rmu held

	rmu      ctxlock.Mutex // held while the link may touch what Close frees
	rest     []byte        // of the frame being read
	buffered bool          // the link has a frame in private memory
	assembly []byte        // the fragments of a large message
	total    int           // its size; 0 if there is none
	read     uint64        // frames
	rerr     error         // final
	accepted bool          // Accept has come
	goodbye  error         // of the peer, with its reason
	received counter
}

// NewConn makes a Conn of a link and takes it over.
func NewConn(l link.Link, cfg Config) *Conn {
	most := l.MaxFrame()
	c := &Conn{
		l: l, cfg: cfg,
		maxWhole: most - itemWord,
		// Whole pages copy faster.
		maxFragment: max((most-firstWord)&^4095, min(most-firstWord, 4095)),
		wmu:         ctxlock.New(),
		rmu:         ctxlock.New(),
	}
	c.coalescing.limit = min(coalesceLimit, most)
	c.ctx, c.cancel = context.WithCancel(context.Background())
	if cfg.FollowGoAway {
		c.followed = make(chan struct{})
		c.unfollow = context.AfterFunc(l.GoingAway(), c.follow)
	}
	return c
}

// Send sends one message. See transport.Conn for the contract.
func (c *Conn) Send(ctx context.Context, p []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := c.lockWriter(ctx); err != nil {
		return err
	}
	err := c.sendLocked(ctx, p)
	c.wmu.Unlock()
	return err
}

func (c *Conn) sendLocked(ctx context.Context, p []byte) error {
	if c.werr != nil {
		return c.werr
	}
	if len(p) > c.cfg.MaxSend {
		return c.tooLarge(len(p))
	}
	var err error
	switch {
	case len(p) > c.maxWhole:
		err = c.sendFragments(ctx, p)
	case c.cfg.Coalesce:
		err = c.sendCoalesced(ctx, p)
	default:
		err = c.writeItem(ctx, kindWhole, p, 1)
	}
	if err != nil {
		return c.failed(ctx, err)
	}
	c.sent.add(len(p))
	return nil
}

// failed makes every error but the end of ctx final.
func (c *Conn) failed(ctx context.Context, err error) error {
	if ctx.Err() == nil || !errors.Is(err, ctx.Err()) {
		c.werr = err
	}
	return err
}

// writeItem writes a frame of one item, in which so many messages end.
func (c *Conn) writeItem(ctx context.Context, kind uint32, p []byte, messages int) error {
	binary.LittleEndian.PutUint32(c.word[:], kind<<kindShift|uint32(len(p)))
	return c.writeFrame(ctx, c.word[:itemWord], p, messages)
}

// sendFragments sends a message in several frames. If ctx ends in between, the peer
// drops the fragments when the next message begins.
func (c *Conn) sendFragments(ctx context.Context, p []byte) error {
	if err := c.flushLocked(ctx); err != nil {
		return err
	}
	binary.LittleEndian.PutUint32(c.word[:], kindFirst<<kindShift|uint32(c.maxFragment))
	binary.LittleEndian.PutUint64(c.word[itemWord:], uint64(len(p)))
	if err := c.writeFrame(ctx, c.word[:firstWord], p[:c.maxFragment], 0); err != nil {
		return err
	}
	for p = p[c.maxFragment:]; len(p) > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, ends := min(len(p), c.maxFragment), 0
		if n == len(p) {
			ends = 1
		}
		if err := c.writeItem(ctx, kindNext, p[:n], ends); err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// Receive returns the next message. The slice is valid until the next Receive.
// See transport.Conn for the contract.
func (c *Conn) Receive(ctx context.Context) ([]byte, error) {
	for c.rerr == nil {
		// Also between frames in which no message ends.
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if len(c.rest) == 0 {
			if err := c.readFrame(ctx); err != nil {
				return nil, err
			}
		}
		p, ok, err := c.next()
		if err != nil {
			c.rerr = fmt.Errorf("%w: %w", link.ErrProtocol, err)
			c.received.publish()
			return nil, c.rerr
		}
		if ok {
			c.received.add(len(p))
			if len(c.rest) == 0 {
				c.frameDone()
			}
			return p, nil
		}
	}
	return nil, c.rerr
}

// frameDone is called when everything in a frame was returned. If that was all
// there is in private memory, the caller may be idle next: so the numbers are
// published now, not only when it comes to wait for more.
func (c *Conn) frameDone() {
	if c.buffered = c.l.Buffered(); !c.buffered {
		c.received.publish()
	}
}

// readFrame makes the next frame c.rest.
func (c *Conn) readFrame(ctx context.Context) (err error) {
	if c.buffered {
		c.rest, err = c.l.ReadFrame(ctx)
	} else {
		if err := c.rmu.Lock(ctx); err != nil {
			return err
		}
		if c.closed {
			err = link.ErrClosed
		} else {
			c.rest, err = c.l.ReadFrame(ctx)
		}
		c.rmu.Unlock()
	}
	switch {
	case err == nil && len(c.rest) == 0:
		err = fmt.Errorf("%w: empty frame", link.ErrProtocol)
	case err == nil:
		c.read++
		return nil
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	}
	// io.EOF within a message is an ordinary end: the context of the sender's Send
	// ended, and then the sender closed.
	c.received.publish()
	c.rerr = c.endOf(err)
	return c.rerr
}

// FramesRead is the number of frames that Receive has read: it grows while a large message
// arrives. Only for the goroutine that receives.
func (c *Conn) FramesRead() uint64 { return c.read }

// kindOf is the kind of the first item in b, which holds its word.
func kindOf(b []byte) uint32 { return binary.LittleEndian.Uint32(b) >> kindShift }

// next takes the next item off c.rest. It returns a message if one is complete.
func (c *Conn) next() (p []byte, ok bool, err error) {
	if len(c.rest) < itemWord {
		return nil, false, errors.New("truncated item")
	}
	word := binary.LittleEndian.Uint32(c.rest)
	n := int(word & maxItem)
	body := c.rest[itemWord:]
	kind := word >> kindShift
	if c.goodbye != nil {
		return nil, false, errors.New("item after a goodbye")
	}
	switch kind {
	case kindWhole:
		if n > len(body) || n > c.cfg.MaxReceive {
			return nil, false, fmt.Errorf("message of %d bytes in a frame with %d left, limit %d", n, len(body), c.cfg.MaxReceive)
		}
		c.rest = body[n:]
		c.dropAssembly()
		return body[:n:n], true, nil
	case kindFirst:
		if len(body) < firstWord-itemWord {
			return nil, false, errors.New("truncated item")
		}
		total := binary.LittleEndian.Uint64(body)
		body = body[firstWord-itemWord:]
		if n != len(body) || total <= uint64(n) || total > uint64(c.cfg.MaxReceive) {
			return nil, false, fmt.Errorf("fragment of %d bytes of a message of %d, limit %d", n, total, c.cfg.MaxReceive)
		}
		c.total = int(total)
		c.assembly = c.assembly[:0]
	case kindNext:
		if n != len(body) || n == 0 || n > c.total-len(c.assembly) {
			return nil, false, fmt.Errorf("fragment of %d bytes after %d of %d", n, len(c.assembly), c.total)
		}
	case kindControl:
		if n > len(body) {
			return nil, false, errors.New("truncated item")
		}
		if c.rest = body[n:]; len(c.rest) == 0 {
			c.frameDone()
		}
		c.dropAssembly()
		return nil, false, c.control(body[:n])
	}
	c.rest = nil // a fragment is alone in its frame
	c.buffered = false
	c.grow(n)
	c.assembly = append(c.assembly, body...)
	if len(c.assembly) < c.total {
		return nil, false, nil
	}
	c.total = 0
	return c.assembly, true, nil
}

// Sizes of the memory in which large messages are put together, in bytes.
const (
	firstAssembly = 1 << 20 // allocated before the peer has sent as much
	keptAssembly  = 1 << 20 // kept when small messages follow
)

// grow makes room for n more bytes, and for more in proportion to what the peer has
// sent: what it only announces costs no more than firstAssembly.
func (c *Conn) grow(n int) {
	have := len(c.assembly)
	if have+n <= cap(c.assembly) {
		return
	}
	size := min(c.total, max(have+n, 2*have, firstAssembly))
	c.assembly = append(make([]byte, 0, size), c.assembly...)
}

// dropAssembly forgets a message that the peer gave up, and a buffer that
// outgrew what is being sent now.
func (c *Conn) dropAssembly() {
	c.total = 0
	if cap(c.assembly) > keptAssembly {
		c.assembly = nil
	}
}

// Interrupt makes every blocked and every later call return link.ErrClosed. It
// frees nothing.
func (c *Conn) Interrupt() { c.l.Interrupt() }

// HungUp asks the system whether the peer is gone. It does not block: while a Send is
// under way it returns false, and that Send finds out.
func (c *Conn) HungUp() bool {
	if !c.wmu.TryLock() {
		return false
	}
	defer c.wmu.Unlock()
	return !c.closed && c.l.HungUp()
}

// Carrier is the name of what carries the messages; see [link.Link].
func (c *Conn) Carrier() string { return c.l.Carrier() }

// Gone is a context that ends when the peer is known to be dead or to have closed.
func (c *Conn) Gone() context.Context { return c.l.Gone() }

// CloseWrite pushes out what is coalesced, as far as ctx allows, and ends this
// side's messages. The peer reads them, then io.EOF.
func (c *Conn) CloseWrite(ctx context.Context) error {
	if err := c.lockWriter(ctx); err != nil {
		return err
	}
	defer c.wmu.Unlock()
	if c.closed || c.werr != nil {
		return c.werr
	}
	return c.endLocked(ctx)
}

// Close pushes out what is coalesced (5 seconds at most), ends this side's messages,
// unblocks everyone and frees the link. Idempotent.
func (c *Conn) Close() error { return c.CloseWithReason("") }

// CloseWithReason is Close, with a goodbye that gives the reason unless that is
// empty.
func (c *Conn) CloseWithReason(reason string) error {
	var err error
	if c.cfg.Coalesce || reason != "" {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		if reason != "" {
			err = c.SayGoodbye(ctx, reason)
		} else {
			err = c.CloseWrite(ctx)
		}
		if errors.Is(err, link.ErrClosed) || errors.Is(err, link.ErrPeerGone) {
			err = nil
		}
		cancel()
	}
	aborted := c.Abort()
	if lost := c.coalesced(); err != nil && lost > 0 {
		err = fmt.Errorf("closing: %w; %d coalesced messages were not sent", err, lost)
	}
	return errors.Join(err, aborted)
}

// Abort is Close without pushing out what is coalesced, and without waiting. The peer
// reads io.EOF all the same, on a secure connection if there is room for a close record.
func (c *Conn) Abort() error {
	c.l.Interrupt()
	c.cancel()
	_ = c.wmu.Lock(context.Background())
	defer c.wmu.Unlock()
	_ = c.rmu.Lock(context.Background())
	defer c.rmu.Unlock()
	if c.closed {
		return nil
	}
	c.closed = true
	if c.werr == nil || c.werr == ErrGoingAway {
		c.werr = link.ErrClosed
	}
	// These wait for the locks no longer than ctx.
	if c.unfollow != nil && !c.unfollow() {
		<-c.followed
	}
	c.coalescing.flusher.Wait()
	c.amu.Lock()
	c.freed = true
	c.amu.Unlock()
	return c.l.Close()
}
