package transport

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/sealport/sealport/internal/conn"
)

const firstPause = conn.FirstPause

// watch is called, in a goroutine of its own, when the host of a connection is gone. How
// it has ended is not known.
func (c *reconnector[T]) watch(a *attachment[T]) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.beside.Add(1)
	c.mu.Unlock()
	defer c.beside.Done()
	c.detach(a, nil)
}

// replace finds the next host after that of a. It runs in a goroutine of its own, which
// detach starts and Close joins.
func (c *reconnector[T]) replace(a *attachment[T]) {
	pause := firstPause
	// A host that ends each session at once, perhaps because it fails, is not
	// tried again at once.
	if time.Since(a.begun) < conn.LongestPause {
		if !c.sleep(a.pause) {
			return
		}
		pause = min(2*a.pause, conn.LongestPause)
	}
	next := c.redial()
	if next == nil {
		return
	}
	c.s.log.Info("reconnected", "endpoint", c.endpoint, "generation", c.attach(next, pause))
}

// sleep waits for d, shortened by up to half at random, so that the clients of a host that
// restarts do not all come at once, or until the Client is closed (false).
func (c *reconnector[T]) sleep(d time.Duration) bool {
	t := time.NewTimer(d - rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// redial tries until there is a host, or the Client is closed (nil).
func (c *reconnector[T]) redial() *typed[T] {
	var pause time.Duration
	var failures failedDials
	for {
		next, err := c.dial(c.ctx)
		if err == nil {
			return next
		}
		c.mu.Lock()
		c.dialErr = err
		c.mu.Unlock()
		if c.ctx.Err() == nil && !errors.Is(err, ErrNoHost) && failures.add(err, time.Now()) {
			c.s.log.Warn("reconnecting failed", "endpoint", c.endpoint, "attempts", failures.count, "err", err)
		}
		pause = c.engine.NextPause(pause, err)
		if !c.sleep(pause) {
			return nil
		}
	}
}

// failedDials are the attempts to connect that have failed one after the other, for the log.
type failedDials struct {
	text   string // of the last error
	logged time.Time
	count  int // with that error
}

// logEvery is how often an error is logged that does not change.
const logEvery = 5 * time.Minute

// add notes an error. It returns false if it is not worth a line in the log.
func (f *failedDials) add(err error, now time.Time) bool {
	if text := err.Error(); text != f.text {
		*f = failedDials{text: text}
	}
	f.count++
	if f.count > 1 && now.Sub(f.logged) < logEvery {
		return false
	}
	f.logged = now
	return true
}

// attach makes a connection current. pause is that of the attachment.
func (c *reconnector[T]) attach(next *typed[T], pause time.Duration) (generation uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialErr = nil
	c.made++
	a := &attachment[T]{typed: next, generation: c.made, begun: time.Now(), pause: pause, detached: make(chan struct{})}
	c.current.Store(a)
	a.unwatch = context.AfterFunc(next.Gone(), func() { c.watch(a) })
	close(c.changed)
	c.changed = make(chan struct{})
	return c.made
}

// detach is called when a connection can no longer be used for sending. err is why, or nil
// if the host is gone. It receives what the host had sent, and notes what may be lost, for
// the next call to report. Several goroutines call it for the same connection; only the
// first call has an effect.
func (c *reconnector[T]) detach(a *attachment[T], err error) {
	cause := c.receiveRest(a, err)
	c.mu.Lock()
	if !c.current.CompareAndSwap(a, nil) {
		c.mu.Unlock()
		return
	}
	close(a.detached)
	a.unwatch()
	if !c.over {
		c.beside.Go(func() { c.replace(a) })
	}
	lost := c.noteLossLocked(a, cause)
	a.Abort()
	c.past.add(statsOf(a.Conn))
	if !a.drained {
		// For Receive: what its host had sent, and then that it has ended.
		c.leaving = append(c.leaving, a)
		if len(c.leaving) > maxLeaving {
			c.leaving = c.leaving[1:]
		}
		c.earlier.Store(true)
	}
	c.mu.Unlock()
	c.logLoss(lost, cause)
}

// goneLimit is how long detach receives what a host that is gone had sent. It has arrived:
// only a hostile host, which has closed one direction, makes detach wait.
const goneLimit = time.Second

// receiveRest receives what the host of a connection had sent, for Receive, and returns
// the cause of the end: err, unless that is nil or what follows from the end.
func (c *reconnector[T]) receiveRest(a *attachment[T], err error) (cause error) {
	ctx := context.Background()
	if err == nil || err == ErrClosed {
		// If Receive runs, it returns now that the host is gone.
		t := time.AfterFunc(goneLimit, a.Interrupt)
		defer t.Stop()
		a.rmu.Lock()
	} else {
		ctx = ended
		if !a.rmu.TryLock() {
			a.Interrupt() // Receive waits, and the host may live
			a.rmu.Lock()
		}
	}
	defer a.rmu.Unlock()
	if a.left == nil {
		a.left = a.drain(ctx, c.s.BufferSize, err)
	}
	return a.left.cause
}

// ended is a context that is over: what is there already is received.
var ended = func() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}()

// noteLossLocked notes that a connection has ended and what is lost with it. It returns
// the number of messages, for logLoss.
func (c *reconnector[T]) noteLossLocked(a *attachment[T], cause error) (lost uint64) {
	_ = a.HungUp() // the carrier learns the host's last acknowledgement
	lost = a.Unacknowledged()
	c.losses = append(c.losses, &DisconnectedError{Endpoint: c.endpoint, Generation: a.generation, Unconfirmed: lost, Err: cause})
	if len(c.losses) > maxLeaving {
		c.losses[1] = c.losses[1].after(c.losses[0])
		c.losses = c.losses[1:]
	}
	c.untold.Store(true)
	return lost
}

// logLoss is called without the lock: a Logger may block, or ask for Stats.
func (c *reconnector[T]) logLoss(lost uint64, cause error) {
	level := slog.LevelWarn
	if lost == 0 && errors.Is(cause, io.EOF) {
		level = slog.LevelInfo
	}
	c.s.log.Log(c.ctx, level, "disconnected", "endpoint", c.endpoint, "unconfirmed", lost, "cause", cause)
}

// abandoned closes a Client that nobody holds any more. It does not block: a Logger and
// Close may.
func (c *reconnector[T]) abandoned() {
	go c.closing.Do(func() {
		c.s.log.Warn("a Client was not closed before it was garbage; closing it", "endpoint", c.endpoint)
		if err := c.close(); err != nil {
			c.s.log.Warn("closing a Client that was garbage", "endpoint", c.endpoint, "err", err)
		}
	})
}
