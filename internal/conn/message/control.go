package message

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/sealport/sealport/internal/link"
)

// Control items tell the peer something about the connection rather than carry a
// message: a byte that says what, and its data.
const (
	controlAccept  = 1 // the application of the host has accepted the client
	controlGoodbye = 2 // the peer closes, for a reason: up to MaxReason bytes of UTF-8
)

// MaxReason is the size in bytes of the longest reason for closing.
const MaxReason = 256

// cleanReason returns a reason as it travels: valid UTF-8 of at most MaxReason
// bytes.
func cleanReason(s string) string {
	s = strings.ToValidUTF8(s, "?")
	if len(s) > MaxReason {
		s = s[:MaxReason]
		for !utf8.ValidString(s) {
			s = s[:len(s)-1]
		}
	}
	return s
}

// Accept tells the peer that this side's application has accepted it.
func (c *Conn) Accept(ctx context.Context) error { return c.sendControl(ctx, controlAccept, "") }

// SayGoodbye ends this side's messages for a reason: the peer receives what was sent,
// then what Config.Closed makes of the reason. Receiving goes on.
func (c *Conn) SayGoodbye(ctx context.Context, reason string) error {
	if err := c.sendControl(ctx, controlGoodbye, cleanReason(reason)); err != nil {
		return err
	}
	return c.CloseWrite(ctx)
}

func (c *Conn) sendControl(ctx context.Context, what byte, data string) error {
	if err := c.lockWriter(ctx); err != nil {
		return err
	}
	defer c.wmu.Unlock()
	if c.werr != nil {
		return c.werr
	}
	err := c.flushLocked(ctx)
	if err == nil {
		err = c.writeItem(ctx, kindControl, append([]byte{what}, data...), 0)
	}
	if err != nil {
		return c.failed(ctx, err)
	}
	return nil
}

// control deals with a control item of the peer's.
func (c *Conn) control(body []byte) error {
	if len(body) == 0 {
		return errors.New("empty control item")
	}
	data := body[1:]
	switch {
	case body[0] == controlAccept && len(data) == 0 && !c.accepted && c.goodbye == nil:
		c.accepted = true
		return nil
	case body[0] == controlGoodbye && len(data) <= MaxReason && c.goodbye == nil:
		c.goodbye = c.cfg.Closed(cleanReason(string(data)))
		return nil
	}
	return fmt.Errorf("control item %d of %d bytes, which is unknown or out of order", body[0], len(body))
}

// WaitAccepted waits until the peer has called Accept or sent a message, which
// the next Receive returns. It is called before any Receive. Errors are those of
// Receive.
func (c *Conn) WaitAccepted(ctx context.Context) error {
	for !c.accepted && c.rerr == nil {
		if len(c.rest) == 0 {
			if err := c.readFrame(ctx); err != nil {
				return err
			}
		}
		if len(c.rest) >= itemWord && kindOf(c.rest) != kindControl {
			return nil
		}
		if _, _, err := c.next(); err != nil {
			c.rerr = fmt.Errorf("%w: %w", link.ErrProtocol, err)
		}
	}
	return c.rerr
}

// Drain receives what is left of a peer that is gone, until ctx ends or more than most
// bytes of frames were read: a peer that is hostile may write on. keep gets each
// message, which is valid until it returns. Drain returns the error that
// Receive returns next, or nil if there may be more messages. Like Receive it may be
// called by one goroutine at a time, but what Receive has returned stays valid for good.
func (c *Conn) Drain(ctx context.Context, most int, keep func(p []byte)) error {
	c.l.KeepFrame()
	if c.total == 0 { // else it is not a message yet
		c.assembly = nil
	}
	for read := 0; c.rerr == nil; {
		if len(c.rest) == 0 {
			if read > most || c.readFrame(ctx) != nil {
				break
			}
			read += len(c.rest)
		}
		p, ok, err := c.next()
		if err != nil {
			c.rerr = fmt.Errorf("%w: %w", link.ErrProtocol, err)
		} else if ok {
			c.received.add(len(p))
			keep(p)
			if len(c.rest) == 0 {
				c.frameDone()
			}
		}
	}
	c.received.publish() // frames may be left
	return c.rerr
}

// PeerClosed returns what Config.Closed has made of the reason with which the peer
// has closed, or nil if none was received. It is for the goroutine that receives.
func (c *Conn) PeerClosed() error { return c.goodbye }

// endOf is what a final error of the link means, now that everything was read.
func (c *Conn) endOf(err error) error {
	if c.goodbye != nil && (err == io.EOF || errors.Is(err, link.ErrPeerGone)) {
		return c.goodbye
	}
	return err
}
