package machlink

import (
	"errors"
	"fmt"
	"sync"

	"github.com/sealport/sealport/internal/link"
	"github.com/sealport/sealport/internal/link/mach"
)

// receiver handles what arrives on one port. It runs on the loop's goroutine
// and must not block.
type receiver interface {
	// message is told of a message that the port received; n is set if the
	// kernel itself sent it as a notification. It returns true if it has taken
	// over the rights that m carries; else they are destroyed.
	message(m *mach.Message, n *mach.Notification) (kept bool)

	// broken is told that nothing will arrive any more, or that a message to
	// this port was lost.
	broken(err error)
}

// loop receives for everything in this process that uses one kernel.
//
// Ports are destroyed on its goroutine only, between two messages: so the name
// that a message says it arrived on can't have been given to another port since.
type loop struct {
	k     mach.Kernel
	users int // guarded by loopsMu

	set, wake mach.Name
	buf       []byte            // of the message being handled
	last      mach.Name         // the port that it arrived on
	row       int               // messages from that port in a row
	msg       mach.Message      // its parts
	note      mach.Notification // if it is one
	ended     chan struct{}

	mu       sync.Mutex
	ports    map[mach.Name]receiver
	sends    map[mach.Name]bool // peers' rights that are in use; see claim
	commands []func()
	kick     chan struct{} // commands, when the kernel can't wake the loop
	stopping bool
}

// loops holds the running loop of each kernel: one, outside tests.
var (
	loopsMu sync.Mutex
	loops   = map[mach.Kernel]*loop{}
)

// retain returns the kernel's loop, which it starts if need be. Each successful
// call is paid back by leave.
func retain(k mach.Kernel) (*loop, error) {
	loopsMu.Lock()
	defer loopsMu.Unlock()
	l := loops[k]
	if l == nil {
		l = &loop{
			k: k, buf: make([]byte, bufferSize), ended: make(chan struct{}), kick: make(chan struct{}, 1),
			ports: map[mach.Name]receiver{}, sends: map[mach.Name]bool{},
		}
		if err := l.open(); err != nil {
			return nil, errors.Join(err, l.destroy())
		}
		loops[k] = l
		go l.run()
	}
	l.users++
	return l, nil
}

// join adds a user, unless the last one is leaving. It may be called on the loop's
// own goroutine.
func (l *loop) join() bool {
	loopsMu.Lock()
	defer loopsMu.Unlock()
	if l.users == 0 {
		return false
	}
	l.users++
	return true
}

// leave joins the loop when its last user leaves. Not to be called on the
// loop's goroutine.
func (l *loop) leave() {
	loopsMu.Lock()
	l.users--
	last := l.users == 0
	if last {
		delete(loops, l.k)
	}
	loopsMu.Unlock()
	if last {
		l.do(func() { l.stopping = true })
		<-l.ended
	}
}

// part takes back a join on the loop's own goroutine, while others remain.
func (l *loop) part() {
	loopsMu.Lock()
	defer loopsMu.Unlock()
	l.users--
}

func (l *loop) open() (err error) {
	if l.set, err = l.k.AllocateSet(); err != nil {
		return fmt.Errorf("allocating the port set: %w", err)
	}
	if l.wake, err = l.k.AllocatePort(); err != nil {
		return fmt.Errorf("allocating the wake port: %w", err)
	}
	if err = l.k.MoveMember(l.wake, l.set); err != nil {
		return fmt.Errorf("adding the wake port to the set: %w", err)
	}
	return nil
}

// destroy gives up the loop's own ports.
func (l *loop) destroy() error {
	err := releaseRight(l.k, l.wake, mach.RightReceive)
	return errors.Join(err, releaseRight(l.k, l.set, mach.RightPortSet))
}

// releaseRight gives up a receive right or port set; Null is none.
func releaseRight(k mach.Kernel, name mach.Name, right mach.Right) error {
	if name == mach.Null {
		return nil
	}
	return mach.Release(func() error { return k.ModRefs(name, right, -1) })
}

// deallocate gives up a reference of a send, send-once or dead name; Null is
// none.
func deallocate(k mach.Kernel, name mach.Name) error {
	if !name.Valid() {
		return nil
	}
	return mach.Release(func() error { return k.Deallocate(name) })
}

