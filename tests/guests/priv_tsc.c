// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: RDTSC and RDTSCP work in the guest's kernel whether it has set CR4.TSD or not, where the bit lets the processor
 * refuse them in ring 3; in user mode they fault while it is set, and only then. RDTSCP gives what the kernel has
 * written to TSC_AUX, which no other vCPU or domain changes; 64 bits are refused there.
 */
#include "guest.h"

#define MSR_TSC_AUX 0xc0000103u
#define CR4_TSD     4ul

struct count {
    uint64_t tsc;
    uint32_t aux;
};
static bool has_rdtscp;
static const uint8_t rdtsc[] = {0x0f, 0x31}, rdtscp[] = {0x0f, 0x01, 0xf9};

static void count(void *arg)
{
    struct count *c = arg;
    uint32_t low, high;

    __asm__ __volatile__("rdtsc" : "=a"(low), "=d"(high));
    c->tsc = (uint64_t)high << 32 | low;
}

static void count_and_aux(void *arg)
{
    struct count *c = arg;
    uint32_t low, high;

    __asm__ __volatile__("rdtscp" : "=a"(low), "=d"(high), "=c"(c->aux));
    c->tsc = (uint64_t)high << 32 | low;
}

static void write_aux(void *arg)
{
    uint64_t value = *(uint64_t *)arg;

    __asm__ __volatile__("wrmsr" ::"a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"(MSR_TSC_AUX));
}

static void set_tsd(bool on)
{
    uint64_t cr4;

    __asm__ __volatile__("mov %%cr4, %0" : "=r"(cr4));
    __asm__ __volatile__("mov %0, %%cr4" ::"r"(on ? cr4 | CR4_TSD : cr4 & ~CR4_TSD));
}

/* Twice, with time for others in between. */
static void check_kernel(uint32_t aux)
{
    struct count before = {0}, c;

    for (unsigned int i = 0; i < 2; i++) {
        CHECK(!faults(count, &c, NULL));
        CHECK(c.tsc > before.tsc);
        before = c;
        CHECK_IS(!faults(count_and_aux, &c, NULL), has_rdtscp);
        CHECK(!has_rdtscp || (c.tsc > before.tsc && c.aux == aux));
        before = c;
        CHECK_IS(HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0), 0);
    }
}

static void check_user(int vector)
{
    CHECK_IS(run_user_code(rdtsc, sizeof(rdtsc)), vector);
    CHECK_IS(run_user_code(rdtscp, sizeof(rdtscp)), has_rdtscp ? vector : TRAP_UD);
}

void guest_main(void)
{
    uint64_t aux = 0x8badf00d, wide = 1ul << 32;

    has_rdtscp = run_code(rdtscp, sizeof(rdtscp)) != TRAP_UD;
    CHECK_IS(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)start_info->pt_base), 0), 0);
    check_kernel(0);
    CHECK_IS(!faults(write_aux, &aux, NULL), has_rdtscp);
    CHECK(faults(write_aux, &wide, NULL));
    check_kernel((uint32_t)aux);
    check_user(VEC_SYSCALL);
    set_tsd(true);
    check_kernel((uint32_t)aux);
    check_user(TRAP_GP);
    set_tsd(false);
    check_user(VEC_SYSCALL);
}
