package machtest

import (
	"time"

	"github.com/sealport/sealport/internal/link/mach"
)

// message is a message in the kernel: its rights are held, not named.
type message struct {
	dest        *port
	destType    mach.Disposition // MoveSend or MoveSendOnce
	reply       *port
	replyType   mach.Disposition
	replyDead   bool // a dead name was given
	circular    bool // it would carry the port that it is sent to
	id          int32
	complex     bool
	descriptors []held
	body        []byte
	token       mach.AuditToken
}

// held is a descriptor in the kernel.
type held struct {
	mach.Descriptor
	port *port
	data []byte // out-of-line memory, a copy
}

func (m *message) size() int {
	n := mach.HeaderSize + len(m.body)
	if m.complex {
		n += mach.BodySize
	}
	for _, d := range m.descriptors {
		n += d.EncodedSize()
	}
	return n
}

// destroy gives up what the message holds; the destination's right goes silently.
func (m *message) destroy() {
	m.releaseDest()
	release(m.reply, m.replyType)
	for _, d := range m.descriptors {
		release(d.port, d.Disposition)
	}
}

// releaseDest ends the right that the message was sent with.
func (m *message) releaseDest() {
	if m.destType == mach.MoveSend {
		m.dest.releaseSend()
	} else {
		m.dest.sendOnce--
	}
}

func release(p *port, d mach.Disposition) {
	if p == nil {
		return
	}
	switch d {
	case mach.MoveSend:
		p.releaseSend()
	case mach.MoveSendOnce:
		p.releaseSendOnce()
	case mach.MoveReceive:
		p.destroy(p.k)
	}
}

// copyIn takes or makes a right of the task's for a message. A dead name gives
// a nil port, and a moved one loses a reference.
func (t *Task) copyIn(name mach.Name, d mach.Disposition) (*port, mach.Disposition, mach.Errno) {
	e := t.entries[name]
	if e == nil {
		return nil, 0, mach.SendInvalidRight
	}
	p := e.port
	switch d {
	case mach.MakeSend:
		if !e.receive {
			break
		}
		p.send++
		p.makeSend++
		return p, mach.MoveSend, 0
	case mach.MakeSendOnce:
		if !e.receive {
			break
		}
		p.sendOnce++
		return p, mach.MoveSendOnce, 0
	case mach.MoveReceive:
		if !e.receive {
			break
		}
		e.receive = false
		p.receiver = nil
		if p.in != nil {
			p.in.remove(p)
		}
		if e.send == 0 {
			t.drop(name, e)
		}
		return p, mach.MoveReceive, 0
	case mach.CopySend:
		if e.dead > 0 {
			return nil, mach.MoveSend, 0
		}
		if e.send == 0 {
			break
		}
		p.send++
		return p, mach.MoveSend, 0
	case mach.MoveSend:
		if e.dead > 0 {
			t.dropDead(name, e)
			return nil, mach.MoveSend, 0
		}
		if e.send == 0 {
			break
		}
		p.send++
		t.dropSend(name, e)
		return p, mach.MoveSend, 0
	case mach.MoveSendOnce:
		if e.dead > 0 {
			t.dropDead(name, e)
			return nil, mach.MoveSendOnce, 0
		}
		if !e.sendOnce {
			break
		}
		t.drop(name, e)
		return p, mach.MoveSendOnce, 0
	}
	return nil, 0, mach.SendInvalidRight
}

// Send implements mach.Kernel.
func (t *Task) Send(msg, ool []byte, options mach.Options, timeout uint32) error {
	fault := t.enter(OpSend)
	defer t.k.mu.Unlock()
	late := fault == mach.SendTimedOut || fault == mach.SendInterrupted
	if fault != 0 && !late {
		return fault
	}
	m, e := t.copyInMessage(msg, ool)
	if e != 0 {
		return e
	}
	if m.circular {
		m.destroy()
		return nil
	}
	p := m.dest
	var expired <-chan time.Time
	if options&mach.SendTimeout != 0 && timeout > 0 {
		timer := time.NewTimer(time.Duration(timeout) * time.Millisecond)
		defer timer.Stop()
		expired = timer.C
	}
	for !late && !p.dead && p.full() && m.destType != mach.MoveSendOnce {
		if options&mach.SendNotify != 0 {
			t.arm(p)
		}
		if options&mach.SendTimeout != 0 && timeout == 0 {
			fault, late = mach.SendTimedOut, true
			break
		}
		room := t.k.room.wait()
		t.k.mu.Unlock()
		select {
		case <-room:
		case <-expired:
			fault, late = mach.SendTimedOut, true
		}
		t.k.mu.Lock()
		if t.dead {
			m.destroy()
			return mach.KernInvalidTask
		}
	}
	if late {
		t.handBack(msg, m)
		return fault
	}
	p.enqueue(m) // destroys m if the port died meanwhile, which is success
	return nil
}

// arm readies a registered send-possible request of this task's on the port.
func (t *Task) arm(p *port) {
	for _, r := range p.requests {
		if r.task == t && r.sendPossible && r.notify != nil {
			r.armed = true
		}
	}
}

