package mach

import (
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// task is this process's task.
type task struct {
	self      uintptr // mach_task_self()
	bootstrap uintptr // bootstrap_port
}

// Open returns this task's view of the kernel; always the same one. It does
// not block.
func Open() (Kernel, error) {
	t, err := openTask()
	if err != nil {
		return nil, err
	}
	return t, nil
}

var openTask = sync.OnceValues(func() (*task, error) {
	t := &task{self: uintptr(*taskSelfAddr()), bootstrap: uintptr(*bootstrapPortAddr())}
	if !Name(t.self).Valid() {
		return nil, fmt.Errorf("mach: libSystem has no task port: %w", KernInvalidTask)
	}
	return t, nil
})

// Flavors and counts of words (mach/port.h, mach/task_info.h).
const (
	portLimitsInfo    = 1
	portReceiveStatus = 2
	portStatusWords   = 10
	taskAuditToken    = 15
	auditTokenWords   = 8
)

func (t *task) AllocatePort() (Name, error) { return t.allocate(RightReceive) }
func (t *task) AllocateSet() (Name, error)  { return t.allocate(RightPortSet) }

func (t *task) allocate(right Right) (Name, error) {
	var name Name
	err := call(libc_mach_port_allocate_trampoline_addr, t.self, uintptr(right), uintptr(unsafe.Pointer(&name)), 0, 0, 0)
	return name, err
}

func (t *task) InsertRight(name, right Name, d Disposition) error {
	return call(libc_mach_port_insert_right_trampoline_addr, t.self, uintptr(name), uintptr(right), uintptr(d), 0, 0)
}

func (t *task) Deallocate(name Name) error {
	return call(libc_mach_port_deallocate_trampoline_addr, t.self, uintptr(name), 0, 0, 0, 0)
}

func (t *task) ModRefs(name Name, right Right, delta int32) error {
	return call(libc_mach_port_mod_refs_trampoline_addr, t.self, uintptr(name), uintptr(right), uintptr(delta), 0, 0)
}

func (t *task) MoveMember(member, set Name) error {
	return call(libc_mach_port_move_member_trampoline_addr, t.self, uintptr(member), uintptr(set), 0, 0, 0)
}

func (t *task) SetQueueLimit(port Name, limit uint32) error {
	return call(libc_mach_port_set_attributes_trampoline_addr, t.self, uintptr(port), portLimitsInfo, uintptr(unsafe.Pointer(&limit)), 1, 0)
}

func (t *task) Status(port Name) (PortStatus, error) {
	var w [portStatusWords]uint32
	count := uint32(len(w))
	err := call(libc_mach_port_get_attributes_trampoline_addr, t.self, uintptr(port), portReceiveStatus,
		uintptr(unsafe.Pointer(&w)), uintptr(unsafe.Pointer(&count)), 0)
	// struct mach_port_status: pset, seqno, mscount, qlimit, msgcount, sorights, srights, …
	return PortStatus{MakeSend: w[2], QueueLimit: w[3], Queued: w[4], SendOnce: w[5], HasSenders: w[6] != 0}, err
}

func (t *task) RequestNotification(name Name, id int32, sync uint32, notify Name) (Name, error) {
	var previous Name
	err := call7(libc_mach_port_request_notification_trampoline_addr, t.self, uintptr(name), uintptr(id), uintptr(sync),
		uintptr(notify), uintptr(MakeSendOnce), uintptr(unsafe.Pointer(&previous)))
	return previous, err
}

// Bits that mach_msg wants for the direction.
const (
	sendMsg = 0x1
	rcvMsg  = 0x2
)

func (t *task) Send(msg, ool []byte, options Options, timeout uint32) error {
	h, err := ParseHeader(msg)
	if err != nil || uint64(h.Size) > uint64(len(msg)) {
		return SendMsgTooSmall
	}
	var address uint64
	const at = HeaderSize + BodySize // of the first descriptor, an address first
	if len(ool) > 0 {
		if len(msg) < at+OOLDescriptorSize {
			return SendMsgTooSmall
		}
		// The address travels as bytes in msg, which the collector does not see.
		var pin runtime.Pinner
		pin.Pin(unsafe.SliceData(ool))
		defer pin.Unpin()
		address = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(ool))))
		le.PutUint64(msg[at:], address)
	}
	err = call7(libc_mach_msg_trampoline_addr, uintptr(unsafe.Pointer(unsafe.SliceData(msg))), uintptr(options|sendMsg),
		uintptr(h.Size), 0, 0, uintptr(timeout), 0)
	if len(ool) > 0 && le.Uint64(msg[at:]) == address {
		le.PutUint64(msg[at:], 0) // still ours: not to be freed by Undo
	}
	return err
}

