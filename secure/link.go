package secure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/ctxlock"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure/internal/record"
)

// sealed is a link whose frames are records in the frames of another. It
// implements link.Link.
//
// A rehandshake reads and writes beside the layer above, so each direction has a
// lock. Its holder seals and sends in one step, or receives and opens in one.
type sealed struct {
	lower link.Link
	p     parameters // of the next rehandshake

	wmu      ctxlock.Mutex
	seal     *record.Sealer
	out      []byte      // the record being sent
	rekey    []byte      // a Rekey that is sealed, but not sent yet
	frames   uint64      // of the layer above, sent
	werr     error       // final
	ended    bool        // CloseWrite was called
	rekeyDue atomic.Bool // RekeyInterval has passed

	rmu   ctxlock.Mutex
	open  *record.Opener
	plain []byte // the frame that the layer above uses
	stash []byte // the next frame, if a rehandshake received it; nil: none
	rerr  error  // final

	next   rehandshake
	cause  atomic.Pointer[error] // why this side has ended the connection
	cancel func()                // ends the subscription to p.Trust

	ctx     context.Context // ended by Interrupt
	stop    context.CancelFunc
	control context.Context // ended by CloseWrite too: a rehandshake writes no more
	quit    context.CancelFunc
	wg      sync.WaitGroup // of rehandshakes
	closed  bool
}

var _ link.Link = (*sealed)(nil)

// newLink makes a link from the result of a handshake. It takes over lower, and
// moves the keys out of res.
func newLink(lower link.Link, p parameters, res *handshake.Result) *sealed {
	var send, receive [record.KeySize]byte
	res.TakeKeys(&send, &receive)
	l := &sealed{
		lower: lower, p: p,
		wmu: ctxlock.New(), seal: record.NewSealer(&send),
		rmu: ctxlock.New(), open: record.NewOpener(&receive),
	}
	clear(send[:])
	clear(receive[:])
	l.ctx, l.stop = context.WithCancel(context.Background())
	l.control, l.quit = context.WithCancel(l.ctx)
	l.noteResult(res)
	return l
}

// trusted is called when the first handshake has succeeded and the host has accepted
// the client. It lets a client's Trust learn the host's key, and ends the connection
// when Trust revokes the peer's. It is called before anything else uses the link.
func (l *sealed) trusted(ctx context.Context) error {
	if learner, ok := l.p.Trust.(keys.Learner); ok && l.p.role == handshake.Initiator && !l.p.known.IsZero() {
		if err := learner.Learn(ctx, l.p.side.Endpoint, l.p.known); err != nil {
			l.end(err) // so that the host is not told of a graceful end
			return err
		}
	}
	l.subscribe()
	return nil
}

// subscribe ends the connection when Trust revokes the peer's key.
func (l *sealed) subscribe() {
	if l.p.known.IsZero() || l.p.Trust == nil {
		return
	}
	unsubscribe := l.p.Trust.OnRevoke(l.p.side.Endpoint, l.p.known, func() { l.end(ErrRevoked) })
	release := watchTrust(l.p.Trust, observer{l.p.security, l.p.side.Endpoint})
	l.cancel = func() {
		unsubscribe()
		release()
	}
}

// WriteFrame implements link.Link. There is no record for an empty frame: the peer
// refuses it.
func (l *sealed) WriteFrame(ctx context.Context, head, body []byte) error {
	if n := len(head) + len(body); n > l.MaxFrame() {
		return fmt.Errorf("%w: %d bytes, the limit is %d", link.ErrFrameTooLarge, n, l.MaxFrame())
	}
	if err := l.wmu.Lock(ctx); err != nil {
		return err
	}
	defer l.wmu.Unlock()
	err := l.writeLocked(ctx, record.Data, head, body)
	if err == nil {
		l.frames++
	}
	return err
}

// writeLocked seals and sends one record, after a Rekey if one is due. If ctx ends
// first, the record is not sent and its nonce is skipped. A key that nothing was sent
// with is not replaced by time: the peer refuses Rekeys in a row.
func (l *sealed) writeLocked(ctx context.Context, t record.Type, head, body []byte) error {
	if l.werr != nil {
		return l.werr
	}
	if l.rekey != nil || l.rekeyDue.Load() && l.seal.Used() || l.seal.Due() {
		if err := l.rekeyLocked(ctx); err != nil {
			return err
		}
	}
	rec, err := l.sealLocked(l.out[:0], t, head, body)
	if err != nil {
		return err
	}
	l.out = rec
	sent, err := l.sendLocked(ctx, rec)
	if sent {
		l.seal.Sent()
	} else {
		l.seal.Abandoned()
	}
	return err
}

