package secure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/record"
	"github.com/sealport/sealport/keys"
)

// A handshake within the connection (docs/PROTOCOL.md, "Renewal") replaces both
// keys while messages go on. Its messages travel in Handshake records; each side
// changes its sending key right behind a Switch record, which it sends when its
// part of the handshake is done, and its receiving key at the peer's. The new
// handshake binds the hash of the one before, so it can't be moved to another
// connection.

// A client may begin so many handshakes, and one more for each second since the
// connection was made: they cost a host some 0.3 ms of computing each.
const (
	rehandshakeBurst = 8
	rehandshakeEvery = time.Second
)

var (
	errOutOfTurn = errors.New("handshake message out of turn")
	errOtherKey  = fmt.Errorf("%w: another one than when the connection was made", keys.ErrUntrusted)
)

// renewal is the handshake within a connection that is under way, if any. At
// most one is: the client begins it, and not before the one before has ended.
type rehandshake struct {
	mu      sync.Mutex
	closed  bool
	state   *handshake.State
	receive *[record.KeySize]byte // for the peer's Switch
	sending bool                  // an answer or this side's Switch is on its way
	until   context.Context       // client: until it has ended
	ended   context.CancelFunc
	timers  []*time.Timer
	count   int // host: those that clients have begun
	since   time.Time
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

// startTimers is called when the link is handed out, and not before, so that no
// record for the sake of keys comes before Ready.
func (l *sealed) startTimers() {
	l.next.since = time.Now()
	l.every(l.p.RekeyInterval, func() { l.rekeyDue.Store(true) })
	if l.p.role == handshake.Initiator && l.p.RehandshakeInterval > 0 {
		l.every(l.p.RehandshakeInterval, l.beginRehandshake)
	}
}

// every has f called each d until Close. f must not block.
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

// beginRehandshake begins a handshake, on the client's side, unless one is under way.
func (l *sealed) beginRehandshake() {
	l.next.mu.Lock()
	defer l.next.mu.Unlock()
	if l.next.closed {
		return
	}
	l.wg.Go(func() {
		if err := l.initiate(); err != nil && l.ctx.Err() == nil {
			l.end(fmt.Errorf("%w: %w", ErrHandshake, err))
		}
	})
}

// rehandshakeFailed ends the connection, in both directions, since there is nobody
// left to trust, and returns why.
func (l *sealed) rehandshakeFailed(err error) error {
	switch {
	case l.ctx.Err() != nil:
		return l.reason(link.ErrClosed)
	case errors.Is(err, handshake.ErrPeerRefused) && !errors.Is(err, errOtherKey):
		err = fmt.Errorf("%w: %w", ErrRevoked, err)
	default:
		err = fmt.Errorf("%w: %w: %w", link.ErrProtocol, ErrHandshake, err)
	}
	l.end(err)
	return *l.cause.Load()
}

// renew is the client's part up to the first message, and reads the answer if
// nobody else does. Its errors are this side's own.
func (l *sealed) initiate() error {
	l.next.mu.Lock()
	// The one before has ended when this side's Switch was sent and the peer's
	// has come: a host takes nothing else in between.
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

// readUntil reads for as long as nobody else does, until the handshake has ended
// (ctx) or a frame for the layer above has come, which it keeps for that.
func (l *sealed) readUntil(ctx context.Context) {
	if l.rmu.Lock(ctx) != nil {
		return // ended, or closed
	}
	defer l.rmu.Unlock()
	if l.stash != nil || ctx.Err() != nil {
		return
	}
	// The layer above may still have the frame before, so not into l.plain. An
	// error that is not the end of ctx is kept for it.
	if frame, err := l.readLocked(ctx, make([]byte, 0, l.MaxFrame())); err == nil {
		l.stash = frame
	}
}

// readOn is called by the reader when it has taken the frame that readUntil met:
// the rest of the handshake may be behind it, and nobody else may come to read.
func (l *sealed) readOn() {
	r := &l.next
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed && r.until != nil && r.until.Err() == nil {
		until := r.until
		l.wg.Go(func() { l.readUntil(until) })
	}
}

// writeControl sends a message of the handshake and, with keys, the Switch that
// brings the new sending key into use. A direction that takes no more says so to
// the layer above, when that writes or reads; the keys of one that this side has
// ended stay as they are.
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

// handshakeMessage is called by the reader for a message of the handshake. It
// does not write itself, since that may block until the peer reads.
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

// acceptRehandshakeLocked begins a handshake on the host's side.
func (l *sealed) acceptRehandshakeLocked() error {
	r := &l.next
	if l.p.role != handshake.Responder || r.receive != nil {
		return errOutOfTurn
	}
	r.count++
	if r.count > rehandshakeBurst+int(time.Since(r.since)/rehandshakeEvery) {
		return fmt.Errorf("%w: too often", errOutOfTurn)
	}
	st, err := handshake.New(l.p.config())
	if err != nil {
		return err
	}
	r.state = st
	return nil
}

// renewed notes what the next handshake binds, and whom it must be with.
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
