#include "textflag.h"

// func guestAttributeAuditAddr() *uintptr
TEXT ·guestAttributeAuditAddr(SB),NOSPLIT,$0-8
	MOVQ	$libc_kSecGuestAttributeAudit(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func keyCallBacksAddr() uintptr
TEXT ·keyCallBacksAddr(SB),NOSPLIT,$0-8
	MOVQ	$libc_kCFTypeDictionaryKeyCallBacks(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func valueCallBacksAddr() uintptr
TEXT ·valueCallBacksAddr(SB),NOSPLIT,$0-8
	MOVQ	$libc_kCFTypeDictionaryValueCallBacks(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