// rekeyLocked sends a Rekey and moves on to the next key. A Rekey that could not be
// sent is kept, with its nonce, until it is: a sender that gives up repeatedly while
// the peer does not read must not skip more nonces in a row than are allowed.
func (l *sealed) rekeyLocked(ctx context.Context) (err error) {
	if l.rekey == nil {
		if l.rekey, err = l.sealLocked(nil, record.Rekey, nil, nil); err != nil {
			return err
		}
	}
	if sent, err := l.sendLocked(ctx, l.rekey); !sent {
		return err
	}
	l.rekey = nil
	l.rekeyDue.Store(false)
	l.seal.Sent()
	l.seal.Rekey()
	return nil
}

func (l *sealed) sealLocked(dst []byte, t record.Type, head, body []byte) ([]byte, error) {
	rec, err := l.seal.Seal(dst, t, head, body)
	if err != nil {
		l.werr = fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return rec, l.werr
}

// sendLocked sends a record. Every error but the end of ctx is final.
func (l *sealed) sendLocked(ctx context.Context, rec []byte) (sent bool, err error) {
	err = l.lower.WriteFrame(ctx, nil, rec)
	if err != nil && (ctx.Err() == nil || !errors.Is(err, ctx.Err())) {
		err = l.reason(err)
		l.werr = err
	}
	return err == nil, err
}

// end ends the connection from this side. It does not block.
func (l *sealed) end(cause error) {
	l.cause.CompareAndSwap(nil, &cause)
	l.Interrupt()
}

// reason returns why this side closed the connection, if the layer above did not.
func (l *sealed) reason(err error) error {
	if cause := l.cause.Load(); cause != nil && errors.Is(err, link.ErrClosed) {
		return *cause
	}
	return err
}

// ReadFrame implements link.Link.
func (l *sealed) ReadFrame(ctx context.Context) ([]byte, error) {
	if err := l.rmu.Lock(ctx); err != nil {
		return nil, err
	}
	defer l.rmu.Unlock()
	// A frame that had arrived is not delivered if its sender is no longer
	// trusted.
	if cause := l.cause.Load(); cause != nil {
		return nil, *cause
	}
	if frame := l.stash; frame != nil {
		l.stash = nil
		l.readOn()
		return frame, nil
	}
	frame, err := l.readLocked(ctx, l.plain[:0])
	if err == nil {
		l.plain = frame
	}
	return frame, err
}

// readLocked receives records until one contains a frame, which it puts into buf.
func (l *sealed) readLocked(ctx context.Context, buf []byte) ([]byte, error) {
	// Records without a frame are few: see maxRekeys and rehandshakeBurst.
	for l.rerr == nil {
		frame, err := l.lower.ReadFrame(ctx)
		if err != nil {
			return nil, l.readFailed(ctx, err)
		}
		t, plain, err := l.open.Open(buf, frame)
		if err != nil {
			l.rerr = fmt.Errorf("%w: %w", ErrRecord, err)
			break
		}
		switch t {
		case record.Data:
			return plain, nil
		case record.Close:
			l.rerr = io.EOF
			// So that the peer's Unacknowledged leaves the record out. Whatever follows
			// is nothing of this direction.
			_, _ = l.lower.ReadFrame(ended)
		case record.Handshake:
			err = l.handshakeMessage(plain)
		case record.Switch:
			err = l.switchReceive()
		case record.Ready: // only confirm accepts it
			l.rerr = fmt.Errorf("%w: type %d out of turn", ErrRecord, t)
		}
		if err != nil {
			l.rerr = l.rehandshakeFailed(err)
		}
	}
	return nil, l.rerr
}

// readFailed makes every error but the end of ctx final, and an end without a
// close record ErrTruncated.
func (l *sealed) readFailed(ctx context.Context, err error) error {
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return err
	case errors.Is(err, link.ErrClosed):
		err = l.reason(err)
	case err == io.EOF:
		err = ErrTruncated
	}
	l.rerr = err
	return err
}

// KeepFrame implements link.Link. A frame below is not used once it has been opened.
func (l *sealed) KeepFrame() { l.plain = nil }

