#include "textflag.h"

// One trampoline for each function of the frameworks, and its address as a variable.

TEXT libc_CFDataCreate_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_CFDataCreate(SB)
GLOBL	·libc_CFDataCreate_trampoline_addr(SB), RODATA, $8
DATA	·libc_CFDataCreate_trampoline_addr(SB)/8, $libc_CFDataCreate_trampoline<>(SB)

TEXT libc_CFDictionaryCreate_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_CFDictionaryCreate(SB)
GLOBL	·libc_CFDictionaryCreate_trampoline_addr(SB), RODATA, $8
DATA	·libc_CFDictionaryCreate_trampoline_addr(SB)/8, $libc_CFDictionaryCreate_trampoline<>(SB)

TEXT libc_CFStringCreateWithBytes_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_CFStringCreateWithBytes(SB)
GLOBL	·libc_CFStringCreateWithBytes_trampoline_addr(SB), RODATA, $8
DATA	·libc_CFStringCreateWithBytes_trampoline_addr(SB)/8, $libc_CFStringCreateWithBytes_trampoline<>(SB)

TEXT libc_CFRelease_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_CFRelease(SB)
GLOBL	·libc_CFRelease_trampoline_addr(SB), RODATA, $8
DATA	·libc_CFRelease_trampoline_addr(SB)/8, $libc_CFRelease_trampoline<>(SB)

TEXT libc_SecCodeCopyGuestWithAttributes_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_SecCodeCopyGuestWithAttributes(SB)
GLOBL	·libc_SecCodeCopyGuestWithAttributes_trampoline_addr(SB), RODATA, $8
DATA	·libc_SecCodeCopyGuestWithAttributes_trampoline_addr(SB)/8, $libc_SecCodeCopyGuestWithAttributes_trampoline<>(SB)

TEXT libc_SecRequirementCreateWithString_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_SecRequirementCreateWithString(SB)
GLOBL	·libc_SecRequirementCreateWithString_trampoline_addr(SB), RODATA, $8
DATA	·libc_SecRequirementCreateWithString_trampoline_addr(SB)/8, $libc_SecRequirementCreateWithString_trampoline<>(SB)

TEXT libc_SecCodeCheckValidity_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_SecCodeCheckValidity(SB)
GLOBL	·libc_SecCodeCheckValidity_trampoline_addr(SB), RODATA, $8
DATA	·libc_SecCodeCheckValidity_trampoline_addr(SB)/8, $libc_SecCodeCheckValidity_trampoline<>(SB)
