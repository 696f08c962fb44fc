/* SPDX-License-Identifier: BSD-2-Clause */
/* Numbers that C and assembler share. */
#ifndef HVM_LAYOUT_H
#define HVM_LAYOUT_H

#define MAX_CPUS    2
#define STACK_BYTES 32768 /* of a CPU, and its alignment; the lower half is for traps from user mode */

#define SEL_CODE64 0x08
#define SEL_CODE32 0x10
#define SEL_DATA   0x18
#define SEL_USER32 0x23
#define SEL_UDATA  0x2b
#define SEL_USER64 0x33
#define SEL_TSS    0x38
#define SEL_CODE16 0x48

#define VEC_END 0x80 /* the software interrupt by which code that is tried ends */

#define CR0_PE      (1 << 0)
#define CR0_ET      (1 << 4)
#define CR0_WP      (1 << 16)
#define CR0_PG      0x80000000
#define CR4_PSE     (1 << 4)
#define CR4_PAE     (1 << 5)
#define CR4_PGE     (1 << 7)
#define CR4_OSFXSR  (1 << 9)
#define CR4_OSXSAVE (1 << 18)
#define CR4_SMEP    (1 << 20)
#define CR4_SMAP    (1 << 21)
#define MSR_EFER    0xc0000080
#define EFER_LME    (1 << 8)
#define EFER_NXE    (1 << 11)
#define EFLAGS_AC   (1 << 18)

#define SMP_CODE 0x8000 /* where a second CPU starts in real mode */

#endif
