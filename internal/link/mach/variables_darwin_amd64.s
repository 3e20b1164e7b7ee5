#include "textflag.h"

// func taskSelfAddr() *uint32
TEXT ·taskSelfAddr(SB),NOSPLIT,$0-8
	MOVQ	$libc_mach_task_self_(SB), AX
	MOVQ	AX, ret+0(FP)
	RET

// func bootstrapPortAddr() *uint32
TEXT ·bootstrapPortAddr(SB),NOSPLIT,$0-8
	MOVQ	$libc_bootstrap_port(SB), AX
	MOVQ	AX, ret+0(FP)
	RET
