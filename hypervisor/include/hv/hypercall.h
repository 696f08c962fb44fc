/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercalls: the table (hypercall/table.def) yields prototypes, the dispatch array and the documentation check. Every
 * handler has the same shape: it gets its arguments in hc->arg[0..5] and returns the guest's result. A handler that
 * wants to be restarted stores its progress in hc->arg (or in the domain) and returns hypercall_restart(hc): the guest
 * re-executes the call with these arguments.
 *
 * Arguments that point to guest memory are copied once, through guest_copy.h, into hypervisor variables.
 */
#ifndef HV_HYPERCALL_H
#define HV_HYPERCALL_H

#include <hv/domain.h>

struct hcall {
    unsigned int op;
    unsigned long arg[6];
    bool restart;
};

typedef long hypercall_fn(struct hcall *hc);

/* Who may call. */
#define HC_ALL      1 /* every domain */
#define HC_PV       2 /* PV domains: others get -ENOSYS */
#define HC_CONTROL  3 /* control domain; others get -EPERM */
#define HC_ENVELOPE 4 /* control domain; others get -EPERM when the call has read and accepted its envelope */

#define HYPERCALL(nr, name, nargs, who) hypercall_fn do_##name;
#include "../../hypercall/table.def"
#undef HYPERCALL

/* What xen_version and hypfs_op tell of the hypervisor itself. */
#define HV_MAJOR     4u
#define HV_MINOR     17u
#define HV_EXTRA     ".umbra-" UMBRA_VERSION
#define HV_CHANGESET "umbra-" UMBRA_VERSION
#ifdef __clang__
#define HV_COMPILER "clang " __clang_version__
#else
#define HV_COMPILER "gcc " __VERSION__
#endif

static inline long hypercall_restart(struct hcall *hc)
{
    hc->restart = true;
    return -ERESTART;
}

/* From entry.S: number in regs->rax, arguments in rdi rsi rdx r10 r8 r9; result to rax. Interrupts are on. */
void pv_hypercall(struct cpu_user_regs *regs);
/* Writes the hypercall page for PV guests at p (4096 bytes). */
void hypercall_page_init(void *p);

#endif
