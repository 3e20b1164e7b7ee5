package machtest

import (
	"encoding/binary"
	"slices"
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
		if p := e.ready(t.k.generation); p != nil {
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

// ready returns a port with a message, or nil.
func (e *entry) ready(g Generation) *port {
	switch {
	case e.set != nil:
		return e.set.first(g)
	case len(e.port.queue) > 0:
		return e.port
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

	if t.k.generation == XNU7195 && p.in != nil && len(p.queue) == 0 {
		// Its next message puts it last. Later kernels find out when it is its turn.
		p.in.waiting = slices.DeleteFunc(p.in.waiting, func(other *port) bool { return other == p })
	}

	h := mach.Header{LocalBits: m.destType, Local: t.names[p], RemoteBits: m.replyType, ID: m.id}
	if tooLarge || lose {
		// What is left is a bare header, which keeps its bits, with a trailer of the
		// kernel's; what the message held is destroyed.
		m.destroy()
		if m.replyDead {
			h.Remote = mach.DeadPort
		}
		bare := mach.Compose(buf[:0], h, nil)
		if h.Complex = m.complex; h.Complex {
			h.Size = mach.HeaderSize
			h.Put(bare)
		}
		putTrailer(buf[len(bare):], trailer, p, mach.AuditToken{})
		if lose {
			return mach.RcvHeaderError
		}
		return mach.RcvTooLarge
	}
	h.Complex = m.complex
	if h.Remote = t.give(m.reply, m.replyType); m.replyDead {
		h.Remote = mach.DeadPort
	}
	out := mach.Compose(buf[:0], h, t.copyOut(m.descriptors), m.body)
	m.releaseDest()
	putTrailer(buf[len(out):], trailer, p, m.token)
	return nil
}

func putTrailer(b []byte, size int, p *port, token mach.AuditToken) {
	if size == mach.AuditTrailerSize {
		mach.Trailer{Seqno: p.seqno - 1, Security: [2]uint32{token[1], token[2]}, Token: token}.Put(b)
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
	if size == 0 {
		return nil
	}
	data, ok := t.memory[address]
	if !ok || uint64(len(data)) != size {
		return mach.KernInvalidArgument
	}
	delete(t.memory, address)
	return nil
}
