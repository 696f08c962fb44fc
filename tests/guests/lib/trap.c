// SPDX-License-Identifier: BSD-2-Clause
/*
 * Entries from the hypervisor. On a vCPU that is inside faults(), any but an event ends the function that runs there
 * and is reported: traps, failsafe callbacks, system calls; not an NMI where on_entry takes it. Others go to on_entry;
 * one that nobody expects ends the guest with a failure.
 */
#include "internal.h"

char stacks[MAX_VCPUS][STACK_BYTES] __attribute__((aligned(STACK_BYTES)));
void (*on_entry)(struct regs *r);

#define STUB_BYTES 16
#define NR_TRAPS   20

static void acknowledge_event(void)
{
    struct vcpu_info *info = &shared_info->vcpu_info[this_cpu()->id];

    info->evtchn_upcall_pending = 0;
    info->evtchn_pending_sel = 0;
}

void unmask_events(void)
{
    WRITE_ONCE(shared_info->vcpu_info[this_cpu()->id].evtchn_upcall_mask, 0);
}

void trap(struct regs *r)
{
    struct cpu *c = this_cpu();

    if (r->vector == VEC_EVENT)
        acknowledge_event();
    else if (c->catching && !(r->vector == TRAP_NMI && on_entry)) {
        c->catching = false;
        c->fault = (struct fault){r->vector, r->error, r->rip, shared_info->vcpu_info[c->id].arch.cr2};
        catch_resume(&c->caught);
    }
    if (on_entry) {
        on_entry(r);
    } else if (r->vector != VEC_EVENT) {
        say("trap %lu, error code %lx, rip %lx, cr2 %lx", r->vector, r->error, r->rip,
            shared_info ? shared_info->vcpu_info[c->id].arch.cr2 : 0);
        fail_now(__FILE__, __LINE__, "a trap that was not expected");
    }
}

bool faults(void (*fn)(void *), void *arg, struct fault *f)
{
    struct cpu *c = this_cpu();
    bool faulted;

    c->catching = true;
    faulted = call_caught(&c->caught, fn, arg);
    c->catching = false;
    if (faulted && f)
        *f = c->fault;
    return faulted;
}

static int vector_of(void (*fn)(void *), void *arg)
{
    struct fault f;

    return faults(fn, arg, &f) ? (int)f.vector : -1;
}

static void call_code(void *code)
{
    ((void (*)(void))code)();
}

/* The callee may destroy the registers that a C function may. */
/* Pages apart: under QEMU a vCPU that translates code may hide from another that its own, in the same page, changes. */
typedef uint8_t code_page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

int run_code(const void *bytes, size_t n)
{
    static code_page buffer[MAX_VCPUS];
    uint8_t *code = buffer[this_cpu()->id];

    __builtin_memcpy(code, bytes, n);
    code[n] = 0xc3;
    return vector_of(call_code, code);
}

void iret_hypercall(const struct iret_context *c)
{
    __asm__ __volatile__("mov %0, %%rsp\n\tmov %1, %%eax\n\tsyscall" ::"r"(c), "i"(__HYPERVISOR_iret) : "memory");
    __builtin_unreachable();
}

/* The kernel stack begins below c, whose owner is not returned to except by a catch. */
static void go_to_user(void *code)
{
    static char stack[MAX_VCPUS][1024] __attribute__((aligned(16)));
    struct iret_context c = {
        .rip = P(code),
        .cs = FLAT_USER_CS64,
        .rflags = 0x202,
        .rsp = P(stack[this_cpu()->id]) + sizeof(stack[0]),
        .ss = FLAT_USER_SS64,
    };

    HYPERCALL2(__HYPERVISOR_stack_switch, FLAT_KERNEL_SS, P(&c) & ~15ul);
    iret_hypercall(&c);
}

int run_user_code(const void *bytes, size_t n)
{
    static code_page buffer[MAX_VCPUS];
    uint8_t *code = buffer[this_cpu()->id];

    __builtin_memcpy(code, bytes, n);
    code[n] = 0x0f; /* syscall */
    code[n + 1] = 0x05;
    return vector_of(go_to_user, code);
}

static void read_byte(void *p)
{
    (void)*(volatile uint8_t *)p;
}

int try_read(const void *p)
{
    return vector_of(read_byte, (void *)p);
}

struct store {
    volatile uint64_t *to;
    uint64_t value;
};

static void do_store(void *arg)
{
    struct store *s = arg;

    *s->to = s->value;
}

int try_write(void *p, uint64_t value)
{
    struct store s = {p, value};

    return vector_of(do_store, &s);
}

void set_traps(const struct trap_info *t)
{
    REQUIRE(HYPERCALL2(__HYPERVISOR_set_trap_table, t, 0) == 0);
}

void init_traps(void)
{
    static struct trap_info table[NR_TRAPS + 1];

    for (unsigned int i = 0; i < NR_TRAPS; i++)
        table[i] =
            (struct trap_info){.vector = (uint8_t)i, .cs = FLAT_KERNEL_CS, .address = P(trap_stubs) + i * STUB_BYTES};
    set_traps(table);
    REQUIRE(HYPERCALL3(__HYPERVISOR_set_callbacks, event_entry, failsafe_entry, syscall_entry) == 0);
}