// maxFailures is how many receives in a row may fail before the loop gives up:
// one that fails for good would otherwise spin.
const maxFailures = 64

// turnLength is how many messages in a row are taken from one port of the set before
// others have their turn. It bounds what peers can delay each other, and the loop's
// wake port, to so many messages for each port, on kernels that would serve one port
// until it is empty (until XNU 8019, macOS 12.2).
const turnLength = 32

// run receives until the last user has left.
func (l *loop) run() {
	defer close(l.ended)
	failures := 0
	for l.obey() {
		if failures >= maxFailures {
			<-l.kick
			continue
		}
		switch err := l.receive(l.set, 0); {
		case err == nil, errors.Is(err, mach.RcvTooLarge):
			failures = 0
		case errors.Is(err, mach.RcvInterrupted):
		default:
			if failures++; failures == maxFailures {
				l.giveUp(fmt.Errorf("receiving from the port set: %w", err))
			}
		}
	}
	_ = l.destroy() // on failure two names leak, and there is no caller to tell
}

// receive receives one message and has it handled, or tells its receiver that it
// is lost.
func (l *loop) receive(from mach.Name, options mach.Options) error {
	// A receive that fails may write nothing: the rights of the message before
	// must not be taken for its.
	clear(l.buf[:mach.HeaderSize])
	err := l.k.Receive(l.buf, from, mach.RcvAuditTrailer|mach.RcvInterrupt|options, 0)
	if from == l.set {
		l.endTurn()
	}
	switch {
	case err == nil:
		l.dispatch()
	case errors.Is(err, mach.RcvTooLarge):
		// The kernel has destroyed it: nothing in this protocol is that large.
		l.lost(fmt.Errorf("%w: %w", link.ErrProtocol, err))
	case errors.Is(err, mach.RcvBodyError), errors.Is(err, mach.RcvHeaderError):
		l.lost(fmt.Errorf("receiving a message: %w", err))
	}
	return err
}

// endTurn puts a port that has had its turn behind the others, by putting it into the
// set again. It is called before the message is handled: no port that is out of the
// set is received from, and only the loop's goroutine takes ports out.
func (l *loop) endTurn() {
	h, err := mach.ParseHeader(l.buf)
	if err != nil || !h.Local.Valid() {
		return
	}
	if h.Local != l.last {
		l.last, l.row = h.Local, 0
	}
	if l.row++; l.row >= turnLength {
		l.row = 0
		_ = l.k.MoveMember(h.Local, l.set) // failing, it is put behind the others later
	}
}

// obey runs the commands that have come and reports whether to go on.
func (l *loop) obey() bool {
	for {
		l.mu.Lock()
		commands := l.commands
		l.commands = nil
		l.mu.Unlock()
		if len(commands) == 0 {
			return !l.stopping
		}
		for _, f := range commands {
			f()
		}
	}
}

// do runs f on the loop's goroutine and waits for it.
func (l *loop) do(f func()) {
	done := make(chan struct{})
	l.mu.Lock()
	l.commands = append(l.commands, func() { f(); close(done) })
	l.mu.Unlock()
	l.ring()
	<-done
}

// ring makes a blocked receive return: a message to a port of the set that
// no other task can send to, by a send-once right, which no queue limit stops.
func (l *loop) ring() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
	h := mach.Header{Remote: l.wake, RemoteBits: mach.MakeSendOnce, ID: idWake}
	for range maxFailures {
		var buf [mach.HeaderSize]byte
		if _, err := send(l.k, mach.Compose(buf[:0], h, nil), 0); err == nil {
			return
		}
	}
}

// sendTries is how often a send that a signal interrupted is repeated.
const sendTries = 64

