#include "textflag.h"

// func guestAttributeAuditAddr() *uintptr
TEXT ·guestAttributeAuditAddr(SB),NOSPLIT,$0-8
	MOVD	$libc_kSecGuestAttributeAudit(SB), R0
	MOVD	R0, ret+0(FP)
	RET

// func keyCallBacksAddr() uintptr
TEXT ·keyCallBacksAddr(SB),NOSPLIT,$0-8
	MOVD	$libc_kCFTypeDictionaryKeyCallBacks(SB), R0
	MOVD	R0, ret+0(FP)
	RET

// func valueCallBacksAddr() uintptr
TEXT ·valueCallBacksAddr(SB),NOSPLIT,$0-8
	MOVD	$libc_kCFTypeDictionaryValueCallBacks(SB), R0
	MOVD	R0, ret+0(FP)
	RET
