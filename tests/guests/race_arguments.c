// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: vCPU 1 changes the arguments of hypercalls while vCPU 0 makes them: the address and the entry of an
 * mmu_update, the frame of a pin, the frame list of set_gdt, all between something harmless and something forbidden.
 * Arguments that are read twice would pass the check as one thing and be used as the other. Nothing forbidden becomes
 * true: no table can be written to, and no GDT that is in force has a call gate.
 */
#include "guest.h"

#define ROUNDS 2000

static struct mmu_update update;
static struct mmuext_op pin;
static unsigned long frames[1];
static unsigned long *slot, harmless, evil, good_frame, bad_frame;

static void flip(void)
{
    for (unsigned int i = 0; !stop; i++) {
        WRITE_ONCE(update.val, i & 1 ? evil : harmless);
        WRITE_ONCE(update.ptr, i & 2 ? maddr_of(slot) : bad_frame << 12);
        WRITE_ONCE(pin.arg1.mfn, i & 1 ? bad_frame : good_frame);
        WRITE_ONCE(pin.cmd, i & 2 ? MMUEXT_PIN_L1_TABLE : MMUEXT_PIN_L2_TABLE);
        WRITE_ONCE(frames[0], i & 1 ? bad_frame : good_frame);
    }
}

/* LAR knows call gates; DPL 3. */
static bool gate_in_force(void)
{
    bool there;

    __asm__ __volatile__("lar %w1, %k1" : "=@ccz"(there) : "r"(5 << 3 | 3) : "memory");
    return there;
}

void guest_main(void)
{
    unsigned long *gates = new_table(5, 0x0000ec00e0080000); /* a call gate; as an L1 entry not present */
    unsigned int pinned = 0, loaded = 0;

    slot = entry_of(new_page(), 1);
    harmless = *slot;
    evil = make_pte(mfn_of(slot), PTE_ALL);
    good_frame = mfn_of(new_table(0, 0));
    bad_frame = mfn_of(gates);
    start_vcpu(1, flip);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        (void)hypercall(__HYPERVISOR_mmu_update, P(&update), 1, 0, DOMID_SELF, 0);
        CHECK((READ_ONCE(*slot) & PTE_ADDR) == (harmless & PTE_ADDR));
        pinned += hypercall(__HYPERVISOR_mmuext_op, P(&pin), 1, 0, DOMID_SELF, 0) == 0;
        (void)mmuext(MMUEXT_UNPIN_TABLE, good_frame, 0);
        (void)mmuext(MMUEXT_UNPIN_TABLE, bad_frame, 0);
        if (HYPERCALL2(__HYPERVISOR_set_gdt, frames, 512) == 0) {
            loaded++;
            CHECK(!gate_in_force());
        }
        CHECK_IS(HYPERCALL2(__HYPERVISOR_set_gdt, frames, 0), 0);
    }
    stop = true;
    wait_vcpu(1);
    frames[0] = bad_frame;
    CHECK_IS(HYPERCALL2(__HYPERVISOR_set_gdt, frames, 512), -XEN_EINVAL);
    /* A pin that was interrupted and went on with the other frame left this one half validated. */
    CHECK_IS(mmuext(MMUEXT_PIN_L2_TABLE, good_frame, 0), 0);
    CHECK_IS(mmuext(MMUEXT_UNPIN_TABLE, good_frame, 0), 0);
    frames[0] = good_frame;
    CHECK_IS(HYPERCALL2(__HYPERVISOR_set_gdt, frames, 512), 0);
    CHECK(!gate_in_force());
    say("%u pins, %u tables loaded", pinned, loaded);
}
