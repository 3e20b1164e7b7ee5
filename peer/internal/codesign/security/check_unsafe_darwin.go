package security

import (
	"context"
	"errors"
	"fmt"
	"unsafe"
)

// errNoMemory is a CoreFoundation object that could not be made.
var errNoMemory = errors.New("security: CoreFoundation made no object")

const encodingUTF8 = 0x08000100 // kCFStringEncodingUTF8

// CheckRequirement returns nil if the process with this audit token is validly
// signed and meets the requirement (SecCodeCheckValidity), which is written in
// Apple's requirement language. It blocks while the system reads the program's
// signature; ctx is looked at before. Errors: codesign.ErrUnsatisfied,
// codesign.ErrNoProcess, ctx.Err(), or a Status. It may be called concurrently.
func CheckRequirement(ctx context.Context, token [8]uint32, requirement string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	code, err := guest(token)
	if err != nil {
		return fmt.Errorf("finding the process: %w", err)
	}
	defer release(code)
	rule, err := compile(requirement)
	if err != nil {
		return fmt.Errorf("reading the requirement: %w", err)
	}
	defer release(rule)
	if err := check(call(libc_SecCodeCheckValidity_trampoline_addr, code, 0, rule, 0, 0, 0)); err != nil {
		return fmt.Errorf("checking the requirement: %w", err)
	}
	return nil
}

// guest returns the code object of the process that token names. References
// that the frameworks return are owned by the caller.
func guest(token [8]uint32) (uintptr, error) {
	data := call(libc_CFDataCreate_trampoline_addr, 0, uintptr(unsafe.Pointer(&token)), unsafe.Sizeof(token), 0, 0, 0)
	if data == 0 {
		return 0, errNoMemory
	}
	defer release(data)
	key := *guestAttributeAuditAddr()
	attributes := call(libc_CFDictionaryCreate_trampoline_addr, 0, uintptr(unsafe.Pointer(&key)), uintptr(unsafe.Pointer(&data)), 1,
		keyCallBacksAddr(), valueCallBacksAddr())
	if attributes == 0 {
		return 0, errNoMemory
	}
	defer release(attributes)
	var code uintptr
	err := check(call(libc_SecCodeCopyGuestWithAttributes_trampoline_addr, 0, attributes, 0, uintptr(unsafe.Pointer(&code)), 0, 0))
	return code, err
}

// compile returns the requirement as an object.
func compile(requirement string) (uintptr, error) {
	text := call(libc_CFStringCreateWithBytes_trampoline_addr, 0, uintptr(unsafe.Pointer(unsafe.StringData(requirement))),
		uintptr(len(requirement)), encodingUTF8, 0, 0)
	if text == 0 {
		return 0, errNoMemory // or it is not UTF-8
	}
	defer release(text)
	var rule uintptr
	err := check(call(libc_SecRequirementCreateWithString_trampoline_addr, text, 0, uintptr(unsafe.Pointer(&rule)), 0, 0, 0))
	return rule, err
}

func release(ref uintptr) { call(libc_CFRelease_trampoline_addr, ref, 0, 0, 0, 0, 0) }
