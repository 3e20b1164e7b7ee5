package machtest

import (
	"encoding/binary"
	"time"

	"github.com/sealport/sealport/internal/link/mach"
)

const pageSize = 0x4000 // of arm64

// Receive implements mach.Kernel.
func (t *Task) Receive(buf []byte, from mach.Name, options mach.Options, timeout uint32) error {
	fault := t.enter(OpReceive)
	defer t.k.mu.Unlock()
	if fault != 0 && fault != mach.RcvHeaderError {
		return fault
	}
	if len(buf) < mach.HeaderSize+mach.MaxTrailerSize {
		return mach.RcvTooLarge
	}
	e := t.entries[from]
	if e == nil || (e.set == nil && !e.receive) {
		return mach.RcvInvalidName
	}
	interrupts := t.interrupts
	var expired <-chan time.Time
	if options&mach.RcvTimeout != 0 && timeout > 0 {
		timer := time.NewTimer(time.Duration(timeout) * time.Millisecond)
		defer timer.Stop()
		expired = timer.C
	}
	timedOut := options&mach.RcvTimeout != 0 && timeout == 0
	for {
		switch {
		case t.dead:
			return mach.KernInvalidTask
		case e.set != nil && e.set.owner == nil, e.set == nil && !e.receive:
			return mach.RcvPortDied
		}
		if p := e.ready(); p != nil {
			return t.take(p, buf, options, fault == mach.RcvHeaderError)
		}
		if timedOut {
			return mach.RcvTimedOut
		}
		if interrupts != t.interrupts && options&mach.RcvInterrupt != 0 {
			return mach.RcvInterrupted
		}
		arrived := t.arrived.wait()
		t.k.mu.Unlock()
		select {
		case <-arrived:
		case <-expired:
			timedOut = true
		}
		t.k.mu.Lock()
	}
}

// ready returns a port with a message; sets serve their members in turn.
func (e *entry) ready() *port {
	if e.set == nil {
		if len(e.port.queue) > 0 {
			return e.port
		}
		return nil
	}
	for i := range e.set.members {
		at := (e.set.turn + i) % len(e.set.members)
		if p := e.set.members[at]; len(p.queue) > 0 {
			e.set.turn = at + 1
			return p
		}
	}
	return nil
}

// take receives the first message of p into buf, or fails in the way that
// options choose for one that is too large.
func (t *Task) take(p *port, buf []byte, options mach.Options, lose bool) error {
	m := p.queue[0]
	trailer := 8 // MACH_MSG_TRAILER_MINIMUM_SIZE
	if options&mach.RcvAuditTrailer == mach.RcvAuditTrailer {
		trailer = mach.AuditTrailerSize
	}
	tooLarge := (m.size()+3)&^3+trailer > len(buf)
	if tooLarge && options&mach.RcvLarge != 0 {
		binary.LittleEndian.PutUint32(buf[4:], uint32(m.size()))
		return mach.RcvTooLarge
	}
	// A header error comes of a name space without room for the message's rights.
	lose = lose && (m.reply != nil || len(m.descriptors) > 0)
	p.queue[0] = nil
	p.queue = p.queue[1:]
	p.seqno++
	p.sendPossible()
	t.k.room.ring()

	h := mach.Header{LocalBits: m.destType, Local: t.names[p], ID: m.id}
	if tooLarge || lose {
		// What is left is a bare header; what the message held is destroyed.
		m.destroy()
		bare := mach.Compose(buf[:0], h, nil)
		putTrailer(buf[len(bare):], trailer, p, m)
		if lose {
			return mach.RcvHeaderError
		}
		return mach.RcvTooLarge
	}
	h.Complex = m.complex
	h.RemoteBits, h.Remote = m.replyType, t.give(m.reply, m.replyType)
	out := mach.Compose(buf[:0], h, t.copyOut(m.descriptors), m.body)
	m.releaseDest()
	putTrailer(buf[len(out):], trailer, p, m)
	return nil
}

func putTrailer(b []byte, size int, p *port, m *message) {
	if size == mach.AuditTrailerSize {
		mach.Trailer{Seqno: p.seqno - 1, Security: [2]uint32{m.token[1], m.token[2]}, Token: m.token}.Put(b)
		return
	}
	binary.LittleEndian.PutUint32(b, 0)
	binary.LittleEndian.PutUint32(b[4:], uint32(size))
}

func (t *Task) mapMemory(data []byte) uint64 {
	at := t.k.address
	t.k.address += (uint64(len(data)) + 2*pageSize - 1) &^ (pageSize - 1)
	t.memory[at] = data
	return at
}

// ReadMemory implements mach.Kernel.
func (t *Task) ReadMemory(dst []byte, address uint64) error {
	err := t.begin(OpReadMemory)
	defer t.k.mu.Unlock()
	if err != nil {
		return err
	}
	for at, data := range t.memory {
		if address >= at && address-at <= uint64(len(data)) && uint64(len(dst)) <= uint64(len(data))-(address-at) {
			copy(dst, data[address-at:])
			return nil
		}
	}
	return mach.KernInvalidAddress
}

// FreeMemory implements mach.Kernel for whole regions.
func (t *Task) FreeMemory(address, size uint64) error {
	err := t.begin(OpFreeMemory)
	defer t.k.mu.Unlock()
	if err != nil {
		return err
	}
	data, ok := t.memory[address]
	if !ok || uint64(len(data)) != size {
		return mach.KernInvalidArgument
	}
	delete(t.memory, address)
	return nil
}
