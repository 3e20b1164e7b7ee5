package machtest

import (
	"sync"

	"github.com/sealport/sealport/internal/link/mach"
)

// process is one of several that are one task of a kernel. It hands calls on, and
// keeps books of what it was given: so it can be killed, and can't use, or give up,
// what belongs to the others.
//
// Not in the books: rights in arrays, and in what is left of a message after a failed
// receive.
type process struct {
	m      *Machine
	kernel mach.Kernel

	mu        sync.Mutex // held during each call that does not block
	dead      bool
	calls     int
	inject    func(Call) mach.Errno
	held      map[mach.Name]*holding
	regions   map[uint64]uint64 // out-of-line memory: address to size
	receiving map[mach.Name]int // how many receive from it now
	idle      sync.Cond         // receiving has changed
}

// begin begins every call: p.mu is locked when it returns.
func (p *process) begin(op Op) error {
	p.mu.Lock()
	if p.dead {
		return mach.KernInvalidTask
	}
	p.calls++
	if p.inject != nil {
		if e := p.inject(Call{N: p.calls, Op: op}); e != 0 {
			return e
		}
	}
	return nil
}

// Inject implements Process.
func (p *process) Inject(f func(Call) mach.Errno) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inject = f
}

// Calls implements Process.
func (p *process) Calls() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// AllocatePort implements mach.Kernel.
func (p *process) AllocatePort() (mach.Name, error) {
	err := p.begin(OpAllocatePort)
	defer p.mu.Unlock()
	if err != nil {
		return mach.Null, err
	}
	name, err := p.kernel.AllocatePort()
	if err == nil {
		p.add(name, mach.MoveReceive)
	}
	return name, err
}

// AllocateSet implements mach.Kernel. The set has one more member, by which a receive
// is interrupted.
func (p *process) AllocateSet() (mach.Name, error) {
	err := p.begin(OpAllocateSet)
	defer p.mu.Unlock()
	if err != nil {
		return mach.Null, err
	}
	set, err := p.kernel.AllocateSet()
	if err != nil {
		return mach.Null, err
	}
	bell, err := p.kernel.AllocatePort()
	if err == nil {
		if err = p.kernel.MoveMember(bell, set); err != nil {
			_ = p.kernel.ModRefs(bell, mach.RightReceive, -1)
		}
	}
	if err != nil {
		_ = p.kernel.ModRefs(set, mach.RightPortSet, -1)
		return mach.Null, err
	}
	p.held[set] = &holding{bell: bell}
	return set, nil
}

// InsertRight implements mach.Kernel.
func (p *process) InsertRight(name, right mach.Name, d mach.Disposition) error {
	err := p.begin(OpInsertRight)
	defer p.mu.Unlock()
	switch {
	case err != nil:
		return err
	case name != right:
		return mach.KernInvalidValue
	case !p.has(right, d):
		return mach.KernInvalidRight
	}
	if err = p.kernel.InsertRight(name, right, d); err == nil {
		p.add(name, mach.MoveSend)
	}
	return err
}

// Deallocate implements mach.Kernel.
func (p *process) Deallocate(name mach.Name) error {
	err := p.begin(OpDeallocate)
	defer p.mu.Unlock()
	if err != nil {
		return err
	}
	d := mach.MoveSend
	switch h := p.held[name]; {
	case h == nil:
		return mach.KernInvalidName
	case h.sendOnce:
		d = mach.MoveSendOnce
	case h.send == 0:
		return mach.KernInvalidRight
	}
	if err = p.kernel.Deallocate(name); err == nil {
		p.remove(name, d)
	}
	return err
}

// ModRefs implements mach.Kernel. A dead name counts as a send right.
func (p *process) ModRefs(name mach.Name, right mach.Right, delta int32) error {
	err := p.begin(OpModRefs)
	defer p.mu.Unlock()
	if err != nil {
		return err
	}
	h := p.held[name]
	if h == nil {
		return mach.KernInvalidName
	}
	switch {
	case right == mach.RightReceive && h.receive && delta == -1:
		if err = p.kernel.ModRefs(name, right, delta); err == nil {
			p.remove(name, mach.MoveReceive)
		}
	case right == mach.RightPortSet && h.bell != mach.Null && delta == -1:
		if err = p.kernel.ModRefs(name, right, delta); err == nil {
			delete(p.held, name)
			err = p.kernel.ModRefs(h.bell, mach.RightReceive, -1)
		}
	case (right == mach.RightSend || right == mach.RightDeadName) && h.send > 0 && h.send+int(delta) >= 0:
		if err = p.kernel.ModRefs(name, right, delta); err == nil {
			h.send += int(delta)
			p.tidy(name)
		}
	default:
		return mach.KernInvalidRight
	}
	return err
}

