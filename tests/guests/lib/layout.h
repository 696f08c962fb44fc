/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that C and assembler share. */
#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

#define VIRT_BASE   0xffffffff80000000 /* guest.lds has it too */
#define STACK_BYTES 0x2000             /* and the alignment of a stack */
#define MAX_VCPUS   4

/* Entries that are no traps. */
#define VEC_FAILSAFE  32
#define VEC_EVENT     33
#define VEC_SYSCALL   34
#define VEC_SYSCALL32 35

#endif