func (t *task) Receive(buf []byte, from Name, options Options, timeout uint32) error {
	if len(buf) < HeaderSize+MaxTrailerSize {
		return RcvTooLarge
	}
	return call7(libc_mach_msg_trampoline_addr, uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(options|rcvMsg),
		0, uintptr(len(buf)), uintptr(from), uintptr(timeout), 0)
}

func (t *task) ReadMemory(dst []byte, address uint64) error {
	if len(dst) == 0 {
		return nil
	}
	var n uint64
	err := call(libc_mach_vm_read_overwrite_trampoline_addr, t.self, uintptr(address), uintptr(len(dst)),
		uintptr(unsafe.Pointer(unsafe.SliceData(dst))), uintptr(unsafe.Pointer(&n)), 0)
	if err == nil && n != uint64(len(dst)) {
		err = KernInvalidAddress
	}
	return err
}

func (t *task) FreeMemory(address, size uint64) error {
	return call(libc_mach_vm_deallocate_trampoline_addr, t.self, uintptr(address), uintptr(size), 0, 0, 0)
}

func (t *task) CheckIn(service string) (Name, error) {
	return t.service(libc_bootstrap_check_in_trampoline_addr, service)
}

func (t *task) LookUp(service string) (Name, error) {
	return t.service(libc_bootstrap_look_up_trampoline_addr, service)
}

func (t *task) service(fn uintptr, service string) (Name, error) {
	name, err := syscall.BytePtrFromString(service)
	if err != nil || len(service) > MaxServiceName {
		return Null, fmt.Errorf("mach: service name of %d bytes: %w", len(service), KernInvalidArgument)
	}
	var port Name
	err = call(fn, t.bootstrap, uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&port)), 0, 0, 0)
	return port, err
}

func (t *task) Token() (AuditToken, error) {
	var token AuditToken
	count := uint32(auditTokenWords)
	err := call(libc_task_info_trampoline_addr, t.self, taskAuditToken, uintptr(unsafe.Pointer(&token)),
		uintptr(unsafe.Pointer(&count)), 0, 0)
	return token, err
}

// Csops fills buf by csops_audittoken(2), operation op, about the process that
// token names; the kernel compares pid and pidversion. It does not block. Errors
// wrap the syscall.Errno.
func Csops(op uint32, token [8]uint32, buf []byte) error {
	r1, _, errno := syscall_syscall6(libc_csops_audittoken_trampoline_addr, uintptr(token[5]), uintptr(op),
		uintptr(unsafe.Pointer(unsafe.SliceData(buf))), uintptr(len(buf)), uintptr(unsafe.Pointer(&token)), 0)
	if int32(r1) == 0 {
		return nil
	}
	return fmt.Errorf("mach: csops_audittoken: %w", errno)
}

// SetThreadQoS sets the class of the calling thread, which the caller has
// locked with runtime.LockOSThread, and its priority within the class, 0 to
// -15. It does not block.
func SetThreadQoS(class QoS, relative int) error {
	r1, _, _ := syscall_syscall6(libc_pthread_set_qos_class_self_np_trampoline_addr, uintptr(class), uintptr(relative), 0, 0, 0, 0)
	if errno := syscall.Errno(uint32(r1)); errno != 0 {
		return fmt.Errorf("mach: setting the thread's class: %w", errno)
	}
	return nil
}
