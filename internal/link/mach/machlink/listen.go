package machlink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sealport/sealport/internal/cred"
	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
)

// backlog is how many connections wait for Accept in this process; up to 1024
// more wait in the kernel.
const backlog = 64

// Listener receives the connect messages of one service.
type Listener struct {
	loop    *loop
	service mach.Name // receive right

	mu     sync.Mutex
	queue  []*Pending
	full   bool        // the queue is, and until half of it is accepted
	bad    int         // malformed connect messages since the last pause for them
	slowed *time.Timer // pauses for malformed connects; nil if there is none
	paused bool        // the service is out of the set, for either reason
	err    error

	ready     chan struct{}
	ended     chan struct{} // closed with err
	closeOnce sync.Once
	closeErr  error
}

// checkInFirst and checkInLast are the first and the longest pause before a name
// that is in use is asked for again: 127 ms in all.
const (
	checkInFirst = time.Millisecond
	checkInLast  = 64 * time.Millisecond
)

// checkIn takes the name. launchd hears of a host's end by a notification, so for
// a moment the name of one that has closed or died is in use still.
func checkIn(k mach.Kernel, name string) (mach.Name, error) {
	for wait := checkInFirst; ; wait *= 2 {
		service, err := k.CheckIn(name)
		switch {
		case err == nil:
			return service, nil
		case errors.Is(err, mach.BootstrapNotPrivileged) && offered(k, name):
			// What launchd says of the name of another process.
			err = fmt.Errorf("%w: %w", ErrInUse, err)
		default:
			err = bootstrapError(err)
		}
		if !errors.Is(err, ErrInUse) || wait > checkInLast {
			return mach.Null, err
		}
		time.Sleep(wait)
	}
}

// offered reports whether there is a service called name, or was until now.
func offered(k mach.Kernel, name string) bool {
	service, err := k.LookUp(name)
	if err != nil {
		return false
	}
	_ = deallocate(k, service)
	return true
}

// Listen offers the service called name, 1 to 127 bytes. It blocks while launchd
// answers, and for 127 ms if the name is in use. Errors: ErrInUse,
// ErrPermission, or the kernel's.
func Listen(k mach.Kernel, name string) (*Listener, error) {
	l, err := retain(k)
	if err != nil {
		return nil, err
	}
	ln := &Listener{loop: l, ready: make(chan struct{}, 1), ended: make(chan struct{})}
	if ln.service, err = checkIn(k, name); err != nil {
		l.leave()
		return nil, fmt.Errorf("offering %q: %w", name, err)
	}
	if err := l.adopt(ln.service, ln); err != nil {
		return nil, errors.Join(fmt.Errorf("offering %q: %w", name, err), ln.Close())
	}
	return ln, nil
}

// Malformed connect messages are taken at badConnects for each badPause, 6,400 a second:
// who sends them without end keeps neither the loop busy nor other ports waiting. Behind
// a queue that is full of them a client waits for 160 ms.
const (
	badConnects = 64
	badPause    = 10 * time.Millisecond
)

// broken implements receiver.
func (ln *Listener) broken(err error) {
	if errors.Is(err, link.ErrProtocol) || errors.Is(err, mach.RcvBodyError) || errors.Is(err, mach.RcvHeaderError) {
		ln.malformed() // one client's message was lost, not ours
		return
	}
	ln.end(err)
}

// malformed counts a connect message that is none.
func (ln *Listener) malformed() {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.badLocked()
}

func (ln *Listener) badLocked() {
	if ln.bad++; ln.bad < badConnects || ln.err != nil || ln.slowed != nil {
		return
	}
	ln.bad = 0
	ln.slowed = time.AfterFunc(badPause, ln.resume)
	ln.pauseLocked()
}

// resume ends a pause for malformed connects.
func (ln *Listener) resume() {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.slowed = nil; ln.err == nil {
		ln.pauseLocked()
	}
}

// pauseLocked takes the service out of the set or puts it back, as is due. If it cannot
// be taken out, the next pause or message of a full queue tries again.
func (ln *Listener) pauseLocked() {
	due := ln.full || ln.slowed != nil
	switch k := ln.loop.k; {
	case due == ln.paused:
	case due:
		ln.paused = k.MoveMember(ln.service, mach.Null) == nil
	default:
		err := mach.Release(func() error { return k.MoveMember(ln.service, ln.loop.set) })
		if ln.paused = err != nil; err != nil && len(ln.queue) == 0 {
			ln.endLocked(fmt.Errorf("resuming a listener: %w", err)) // no later call would try again
		}
	}
}

func (ln *Listener) end(err error) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	ln.endLocked(err)
}

func (ln *Listener) endLocked(err error) {
	if ln.err != nil {
		return
	}
	ln.err = err
	close(ln.ended)
	if ln.slowed != nil {
		ln.slowed.Stop()
	}
}

// message implements receiver. Whatever is no proper connect message is
// destroyed, which its sender notices.
func (ln *Listener) message(m *mach.Message, n *mach.Notification) (kept bool) {
	if n != nil {
		return false
	}
	r, hello, err := parseConnect(m)
	if err != nil {
		ln.malformed()
		return false
	}
	ln.mu.Lock()
	defer ln.mu.Unlock()
	switch {
	case ln.err != nil:
		return false
	case len(ln.queue) >= 2*backlog, !ln.loop.claim(r):
		ln.badLocked()
		return false
	}
	if !ln.loop.join() {
		_ = ln.loop.giveUpRights(r)
		return true
	}
	p := &Pending{loop: ln.loop, rights: r, token: m.Trailer.Token, hello: append([]byte(nil), hello...)}
	ln.queue = append(ln.queue, p)
	if len(ln.queue) >= backlog {
		ln.full = true
		ln.pauseLocked()
	}
	ln.wake()
	return true
}

