// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a GDT with gates, task state segments and LDT descriptors, by set_gdt with a page that holds one, and by
 * update_descriptor in a page that is a GDT already. All system types are refused. Code and data segments come out
 * with DPL 3, whatever they said, and the page stays read-only as long as it is in use.
 */
#include "guest.h"

static uint64_t descriptor(unsigned int type_and_dpl)
{
    return 0x00af00000000ffff | (uint64_t)type_and_dpl << 40 | 0xe008ul << 16;
}

static long set_gdt(const void *page, unsigned int entries)
{
    unsigned long frames[1] = {page ? mfn_of(page) : 0};

    return HYPERCALL2(__HYPERVISOR_set_gdt, frames, entries);
}

static long update(const void *slot, uint64_t desc)
{
    return HYPERCALL2(__HYPERVISOR_update_descriptor, maddr_of(slot), desc);
}

void guest_main(void)
{
    uint64_t *gdt = new_page(), *table = new_page();

    /* Present system types, DPL 0 to 3; type 0 is the harmless upper half of a gate. */
    for (unsigned int type = 1; type < 16; type++) {
        gdt[511] = descriptor(0x80 | (type & 3) << 5 | type);
        REQUIRE(set_readonly(gdt) == 0);
        CHECK_IS(set_gdt(gdt, 512), -XEN_EINVAL);
        CHECK_IS(set_gdt(gdt, 1), -XEN_EINVAL); /* all of the page is reachable by its neighbours */
        REQUIRE(set_writable(gdt) == 0);
    }
    gdt[511] = descriptor(0x9a); /* ring 0 code */
    gdt[510] = descriptor(0x92);
    REQUIRE(set_readonly(gdt) == 0);
    CHECK_IS(set_gdt(gdt, 512), 0);
    CHECK_IS((gdt[511] >> 45) & 3, 3);
    CHECK_IS((gdt[510] >> 45) & 3, 3);
    CHECK_IS(set_writable(gdt), -XEN_EBUSY);
    CHECK_READONLY(gdt);
    CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(gdt), 0), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_CLEAR_PAGE, mfn_of(gdt), 0), -XEN_EINVAL);

    for (unsigned int type = 1; type < 16; type++)
        CHECK_IS(update(&gdt[100], descriptor(0x80 | (type & 3) << 5 | type)), -XEN_EINVAL);
    CHECK_IS(gdt[100], 0);
    CHECK_IS(update(&gdt[100], descriptor(0x9a)), 0);
    CHECK_IS((gdt[100] >> 45) & 3, 3);
    CHECK_IS(update((char *)&gdt[100] + 4, 0), -XEN_EINVAL);
    CHECK_IS(update(entry_of(gdt, 1), 0), -XEN_EINVAL);
    CHECK_IS(update(entry_of(gdt, 4), 0), -XEN_EINVAL);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_update_descriptor, 0x200000, 0), -XEN_EINVAL);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_update_descriptor, ~7ul, 0), -XEN_EINVAL);

    CHECK_IS(set_gdt(table, FIRST_RESERVED_GDT_ENTRY + 1), -XEN_EINVAL);
    CHECK_IS(set_gdt(entry_of(table, 1), 512), -XEN_EINVAL);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_set_gdt, HV_TEXT, 512), -XEN_EFAULT);
    CHECK_IS(set_gdt(NULL, 0), 0);
    CHECK_IS(set_writable(gdt), 0);
}