// send sends msg without waiting for room in the queue, and restores the rights
// if it fails: moved is the new name of a send-once right that was to be moved
// and came back, or Null if it kept its name.
//
// A message that offers rights is not repeated when a signal interrupts it: the
// kernel had made them, and giving them up uses up the no-senders request and
// leaves a notification on the ports they were made of. New ports are needed.
func send(k mach.Kernel, msg []byte, options mach.Options) (moved mach.Name, err error) {
	// Header and descriptors as composed: a send that fails rewrites them.
	var sent [mach.HeaderSize + mach.BodySize + 3*mach.PortDescriptorSize]byte
	n := copy(sent[:], msg)
	h, _ := mach.ParseHeader(msg) // we composed it
	for range sendTries {
		if err = k.Send(msg, nil, options|mach.SendTimeout|mach.SendInterrupt, 0); err == nil {
			return mach.Null, nil
		}
		// What could not be restored was gone already; err is what matters.
		moved, _ = mach.Undo(k, sent[:], msg)
		if moved != mach.Null || h.Complex || !errors.Is(err, mach.SendInterrupted) {
			return moved, err
		}
		copy(msg, sent[:n])
	}
	return mach.Null, err
}

// dispatch hands the message in the buffer to the port that it arrived on.
func (l *loop) dispatch() {
	var err error
	if l.msg, err = mach.ParseMessage(l.buf); err != nil {
		return // the kernel wrote no message: nothing to own
	}
	m := &l.msg
	l.mu.Lock()
	r := l.ports[m.Local]
	l.mu.Unlock()
	var n *mach.Notification
	if note, ok := mach.ParseNotification(m); ok {
		l.note = note
		n = &l.note
	}
	kept := r != nil && r.message(m, n)
	if n != nil && n.ID == mach.NotifyDeadName {
		_ = deallocate(l.k, n.Name) // the reference that came with it
	}
	if !kept && (m.Remote != mach.Null || m.Count > 0) {
		_ = mach.Destroy(l.k, l.buf)
	}
}

// lost destroys what is left of a message and tells its receiver.
func (l *loop) lost(err error) {
	h, parseErr := mach.ParseHeader(l.buf)
	if parseErr != nil {
		return
	}
	_ = mach.Destroy(l.k, l.buf)
	l.mu.Lock()
	r := l.ports[h.Local]
	l.mu.Unlock()
	if r != nil {
		r.broken(err)
	}
}

// giveUp tells everyone that no message will arrive any more.
func (l *loop) giveUp(err error) {
	l.mu.Lock()
	var all []receiver
	for _, r := range l.ports {
		all = append(all, r)
	}
	l.mu.Unlock()
	for _, r := range all {
		r.broken(err)
	}
}

// newPort makes a port whose messages go to r, once it is added to the set.
func (l *loop) newPort(r receiver) (mach.Name, error) {
	name, err := l.k.AllocatePort()
	if err != nil {
		return mach.Null, fmt.Errorf("allocating a port: %w", err)
	}
	return name, l.adopt(name, r)
}

// adopt makes a port whose receive right we have deliver to r. On error the
// port is registered too and has to be destroyed.
func (l *loop) adopt(name mach.Name, r receiver) error {
	l.mu.Lock()
	l.ports[name] = r
	l.mu.Unlock()
	if err := l.k.SetQueueLimit(name, mach.QueueLimitMax); err != nil {
		return fmt.Errorf("raising a port's queue limit: %w", err)
	}
	if err := l.k.MoveMember(name, l.set); err != nil {
		return fmt.Errorf("adding a port to the set: %w", err)
	}
	return nil
}

// forget ends deliveries for a port. Only on the loop's goroutine, or before
// the port was ever in the set.
func (l *loop) forget(name mach.Name) {
	l.mu.Lock()
	delete(l.ports, name)
	l.mu.Unlock()
}

// claim reserves the peer's rights for one connection. A task has one name for
// all its send rights to a port, and one request for notifications on it, so a
// peer that offers the same port for two connections is refused.
func (l *loop) claim(r rights) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sends[r.data] || l.sends[r.control] {
		return false
	}
	l.sends[r.data], l.sends[r.control] = true, true
	return true
}

// giveUpRights ends the claim and gives up the rights.
func (l *loop) giveUpRights(r rights) error {
	l.mu.Lock()
	delete(l.sends, r.data)
	delete(l.sends, r.control)
	l.mu.Unlock()
	return errors.Join(deallocate(l.k, r.end), deallocate(l.k, r.control), deallocate(l.k, r.data))
}
