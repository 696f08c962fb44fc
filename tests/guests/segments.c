// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: trap tables, callbacks and segment bases with addresses that are not canonical are refused. Selectors of the
 * hypervisor as user GS give nothing: GS becomes null. In a trap's entry no selector matters: each handler runs in the
 * flat code segment. A segment base in the hypervisor's range makes faults like any other address there.
 */
#include "guest.h"

static long set_base(unsigned int which, unsigned long value)
{
    return HYPERCALL2(__HYPERVISOR_set_segment_base, which, value);
}

static long callback(unsigned int type, unsigned long address)
{
    struct callback_register c = {.type = (uint16_t)type, .address = address};

    return HYPERCALL2(__HYPERVISOR_callback_op, CALLBACKOP_register, &c);
}

static unsigned int gs(void)
{
    unsigned int selector;

    __asm__ __volatile__("mov %%gs, %0" : "=r"(selector));
    return selector;
}

void guest_main(void)
{
    /* Code, data and task state of the hypervisor, whatever privilege is asked for; beyond the tables; no table. */
    static const uint16_t others[] = {0xe008, 0xe00b, 0xe010, 0xe013, 0xe040, 0xe043, 0xfff8, 0x8, 0xc, 0xffff, 0};
    struct trap_info traps[2] = {{.vector = TRAP_UD, .cs = FLAT_KERNEL_CS, .address = NONCANONICAL}};
    static const uint8_t read_gs[] = {0x65, 0x48, 0x8b, 0x04, 0x25, 0, 0, 0, 0}; /* mov %gs:0, %rax */
    static const uint8_t undefined[] = {0x0f, 0x0b};

    CHECK_IS(HYPERCALL2(__HYPERVISOR_set_trap_table, traps, 0), -XEN_EINVAL);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_set_trap_table, HV_TEXT, 0), -XEN_EFAULT);
    for (unsigned int i = 0; i < 3; i++) {
        /* Xen passes over the one that cannot be and takes the others. */
        CHECK_IS(hypercall(__HYPERVISOR_set_callbacks, i == 0 ? NONCANONICAL : P(event_entry),
                           i == 1 ? NONCANONICAL : P(failsafe_entry), i == 2 ? NONCANONICAL : P(syscall_entry), 0, 0),
                 on_umbra() ? -XEN_EINVAL : 0);
        CHECK_IS(set_base(i, NONCANONICAL), -XEN_EINVAL);
        CHECK_IS(set_base(i, 1ul << 63), -XEN_EINVAL);
    }
    for (unsigned int type = 0; type < 8; type++)
        CHECK(callback(type, NONCANONICAL) < 0);
    CHECK(set_base(4, 0) < 0);

    CHECK_IS(set_base(SEGBASE_GS_KERNEL, HV_TEXT), 0);
    CHECK_IS(run_code(read_gs, sizeof(read_gs)), TRAP_PF);
    CHECK_IS(set_base(SEGBASE_GS_KERNEL, P(traps)), 0);
    CHECK_IS(run_code(read_gs, sizeof(read_gs)), -1);
    for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
        CHECK_IS(set_base(SEGBASE_GS_USER_SEL, FLAT_USER_DS), 0);
        CHECK_IS(gs(), FLAT_USER_DS);
        CHECK_IS(set_base(SEGBASE_GS_USER_SEL, others[i]), 0);
        CHECK_IS(gs() & ~3, 0);
    }

    CHECK_IS(run_code(undefined, 2), TRAP_UD);
    for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
        traps[0] = (struct trap_info){.vector = TRAP_UD, .cs = others[i], .address = P(trap_stubs) + TRAP_UD * 16};
        set_traps(traps);
        CHECK_IS(run_code(undefined, 2), TRAP_UD);
    }
}
