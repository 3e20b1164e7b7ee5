#include "textflag.h"

// func taskSelfAddr() *uint32
TEXT ·taskSelfAddr(SB),NOSPLIT,$0-8
	MOVD	$libc_mach_task_self_(SB), R0
	MOVD	R0, ret+0(FP)
	RET

// func bootstrapPortAddr() *uint32
TEXT ·bootstrapPortAddr(SB),NOSPLIT,$0-8
	MOVD	$libc_bootstrap_port(SB), R0
	MOVD	R0, ret+0(FP)
	RET
