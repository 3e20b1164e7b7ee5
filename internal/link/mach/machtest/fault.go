package machtest

import "github.com/sealport/sealport/internal/link/mach"

// Op names a kernel call.
type Op string

const (
	OpAllocatePort  Op = "AllocatePort"
	OpAllocateSet   Op = "AllocateSet"
	OpInsertRight   Op = "InsertRight"
	OpDeallocate    Op = "Deallocate"
	OpModRefs       Op = "ModRefs"
	OpMoveMember    Op = "MoveMember"
	OpSetQueueLimit Op = "SetQueueLimit"
	OpStatus        Op = "Status"
	OpNotify        Op = "RequestNotification"
	OpSend          Op = "Send"
	OpReceive       Op = "Receive"
	OpReadMemory    Op = "ReadMemory"
	OpFreeMemory    Op = "FreeMemory"
	OpCheckIn       Op = "CheckIn"
	OpLookUp        Op = "LookUp"
	OpToken         Op = "Token"
)

// Call is one kernel call of a task.
type Call struct {
	N  int // counted from 1 over all calls of the task
	Op Op
}

// Inject makes f decide on each call of the task from now on: an Errno other
// than 0 fails the call. f runs with the kernel locked and must not call it.
//
// A failed call has no effect, except that Send with SendTimedOut or
// SendInterrupted fails late, handing rights and memory back as the kernel does,
// and Receive with RcvHeaderError waits for a message and loses it, if it carries
// rights.
func (t *Task) Inject(f func(Call) mach.Errno) {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	t.inject = f
}

// Calls is the number of kernel calls that the task has made.
func (t *Task) Calls() int {
	t.k.mu.Lock()
	defer t.k.mu.Unlock()
	return t.calls
}

// enter begins every call: the kernel is locked when it returns.
func (t *Task) enter(op Op) mach.Errno {
	t.k.mu.Lock()
	if t.dead {
		return mach.KernInvalidTask
	}
	t.calls++
	if t.inject != nil {
		return t.inject(Call{N: t.calls, Op: op})
	}
	return 0
}

// begin is enter for calls that simply fail; the caller unlocks in any case.
func (t *Task) begin(op Op) error {
	if e := t.enter(op); e != 0 {
		return e
	}
	return nil
}
