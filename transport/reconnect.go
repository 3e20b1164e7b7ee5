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

// watch is called, in a goroutine of its own, when the host of a connection is gone.
func (c *reconnector[T]) watch(a *attachment[T]) {
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return
	}
	c.beside.Add(1)
	c.mu.Unlock()
	defer c.beside.Done()
	_ = c.detach(a, ErrPeerGone)
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
	for pause := firstPause; ; {
		next, err := c.dial(c.ctx)
		if err == nil {
			return next
		}
		c.mu.Lock()
		c.dialErr = err
		c.mu.Unlock()
		if c.ctx.Err() == nil && !errors.Is(err, ErrNoHost) {
			c.s.log.Warn("reconnecting failed", "endpoint", c.endpoint, "err", err)
		}
		if !c.sleep(pause) {
			return nil
		}
		pause = c.engine.NextPause(pause, err)
	}
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

// detach is called when a connection can no longer be used for sending. It notes what
// may be lost, for the next call to report, and returns the cause: the host's
// reason, if it is known. Several goroutines call it for the same connection; only the
// first call has an effect.
func (c *reconnector[T]) detach(a *attachment[T], cause error) error {
	c.mu.Lock()
	if !c.current.CompareAndSwap(a, nil) {
		c.mu.Unlock()
		return cause
	}
	close(a.detached)
	a.unwatch()
	if !c.over {
		c.beside.Go(func() { c.replace(a) })
	}
	cause = c.drainLocked(a, cause)
	lost := c.noteLossLocked(a, cause)
	if a.left != nil || a.drained {
		c.endLocked(a)
	}
	if !a.drained {
		// For Receive: what its host had sent, and then that it has ended.
		c.leaving = append(c.leaving, a)
		if len(c.leaving) > maxLeaving {
			c.endLocked(c.leaving[0])
			c.leaving = c.leaving[1:]
		}
	}
	c.mu.Unlock()
	c.logLoss(lost, cause)
	return cause
}

// drainLocked receives what the host of a connection had sent, unless the caller of
// Receive may still use the memory of that connection, and returns the cause of its end.
func (c *reconnector[T]) drainLocked(a *attachment[T], cause error) error {
	if a.received {
		return cause
	}
	a.left = a.drain(c.s.BufferSize, cause)
	return a.left.cause
}

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

// endLocked frees a connection and keeps its numbers. Idempotent.
func (c *reconnector[T]) endLocked(a *attachment[T]) {
	if a.freed {
		return
	}
	a.freed = true
	a.Abort()
	c.past.add(statsOf(a.Conn))
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
