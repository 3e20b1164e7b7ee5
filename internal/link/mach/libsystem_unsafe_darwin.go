package mach

import (
	"syscall"
	_ "unsafe" // for linkname
)

// Calls into libSystem go the way of golang.org/x/sys/unix: the symbol is
// imported dynamically, a trampoline in libsystem_darwin.s jumps to it, and
// package syscall runs the trampoline on a system stack. The bodyless functions
// are why this package needs an assembly file, and why the compiler keeps
// alive what is converted to uintptr in their argument lists.

//go:linkname syscall_syscall6 syscall.syscall6
func syscall_syscall6(fn, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno)

//go:linkname syscall_syscall9 syscall.syscall9
func syscall_syscall9(fn, a1, a2, a3, a4, a5, a6, a7, a8, a9 uintptr) (r1, r2 uintptr, err syscall.Errno)

//go:cgo_import_dynamic _ _ "/usr/lib/libSystem.B.dylib"

//go:cgo_import_dynamic libc_mach_msg mach_msg "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_mach_port_allocate mach_port_allocate "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_mach_port_insert_right mach_port_insert_right "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_mach_port_deallocate mach_port_deallocate "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_mach_port_mod_refs mach_port_mod_refs "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_mach_port_move_member mach_port_move_member "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_mach_port_set_attributes mach_port_set_attributes "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_mach_port_get_attributes mach_port_get_attributes "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_mach_port_request_notification mach_port_request_notification "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_mach_vm_read_overwrite mach_vm_read_overwrite "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_mach_vm_deallocate mach_vm_deallocate "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_bootstrap_check_in bootstrap_check_in "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_bootstrap_look_up bootstrap_look_up "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_task_info task_info "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_csops_audittoken csops_audittoken "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_pthread_set_qos_class_self_np pthread_set_qos_class_self_np "/usr/lib/libSystem.B.dylib"

// Variables of libSystem, initialised before main.
//go:cgo_import_dynamic libc_mach_task_self_ mach_task_self_ "/usr/lib/libSystem.B.dylib"
//go:cgo_import_dynamic libc_bootstrap_port bootstrap_port "/usr/lib/libSystem.B.dylib"

// Addresses of the trampolines, in libsystem_darwin.s.
var (
	libc_mach_msg_trampoline_addr                       uintptr
	libc_mach_port_allocate_trampoline_addr             uintptr
	libc_mach_port_insert_right_trampoline_addr         uintptr
	libc_mach_port_deallocate_trampoline_addr           uintptr
	libc_mach_port_mod_refs_trampoline_addr             uintptr
	libc_mach_port_move_member_trampoline_addr          uintptr
	libc_mach_port_set_attributes_trampoline_addr       uintptr
	libc_mach_port_get_attributes_trampoline_addr       uintptr
	libc_mach_port_request_notification_trampoline_addr uintptr
	libc_mach_vm_read_overwrite_trampoline_addr         uintptr
	libc_mach_vm_deallocate_trampoline_addr             uintptr
	libc_bootstrap_check_in_trampoline_addr             uintptr
	libc_bootstrap_look_up_trampoline_addr              uintptr
	libc_task_info_trampoline_addr                      uintptr
	libc_csops_audittoken_trampoline_addr               uintptr
	libc_pthread_set_qos_class_self_np_trampoline_addr  uintptr
)

// taskSelfAddr and bootstrapPortAddr return the addresses of the variables
// (variables_darwin_*.s). They point into libSystem's data, not to Go memory.
func taskSelfAddr() *uint32
func bootstrapPortAddr() *uint32

// call runs a function that returns a kern_return_t, of up to six arguments.
//
//go:uintptrescapes
func call(fn, a1, a2, a3, a4, a5, a6 uintptr) error {
	r1, _, _ := syscall_syscall6(fn, a1, a2, a3, a4, a5, a6)
	return check(uint32(r1)) // the upper half of the register is undefined
}

// call7 is call for seven arguments.
//
//go:uintptrescapes
func call7(fn, a1, a2, a3, a4, a5, a6, a7 uintptr) error {
	r1, _, _ := syscall_syscall9(fn, a1, a2, a3, a4, a5, a6, a7, 0, 0)
	return check(uint32(r1))
}
