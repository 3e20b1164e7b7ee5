package machtest

import "github.com/sealport/sealport/internal/link/mach"

// Send implements mach.Kernel. A send that waits for room without end is not ended by
// Kill.
func (p *process) Send(msg, ool []byte, options mach.Options, timeout uint32) error {
	err := p.begin(OpSend)
	defer p.mu.Unlock()
	if err != nil {
		return err
	}
	before, err := rightsOf(msg)
	if err != nil {
		return mach.SendMsgTooSmall
	}
	for i, r := range before {
		if r.name.Valid() && !p.has(r.name, r.disposition) {
			return [...]mach.Errno{mach.SendInvalidDest, mach.SendInvalidReply, mach.SendInvalidRight}[min(i, 2)]
		}
	}
	if options&mach.SendTimeout == 0 {
		p.mu.Unlock()
		err = p.kernel.Send(msg, ool, options, timeout)
		p.mu.Lock()
	} else {
		err = p.kernel.Send(msg, ool, options, timeout)
	}
	if err == nil {
		for _, r := range before {
			p.remove(r.name, r.disposition)
		}
		return nil
	}
	p.handedBack(msg, before)
	return err
}

// handedBack compares the rights in a message whose send failed with those before. The
// kernel hands back what it had made or copied, and may give others a new name.
func (p *process) handedBack(msg []byte, before []rightInMessage) {
	after, err := rightsOf(msg)
	if err != nil || len(after) != len(before) {
		return
	}
	for i, r := range after {
		if r != before[i] {
			p.remove(before[i].name, before[i].disposition)
			p.add(r.name, r.disposition)
		}
	}
	if view, err := parseSent(msg); err == nil {
		p.addMemory(&view)
	}
}

// Receive implements mach.Kernel.
func (p *process) Receive(buf []byte, from mach.Name, options mach.Options, timeout uint32) error {
	err := p.begin(OpReceive)
	defer p.mu.Unlock()
	if err != nil {
		return err
	}
	h := p.held[from]
	if h == nil || (!h.receive && h.bell == mach.Null) {
		return mach.RcvInvalidName
	}
	for {
		p.receiving[from]++
		p.mu.Unlock()
		err = p.kernel.Receive(buf, from, options, timeout)
		p.mu.Lock()
		if p.receiving[from]--; p.receiving[from] == 0 {
			delete(p.receiving, from)
		}
		p.idle.Broadcast()
		switch {
		case p.dead:
			if err == nil {
				p.throwAway(buf)
			}
			return mach.KernInvalidTask
		case err != nil:
			return err
		}
		m, err := mach.ParseMessage(buf)
		if err != nil || m.Local != h.bell {
			p.received(&m)
			return nil
		}
		clear(buf[:mach.HeaderSize])
		if options&mach.RcvInterrupt != 0 {
			return mach.RcvInterrupted
		}
	}
}

// received enters in the books what a message has brought.
func (p *process) received(m *mach.Message) {
	p.add(m.Remote, m.RemoteBits)
	for d := range m.Descriptors() {
		if d.Type == mach.PortRight || d.Type == mach.GuardedPort {
			p.add(d.Name, d.Disposition)
		}
	}
	p.addMemory(m)
	if n, ok := mach.ParseNotification(m); ok && n.ID == mach.NotifyDeadName {
		p.add(n.Name, mach.MoveSend) // its reference
	}
}

func (p *process) addMemory(m *mach.Message) {
	for d := range m.Descriptors() {
		if d.Type == mach.OutOfLine && d.Size > 0 && d.Address != 0 {
			p.regions[d.Address] = uint64(d.Size)
		}
	}
}

// throwAway destroys a message that was received and is not in the books.
func (p *process) throwAway(buf []byte) {
	if m, err := mach.ParseMessage(buf); err == nil {
		if n, ok := mach.ParseNotification(&m); ok && n.ID == mach.NotifyDeadName {
			_ = p.kernel.Deallocate(n.Name)
		}
	}
	_ = mach.Destroy(p.kernel, buf)
}

// rightInMessage is a port right of a header or descriptor.
type rightInMessage struct {
	name        mach.Name
	disposition mach.Disposition
}

// rightsOf returns the rights in a message without a trailer: destination, reply, and
// one for each descriptor, which is null for memory.
func rightsOf(msg []byte) ([]rightInMessage, error) {
	h, err := mach.ParseHeader(msg)
	if err != nil {
		return nil, err
	}
	rights := []rightInMessage{{h.Remote, h.RemoteBits}, {h.Local, h.LocalBits}}
	if !h.Complex {
		return rights, nil
	}
	if uint64(h.Size) > uint64(len(msg)) {
		return nil, mach.ErrMalformed
	}
	view, err := parseSent(msg[:h.Size])
	for d := range view.Descriptors() {
		r := rightInMessage{}
		if d.Type == mach.PortRight || d.Type == mach.GuardedPort {
			r = rightInMessage{d.Name, d.Disposition}
		}
		rights = append(rights, r)
	}
	return rights, err
}
