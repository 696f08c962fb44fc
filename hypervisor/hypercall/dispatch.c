/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * From the entry frame to a handler and back: look up in the table, check who calls, run, and store the result - or,
 * for a call that is to be restarted, store its progress in the argument registers and let the guest execute its
 * syscall instruction again.
 *
 * Does not copy guest memory; handlers do, once, through guest_copy.h.
 */
#include "dispatch.h"

#include <hv/event.h>
#include <hv/hvm.h>
#include <hv/stretch.h>

#define NR_HYPERCALLS 64

struct entry {
    hypercall_fn *fn;
    uint8_t who;
};

#define HYPERCALL(nr, name, nargs, caller) [nr] = {do_##name, caller},
static const struct entry table[NR_HYPERCALLS] = {
#include "table.def"
};
#undef HYPERCALL

/* Does the first argument say which sub-operation? Those of domctl and the like name it when they have copied it. */
static bool names_sub_operation(unsigned int op)
{
    return op == __HYPERVISOR_memory_op || op == __HYPERVISOR_sched_op || op == __HYPERVISOR_event_channel_op ||
           op == __HYPERVISOR_grant_table_op || op == __HYPERVISOR_vcpu_op || op == __HYPERVISOR_physdev_op ||
           op == __HYPERVISOR_console_io;
}

long hypercall_run(struct hcall *hc)
{
    const struct entry *e;

    if (hc->op >= NR_HYPERCALLS)
        return -ENOSYS;
    e = &table[array_index_nospec(hc->op, NR_HYPERCALLS)];
    if (!e->fn || (e->who == HC_PV && paging_mode_translate(current->domain)))
        return -ENOSYS;
    if (e->who == HC_CONTROL && !current->domain->is_control)
        return -EPERM;
    stretch_name(hc->op, names_sub_operation(hc->op) ? hc->arg[0] & 63 : 0);
    return e->fn(hc);
}

static long run(struct hcall *hc, long (*fn)(struct hcall *))
{
    long ret;

    stretch_begin(MIN(hc->op, NR_HYPERCALLS - 1u), 0);
    ret = fn(hc);
    stretch_end();
    return ret;
}

/* The call that the registers say, and what they say after it; false: it is to be made again. */
static bool call(struct cpu_user_regs *regs)
{
    struct hcall hc = {
        .op = (unsigned int)regs->rax,
        .arg = {regs->rdi, regs->rsi, regs->rdx, regs->r10, regs->r8, regs->r9},
    };
    long ret = run(&hc, hypercall_run);

    if (!hc.restart) {
        regs->rax = (unsigned long)ret;
        return true;
    }
    regs->rdi = hc.arg[0];
    regs->rsi = hc.arg[1];
    regs->rdx = hc.arg[2];
    regs->r10 = hc.arg[3];
    regs->r8 = hc.arg[4];
    regs->r9 = hc.arg[5];
    return false;
}

void pv_hypercall(struct cpu_user_regs *regs)
{
    if (!call(regs))
        regs->rip -= 2; /* the syscall instruction is two bytes long; rax still holds the number */
}

void hvm_hypercall(struct cpu_user_regs *regs)
{
    if (call(regs))
        regs->rip += 3; /* VMMCALL is three bytes long, and is where it was */
}

/* By the registers of 32-bit code, of which nothing has more bits. */
void hvm_hypercall_32(struct cpu_user_regs *regs)
{
    struct hcall hc = {
        .op = (uint32_t)regs->rax,
        .arg = {(uint32_t)regs->rbx, (uint32_t)regs->rcx, (uint32_t)regs->rdx, (uint32_t)regs->rsi, (uint32_t)regs->rdi,
                (uint32_t)regs->rbp},
    };
    long ret = run(&hc, hypercall_run_32);

    if (!hc.restart) {
        regs->rax = (uint32_t)ret;
        regs->rip += 3;
        return;
    }
    regs->rbx = (uint32_t)hc.arg[0];
    regs->rcx = (uint32_t)hc.arg[1];
    regs->rdx = (uint32_t)hc.arg[2];
    regs->rsi = (uint32_t)hc.arg[3];
}

/*
 * Stub n of the page makes hypercall n: save what syscall destroys, load the number, trap. That of iret is jumped to,
 * does not come back, and leaves rax too on the stack, as the head of struct iret_context.
 * Source: the calling convention described in <xen/arch-x86/xen-x86_64.h>.
 */
static void write_stub(uint8_t *p, unsigned int nr)
{
    static const uint8_t enter[] = {0x51, 0x41, 0x53};                   /* push rcx; push r11 */
    static const uint8_t leave[] = {0x0f, 0x05, 0x41, 0x5b, 0x59, 0xc3}; /* syscall; pop r11; pop rcx; ret */
    bool iret = nr == __HYPERVISOR_iret;

    memcpy(p, enter, sizeof(enter));
    p += sizeof(enter);
    if (iret)
        *p++ = 0x50; /* push rax */
    *p++ = 0xb8;     /* mov eax, nr */
    memcpy(p, &nr, sizeof(nr));
    memcpy(p + sizeof(nr), leave, iret ? 2 : sizeof(leave));
}

void hypercall_page_init(void *page)
{
    memset(page, 0xcc, PAGE_SIZE);
    for (unsigned int nr = 0; nr < PAGE_SIZE / 32; nr++)
        write_stub((uint8_t *)page + nr * 32, nr);
}