func (ln *Listener) wake() {
	select {
	case ln.ready <- struct{}{}:
	default:
	}
}

// Accept waits for the next connect message, until ctx ends (ctx.Err()) or
// Close (link.ErrClosed). It may be called concurrently. The caller decides on
// the Pending with its Accept, Refuse or Drop.
func (ln *Listener) Accept(ctx context.Context) (*Pending, error) {
	for {
		if p, err := ln.next(); p != nil || err != nil {
			return p, err
		}
		select {
		case <-ln.ready:
		case <-ln.ended:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// next returns neither if there is nothing yet.
func (ln *Listener) next() (*Pending, error) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	if ln.err != nil {
		return nil, ln.err
	}
	if len(ln.queue) == 0 {
		return nil, nil
	}
	p := ln.queue[0]
	ln.queue = ln.queue[1:]
	if len(ln.queue) > 0 {
		ln.wake() // for another Accept
	}
	if len(ln.queue) <= backlog/2 {
		ln.full = false
		ln.pauseLocked()
	}
	return p, nil
}

// Close ends the service and drops the connections that wait for Accept. It
// does not touch a Pending that Accept has returned. Idempotent.
func (ln *Listener) Close() error {
	ln.closeOnce.Do(func() {
		ln.end(link.ErrClosed)
		ln.loop.do(func() {
			ln.mu.Lock()
			queue := ln.queue
			ln.queue = nil
			ln.mu.Unlock()
			ln.loop.forget(ln.service)
			ln.closeErr = releaseRight(ln.loop.k, ln.service, mach.RightReceive)
			for _, p := range queue {
				ln.closeErr = errors.Join(ln.closeErr, ln.loop.giveUpRights(p.rights))
				p.loop.part()
			}
		})
		ln.loop.leave()
	})
	return ln.closeErr
}

// Pending is a connect message that waits for a decision, and must get one. The
// sender may have died since; Accept and Refuse find out. Not for concurrent use.
type Pending struct {
	loop    *loop
	rights  rights
	token   mach.AuditToken
	hello   []byte
	decided bool
}

// Hello is what the client sent, at most MaxHello bytes. The caller may keep
// it.
func (p *Pending) Hello() []byte { return p.hello }

// Credentials are kernel-verified facts about the process that sent the hello.
func (p *Pending) Credentials() *cred.Credentials {
	c := cred.New(nil)
	c.AuditToken = p.token
	return c
}

// Accept answers with hello, at most MaxHello bytes, and makes the Link, which
// the caller closes. It does not block for the client. Errors, after which
// the connection is gone: link.ErrPeerGone (the client died or gave up),
// link.ErrProtocol, link.ErrFrameTooLarge (hello), link.ErrClosed (decided
// before), or the kernel's.
func (p *Pending) Accept(hello []byte) (link.Link, error) {
	if p.decided {
		return nil, fmt.Errorf("accepting a connection twice: %w", link.ErrClosed)
	}
	p.decided = true
	var c *Link
	err := error(mach.SendInterrupted)
	for try := 0; try < sendTries && errors.Is(err, mach.SendInterrupted); try++ {
		c, err = p.tryAccept(hello)
	}
	if err != nil {
		err = errors.Join(err, p.loop.giveUpRights(p.rights))
		p.loop.leave()
		return nil, fmt.Errorf("accepting a connection: %w", err)
	}
	return c, nil
}

// tryAccept makes new ports for each attempt: see send. On error the rights to
// the client's ports are still the Pending's.
func (p *Pending) tryAccept(hello []byte) (*Link, error) {
	c, err := newLink(p.loop, nil)
	if err != nil {
		return nil, err
	}
	err = c.attach(p.rights, p.token)
	if err == nil {
		err = p.answer(idAccept, offer(c.data, c.control), hello)
	}
	if err != nil {
		return nil, errors.Join(err, c.detach(), c.abandon())
	}
	return c, nil
}

// Drop ends the connection without an answer: the client's Dial returns
// link.ErrPeerGone. It does nothing after Accept, Refuse or Drop.
func (p *Pending) Drop() error {
	if p.decided {
		return nil
	}
	p.decided = true
	err := p.loop.giveUpRights(p.rights)
	p.loop.leave()
	return err
}

// Refuse answers with hello, at most MaxHello bytes, and ends the connection.
// Errors as for Accept.
func (p *Pending) Refuse(hello []byte) error {
	if p.decided {
		return fmt.Errorf("refusing a connection twice: %w", link.ErrClosed)
	}
	p.decided = true
	err := p.answer(idRefuse, nil, hello)
	err = errors.Join(err, p.loop.giveUpRights(p.rights))
	p.loop.leave()
	if err != nil {
		return fmt.Errorf("refusing a connection: %w", err)
	}
	return nil
}

func (p *Pending) answer(id int32, descriptors []mach.Descriptor, hello []byte) error {
	h := mach.Header{Remote: p.rights.data, RemoteBits: mach.CopySend, ID: id}
	msg, err := composeHello(h, descriptors, hello)
	if err != nil {
		return err
	}
	switch _, err = send(p.loop.k, msg, 0); {
	case errors.Is(err, mach.SendInvalidDest):
		return fmt.Errorf("%w: %w", link.ErrPeerGone, err)
	case errors.Is(err, mach.SendTimedOut):
		return fmt.Errorf("%w: the client's queue is full before the answer: %w", link.ErrProtocol, err)
	}
	return err
}