// copyInMessage takes over what msg names. When it fails after the header, the
// rights in the body that were taken are lost, as in xnu.
func (t *Task) copyInMessage(msg, ool []byte) (*message, mach.Errno) {
	h, err := mach.ParseHeader(msg)
	if err != nil || h.Size < mach.HeaderSize || uint64(h.Size) > uint64(len(msg)) {
		return nil, mach.SendMsgTooSmall
	}
	if h.Size%4 != 0 {
		return nil, mach.SendMsgTooSmall
	}
	if h.Complex && h.Size < mach.HeaderSize+mach.BodySize {
		return nil, mach.SendMsgTooSmall
	}
	view, err := parseSent(msg[:h.Size])
	if err != nil {
		return nil, mach.SendMsgTooSmall
	}
	if !sends(h.RemoteBits) || (h.LocalBits == 0 && h.Local != mach.Null) || (h.LocalBits != 0 && !sends(h.LocalBits)) {
		return nil, mach.SendInvalidHeader
	}
	if e := t.entries[h.Remote]; e == nil || e.dead > 0 || e.set != nil {
		return nil, mach.SendInvalidDest
	}
	if h.Local.Valid() {
		if e := t.entries[h.Local]; e == nil || e.set != nil {
			return nil, mach.SendInvalidReply
		}
	}
	m := &message{id: h.ID, complex: h.Complex, body: append([]byte(nil), view.Body...), token: t.token}
	var e mach.Errno
	if m.dest, m.destType, e = t.copyIn(h.Remote, h.RemoteBits); e != 0 {
		return nil, mach.SendInvalidDest
	}
	m.replyType, m.replyDead = carried(h.LocalBits), h.Local == mach.DeadPort
	if h.Local.Valid() {
		if m.reply, m.replyType, e = t.copyIn(h.Local, h.LocalBits); e != 0 {
			m.destroy()
			return nil, mach.SendInvalidReply
		}
		m.replyDead = m.reply == nil
	}
	first := true
	for d := range view.Descriptors() {
		in := held{Descriptor: d}
		switch {
		case d.Type == mach.PortRight && d.Name.Valid():
			in.port, in.Disposition, e = t.copyIn(d.Name, d.Disposition)
			if in.port != nil && in.Disposition == mach.MoveReceive {
				if in.port.carries(m.dest) {
					m.circular = true
				} else {
					in.port.within = m.dest
				}
			}
		case d.Type == mach.PortRight:
			in.Disposition = carried(d.Disposition)
		case d.Type == mach.OutOfLine && first && len(ool) > 0:
			in.data = append([]byte(nil), ool...)
			in.Size = uint32(len(ool))
		case d.Type == mach.OutOfLine && d.Size == 0:
		default:
			e = mach.SendInvalidType
		}
		if e != 0 {
			m.destroy()
			return nil, e
		}
		first = false
		m.descriptors = append(m.descriptors, in)
	}
	return m, 0
}

// sends reports whether a right of that disposition can be sent to.
func sends(d mach.Disposition) bool { return d >= mach.MoveSend && d <= mach.MakeSendOnce }

// carried is the kind of right that a message carries after copyIn.
func carried(d mach.Disposition) mach.Disposition {
	switch d {
	case mach.CopySend, mach.MakeSend:
		return mach.MoveSend
	case mach.MakeSendOnce:
		return mach.MoveSendOnce
	}
	return d
}

// carries reports whether the port's own receive right is among what messages on the way
// to dest depend on.
func (p *port) carries(dest *port) bool {
	for ; dest != nil; dest = dest.within {
		if dest == p {
			return true
		}
	}
	return false
}

// parseSent is ParseMessage for a message without a trailer.
func parseSent(msg []byte) (mach.Message, error) {
	whole := make([]byte, len(msg)+mach.AuditTrailerSize)
	copy(whole, msg)
	mach.Trailer{}.Put(whole[len(msg):])
	return mach.ParseMessage(whole)
}

// handBack is the pseudo receive of a send that failed late: the rights come
// back to the sender as new references, the memory at a new address.
func (t *Task) handBack(msg []byte, m *message) {
	h := mach.Header{RemoteBits: m.destType, LocalBits: m.replyType, Complex: m.complex, ID: m.id}
	h.Remote = t.give(m.dest, m.destType)
	if h.Local = t.give(m.reply, m.replyType); m.replyDead {
		h.Local = mach.DeadPort
	}
	mach.Compose(msg[:0], h, t.copyOut(m.descriptors), m.body)
}

func (t *Task) give(p *port, d mach.Disposition) mach.Name {
	if p == nil {
		return mach.Null
	}
	switch d {
	case mach.MoveReceive:
		return t.giveReceive(p)
	case mach.MoveSendOnce:
		if p.dead {
			p.sendOnce--
		}
		return t.giveSendOnce(p)
	default:
		if p.dead {
			p.send--
		}
		return t.giveSend(p)
	}
}

// copyOut gives a message's rights and memory to the task.
func (t *Task) copyOut(in []held) []mach.Descriptor {
	var out []mach.Descriptor
	for _, h := range in {
		d := h.Descriptor
		switch {
		case d.Type == mach.PortRight && h.port == nil && d.Name.Valid():
			d.Name = mach.DeadPort
		case d.Type == mach.PortRight:
			d.Name = t.give(h.port, d.Disposition)
		case d.Type == mach.OutOfLine && len(h.data) > 0:
			d.Address, d.Deallocate = t.mapMemory(h.data), true
		}
		out = append(out, d)
	}
	return out
}
