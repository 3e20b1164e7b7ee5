package conn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/peer"
)

// acceptRetry is how long a listener waits after an error of the system's, such
// as too many open files, before it accepts again.
const acceptRetry = 50 * time.Millisecond

// Listener accepts connections to one endpoint.
type Listener struct {
	c        *Config
	endpoint string
	l        rendezvous.Listener

	ctx    context.Context // ended by Close and Finish: no more set-ups
	cancel context.CancelFunc
	over   context.Context // ended when nobody accepts any more
	giveUp context.CancelFunc
	ready  chan *Conn     // accepted, not yet fetched
	wg     sync.WaitGroup // accept loop and set-ups
	once   sync.Once
	err    error // of Close

	accepted, refused atomic.Uint64

	mu   sync.Mutex
	open int  // connections and set-ups
	shut bool // no more clients within the process
}

// Listen serves an endpoint. It does not block, but for 127 ms on Darwin if the
// endpoint is in use.
func Listen(endpoint string, c *Config) (*Listener, error) {
	rl, err := c.Carrier.Listen(endpoint, c.Options)
	if err != nil {
		return nil, fmt.Errorf("serving %q: %w", endpoint, rendezvous.Explain(err))
	}
	l := &Listener{c: c, endpoint: endpoint, l: rl, ready: make(chan *Conn)}
	l.over, l.giveUp = context.WithCancel(context.Background())
	l.ctx, l.cancel = context.WithCancel(l.over)
	if c.InProcess {
		locals.Store(c.localKey(endpoint), l)
	}
	l.wg.Add(1)
	go l.acceptLoop()
	return l, nil
}

// Endpoint is the name of the endpoint.
func (l *Listener) Endpoint() string { return l.endpoint }

// Accepted and Refused are the numbers of clients that became connections, and of
// those that were refused.
func (l *Listener) Accepted() uint64 { return l.accepted.Load() }
func (l *Listener) Refused() uint64  { return l.refused.Load() }

// Accept waits for the next connection whose peer has said hello and was
// authorized. It returns link.ErrClosed after Close, and ctx.Err(). It may be
// called by several goroutines.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.over.Done():
		return nil, link.ErrClosed
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

// Finish is Close by somebody who goes on accepting meanwhile: clients that have
// been told that they are accepted, and may have sent something, get there. A
// handshake under way delays it by HandshakeTimeout at most, or until GiveUp.
func (l *Listener) Finish() error {
	err := l.stop()
	l.giveUp()
	return err
}

// GiveUp ends every Accept, and what Finish waits for.
func (l *Listener) GiveUp() { l.giveUp() }

// stop takes no more clients and waits for the set-ups under way.
func (l *Listener) stop() error {
	l.once.Do(func() {
		l.cancel()
		l.err = l.l.Close()
		if l.c.InProcess {
			// Not before: a client of this process would look for the next host
			// at once, and find this one's socket.
			locals.CompareAndDelete(l.c.localKey(l.endpoint), l)
		}
		l.mu.Lock()
		l.shut = true
		l.mu.Unlock()
		l.wg.Wait()
	})
	return l.err
}

// acceptLoop takes clients from the system and sets each up in a goroutine of
// its own, so that one that stalls delays no other. Listen starts it, Close joins
// it.
func (l *Listener) acceptLoop() {
	defer l.wg.Done()
	for {
		in, err := l.l.Accept()
		switch {
		case err == nil:
			// Their number is bounded by MaxConnections, and for those that are
			// refused by as many again.
			if !l.enter(l.c.mostClients()) {
				_ = in.Close()
				continue
			}
			l.wg.Add(1)
			go l.setUp(in)
		case errors.Is(err, os.ErrClosed) || l.ctx.Err() != nil:
			return
		default:
			l.report(nil, fmt.Errorf("accepting: %w", rendezvous.Explain(err)))
			select {
			case <-time.After(acceptRetry):
			case <-l.ctx.Done():
				return
			}
		}
	}
}

func (l *Listener) report(id *peer.Identity, err error) {
	if l.c.Report != nil {
		l.c.Report(id, err)
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
