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
)

// A handshake within the connection (docs/PROTOCOL.md, "Renewal") replaces both
// keys while messages go on. Its messages travel in Handshake records; each side
// changes its sending key right behind a Switch record, which it sends when its
// part of the handshake is done, and its receiving key at the peer's. The new
// handshake binds the hash of the one before, so it can't be moved to another
// connection.

// A client may begin so many handshakes at once, and one more each second: they
// cost a host some 0.3 ms of computing each.
const (
	renewalBurst = 8
	renewalEvery = time.Second
)

var errRenewal = errors.New("handshake message out of turn")

// renewal is the handshake within a connection that is under way, if any. At
// most one is: the client begins it, and not before the one before has ended.
type renewal struct {
	mu      sync.Mutex
	closed  bool
	state   *handshake.State
	receive *[record.KeySize]byte // for the peer's Switch
	ended   context.CancelFunc    // client: called when it has ended
	count   int                   // host: those that clients have begun
	since   time.Time
}

func (r *renewal) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.state != nil {
		r.state.Close()
		r.state = nil
	}
	if r.receive != nil {
		clear(r.receive[:])
	}
}

// startTimers is called by newLink.
func (l *sealed) startTimers() {
	l.next.since = time.Now()
	every := func(d time.Duration, f func()) {
		var t *time.Timer
		ready := make(chan struct{})
		t = time.AfterFunc(d, func() {
			<-ready
			f()
			if l.ctx.Err() == nil {
				t.Reset(d)
			}
		})
		l.timers = append(l.timers, t)
		close(ready)
	}
	every(l.p.RekeyInterval, func() { l.rekeyDue.Store(true) })
	if l.p.role == handshake.Initiator && l.p.RehandshakeInterval > 0 {
		every(l.p.RehandshakeInterval, l.beginRenewal)
	}
}

// spawn runs f in a goroutine that Close joins.
func (l *sealed) spawn(f func()) {
	l.next.mu.Lock()
	defer l.next.mu.Unlock()
	if !l.next.closed {
		l.wg.Go(f)
	}
}

// beginRenewal begins a handshake, on the client's side, unless one is under way.
func (l *sealed) beginRenewal() {
	l.spawn(func() {
		l.check(l.renew())
	})
}

// check ends the connection if a handshake within has failed: that leaves nobody
// to trust.
func (l *sealed) check(err error) {
	if err != nil && l.ctx.Err() == nil {
		l.end(fmt.Errorf("%w: %w: %w", link.ErrProtocol, ErrHandshake, err))
	}
}

// renew is the client's part up to the first message, and reads the answer if
// nobody else does.
func (l *sealed) renew() error {
	l.next.mu.Lock()
	if l.next.closed || l.next.state != nil || l.next.receive != nil {
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
	defer ended()
	l.next.state, l.next.ended = st, ended
	l.next.mu.Unlock()

	if err := l.writeControl(first, nil); err != nil {
		return err
	}
	return l.readUntil(until)
}

// readUntil reads for as long as nobody else does, until the handshake has ended
// (ctx) or a frame for the layer above has come, which it keeps for that.
func (l *sealed) readUntil(ctx context.Context) error {
	if err := l.rmu.Lock(ctx); err != nil {
		return nil // ended, or closed
	}
	defer l.rmu.Unlock()
	if l.stash != nil {
		return nil
	}
	// The layer above may still have the frame before, so not into l.plain.
	frame, err := l.readLocked(ctx, make([]byte, 0, l.MaxFrame()))
	if err == nil {
		l.stash = frame
	}
	return nil // the reader above will see an error; ctx is none
}

// writeControl sends a message of the handshake and, with keys, the Switch that
// brings the new sending key into use.
func (l *sealed) writeControl(msg []byte, send *[record.KeySize]byte) error {
	if err := l.wmu.Lock(l.ctx); err != nil {
		return err
	}
	defer l.wmu.Unlock()
	if msg != nil {
		if err := l.writeLocked(l.ctx, record.Handshake, nil, msg); err != nil {
			return err
		}
	}
	if send == nil {
		return nil
	}
	defer clear(send[:])
	if err := l.writeLocked(l.ctx, record.Switch, nil, nil); err != nil {
		return err
	}
	l.seal.Replace(send)
	return nil
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
		if err := l.acceptRenewalLocked(); err != nil {
			return err
		}
	}
	answer, err := l.p.step(l.ctx, r.state, msg)
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
		l.renewed(res)
		r.state.Close()
		r.state = nil
	}
	if answer != nil || send != nil {
		l.wg.Go(func() { l.check(l.writeControl(answer, send)) })
	}
	return nil
}

// acceptRenewalLocked begins a handshake on the host's side.
func (l *sealed) acceptRenewalLocked() error {
	r := &l.next
	if l.p.role != handshake.Responder || r.receive != nil {
		return errRenewal
	}
	r.count++
	if r.count > renewalBurst+int(time.Since(r.since)/renewalEvery) {
		return fmt.Errorf("%w: too often", errRenewal)
	}
	st, err := handshake.New(l.p.config())
	if err != nil {
		return err
	}
	r.state = st
	return nil
}

// renewed notes what the next handshake binds, and whom it must be with.
func (l *sealed) renewed(res *handshake.Result) {
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
		return errRenewal
	}
	l.open.Replace(r.receive)
	clear(r.receive[:])
	r.receive = nil
	if r.ended != nil {
		r.ended()
		r.ended = nil
	}
	return nil
}
