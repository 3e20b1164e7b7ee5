package transport

import (
	"errors"
	"math/rand/v2"
	"time"
)

// Pauses between attempts to find a host again: they double from the first to
// the longest, each shortened by up to half at random, so that the clients of a
// host that restarts do not all come at once.
const (
	firstPause   = 5 * time.Millisecond
	longestPause = time.Second
)

// keep replaces the connection whenever its host is gone. NewClient starts it, and Close
// joins it.
func (c *Client[T]) keep() {
	defer close(c.kept)
	for pause := firstPause; ; {
		begun := time.Now()
		a := c.current.Load()
		if a != nil {
			select {
			case <-a.Gone():
				_ = c.detach(a, ErrPeerGone)
			case <-a.detached:
			case <-c.ctx.Done():
				return
			}
		}
		// A host that ends each session at once, perhaps because it fails, is not
		// tried again at once.
		if time.Since(begun) >= longestPause {
			pause = firstPause
		} else {
			if !c.sleep(pause) {
				return
			}
			pause = min(2*pause, longestPause)
		}
		if !c.redial() {
			return
		}
	}
}

// sleep waits for about d, or until the Client is closed (false).
func (c *Client[T]) sleep(d time.Duration) bool {
	t := time.NewTimer(d - rand.N(d/2))
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.ctx.Done():
		return false
	}
}

// redial tries until there is a host (true) or the Client is closed (false).
func (c *Client[T]) redial() bool {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		next, err := c.dial(c.ctx)
		if err == nil {
			c.s.log.Info("reconnected", "endpoint", c.endpoint)
			c.attach(next)
			return true
		}
		c.mu.Lock()
		c.dialErr = err
		c.mu.Unlock()
		if c.ctx.Err() == nil && !errors.Is(err, ErrNoHost) {
			c.s.log.Warn("reconnecting failed", "endpoint", c.endpoint, "err", err)
		}
		if !c.sleep(pause) {
			return false
		}
	}
}

// attach makes a connection current.
func (c *Client[T]) attach(next *typed[T]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialErr = nil
	c.current.Store(&attachment[T]{typed: next, detached: make(chan struct{})})
	close(c.changed)
	c.changed = make(chan struct{})
}

// detach is called when a connection can no longer be used for sending. It notes what
// may be lost, for the next call to report, and returns the cause: the host's
// reason, if it is known. Several goroutines call it for the same connection; only the
// first call has an effect.
func (c *Client[T]) detach(a *attachment[T], cause error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.current.CompareAndSwap(a, nil) {
		return cause
	}
	close(a.detached)
	if !c.receives && !a.drained {
		// The caller does not receive: search what is left for the host's reason.
		if closed := a.Goodbye(); closed != nil {
			cause = closed
		}
	}
	c.noteLossLocked(a, cause)
	if !c.receives || a.drained {
		c.endLocked(a)
		return cause
	}
	// Its host may have sent something before it went.
	c.leaving = append(c.leaving, a)
	if len(c.leaving) > maxLeaving {
		c.endLocked(c.leaving[0])
		c.leaving = c.leaving[1:]
	}
	return cause
}

// noteLossLocked notes what is lost with a connection whose host is gone, or the
// reason with which its host has closed it.
func (c *Client[T]) noteLossLocked(a *attachment[T], cause error) {
	lost := a.Unacknowledged()
	c.s.log.Warn("disconnected", "endpoint", c.endpoint, "unconfirmed", lost, "cause", cause)
	var closed *CloseError
	if lost == 0 && !errors.As(cause, &closed) {
		return
	}
	if earlier := c.loss.Swap(nil); earlier != nil {
		lost += earlier.Unconfirmed
	}
	c.loss.Store(&DisconnectedError{Endpoint: c.endpoint, Unconfirmed: lost, Err: cause})
}

// endLocked frees a connection and keeps its numbers.
func (c *Client[T]) endLocked(a *attachment[T]) {
	a.Abort()
	c.past.add(statsOf(a.Counters()))
}
