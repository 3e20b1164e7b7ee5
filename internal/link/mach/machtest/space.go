package machtest

import (
	"slices"

	"github.com/sealport/sealport/internal/link/mach"
)

// entry is what one name stands for: a port (receive right and send rights
// share a name, a send-once right has its own), a dead name, or a port set.
type entry struct {
	port     *port
	receive  bool
	send     int // user references
	sendOnce bool
	dead     int // user references
	set      *set
	request  *request // dead-name or send-possible
}

// set is a port set.
type set struct {
	owner   *Task
	members []*port
	waiting []*port // members that were given messages, in the order of service
}

// post is called when a member has messages.
func (s *set) post(p *port) {
	if !slices.Contains(s.waiting, p) {
		s.waiting = append(s.waiting, p)
	}
}

// first returns the member whose message is received next, or nil.
func (s *set) first(g Generation) *port {
	for len(s.waiting) > 0 {
		p := s.waiting[0]
		switch {
		case len(p.queue) == 0:
			s.waiting = s.waiting[1:]
			continue
		case g >= XNU11417:
			s.waiting = append(s.waiting[1:], p)
		}
		return p
	}
	return nil
}

// newName takes the name that was freed last.
func (t *Task) newName(e *entry) mach.Name {
	var name mach.Name
	if n := len(t.free); n > 0 {
		name, t.free = t.free[n-1], t.free[:n-1]
	} else {
		name = t.next
		t.next += 0x100
	}
	t.entries[name] = e
	return name
}

// drop removes a name that stands for nothing any more. The task that asked to be
// notified about it learns that it was deleted.
func (t *Task) drop(name mach.Name, e *entry) {
	delete(t.entries, name)
	if e.port != nil && t.names[e.port] == name {
		delete(t.names, e.port)
	}
	t.free = append(t.free, name)
	if r := e.request; r != nil {
		r.port.forget(r)
		if r.notify != nil {
			r.notify.notify(mach.NotifyPortDeleted, uint32(name))
		}
	}
}

// destroyEntry gives up all that a name stands for.
func (t *Task) destroyEntry(name mach.Name, e *entry) {
	if e.set != nil {
		t.destroySet(e.set)
	}
	p, send, once, receive := e.port, e.send > 0, e.sendOnce, e.receive
	e.send, e.sendOnce, e.receive, e.dead = 0, false, false, 0
	t.drop(name, e)
	if receive {
		p.destroy(t.k)
	}
	if send {
		p.releaseSend()
	}
	if once {
		p.releaseSendOnce()
	}
}

func (t *Task) destroySet(s *set) {
	for _, p := range s.members {
		p.in = nil
	}
	s.members, s.waiting, s.owner = nil, nil, nil
	t.arrived.ring()
}

func (s *set) remove(p *port) {
	is := func(other *port) bool { return other == p }
	s.members = slices.DeleteFunc(s.members, is)
	s.waiting = slices.DeleteFunc(s.waiting, is)
	p.in = nil
}

// AllocatePort implements mach.Kernel.
func (t *Task) AllocatePort() (mach.Name, error) {
	err := t.begin(OpAllocatePort)
	defer t.k.mu.Unlock()
	if err != nil {
		return mach.Null, err
	}
	return t.giveReceive(newPort(t.k)), nil
}

// AllocateSet implements mach.Kernel.
func (t *Task) AllocateSet() (mach.Name, error) {
	err := t.begin(OpAllocateSet)
	defer t.k.mu.Unlock()
	if err != nil {
		return mach.Null, err
	}
	return t.newName(&entry{set: &set{owner: t}}), nil
}

// InsertRight implements mach.Kernel for the case that programs use: a send
// right under the name of the receive right, and copies of send rights.
func (t *Task) InsertRight(name, right mach.Name, d mach.Disposition) error {
	err := t.begin(OpInsertRight)
	defer t.k.mu.Unlock()
	if err != nil {
		return err
	}
	if name != right || (d != mach.MakeSend && d != mach.CopySend) {
		return mach.KernInvalidValue
	}
	p, _, e := t.copyIn(right, d)
	if e != 0 {
		return mach.KernInvalidRight
	}
	t.giveSend(p)
	return nil
}

