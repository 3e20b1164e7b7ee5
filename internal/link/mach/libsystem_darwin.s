#include "textflag.h"

// One trampoline for each function of libSystem, and its address as a variable.

TEXT libc_mach_msg_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_mach_msg(SB)
GLOBL	·libc_mach_msg_trampoline_addr(SB), RODATA, $8
DATA	·libc_mach_msg_trampoline_addr(SB)/8, $libc_mach_msg_trampoline<>(SB)

TEXT libc_mach_port_allocate_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_mach_port_allocate(SB)
GLOBL	·libc_mach_port_allocate_trampoline_addr(SB), RODATA, $8
DATA	·libc_mach_port_allocate_trampoline_addr(SB)/8, $libc_mach_port_allocate_trampoline<>(SB)

TEXT libc_mach_port_insert_right_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_mach_port_insert_right(SB)
GLOBL	·libc_mach_port_insert_right_trampoline_addr(SB), RODATA, $8
DATA	·libc_mach_port_insert_right_trampoline_addr(SB)/8, $libc_mach_port_insert_right_trampoline<>(SB)

TEXT libc_mach_port_deallocate_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_mach_port_deallocate(SB)
GLOBL	·libc_mach_port_deallocate_trampoline_addr(SB), RODATA, $8
DATA	·libc_mach_port_deallocate_trampoline_addr(SB)/8, $libc_mach_port_deallocate_trampoline<>(SB)

TEXT libc_mach_port_mod_refs_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_mach_port_mod_refs(SB)
GLOBL	·libc_mach_port_mod_refs_trampoline_addr(SB), RODATA, $8
DATA	·libc_mach_port_mod_refs_trampoline_addr(SB)/8, $libc_mach_port_mod_refs_trampoline<>(SB)

TEXT libc_mach_port_move_member_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_mach_port_move_member(SB)
GLOBL	·libc_mach_port_move_member_trampoline_addr(SB), RODATA, $8
DATA	·libc_mach_port_move_member_trampoline_addr(SB)/8, $libc_mach_port_move_member_trampoline<>(SB)

TEXT libc_mach_port_set_attributes_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_mach_port_set_attributes(SB)
GLOBL	·libc_mach_port_set_attributes_trampoline_addr(SB), RODATA, $8
DATA	·libc_mach_port_set_attributes_trampoline_addr(SB)/8, $libc_mach_port_set_attributes_trampoline<>(SB)

TEXT libc_mach_port_get_attributes_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_mach_port_get_attributes(SB)
GLOBL	·libc_mach_port_get_attributes_trampoline_addr(SB), RODATA, $8
DATA	·libc_mach_port_get_attributes_trampoline_addr(SB)/8, $libc_mach_port_get_attributes_trampoline<>(SB)

TEXT libc_mach_port_request_notification_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_mach_port_request_notification(SB)
GLOBL	·libc_mach_port_request_notification_trampoline_addr(SB), RODATA, $8
DATA	·libc_mach_port_request_notification_trampoline_addr(SB)/8, $libc_mach_port_request_notification_trampoline<>(SB)

TEXT libc_mach_vm_read_overwrite_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_mach_vm_read_overwrite(SB)
GLOBL	·libc_mach_vm_read_overwrite_trampoline_addr(SB), RODATA, $8
DATA	·libc_mach_vm_read_overwrite_trampoline_addr(SB)/8, $libc_mach_vm_read_overwrite_trampoline<>(SB)

TEXT libc_mach_vm_deallocate_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_mach_vm_deallocate(SB)
GLOBL	·libc_mach_vm_deallocate_trampoline_addr(SB), RODATA, $8
DATA	·libc_mach_vm_deallocate_trampoline_addr(SB)/8, $libc_mach_vm_deallocate_trampoline<>(SB)

TEXT libc_bootstrap_check_in_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_bootstrap_check_in(SB)
GLOBL	·libc_bootstrap_check_in_trampoline_addr(SB), RODATA, $8
DATA	·libc_bootstrap_check_in_trampoline_addr(SB)/8, $libc_bootstrap_check_in_trampoline<>(SB)

TEXT libc_bootstrap_look_up_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_bootstrap_look_up(SB)
GLOBL	·libc_bootstrap_look_up_trampoline_addr(SB), RODATA, $8
DATA	·libc_bootstrap_look_up_trampoline_addr(SB)/8, $libc_bootstrap_look_up_trampoline<>(SB)

TEXT libc_task_info_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_task_info(SB)
GLOBL	·libc_task_info_trampoline_addr(SB), RODATA, $8
DATA	·libc_task_info_trampoline_addr(SB)/8, $libc_task_info_trampoline<>(SB)

TEXT libc_csops_audittoken_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_csops_audittoken(SB)
GLOBL	·libc_csops_audittoken_trampoline_addr(SB), RODATA, $8
DATA	·libc_csops_audittoken_trampoline_addr(SB)/8, $libc_csops_audittoken_trampoline<>(SB)

TEXT libc_pthread_set_qos_class_self_np_trampoline<>(SB),NOSPLIT,$0-0
	JMP	libc_pthread_set_qos_class_self_np(SB)
GLOBL	·libc_pthread_set_qos_class_self_np_trampoline_addr(SB), RODATA, $8
DATA	·libc_pthread_set_qos_class_self_np_trampoline_addr(SB)/8, $libc_pthread_set_qos_class_self_np_trampoline<>(SB)
