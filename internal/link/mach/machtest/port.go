package machtest

import (
	"cmp"
	"slices"

	"github.com/sealport/sealport/internal/link/mach"
)

// port is a message queue with the counts of the rights to it. Rights that are
// in a message count as well.
type port struct {
	k        *Kernel
	receiver *Task // nil while the receive right is in a message
	within   *port // the destination of that message
	dead     bool
	queue    []*message
	limit    int
	seqno    uint32
	in       *set

	send      int
	sendOnce  int
	makeSend  uint32
	noSenders *port // where to tell when send becomes 0
	requests  []*request
	service   *service
}

// request is a dead-name or send-possible request on one task's name.
type request struct {
	port         *port
	task         *Task
	name         mach.Name
	notify       *port // nil once a send-possible request has fired
	sendPossible bool
	armed        bool
}

func newPort(k *Kernel) *port {
	k.ports++
	return &port{k: k, limit: mach.QueueLimitDefault}
}

func (p *port) full() bool { return len(p.queue) >= p.limit }

func (p *port) forget(r *request) {
	if i := slices.Index(p.requests, r); i >= 0 {
		p.requests = slices.Delete(p.requests, i, i+1)
	}
}

// enqueue puts m into the queue, whatever the limit says.
func (p *port) enqueue(m *message) {
	if p.dead {
		m.destroy()
		return
	}
	p.queue = append(p.queue, m)
	if p.in != nil {
		p.in.post(p)
	}
	if p.receiver != nil {
		p.receiver.arrived.ring()
	}
}

// notify sends a notification to the port: through a send-once right, so the
// queue limit does not matter, and with the kernel's all-zero token.
func (p *port) notify(id int32, word uint32) {
	p.enqueue(&message{dest: p, destType: mach.MoveSendOnce, id: id, body: mach.NotificationBody(id, word)})
}

func (p *port) releaseSend() {
	if p.send--; p.send == 0 && !p.dead && p.noSenders != nil {
		n := p.noSenders
		p.noSenders = nil
		n.notify(mach.NotifyNoSenders, p.makeSend)
	}
}

// releaseSendOnce gives up an unused send-once right: the receiver is told.
// The notification travels on the right itself.
func (p *port) releaseSendOnce() { p.notify(mach.NotifySendOnce, 0) }

// sendPossible fires the armed requests after a message was taken from the queue.
func (p *port) sendPossible() {
	for _, r := range slices.Clone(p.requests) {
		if r.armed && r.notify != nil {
			n := r.notify
			r.notify, r.armed = nil, false
			n.notify(mach.NotifySendPossible, uint32(r.name))
		}
	}
}

// destroy is the end of the receive right. All other rights become dead names.
func (p *port) destroy(k *Kernel) {
	if p.dead {
		return
	}
	p.dead = true
	p.receiver, p.within = nil, nil
	k.ports--
	if p.in != nil {
		p.in.remove(p)
	}
	if n := p.noSenders; n != nil {
		p.noSenders = nil
		n.releaseSendOnce()
	}
	for t := range k.tasks {
		t.bury(p)
	}
	queue := p.queue
	p.queue = nil
	for _, m := range queue {
		m.destroy()
	}
	if p.service != nil {
		p.service.died(k)
	}
	k.room.ring()
}

// bury turns a task's send and send-once rights to a dead port into dead names.
func (t *Task) bury(p *port) {
	for name, e := range t.entries {
		if e.port != p || e.dead > 0 {
			continue
		}
		if e.dead = e.send; e.sendOnce {
			e.dead++
		}
		e.send, e.sendOnce, e.receive = 0, false, false
		if t.names[p] == name {
			delete(t.names, p)
		}
		if r := e.request; r != nil {
			e.request = nil
			p.forget(r)
			if r.notify != nil {
				e.dead++ // the reference that the notification carries
				r.notify.notify(mach.NotifyDeadName, uint32(name))
			}
		}
		e.port = nil
	}
	t.arrived.ring()
}

// SetQueueLimit implements mach.Kernel.
func (t *Task) SetQueueLimit(name mach.Name, limit uint32) error {
	err := t.begin(OpSetQueueLimit)
	defer t.k.mu.Unlock()
	if err != nil {
		return err
	}
	e := t.entries[name]
	switch {
	case e == nil:
		return mach.KernInvalidName
	case !e.receive:
		return mach.KernInvalidRight
	case limit > mach.QueueLimitMax:
		return mach.KernInvalidValue
	}
	e.port.limit = int(limit)
	t.k.room.ring()
	return nil
}