// MoveMember implements mach.Kernel.
func (p *process) MoveMember(member, set mach.Name) error {
	err := p.begin(OpMoveMember)
	defer p.mu.Unlock()
	switch {
	case err != nil:
		return err
	case p.held[member] == nil, set != mach.Null && p.held[set] == nil:
		return mach.KernInvalidName
	case !p.has(member, mach.MoveReceive), set != mach.Null && p.held[set].bell == mach.Null:
		return mach.KernInvalidRight
	}
	return p.kernel.MoveMember(member, set)
}

// SetQueueLimit implements mach.Kernel.
func (p *process) SetQueueLimit(port mach.Name, limit uint32) error {
	err := p.begin(OpSetQueueLimit)
	defer p.mu.Unlock()
	if err == nil {
		err = p.ownPort(port)
	}
	if err != nil {
		return err
	}
	return p.kernel.SetQueueLimit(port, limit)
}

// Status implements mach.Kernel.
func (p *process) Status(port mach.Name) (mach.PortStatus, error) {
	err := p.begin(OpStatus)
	defer p.mu.Unlock()
	if err == nil {
		err = p.ownPort(port)
	}
	if err != nil {
		return mach.PortStatus{}, err
	}
	return p.kernel.Status(port)
}

func (p *process) ownPort(name mach.Name) error {
	switch {
	case p.held[name] == nil:
		return mach.KernInvalidName
	case !p.has(name, mach.MoveReceive):
		return mach.KernInvalidRight
	}
	return nil
}

// RequestNotification implements mach.Kernel.
func (p *process) RequestNotification(name mach.Name, id int32, sync uint32, notify mach.Name) (mach.Name, error) {
	err := p.begin(OpNotify)
	defer p.mu.Unlock()
	switch {
	case err != nil:
		return mach.Null, err
	case notify != mach.Null && !p.has(notify, mach.MoveReceive):
		return mach.Null, mach.KernInvalidCapability
	case p.held[name] == nil:
		return mach.Null, mach.KernInvalidName
	}
	previous, err := p.kernel.RequestNotification(name, id, sync, notify)
	if err != nil {
		return previous, err
	}
	p.add(previous, mach.MoveSendOnce)
	if id != mach.NotifyNoSenders {
		p.held[name].requested = notify != mach.Null
		if notify != mach.Null {
			p.held[notify].notified = true
		}
	}
	return previous, nil
}

// ReadMemory implements mach.Kernel.
func (p *process) ReadMemory(dst []byte, address uint64) error {
	err := p.begin(OpReadMemory)
	defer p.mu.Unlock()
	if err != nil {
		return err
	}
	return p.kernel.ReadMemory(dst, address)
}

// FreeMemory implements mach.Kernel for whole regions.
func (p *process) FreeMemory(address, size uint64) error {
	err := p.begin(OpFreeMemory)
	defer p.mu.Unlock()
	if err != nil {
		return err
	}
	if had, ok := p.regions[address]; size > 0 && (!ok || had != size) {
		return mach.KernInvalidArgument
	}
	if err = p.kernel.FreeMemory(address, size); err == nil {
		delete(p.regions, address)
	}
	return err
}

// CheckIn implements mach.Kernel.
func (p *process) CheckIn(service string) (mach.Name, error) {
	return p.service(OpCheckIn, service, p.kernel.CheckIn, mach.MoveReceive)
}

// LookUp implements mach.Kernel.
func (p *process) LookUp(service string) (mach.Name, error) {
	return p.service(OpLookUp, service, p.kernel.LookUp, mach.MoveSend)
}

func (p *process) service(op Op, service string, get func(string) (mach.Name, error), d mach.Disposition) (mach.Name, error) {
	err := p.begin(op)
	defer p.mu.Unlock()
	if err != nil {
		return mach.Null, err
	}
	name, err := get(service + p.m.suffix)
	if err == nil {
		p.add(name, d)
	}
	return name, err
}

// Token implements mach.Kernel.
func (p *process) Token() (mach.AuditToken, error) {
	err := p.begin(OpToken)
	defer p.mu.Unlock()
	if err != nil {
		return mach.AuditToken{}, err
	}
	return p.kernel.Token()
}
