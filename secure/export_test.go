package secure

import (
	"context"
	"errors"
	"sync"

	"github.com/sealport/sealport/handshake"
	"github.com/sealport/sealport/internal/conn"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/secure/internal/record"
)

// Link is a sealed link.
type Link = sealed

// Pair does a handshake over the two ends of a link and returns the sealed ones.
func Pair(ctx context.Context, a, b link.Link, client, host *Config) (c, h *Link, err error) {
	var all sync.WaitGroup
	var err1, err2 error
	all.Go(func() { c, err1 = HalfPair(ctx, a, client, handshake.Initiator) })
	all.Go(func() { h, err2 = HalfPair(ctx, b, host, handshake.Responder) })
	all.Wait()
	return c, h, errors.Join(err1, err2)
}

// HalfPair is one side of Pair.
func HalfPair(ctx context.Context, l link.Link, c *Config, role handshake.Role) (*Link, error) {
	u, _, err := c.resolve(role)
	if err != nil {
		return nil, err
	}
	do, s := u.Client, conn.Side{Endpoint: "com.example.test", Self: []byte("client"), Peer: []byte("host")}
	if role == handshake.Responder {
		do, s.Self, s.Peer = u.Host, s.Peer, s.Self
	}
	sealedLink, _, err := do(ctx, l, s)
	if err != nil {
		return nil, err
	}
	return sealedLink.(*sealed), nil
}

// Rehandshake begins a rehandshake, as the timer does.
func (l *sealed) Rehandshake() { l.beginRehandshake() }

// RekeyDue makes a Rekey precede the next record, as the timer does.
func (l *sealed) RekeyDue() { l.rekeyDue.Store(true) }

// Rehandshaking reports whether a rehandshake is in progress.
func (l *sealed) Rehandshaking() bool {
	l.next.mu.Lock()
	defer l.next.mu.Unlock()
	return l.next.state != nil || l.next.receive != nil || l.next.sending
}

// HandshakeHash is that of the last handshake.
func (l *sealed) HandshakeHash() string {
	l.next.mu.Lock()
	defer l.next.mu.Unlock()
	return string(l.p.binding)
}

// PeerKey is the peer's.
func (l *sealed) PeerKey() string {
	l.next.mu.Lock()
	defer l.next.mu.Unlock()
	return l.p.known.String()
}

// Stashed is whether a rehandshake has received a frame for the layer above.
func (l *sealed) Stashed() bool {
	if !l.rmu.TryLock() {
		return false
	}
	defer l.rmu.Unlock()
	return l.stash != nil
}

// Writing is whether a call writes or waits for room.
func (l *sealed) Writing() bool {
	if !l.wmu.TryLock() {
		return true
	}
	l.wmu.Unlock()
	return false
}

// SetKey makes this side show another key from the next handshake on.
func (l *sealed) SetKey(key keys.PrivateKey) {
	l.next.mu.Lock()
	defer l.next.mu.Unlock()
	u := *l.p.security
	u.Key = key
	l.p.security = &u
}

// SendRecord seals a record of any type, for hostile peers.
func (l *sealed) SendRecord(ctx context.Context, t byte, body []byte) error {
	if err := l.wmu.Lock(ctx); err != nil {
		return err
	}
	defer l.wmu.Unlock()
	return l.writeLocked(ctx, record.Type(t), nil, body)
}

// SendRekey sends a Rekey, whether one is due or not.
func (l *sealed) SendRekey(ctx context.Context) error {
	if err := l.wmu.Lock(ctx); err != nil {
		return err
	}
	defer l.wmu.Unlock()
	return l.rekeyLocked(ctx)
}

// BeginHandshake returns a client's first message of a rehandshake, which the link
// itself knows nothing of.
func (l *sealed) BeginHandshake() ([]byte, error) {
	l.next.mu.Lock()
	defer l.next.mu.Unlock()
	st, err := handshake.New(l.p.config())
	if err != nil {
		return nil, err
	}
	defer st.Close()
	return st.WriteMessage(nil, nil)
}

// HalfRehandshake does a client's part of a rehandshake of one message each, without
// its Switch: the link knows nothing of it but the hash.
func (l *sealed) HalfRehandshake(ctx context.Context) error {
	st, err := handshake.New(l.p.config())
	if err != nil {
		return err
	}
	defer st.Close()
	first, err := st.WriteMessage(nil, nil)
	if err != nil {
		return err
	}
	if err := l.SendRecord(ctx, byte(record.Handshake), first); err != nil {
		return err
	}
	frame, err := l.lower.ReadFrame(ctx)
	if err != nil {
		return err
	}
	_, answer, err := l.open.Open(nil, frame)
	if err != nil {
		return err
	}
	if _, err := st.ReadMessage(answer); err != nil {
		return err
	}
	res, err := st.Result()
	if err == nil {
		l.next.mu.Lock()
		defer l.next.mu.Unlock()
		l.noteResult(res)
	}
	return err
}

// TakeWorkers leaves no worker for handshakes until free is called.
func TakeWorkers() (free func()) {
	for range cap(workers) {
		workers <- struct{}{}
	}
	return func() {
		for range cap(workers) {
			<-workers
		}
	}
}
