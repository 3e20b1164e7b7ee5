package conn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sealport/sealport/internal/conn/fair"
	"github.com/sealport/sealport/internal/conn/rendezvous"
	"github.com/sealport/sealport/internal/link"
)

// How long a listener waits after an error of the system's, such as too many open
// files, before it accepts again: doubled each time that the same error comes again.
const (
	firstAcceptPause   = 50 * time.Millisecond
	longestAcceptPause = time.Second
)

// Listener accepts connections to one endpoint.
type Listener struct {
	c        *Config
	endpoint string
	l        rendezvous.Listener

	ctx       context.Context // ended by Release: no more clients
	cancel    context.CancelFunc
	over      context.Context // ended by Interrupt: nobody accepts any more
	interrupt context.CancelCauseFunc
	ready     chan *Conn     // accepted, not yet fetched
	wg        sync.WaitGroup // accept loop and set-ups
	watching  sync.WaitGroup // watch
	once      sync.Once
	err       error // of Release

	refused   atomic.Uint64
	fallbacks atomic.Uint64
	reports   reports

	pending  *fair.Pending // clients that are not connections
	policies *fair.Slots   // for evaluations of the policy
	slots    *fair.Slots   // of MaxConnections, and for handshakes

	mu sync.Mutex // no set-up begins after Release
}

// Listen serves an endpoint. It does not block, but for 127 ms on Darwin if the
// endpoint is in use.
func Listen(endpoint string, c *Config) (*Listener, error) {
	if c.Security != nil {
		// Now, not when the first client has been told that it is accepted: this
		// may fail for want of descriptors.
		if _, err := ownBinding(c.Carrier); err != nil {
			return nil, fmt.Errorf("serving %q: %w", endpoint, rendezvous.Explain(err))
		}
	}
	l := &Listener{c: c, endpoint: endpoint, ready: make(chan *Conn)}
	l.over, l.interrupt = context.WithCancelCause(context.Background())
	l.ctx, l.cancel = context.WithCancel(l.over)
	o := c.Options
	o.MakeRoom, o.NoMemory = l.makeRoom, l.noMemory
	var err error
	if l.l, err = c.Carrier.Listen(endpoint, o); err != nil {
		l.Interrupt()
		return nil, fmt.Errorf("serving %q: %w", endpoint, rendezvous.Explain(err))
	}
	l.pending = fair.NewPending(pendingLimits())
	l.policies = fair.NewSlots(fair.Limits{Total: maxPolicies, PerUser: maxPoliciesPerUser, Capacity: math.MaxInt})
	l.slots = fair.NewSlots(c.slotLimits())
	l.reports.to = c.Report
	if c.InProcess {
		locals.Store(c.localKey(endpoint), l)
	}
	l.wg.Add(1)
	go l.acceptLoop()
	l.watching.Go(l.watch)
	return l, nil
}

// Endpoint is the name of the endpoint.
func (l *Listener) Endpoint() string { return l.endpoint }

// Refused is the number of clients that were refused.
func (l *Listener) Refused() uint64 { return l.refused.Load() }

// Fallbacks is the number of clients that got a socket because this process could not make
// a memory file.
func (l *Listener) Fallbacks() uint64 { return l.fallbacks.Load() }

func (l *Listener) noMemory(err error) {
	if l.fallbacks.Add(1) == 1 && l.c.NoMemory != nil {
		l.c.NoMemory(err)
	}
}

// Accept waits for the next connection whose peer has said hello and was
// authorized. It returns link.ErrClosed after Close, ctx.Err(), and a
// *rendezvous.LostError when another process has taken the endpoint. It may be called by
// several goroutines.
func (l *Listener) Accept(ctx context.Context) (*Conn, error) {
	select {
	case c := <-l.ready:
		return c, nil
	case <-l.over.Done():
		return nil, context.Cause(l.over)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close is Release, Interrupt and Wait. Connections that were accepted go on.
// Idempotent.
func (l *Listener) Close() error {
	err := l.Release()
	l.Interrupt()
	l.Wait()
	return err
}

// Release gives the endpoint up: there are no more clients, and another host can serve
// it. Those that have been told that they are accepted, and may have sent something,
// still come out of Accept, until Interrupt. It does not block. Idempotent.
func (l *Listener) Release() error {
	l.once.Do(func() {
		l.mu.Lock()
		l.cancel() // no set-up begins after this
		l.wg.Go(l.reports.end)
		l.mu.Unlock()
		l.err = l.l.Close()
		if l.c.InProcess {
			// Not before: a client of this process would look for the next host
			// at once, and find this one's socket.
			locals.CompareAndDelete(l.c.localKey(l.endpoint), l)
		}
	})
	return l.err
}

// Interrupt ends every Accept, and handshakes under way. It does not block.
func (l *Listener) Interrupt() { l.interrupt(link.ErrClosed) }

// Wait waits, after Release, for the set-ups under way, while somebody goes on
// accepting. A handshake delays it by HandshakeTimeout at most, or until Interrupt; a
// Trust that does not obey its context, by more.
func (l *Listener) Wait() {
	l.wg.Wait()
	l.watching.Wait()
}

// watch reports when the name of the endpoint has led elsewhere. If another process has
// it, the listener ends; those that have been told that they are accepted still come out of
// Accept. Listen starts it, Wait joins it.
func (l *Listener) watch() {
	for {
		err := l.l.Watch()
		if errors.Is(err, os.ErrClosed) {
			return
		}
		var lost *rendezvous.LostError
		ended := errors.As(err, &lost) && lost.Ended
		if ended {
			_ = l.Release() // Close returns its error
		}
		l.reports.now(nil, err)
		if ended {
			l.wg.Wait()
			l.interrupt(err)
			return
		}
	}
}

// acceptLoop takes clients from the system and sets each up in a goroutine of its
// own, so that one that stalls delays no other. Listen starts it, Wait joins it.
func (l *Listener) acceptLoop() {
	defer l.wg.Done()
	var failures acceptFailures
	for {
		in, err := l.l.Accept()
		switch {
		case err == nil:
			failures = acceptFailures{}
			moved, err := l.begin(in)
			if err != nil {
				_ = in.Close()
			}
			if moved != nil {
				// Else this loop could be ahead of those that drop clients, by many
				// descriptors.
				l.waitFor(moved)
			}
		case errors.Is(err, os.ErrClosed) || l.ctx.Err() != nil:
			return
		default:
			err = rendezvous.Explain(err)
			if failures.add(err) {
				l.reports.now(nil, fmt.Errorf("accepting: %w", err))
			}
			select {
			case <-time.After(failures.pause):
			case <-l.ctx.Done():
				return
			}
		}
	}
}

// waitFor waits for a client that is being dropped; see fair.Pending.
func (l *Listener) waitFor(moved <-chan struct{}) {
	select {
	case <-moved:
	case <-l.ctx.Done():
	}
}

// makeRoom drops silent clients, for want of descriptors. It returns false if there are
// none.
func (l *Listener) makeRoom() bool {
	dropped := l.pending.MakeRoom()
	for _, moved := range dropped {
		l.waitFor(moved)
	}
	return len(dropped) > 0
}

// acceptFailures are the errors of accepting since it last succeeded.
type acceptFailures struct {
	last  string // the text of the last error
	pause time.Duration
}

// add notes an error. It returns false if the one before was the same.
func (f *acceptFailures) add(err error) (isNew bool) {
	if text := err.Error(); f.pause == 0 || text != f.last {
		f.last, f.pause = text, firstAcceptPause
		return true
	}
	f.pause = min(2*f.pause, longestAcceptPause)
	return false
}
