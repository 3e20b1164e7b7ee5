package transport

import (
	"context"
	"fmt"
	"io"
	"sync"

	"github.com/sealport/sealport/internal/upgrade"
	"github.com/sealport/sealport/keys"
	"github.com/sealport/sealport/peer"
)

// localReplies is how many replies wait for a client within the process before
// Reply blocks.
const localReplies = 256

// locals are the hosts of this process, by endpoint and folder. The values are
// *localHost[T] of different T.
var locals sync.Map

type localKey struct{ folder, endpoint string }

func keyOf(s *settings, endpoint string) localKey { return localKey{s.Folder, endpoint} }

// localHost is how clients in the same process reach a Host.
type localHost[T any] struct {
	h *Host[T]

	mu      sync.Mutex
	retired chan struct{}
	once    sync.Once
}

func newLocalHost[T any](h *Host[T]) *localHost[T] {
	l := &localHost[T]{h: h, retired: make(chan struct{})}
	locals.Store(keyOf(h.s, h.l.endpoint), l)
	return l
}

// retire lets no more messages in. Those that are being handled are joined by
// the Host's wait group.
func (l *localHost[T]) retire() {
	l.once.Do(func() {
		locals.CompareAndDelete(keyOf(l.h.s, l.h.l.endpoint), any(l))
		l.mu.Lock()
		defer l.mu.Unlock()
		close(l.retired)
	})
}

// enter counts one message that is being handled.
func (l *localHost[T]) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.retired:
		return false
	default:
		l.h.wg.Add(1)
		return true
	}
}

// localSession is one Client's way to a Host in the same process: a function
// call. It implements session.
type localSession[T any] struct {
	host             *localHost[T]
	self             *peer.Identity
	ofHost, ofClient upgrade.Result // what a secure check has shown
	limit            int            // bytes, both sides' MaxMessageSize considered
	turn             chan struct{}  // one message at a time, as on a connection
	replies          chan T
	closed           chan struct{}
	once             sync.Once
}

// dialLocal returns a session with a Host of the same type in this process, or
// nil if there is none. Both sides' policies are asked.
func dialLocal[T any](ctx context.Context, endpoint string, s *settings) (session[T], error) {
	if s.NoInProcess {
		return nil, nil
	}
	found, _ := locals.Load(keyOf(s, endpoint))
	host, ok := found.(*localHost[T])
	if !ok {
		return nil, nil
	}
	self, err := peer.Self()
	if err != nil {
		return nil, err
	}
	var ofHost, ofClient upgrade.Result
	if err = host.judge(ctx, self, s.Peer); err == nil {
		if ofHost, ofClient, err = checkKeys(ctx, endpoint, s, host.h.s); err != nil && ctx.Err() == nil {
			host.h.s.report(&ConnError{Peer: self, Err: err})
		}
	}
	if err != nil {
		_ = self.Close()
		return nil, fmt.Errorf("connecting to %q: %w", endpoint, err)
	}
	return &localSession[T]{
		host: host, self: self, ofHost: ofHost, ofClient: ofClient,
		limit:   min(s.MaxMessageSize, host.h.s.MaxMessageSize),
		turn:    make(chan struct{}, 1),
		replies: make(chan T, localReplies),
		closed:  make(chan struct{}),
	}, nil
}

// checkKeys is what a handshake is for clients of other processes.
func checkKeys(ctx context.Context, endpoint string, client, host *settings) (ofHost, ofClient upgrade.Result, err error) {
	if err := host.hello().Check(client.hello()); err != nil || client.upgrade == nil {
		return ofHost, ofClient, err
	}
	return client.upgrade.Local(ctx, endpoint, host.upgrade)
}

// judge asks both sides' policies as a connection would, the host's first, and
// tells each side of a refusal what it would hear there.
func (l *localHost[T]) judge(ctx context.Context, self *peer.Identity, ofClient peer.Policy) error {
	err := peer.Check(ctx, l.h.s.Peer, self)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		l.h.l.counters.refused.Add(1)
		l.h.s.report(err)
		return fmt.Errorf("%w; by which rule, it tells its Config.Logger and OnError only", ErrRefused)
	}
	return peer.Check(ctx, ofClient, self)
}

func (l *localSession[T]) send(ctx context.Context, v T) error {
	if err := l.check(ctx, v); err != nil {
		return err
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return ctx.Err()
	case <-l.closed:
		return ErrClosed
	}
	if !l.host.enter() {
		return ErrPeerGone
	}
	defer l.host.h.wg.Done()
	l.host.h.l.counters.localReceived.Add(1)
	l.host.h.handler(Message[T]{Peer: l.self, Body: v, from: l})
	return nil
}

// check refuses what a connection would refuse, as far as that can be told
// without encoding.
func (l *localSession[T]) check(ctx context.Context, v T) error {
	if bytes := l.host.h.k.bytes; bytes != nil && len(bytes(v)) > l.limit {
		return fmt.Errorf("%w: %d bytes, the limit is %d", ErrMessageTooLarge, len(bytes(v)), l.limit)
	}
	return ctx.Err()
}

func (l *localSession[T]) reply(ctx context.Context, v T) error {
	if err := l.check(ctx, v); err != nil {
		return err
	}
	if k := &l.host.h.k; k.bytes != nil {
		// The handler has its slice back when Reply returns.
		v = k.value(append([]byte{}, k.bytes(v)...))
	}
	select {
	case l.replies <- v:
		l.host.h.l.counters.localSent.Add(1)
		return nil
	case <-l.closed:
		return ErrPeerGone
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (l *localSession[T]) receive(ctx context.Context) (v T, err error) {
	select {
	case v = <-l.replies: // first of all what is there
		return v, nil
	default:
	}
	select {
	case v = <-l.replies:
		return v, nil
	case <-l.closed:
		return v, ErrClosed
	case <-ctx.Done():
		return v, ctx.Err()
	case <-l.host.retired:
	}
	select {
	case v = <-l.replies:
		return v, nil
	default:
		return v, io.EOF
	}
}

func (l *localSession[T]) interrupt()                      {}
func (l *localSession[T]) flush(ctx context.Context) error { return ctx.Err() }
func (l *localSession[T]) gone() <-chan struct{}           { return l.host.retired }
func (l *localSession[T]) hungUp() bool                    { return false } // a Send has been handled
func (l *localSession[T]) unread() uint64                  { return 0 }
func (l *localSession[T]) peer() *peer.Identity            { return l.self }
func (l *localSession[T]) peerKey() keys.PublicKey         { return l.ofClient.Key }
func (l *localSession[T]) hostKey() keys.PublicKey         { return l.ofHost.Key }
func (l *localSession[T]) stats() Stats                    { return Stats{} }

func (l *localSession[T]) close() error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.self.Close()
	})
	return err
}

func (l *localSession[T]) abort() { _ = l.close() }