// Deallocate implements mach.Kernel.
func (t *Task) Deallocate(name mach.Name) error {
	err := t.begin(OpDeallocate)
	defer t.k.mu.Unlock()
	if err != nil {
		return err
	}
	e := t.entries[name]
	switch {
	case e == nil:
		return mach.KernInvalidName
	case e.set != nil:
		t.destroySet(e.set)
		t.drop(name, e)
	case e.send > 0:
		t.dropSend(name, e)
	case e.sendOnce:
		e.sendOnce = false
		t.drop(name, e)
		e.port.releaseSendOnce()
	case e.dead > 0:
		t.dropDead(name, e)
	default:
		return mach.KernInvalidRight
	}
	return nil
}

// dropDead gives up one user reference of a dead name.
func (t *Task) dropDead(name mach.Name, e *entry) {
	if e.dead--; e.dead == 0 {
		t.drop(name, e)
	}
}

// dropSend gives up one user reference of a send right.
func (t *Task) dropSend(name mach.Name, e *entry) {
	if e.send--; e.send > 0 {
		return
	}
	if !e.receive {
		t.drop(name, e)
	}
	e.port.releaseSend()
}

// ModRefs implements mach.Kernel.
func (t *Task) ModRefs(name mach.Name, right mach.Right, delta int32) error {
	err := t.begin(OpModRefs)
	defer t.k.mu.Unlock()
	if err != nil {
		return err
	}
	e := t.entries[name]
	if e == nil {
		return mach.KernInvalidName
	}
	switch {
	case right == mach.RightReceive && e.receive && delta == -1:
		p := e.port
		e.receive = false
		p.receiver = nil
		if e.send == 0 {
			t.drop(name, e)
		}
		p.destroy(t.k)
	case right == mach.RightPortSet && e.set != nil && delta == -1:
		t.destroySet(e.set)
		t.drop(name, e)
	case right == mach.RightSend && e.send > 0 && e.send+int(delta) >= 0:
		for range -delta {
			t.dropSend(name, e)
		}
		e.send += max(int(delta), 0)
	case right == mach.RightDeadName && e.dead > 0 && e.dead+int(delta) >= 0:
		if e.dead += int(delta); e.dead == 0 {
			t.drop(name, e)
		}
	default:
		return mach.KernInvalidRight
	}
	return nil
}

// MoveMember implements mach.Kernel.
func (t *Task) MoveMember(member, into mach.Name) error {
	err := t.begin(OpMoveMember)
	defer t.k.mu.Unlock()
	if err != nil {
		return err
	}
	e := t.entries[member]
	if e == nil {
		return mach.KernInvalidName
	}
	if !e.receive {
		return mach.KernInvalidRight
	}
	var s *set
	if into != mach.Null {
		se := t.entries[into]
		if se == nil {
			return mach.KernInvalidName
		}
		if s = se.set; s == nil {
			return mach.KernInvalidRight
		}
	}
	p := e.port
	switch {
	case t.k.generation >= XNU11417 && s == nil && p.in == nil:
		return mach.KernNotInSet
	case t.k.generation >= XNU11417 && s == p.in:
		return nil // it keeps its place
	case p.in != nil:
		p.in.remove(p)
	}
	if s != nil {
		s.members = append(s.members, p)
		p.in = s
		if len(p.queue) > 0 {
			s.post(p)
		}
		t.arrived.ring()
	}
	return nil
}

// giveReceive inserts a receive right.
func (t *Task) giveReceive(p *port) mach.Name {
	p.receiver, p.within = t, nil
	if name, ok := t.names[p]; ok {
		t.entries[name].receive = true
		return name
	}
	name := t.newName(&entry{port: p, receive: true})
	t.names[p] = name
	return name
}

// giveSend inserts a send right that exists already.
func (t *Task) giveSend(p *port) mach.Name {
	if p.dead {
		return mach.DeadPort
	}
	if name, ok := t.names[p]; ok {
		e := t.entries[name]
		if e.send++; e.send > 1 {
			p.send-- // a task's references of one name are one right
		}
		return name
	}
	name := t.newName(&entry{port: p, send: 1})
	t.names[p] = name
	return name
}

// giveSendOnce inserts a send-once right that exists already.
func (t *Task) giveSendOnce(p *port) mach.Name {
	if p.dead {
		return mach.DeadPort
	}
	return t.newName(&entry{port: p, sendOnce: true})
}
