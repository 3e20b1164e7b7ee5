package transport

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sealport/sealport/internal/conn/message"
	"github.com/sealport/sealport/internal/conn/rendezvous"
)

// acceptRetry is how long a listener waits after an error of the system's, such
// as too many open files, before it accepts again.
const acceptRetry = 50 * time.Millisecond

// Listener accepts connections to one endpoint.
type Listener struct {
	s        *settings
	endpoint string
	l        rendezvous.Listener

	ctx    context.Context // ended by Close and finish: no more set-ups
	cancel context.CancelFunc
	over   context.Context // ended when nobody accepts any more
	giveUp context.CancelFunc
	ready  chan *Conn     // accepted, not yet fetched
	wg     sync.WaitGroup // accept loop and set-ups
	once   sync.Once
	err    error // of Close

	counters hostCounters

	mu   sync.Mutex
	open int // connections and set-ups
}

// Listen serves an endpoint. It does not block, but for 127 ms on Darwin if the
// endpoint is in use, since launchd takes a moment to forget a name. On Linux it
// adopts the socket that systemd has passed with the endpoint's name as
// FileDescriptorName=, which must be a ListenSequentialPacket= one.
//
// Errors: ErrInvalidEndpoint, ErrEndpointInUse, ErrPermission, ErrNotEndpoint,
// ErrUnsafeFolder, ErrNoHost (the folder's parent does not exist), ErrConfig.
func Listen(endpoint string, cfg *Config) (*Listener, error) {
	s, err := cfg.resolve()
	if err != nil {
		return nil, err
	}
	return listen(endpoint, s)
}

func listen(endpoint string, s *settings) (*Listener, error) {
	rl, err := rendezvous.Listen(endpoint, s.options())
	if err != nil {
		return nil, fmt.Errorf("serving %q: %w", endpoint, err)
	}
	s.endpoint = endpoint
	l := &Listener{s: s, endpoint: endpoint, l: rl, ready: make(chan *Conn)}
	l.over, l.giveUp = context.WithCancel(context.Background())
	l.ctx, l.cancel = context.WithCancel(l.over)
	l.wg.Add(1)
	go l.acceptLoop()
	return l, nil
}

// Endpoint is the name of the endpoint.
func (l *Listener) Endpoint() string { return l.endpoint }

// Accept waits for the next connection whose peer has said hello and passed
// Config.Peer. It returns ErrClosed after Close, and ctx.Err(). It may be called
// by several goroutines.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.over.Done():
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close gives the endpoint up and ends every Accept. Connections that were
// accepted go on. Idempotent.
func (l *Listener) Close() error {
	l.giveUp()
	return l.stop()
}

// finish is Close by somebody who goes on accepting meanwhile: clients who have
// been told that they are accepted, and may have sent something, get there. A
// handshake under way delays it by HandshakeTimeout at most, or until giveUp.
func (l *Listener) finish() error {
	err := l.stop()
	l.giveUp()
	return err
}

// stop takes no more clients and waits for the set-ups under way.
func (l *Listener) stop() error {
	l.once.Do(func() {
		l.cancel()
		l.err = l.l.Close()
		l.wg.Wait()
	})
	return l.err
}

// acceptLoop takes clients from the system and sets each up in a goroutine of
// its own, so that one who stalls keeps nobody else waiting. listen starts it,
// Close joins it.
func (l *Listener) acceptLoop() {
	defer l.wg.Done()
	for {
		in, err := l.l.Accept()
		switch {
		case err == nil:
			// Its number is bounded by MaxConnections, and for the refused by
			// as many again.
			if !l.enter(2 * l.s.MaxConnections) {
				_ = in.Close()
				continue
			}
			l.wg.Add(1)
			go l.setUp(in)
		case errors.Is(err, os.ErrClosed) || l.ctx.Err() != nil:
			return
		default:
			l.s.report(&ConnError{Err: fmt.Errorf("accepting: %w", err)})
			select {
			case <-time.After(acceptRetry):
			case <-l.ctx.Done():
				return
			}
		}
	}
}

// enter counts one more connection, unless there are limit.
func (l *Listener) enter(limit int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open >= limit {
		return false
	}
	l.open++
	return true
}

func (l *Listener) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
}

func (l *Listener) connections() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// setUp brings a client from connect to a Conn that waits for Accept.
func (l *Listener) setUp(in rendezvous.Incoming) {
	defer l.wg.Done()
	ctx, cancel := l.s.withTimeout(l.ctx)
	defer cancel()
	c, err := l.judge(ctx, in)
	if err != nil {
		l.leave()
		if l.ctx.Err() == nil {
			l.s.report(err)
		}
		return
	}
	l.counters.accepted.Add(1)
	select {
	case l.ready <- c:
	case <-l.over.Done():
		c.abort()
	}
}

// judge decides on a client. It ends in.
func (l *Listener) judge(ctx context.Context, in rendezvous.Incoming) (*Conn, error) {
	hello, err := in.Hello(ctx)
	if err != nil {
		return nil, &ConnError{Err: errors.Join(err, in.Close())}
	}
	answer := l.s.hello()
	theirs, err := message.ParseHello(hello)
	if err != nil {
		return nil, &ConnError{Err: errors.Join(err, in.Close())}
	}
	refuse := func(status message.Status, err error) (*Conn, error) {
		answer.Status = status
		l.counters.refused.Add(1)
		// The client may be gone; why it is refused matters more.
		_ = in.Refuse(ctx, answer.Append(nil))
		return nil, err
	}
	if err := theirs.Check(answer); err != nil {
		return refuse(message.BadHello, &ConnError{Err: err})
	}
	if n := l.connections(); n > l.s.MaxConnections {
		return refuse(message.Busy, &ConnError{Err: fmt.Errorf("%w: %d", ErrBusy, n)})
	}
	id, err := identify(ctx, in, l.s.Peer)
	if err != nil && l.ctx.Err() != nil {
		return nil, &ConnError{Err: errors.Join(err, in.Close())} // not the policy's word
	} else if err != nil {
		return refuse(message.Refused, err)
	}
	if l.s.upgrade != nil {
		leave, err := l.s.upgrade.Enter(ctx, id.Token().EUID())
		if err != nil {
			return refuse(message.Busy, &ConnError{Peer: id, Err: errors.Join(ErrBusy, err, id.Close())})
		}
		defer leave()
	}
	lk, err := in.Accept(ctx, answer.Append(nil))
	if err != nil {
		return nil, &ConnError{Peer: id, Err: errors.Join(err, id.Close())}
	}
	// The client has been told that it is accepted: finish waits for it.
	deadline, _ := ctx.Deadline()
	rest, cancel := context.WithDeadline(l.over, deadline)
	defer cancel()
	lk, proof, err := secured(rest, lk, l.s, l.endpoint, id, true)
	if err != nil {
		return nil, &ConnError{Peer: id, Err: errors.Join(err, id.Close())}
	}
	return newConn(lk, l.s, theirs, id, proof, l.endpoint, l.leave), nil
}
