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
	"github.com/sealport/sealport/internal/record"
)

// sealed is a link whose frames are records in the frames of another. It
// implements link.Link.
//
// Beside the reader and the writer above, a handshake within the connection
// reads and writes too, so each direction has a lock: whoever holds it seals and
// sends in one step, or receives and opens in one.
type sealed struct {
	lower link.Link
	p     parameters // of the next handshake within the connection

	wmu      ctxlock.Mutex
	seal     *record.Sealer
	out      []byte      // the record being sent
	rekey    []byte      // a Rekey that is sealed and has yet to be sent
	frames   uint64      // of the layer above, sent
	werr     error       // final
	rekeyDue atomic.Bool // RekeyInterval is over

	rmu   ctxlock.Mutex
	open  *record.Opener
	plain []byte // the frame that the layer above has
	stash []byte // the next one, if a handshake met it; nil: none
	rerr  error  // final

	next   rehandshake
	cause  atomic.Pointer[error] // why this side has ended the connection
	cancel func()                // ends the subscription to p.Trust

	ctx     context.Context // ended by Interrupt
	stop    context.CancelFunc
	control context.Context // ended by CloseWrite too: the handshake within writes no more
	quit    context.CancelFunc
	wg      sync.WaitGroup // of the handshake within
	closed  bool
}

var _ link.Link = (*sealed)(nil)

// newLink makes a link of what a handshake agreed on. It takes lower over, and
// the keys out of res.
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
	l.subscribe()
	return l
}

// subscribe has Trust end the connection when the peer's key is no longer good.
func (l *sealed) subscribe() {
	if l.p.known.IsZero() || l.p.Trust == nil {
		return
	}
	unsubscribe := l.p.Trust.OnRevoke(l.p.side.Endpoint, l.p.known, func() { l.end(ErrRevoked) })
	release := watchTrust(l.p.Trust)
	l.cancel = func() {
		unsubscribe()
		release()
	}
}

// WriteFrame implements link.Link.
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

// writeLocked seals and sends one record, after a Rekey where that is due. If
// ctx ends first, the record is not sent and its nonce is left out.
func (l *sealed) writeLocked(ctx context.Context, t record.Type, head, body []byte) error {
	if l.werr != nil {
		return l.werr
	}
	if l.rekey != nil || l.rekeyDue.Load() || l.seal.Due() {
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

// rekeyLocked sends a Rekey and takes the next key. A Rekey that could not be sent
// is kept as it is, nonce and all, until it can: so a sender who gives up again
// and again while the peer does not read uses up no more nonces than may be left
// out in a row.
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

// reason says why this side has closed, where it was not the layer above.
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
	// What arrived before the end from this side, but was not read: not from a
	// peer that is trusted no more.
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

// readLocked receives records until one has a frame in it, which it puts into
// buf.
func (l *sealed) readLocked(ctx context.Context, buf []byte) ([]byte, error) {
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
		case record.Handshake:
			err = l.handshakeMessage(plain)
		case record.Switch:
			err = l.switchReceive()
		case record.Ready: // which is the first record or none
			l.rerr = fmt.Errorf("%w: type %d out of turn", ErrRecord, t)
		}
		if err != nil {
			l.rerr = l.rehandshakeFailed(err)
		}
	}
	return nil, l.rerr
}

// readFailed makes every error but the end of ctx final, and an end without a
// goodbye a truncation.
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

// Buffered implements link.Link. What is buffered below may be a record that has
// no frame in it.
func (l *sealed) Buffered() bool { return false }

// MaxFrame implements link.Link.
func (l *sealed) MaxFrame() int { return l.lower.MaxFrame() - record.Overhead }

// SyscallPerFrame implements link.Link: sealing costs more than asking.
func (l *sealed) SyscallPerFrame() bool { return true }

// Backlogged implements link.Link.
func (l *sealed) Backlogged() bool {
	if l.cause.Load() != nil {
		return false // so that nothing is held back, and the next write says why
	}
	return l.lower.Backlogged()
}

// WaitDrained implements link.Link.
func (l *sealed) WaitDrained(ctx context.Context) error { return l.reason(l.lower.WaitDrained(ctx)) }

// Unacknowledged implements link.Link. What is sent for the sake of keys counts as well,
// unless nothing else was sent.
func (l *sealed) Unacknowledged() uint64 {
	_ = l.wmu.Lock(context.Background())
	defer l.wmu.Unlock()
	return min(l.lower.Unacknowledged(), l.frames)
}

// Gone implements link.Link.
func (l *sealed) Gone() <-chan struct{} { return l.lower.Gone() }

// HungUp implements link.Link.
func (l *sealed) HungUp() bool { return l.lower.HungUp() }

// Credentials implements link.Link.
func (l *sealed) Credentials() *cred.Credentials { return l.lower.Credentials() }

// CloseWrite implements link.Link: it says goodbye in a record, if there is room
// for one before ctx ends; else the peer will see ErrTruncated.
func (l *sealed) CloseWrite(ctx context.Context) error {
	l.quit()
	// The handshake within gives the lock up at once, and nobody else has it.
	_ = l.wmu.Lock(context.Background())
	defer l.wmu.Unlock()
	if errors.Is(l.werr, link.ErrClosed) {
		return nil
	}
	err := l.writeLocked(ctx, record.Close, nil, nil)
	if errors.Is(err, link.ErrPeerGone) {
		err = nil // nobody to say goodbye to, as with any carrier
	}
	l.werr = link.ErrClosed
	return errors.Join(err, l.lower.CloseWrite(ctx))
}

// Interrupt implements link.Link.
func (l *sealed) Interrupt() {
	l.stop()
	l.lower.Interrupt()
}

// ended is a context that is over: calls do what they can without blocking.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// Close implements link.Link. The frame that was read last stays as it is: its
// reader may be at work on it.
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