// Buffered implements link.Link. The record that is buffered below may contain no
// frame.
func (l *sealed) Buffered() bool { return false }

// MaxFrame implements link.Link.
func (l *sealed) MaxFrame() int { return l.lower.MaxFrame() - record.Overhead }

// SyscallPerFrame implements link.Link. Sealing a frame costs as much as a system
// call, so small messages are worth coalescing.
func (l *sealed) SyscallPerFrame() bool { return true }

// Carrier implements link.Link.
func (l *sealed) Carrier() string { return l.lower.Carrier() }

// Backlogged implements link.Link.
func (l *sealed) Backlogged() bool {
	if l.cause.Load() != nil {
		return false // nothing is coalesced, and the next write returns the cause
	}
	return l.lower.Backlogged()
}

// WaitDrained implements link.Link.
func (l *sealed) WaitDrained(ctx context.Context) error { return l.reason(l.lower.WaitDrained(ctx)) }

// Unacknowledged implements link.Link. Records without a frame count too, but never
// to more than the frames that were sent.
func (l *sealed) Unacknowledged() uint64 {
	_ = l.wmu.Lock(context.Background())
	defer l.wmu.Unlock()
	return min(l.lower.Unacknowledged(), l.frames)
}

// Gone implements link.Link.
func (l *sealed) Gone() context.Context { return l.lower.Gone() }

// HungUp implements link.Link.
func (l *sealed) HungUp() bool { return l.lower.HungUp() }

// GoAway implements link.Link. It is not authenticated: a peer that can forge it can end
// the connection, too.
func (l *sealed) GoAway() { l.lower.GoAway() }

// GoingAway implements link.Link.
func (l *sealed) GoingAway() context.Context { return l.lower.GoingAway() }

// Credentials implements link.Link.
func (l *sealed) Credentials() *cred.Credentials { return l.lower.Credentials() }

// CloseWrite implements link.Link. The last record is a Close, if there is room for
// it; otherwise, and if this side has ended the connection for a cause, the peer gets
// ErrTruncated.
func (l *sealed) CloseWrite(ctx context.Context, last ...[]byte) error {
	l.quit()
	// A rehandshake releases the lock at once, and there is no other holder.
	_ = l.wmu.Lock(context.Background())
	defer l.wmu.Unlock()
	if l.ended {
		return nil
	}
	l.ended = true
	var records [][]byte
	var err error
	switch cause := l.cause.Load(); {
	case cause != nil:
		err = *cause
	case l.werr == nil || errors.Is(l.werr, link.ErrClosed):
		// A write that was interrupted does not keep the record from being sent.
		l.werr = nil
		records, err = l.sealLast(last)
	case !errors.Is(l.werr, link.ErrPeerGone):
		err = l.werr
	}
	if l.werr == nil {
		l.werr = link.ErrClosed
	}
	if cerr := l.lower.CloseWrite(ctx, records...); !errors.Is(cerr, link.ErrPeerGone) {
		err = errors.Join(err, cerr) // otherwise there is no peer to tell
	}
	return err
}

// sealLast seals the records that end this direction: the frames of last, and a Close,
// after a Rekey if one is pending or the key's limits are reached. All count as sent,
// since none follows.
func (l *sealed) sealLast(last [][]byte) (records [][]byte, err error) {
	if l.rekey == nil && l.seal.Due() {
		if l.rekey, err = l.sealLocked(nil, record.Rekey, nil, nil); err != nil {
			return nil, err
		}
	}
	if l.rekey != nil {
		records = append(records, l.rekey)
		l.seal.Sent()
		l.seal.Rekey()
	}
	for _, frame := range last {
		rec, err := l.sealLocked(nil, record.Data, nil, frame)
		if err != nil {
			return records, err
		}
		records = append(records, rec)
		l.seal.Sent()
	}
	rec, err := l.sealLocked(nil, record.Close, nil, nil)
	if err != nil {
		return records, err
	}
	return append(records, rec), nil
}

// Interrupt implements link.Link.
func (l *sealed) Interrupt() {
	l.stop()
	l.lower.Interrupt()
}

// ended is a context that has ended: calls do what they can without blocking.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Close implements link.Link. The frame that was read last stays valid: its reader
// may still use it.
func (l *sealed) Close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	_ = l.CloseWrite(ended)
	l.Interrupt()
	if l.cancel != nil {
		l.cancel()
	}
	l.next.close()
	l.wg.Wait()
	return l.lower.Close()
}
