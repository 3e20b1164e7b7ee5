package machtest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sealport/sealport/internal/link/mach"
)

// holding is what a process holds under one name.
type holding struct {
	receive  bool
	send     int // user references of a send right, or of the dead name it has become
	sendOnce bool
	bell     mach.Name // a port set: the member by which a receive is interrupted

	requested bool // a dead-name or send-possible request was made
	notified  bool // notifications about other names were asked to come here
}

// has reports whether the process holds what a message with the disposition needs.
func (p *process) has(name mach.Name, d mach.Disposition) bool {
	h := p.held[name]
	if h == nil {
		return false
	}
	switch d {
	case mach.MoveReceive, mach.MakeSend, mach.MakeSendOnce:
		return h.receive
	case mach.CopySend, mach.MoveSend:
		return h.send > 0
	case mach.MoveSendOnce:
		return h.sendOnce
	}
	return false
}

// add enters a right that a message brings with the disposition; no right is none.
func (p *process) add(name mach.Name, d mach.Disposition) {
	if !name.Valid() {
		return
	}
	h := p.held[name]
	if h == nil {
		h = &holding{}
		p.held[name] = h
	}
	switch d {
	case mach.MoveReceive:
		h.receive = true
	case mach.MoveSend:
		h.send++
	case mach.MoveSendOnce:
		h.sendOnce = true
	}
	p.tidy(name)
}

// remove takes out what a message with the disposition takes along: copies and new
// rights take nothing.
func (p *process) remove(name mach.Name, d mach.Disposition) {
	h := p.held[name]
	if h == nil {
		return
	}
	switch d {
	case mach.MoveReceive:
		h.receive = false
	case mach.MoveSend:
		h.send--
	case mach.MoveSendOnce:
		h.sendOnce = false
	}
	p.tidy(name)
}

// tidy forgets a name that stands for nothing any more.
func (p *process) tidy(name mach.Name) {
	if h := p.held[name]; !h.receive && h.send == 0 && !h.sendOnce && h.bell == mach.Null {
		delete(p.held, name)
	}
}

// Usage implements Process.
func (p *process) Usage() Usage {
	p.mu.Lock()
	defer p.mu.Unlock()
	u := Usage{Names: len(p.held), Regions: len(p.regions)}
	for _, h := range p.held {
		u.References += h.send
		if h.sendOnce {
			u.References++
		}
		if h.receive {
			u.Receive++
		}
	}
	return u
}

// Describe implements Process.
func (p *process) Describe() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var s strings.Builder
	for name, h := range p.held {
		fmt.Fprintf(&s, "%#x: receive %v send or dead %d once %v set %v\n", uint32(name), h.receive, h.send, h.sendOnce, h.bell != mach.Null)
	}
	return s.String()
}

// idBell is the id of messages that make a receive return.
const idBell int32 = 0x6265_6c6c

// ring makes a receive from a port set return, and one from a port of a process that
// is dead. No queue limit stops it.
func (p *process) ring(from mach.Name) {
	to := from
	if h := p.held[from]; h != nil && h.bell != mach.Null {
		to = h.bell
	}
	var buf [mach.HeaderSize]byte
	h := mach.Header{Remote: to, RemoteBits: mach.MakeSendOnce, ID: idBell}
	_ = p.kernel.Send(mach.Compose(buf[:0], h, nil), nil, mach.SendTimeout, 0)
}

// Interrupt implements Process.
func (p *process) Interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for from, n := range p.receiving {
		if p.held[from] == nil || p.held[from].bell == mach.Null {
			continue
		}
		for range n {
			p.ring(from)
		}
	}
}

// Kill implements Process. Names are given up when no receive can meet one that has
// been given to another process since.
func (p *process) Kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return
	}
	p.dead = true
	for from, n := range p.receiving {
		for range n {
			p.ring(from)
		}
	}
	for len(p.receiving) > 0 {
		p.idle.Wait()
	}
	p.giveUp()
}

// giveUp gives up all that a dead process holds.
func (p *process) giveUp() {
	// A dead-name notification that is not received, or comes later, leaves its
	// reference in the task of all.
	for name, h := range p.held {
		if h.requested {
			if previous, err := p.kernel.RequestNotification(name, mach.NotifySendPossible, 0, mach.Null); err == nil && previous.Valid() {
				_ = p.kernel.Deallocate(previous)
			}
		}
	}
	for name, h := range p.held {
		if h.notified && h.receive {
			p.drain(name)
		}
	}
	for name, h := range p.held {
		if h.bell != mach.Null {
			_ = p.kernel.ModRefs(name, mach.RightPortSet, -1)
			_ = p.kernel.ModRefs(h.bell, mach.RightReceive, -1)
		}
		if h.receive {
			_ = p.kernel.ModRefs(name, mach.RightReceive, -1)
		}
		for range h.send {
			_ = p.kernel.Deallocate(name)
		}
		if h.sendOnce {
			_ = p.kernel.Deallocate(name)
		}
	}
	for address, size := range p.regions {
		_ = p.kernel.FreeMemory(address, size)
	}
	clear(p.held)
	clear(p.regions)
}

// drainMost is more messages than a queue holds: its limit, and some that are not
// subject to it.
const drainMost = 2 * mach.QueueLimitMax

// drain receives what waits on a port.
func (p *process) drain(port mach.Name) {
	buf := make([]byte, 64<<10)
	_ = p.kernel.MoveMember(port, mach.Null)
	for range drainMost {
		switch err := p.kernel.Receive(buf, port, mach.RcvAuditTrailer|mach.RcvTimeout, 0); {
		case err == nil:
			p.throwAway(buf)
		case !errors.Is(err, mach.RcvTooLarge):
			return
		}
	}
}
