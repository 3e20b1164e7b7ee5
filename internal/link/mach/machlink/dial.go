package machlink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
)

var (
	// ErrInUse means that another process, or this one, offers the name.
	ErrInUse = errors.New("endpoint in use")

	// ErrNotFound means that no process offers the name.
	ErrNotFound = errors.New("no such endpoint")

	// ErrPermission means that launchd or the sandbox forbids this process to
	// offer or to look up the name.
	ErrPermission = errors.New("endpoint not permitted")
)

// bootstrapError maps the answers of the name service.
func bootstrapError(err error) error {
	switch {
	case errors.Is(err, mach.BootstrapNameInUse), errors.Is(err, mach.BootstrapServiceActive):
		return fmt.Errorf("%w: %w", ErrInUse, err)
	case errors.Is(err, mach.BootstrapUnknownService):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, mach.BootstrapNotPrivileged):
		return fmt.Errorf("%w: %w", ErrPermission, err)
	}
	return err
}

// A host whose connect queue (1024) is full is asked again after a time that
// grows from dialFirst to dialMost. No notification is used: a task has one
// request for a name, and several goroutines may dial the same.
const (
	dialFirst = 2 * time.Millisecond
	dialMost  = 100 * time.Millisecond
)

// Dial connects to the service called name: it sends hello, at most MaxHello
// bytes, and waits for the host's answer, until ctx ends. It blocks while
// launchd looks the name up, which ctx does not shorten.
//
// answer is the host's, whether it accepted or refused; a Link is returned only
// if it accepted, and then the caller closes it. Its Credentials are those of
// the process that sent the answer.
//
// Errors: ErrNotFound, ErrPermission, ctx.Err(), link.ErrPeerGone (the host died
// or dropped the connection before it answered), link.ErrProtocol,
// link.ErrFrameTooLarge (hello), or the kernel's. None leaves anything behind.
func Dial(ctx context.Context, k mach.Kernel, name string, hello []byte) (l link.Link, answer []byte, accepted bool, err error) {
	if len(hello) > MaxHello {
		return nil, nil, false, fmt.Errorf("%w: hello of %d bytes, the limit is %d", link.ErrFrameTooLarge, len(hello), MaxHello)
	}
	if err := ctx.Err(); err != nil {
		return nil, nil, false, err
	}
	service, err := k.LookUp(name)
	if err != nil {
		return nil, nil, false, fmt.Errorf("looking up %q: %w", name, bootstrapError(err))
	}
	defer func() { _ = deallocate(k, service) }()
	c, err := connect(ctx, k, service, hello)
	if err != nil {
		return nil, nil, false, fmt.Errorf("connecting to %q: %w", name, err)
	}
	a, err := c.wait(ctx)
	if err != nil || !a.accepted {
		err = errors.Join(err, c.Close())
		if err != nil {
			return nil, nil, false, fmt.Errorf("connecting to %q: %w", name, err)
		}
		return nil, a.hello, false, nil
	}
	return c, a.hello, true, nil
}

// connect sends the connect message and returns the half-made connection.
func connect(ctx context.Context, k mach.Kernel, service mach.Name, hello []byte) (*Link, error) {
	for wait := dialFirst; ; wait = min(2*wait, dialMost) {
		c, err := tryConnect(k, service, hello)
		switch {
		case err == nil:
			return c, nil
		case errors.Is(err, mach.SendInterrupted):
			if ctx.Err() == nil {
				continue
			}
		case errors.Is(err, mach.SendInvalidDest):
			return nil, fmt.Errorf("%w: %w", ErrNotFound, err) // it ended since the look-up
		case !errors.Is(err, mach.SendTimedOut):
			return nil, err
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
	}
}

// tryConnect makes new ports for each attempt: see send.
func tryConnect(k mach.Kernel, service mach.Name, hello []byte) (*Link, error) {
	l, err := retain(k)
	if err != nil {
		return nil, err
	}
	c, err := newLink(l, make(chan answer, 1))
	if err != nil {
		l.leave()
		return nil, err
	}
	h := mach.Header{Remote: service, RemoteBits: mach.CopySend, ID: idConnect}
	msg, err := composeHello(h, offer(c.data, c.control), hello)
	if err == nil {
		_, err = send(k, msg, 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sending the hello: %w", err), c.Close())
	}
	return c, nil
}

// wait waits for the host's answer.
func (c *Link) wait(ctx context.Context) (answer, error) {
	select {
	case a := <-c.answer:
		return a, a.err
	case <-ctx.Done():
		return answer{}, ctx.Err()
	}
}

// dialing reports whether the host has not answered yet. Loop's goroutine only.
func (c *Link) dialing() bool { return c.answer != nil && !c.answered }

// reply tells Dial the outcome; the first one counts. Loop's goroutine only.
func (c *Link) reply(a answer) {
	if c.dialing() {
		c.answered = true
		c.answer <- a
	}
}

// hostAnswered handles the first message on the data port of a client.
func (c *Link) hostAnswered(m *mach.Message) (kept bool) {
	if !m.Trailer.Attested {
		c.endRead(fmt.Errorf("%w: answer without a token", link.ErrProtocol))
		return false
	}
	switch m.ID {
	case idAccept:
		r, hello, err := parseOffer(m)
		if err == nil && !c.loop.claim(r) {
			err = fmt.Errorf("%w: ports of another connection", errMalformed)
		}
		if errors.Is(err, errDied) {
			c.endRead(fmt.Errorf("%w: it has closed the connection that it accepted", link.ErrPeerGone))
			return false
		}
		if err != nil {
			c.endRead(fmt.Errorf("%w: %w", link.ErrProtocol, err))
			return false
		}
		if err := c.attach(r, m.Trailer.Token); err != nil {
			c.endRead(err)
			return true
		}
		c.reply(answer{hello: append([]byte(nil), hello...), accepted: true})
		return true
	case idRefuse:
		hello, err := parsePlain(m, MaxHello)
		if err != nil {
			c.endRead(fmt.Errorf("%w: %w", link.ErrProtocol, err))
			return false
		}
		c.reply(answer{hello: append([]byte(nil), hello...)})
	default:
		c.endRead(fmt.Errorf("%w: message id %#x instead of an answer", link.ErrProtocol, uint32(m.ID)))
	}
	return false
}
