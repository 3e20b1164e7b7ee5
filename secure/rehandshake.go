package secure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure/internal/record"
)

// A rehandshake (docs/PROTOCOL.md, "Rehandshake") replaces both keys while messages
// continue. Its messages travel in Handshake records. Each side changes its sending
// key right after a Switch record, which it sends when its part of the handshake is
// done, and its receiving key at the peer's Switch. A rehandshake binds the hash of
// the handshake before, so it can't be moved to another connection.

// A client may begin rehandshakeBurst rehandshakes at once, and then one for each
// rehandshakeEvery; what it does not use is not saved up beyond the burst. Each costs a
// host some 0.3 ms of CPU time.
const (
	rehandshakeBurst = 8
	rehandshakeEvery = time.Second
)

var (
	errOutOfTurn = errors.New("handshake message out of turn")
	errOtherKey  = fmt.Errorf("%w: it is not the key that the connection began with", keys.ErrUntrusted)
)

// rehandshake is the rehandshake in progress, if any. There is at most one: the
// client begins it, and not before the previous one has ended.
type rehandshake struct {
	mu      sync.Mutex
	closed  bool
	state   *handshake.State
	receive *[record.KeySize]byte // for the peer's Switch
	sending bool                  // an answer or this side's Switch is being sent
	until   context.Context       // client: ends with the rehandshake
	ended   context.CancelFunc
	timers  []*time.Timer
	paid    time.Time // host: how far the client has used its rate up, which may be ahead of now
}

func (r *rehandshake) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, t := range r.timers {
		t.Stop()
	}
	if r.state != nil {
		r.state.Close()
		r.state = nil
	}
	if r.receive != nil {
		clear(r.receive[:])
	}
}

// startTimers is called when the link is complete, so that Ready is the first
// record.
func (l *sealed) startTimers() {
	l.every(l.p.RekeyInterval, func() { l.rekeyDue.Store(true) })
	if l.p.role == handshake.Initiator && l.p.RehandshakeInterval > 0 {
		l.every(l.p.RehandshakeInterval, l.beginRehandshake)
	}
}

// every calls f every d until Close. f must not block.
func (l *sealed) every(d time.Duration, f func()) {
	r := &l.next
	r.mu.Lock()
	defer r.mu.Unlock()
	var t *time.Timer
	t = time.AfterFunc(d, func() {
		f()
		r.mu.Lock()
		defer r.mu.Unlock()
		if !r.closed {
			t.Reset(d)
		}
	})
	r.timers = append(r.timers, t)
}

// beginRehandshake begins a rehandshake, on the client's side, unless one is in
// progress.
func (l *sealed) beginRehandshake() {
	l.next.mu.Lock()
	defer l.next.mu.Unlock()
	if l.next.closed {
		return
	}
	l.wg.Go(func() {
		if err := l.initiate(); err != nil && l.ctx.Err() == nil {
			l.end(failed(err))
		}
	})
}

// rehandshakeFailed ends the connection, in both directions, since the peer is no
// longer trusted, and returns why.
func (l *sealed) rehandshakeFailed(err error) error {
	switch {
	case l.ctx.Err() != nil:
		return l.reason(link.ErrClosed)
	case errors.Is(err, handshake.ErrPeerRefused) && !errors.Is(err, errOtherKey):
		err = fmt.Errorf("%w: %w", ErrRevoked, err)
	default:
		err = fmt.Errorf("%w: %w", link.ErrProtocol, failed(err))
	}
	l.end(err)
	return *l.cause.Load()
}

// initiate sends the client's first message, and reads the answer if the layer above
// does not read. Its errors are this side's own.
func (l *sealed) initiate() error {
	l.next.mu.Lock()
	// The previous one has ended when this side's Switch was sent and the peer's
	// has arrived: a host accepts nothing else in between.
	if l.next.closed || l.next.state != nil || l.next.receive != nil || l.next.sending {
		l.next.mu.Unlock()
		return nil
	}
	st, err := handshake.New(l.p.config())
	if err != nil {
		l.next.mu.Unlock()
		return err
	}
	first, err := st.WriteMessage(nil, nil)
	if err != nil {
		l.next.mu.Unlock()
		return err
	}
	until, ended := context.WithCancel(l.ctx)
	l.next.state, l.next.until, l.next.ended = st, until, ended
	l.next.mu.Unlock()

	if l.writeControl(first, nil) {
		l.readUntil(until)
	}
	return nil
}