// Status implements mach.Kernel.
func (t *Task) Status(name mach.Name) (mach.PortStatus, error) {
	err := t.begin(OpStatus)
	defer t.k.mu.Unlock()
	if err != nil {
		return mach.PortStatus{}, err
	}
	e := t.entries[name]
	if e == nil {
		return mach.PortStatus{}, mach.KernInvalidName
	}
	if !e.receive {
		return mach.PortStatus{}, mach.KernInvalidRight
	}
	p := e.port
	return mach.PortStatus{
		QueueLimit: uint32(p.limit), Queued: uint32(len(p.queue)), MakeSend: p.makeSend,
		SendOnce: uint32(p.sendOnce), HasSenders: p.send > 0,
	}, nil
}

// RequestNotification implements mach.Kernel for the notifications that this
// project uses.
func (t *Task) RequestNotification(name mach.Name, id int32, sync uint32, notify mach.Name) (mach.Name, error) {
	fault := t.enter(OpNotify)
	defer t.k.mu.Unlock()
	if t.dead {
		return mach.Null, fault
	}
	to, e := t.makeSendOnce(notify)
	if e != 0 {
		return mach.Null, cmp.Or(fault, e)
	}
	previous, e := mach.Null, fault
	if e == 0 {
		previous, e = t.request(name, id, sync, to)
	}
	if e == 0 {
		return previous, nil
	}
	if to != nil {
		to.releaseSendOnce()
	}
	return mach.Null, e
}

// makeSendOnce makes the right for a notification; nil of Null.
func (t *Task) makeSendOnce(notify mach.Name) (*port, mach.Errno) {
	switch notify {
	case mach.Null:
		return nil, 0
	case mach.DeadPort:
		return nil, mach.KernInvalidCapability
	}
	e := t.entries[notify]
	switch {
	case e == nil:
		return nil, mach.KernInvalidName
	case !e.receive:
		return nil, mach.KernInvalidRight
	}
	e.port.sendOnce++
	return e.port, 0
}

// request registers the send-once right to a port, which is the caller's still if it
// fails.
func (t *Task) request(name mach.Name, id int32, sync uint32, to *port) (mach.Name, mach.Errno) {
	switch id {
	case mach.NotifyNoSenders:
		return t.requestNoSenders(name, sync, to)
	case mach.NotifyDeadName:
		return t.requestOnName(name, false, sync != 0, to)
	case mach.NotifySendPossible:
		return t.requestOnName(name, true, sync != 0, to)
	}
	return mach.Null, mach.KernInvalidValue
}

func (t *Task) requestNoSenders(name mach.Name, sync uint32, to *port) (mach.Name, mach.Errno) {
	e := t.entries[name]
	switch {
	case !name.Valid():
		return mach.Null, mach.KernInvalidRight
	case e == nil:
		return mach.Null, mach.KernInvalidName
	case !e.receive:
		return mach.Null, mach.KernInvalidRight
	}
	p := e.port
	previous := p.noSenders
	p.noSenders = nil
	switch {
	case to == nil:
	case p.send == 0 && sync <= p.makeSend:
		to.notify(mach.NotifyNoSenders, p.makeSend)
	default:
		p.noSenders = to
	}
	return t.givePrevious(previous), 0
}

func (t *Task) requestOnName(name mach.Name, sendPossible, now bool, to *port) (mach.Name, mach.Errno) {
	e := t.entries[name]
	switch {
	case !name.Valid():
		return mach.Null, mach.KernInvalidArgument
	case e == nil:
		return mach.Null, mach.KernInvalidName
	case to == nil && e.request == nil:
		return mach.Null, 0 // nothing to cancel, whatever the name stands for
	case e.set != nil:
		return mach.Null, mach.KernInvalidRight
	case e.dead > 0:
		if !sendPossible && (!now || t.k.generation >= XNU11417) {
			return mach.Null, mach.KernInvalidArgument
		}
		e.dead++
		to.notify(mach.NotifyDeadName, uint32(name))
		return mach.Null, 0
	}
	var previous *port
	if r := e.request; r != nil {
		previous = r.notify
		r.port.forget(r)
		e.request = nil
	}
	switch {
	case to == nil:
	case sendPossible && now && (e.sendOnce || !e.port.full()):
		to.notify(mach.NotifySendPossible, uint32(name))
	default:
		e.request = &request{port: e.port, task: t, name: name, notify: to, sendPossible: sendPossible, armed: sendPossible && now}
		e.port.requests = append(e.port.requests, e.request)
	}
	return t.givePrevious(previous), 0
}

func (t *Task) givePrevious(p *port) mach.Name {
	if p == nil {
		return mach.Null
	}
	return t.giveSendOnce(p)
}

// Token implements mach.Kernel.
func (t *Task) Token() (mach.AuditToken, error) {
	err := t.begin(OpToken)
	defer t.k.mu.Unlock()
	if err != nil {
		return mach.AuditToken{}, err
	}
	return t.token, nil
}
