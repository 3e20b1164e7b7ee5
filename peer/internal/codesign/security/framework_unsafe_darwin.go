package security

import (
	"syscall"
	_ "unsafe" // for linkname
)

//go:linkname syscall_syscall6 syscall.syscall6
func syscall_syscall6(fn, a1, a2, a3, a4, a5, a6 uintptr) (r1, r2 uintptr, err syscall.Errno)

//go:cgo_import_dynamic libc_CFDataCreate CFDataCreate "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation"
//go:cgo_import_dynamic libc_CFDictionaryCreate CFDictionaryCreate "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation"
//go:cgo_import_dynamic libc_CFStringCreateWithBytes CFStringCreateWithBytes "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation"
//go:cgo_import_dynamic libc_CFRelease CFRelease "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation"
//go:cgo_import_dynamic libc_SecCodeCopyGuestWithAttributes SecCodeCopyGuestWithAttributes "/System/Library/Frameworks/Security.framework/Versions/A/Security"
//go:cgo_import_dynamic libc_SecRequirementCreateWithString SecRequirementCreateWithString "/System/Library/Frameworks/Security.framework/Versions/A/Security"
//go:cgo_import_dynamic libc_SecCodeCheckValidity SecCodeCheckValidity "/System/Library/Frameworks/Security.framework/Versions/A/Security"

// Variables of the frameworks.
//go:cgo_import_dynamic libc_kSecGuestAttributeAudit kSecGuestAttributeAudit "/System/Library/Frameworks/Security.framework/Versions/A/Security"
//go:cgo_import_dynamic libc_kCFTypeDictionaryKeyCallBacks kCFTypeDictionaryKeyCallBacks "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation"
//go:cgo_import_dynamic libc_kCFTypeDictionaryValueCallBacks kCFTypeDictionaryValueCallBacks "/System/Library/Frameworks/CoreFoundation.framework/Versions/A/CoreFoundation"

// Addresses of the trampolines, in framework_darwin.s.
var (
	libc_CFDataCreate_trampoline_addr                   uintptr
	libc_CFDictionaryCreate_trampoline_addr             uintptr
	libc_CFStringCreateWithBytes_trampoline_addr        uintptr
	libc_CFRelease_trampoline_addr                      uintptr
	libc_SecCodeCopyGuestWithAttributes_trampoline_addr uintptr
	libc_SecRequirementCreateWithString_trampoline_addr uintptr
	libc_SecCodeCheckValidity_trampoline_addr           uintptr
)

// Addresses of the variables (variables_darwin_*.s), in the frameworks' data.
func guestAttributeAuditAddr() *uintptr
func keyCallBacksAddr() uintptr
func valueCallBacksAddr() uintptr

//go:uintptrescapes
func call(fn, a1, a2, a3, a4, a5, a6 uintptr) uintptr {
	r1, _, _ := syscall_syscall6(fn, a1, a2, a3, a4, a5, a6)
	return r1
}