// readUntil reads while the layer above does not, until the rehandshake has ended
// (ctx) or a frame for the layer above has arrived, which it stashes.
func (l *sealed) readUntil(ctx context.Context) {
	if l.rmu.Lock(ctx) != nil {
		return // ended, or closed
	}
	defer l.rmu.Unlock()
	if l.stash != nil || ctx.Err() != nil {
		return
	}
	// Not into l.plain: the layer above may still use the previous frame. An
	// error other than the end of ctx is kept for the layer above.
	if frame, err := l.readLocked(ctx, make([]byte, 0, l.MaxFrame())); err == nil {
		l.stash = frame
	}
}

// readOn is called by the reader when it has taken the stashed frame: the rest of
// the rehandshake may be behind it, and the layer above may not read again.
func (l *sealed) readOn() {
	r := &l.next
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && r.until != nil && r.until.Err() == nil {
		until := r.until
		l.wg.Go(func() { l.readUntil(until) })
	}
}

// writeControl sends a message of the rehandshake and, if send is set, the Switch to
// that key. It does not report errors: they are final and the layer above gets them
// from its next call. A direction that this side has ended keeps its key.
func (l *sealed) writeControl(msg []byte, send *[record.KeySize]byte) (sent bool) {
	if send != nil {
		defer clear(send[:])
	}
	if l.wmu.Lock(l.control) != nil {
		return false
	}
	defer l.wmu.Unlock()
	if msg != nil && l.writeLocked(l.control, record.Handshake, nil, msg) != nil {
		return false
	}
	if send == nil {
		return true
	}
	if l.writeLocked(l.control, record.Switch, nil, nil) != nil {
		return false
	}
	l.seal.Replace(send)
	return true
}

// handshakeMessage is called by the reader for a message of the rehandshake. It does
// not write itself, since writing may block until the peer reads.
func (l *sealed) handshakeMessage(msg []byte) error {
	r := &l.next
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return link.ErrClosed
	}
	if r.state == nil {
		if err := l.acceptRehandshakeLocked(); err != nil {
			return err
		}
	}
	answer, err := l.p.step(l.ctx, r.state, msg, true)
	if err != nil {
		return err
	}
	var send *[record.KeySize]byte
	if r.state.Done() {
		res, err := r.state.Result()
		if err != nil {
			return err
		}
		send, r.receive = new([record.KeySize]byte), new([record.KeySize]byte)
		res.TakeKeys(send, r.receive)
		l.noteResult(res)
		r.state.Close()
		r.state = nil
	}
	if answer != nil || send != nil {
		r.sending = true
		l.wg.Go(func() {
			l.writeControl(answer, send)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.sending = false
		})
	}
	return nil
}

// acceptRehandshakeLocked begins a rehandshake on the host's side.
func (l *sealed) acceptRehandshakeLocked() error {
	r := &l.next
	if l.p.role != handshake.Responder || r.receive != nil {
		return errOutOfTurn
	}
	now := time.Now()
	if r.paid.Before(now) {
		r.paid = now
	}
	if r.paid.Sub(now) > (rehandshakeBurst-1)*rehandshakeEvery {
		return fmt.Errorf("%w: too many rehandshakes", errOutOfTurn)
	}
	r.paid = r.paid.Add(rehandshakeEvery)
	st, err := handshake.New(l.p.config())
	if err != nil {
		return err
	}
	r.state = st
	return nil
}

// noteResult keeps what the next rehandshake binds, and the key that it must be with.
func (l *sealed) noteResult(res *handshake.Result) {
	hash := res.Hash()
	l.p.ctx = l.ctx
	l.p.binding = hash[:]
	l.p.known, _ = res.PeerStatic()
}

// switchReceive is called by the reader for a Switch.
func (l *sealed) switchReceive() error {
	r := &l.next
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.receive == nil {
		return errOutOfTurn
	}
	l.open.Replace(r.receive)
	clear(r.receive[:])
	r.receive = nil
	if r.ended != nil {
		r.ended()
	}
	return nil
}
