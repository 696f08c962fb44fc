// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: two vCPUs pin and unpin the same page as different kinds of table, map it writably and take it out again, as
 * fast as they can. Every call gives success, EINVAL or EBUSY, and at the end, with nothing mapped or pinned, the page
 * is an ordinary page: it can be written to, made each kind of table, and given away.
 */
#include "guest.h"

#define ROUNDS 3000

static unsigned long mfn;
static void *window[2];

static void work(unsigned int me, unsigned int rounds)
{
    unsigned long seed = 12345 + me;

    for (unsigned int i = 0; i < rounds; i++) {
        long rc = 0;

        seed = seed * 6364136223846793005ul + 1442695040888963407ul;
        switch (seed >> 61) {
        case 0 ... 3:
            rc = mmuext((unsigned int)(MMUEXT_PIN_L1_TABLE + (seed >> 61)), mfn, 0);
            break;
        case 4:
            rc = map_at(window[me], make_pte(mfn, PTE_ALL), UVMF_NONE);
            break;
        case 5:
            rc = map_at(window[me], 0, UVMF_NONE);
            break;
        default:
            rc = mmuext(MMUEXT_UNPIN_TABLE, mfn, 0);
        }
        if (rc && rc != -XEN_EINVAL && rc != -XEN_EBUSY)
            CHECK_IS(rc, 0);
    }
    (void)map_at(window[me], 0, UVMF_NONE);
}

static void second(void)
{
    work(1, ROUNDS);
}

static long give_away(void)
{
    struct xen_memory_reservation r = {.nr_extents = 1, .domid = DOMID_SELF};

    set_xen_guest_handle(r.extent_start, &mfn);
    return HYPERCALL2(__HYPERVISOR_memory_op, XENMEM_decrease_reservation, &r);
}

void guest_main(void)
{
    mfn = spare_mfn(0);
    window[0] = new_page();
    window[1] = new_page();
    start_vcpu(1, second);
    work(0, ROUNDS);
    wait_vcpu(1);
    while (mmuext(MMUEXT_UNPIN_TABLE, mfn, 0) == 0)
        ;
    for (unsigned int level = 0; level < 4; level++) {
        CHECK_IS(map_at(window[0], make_pte(mfn, PTE_ALL), UVMF_INVLPG), 0);
        CHECK_IS(try_write(window[0], 0), -1);
        CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE + level, mfn, 0), -XEN_EINVAL);
        CHECK_IS(map_at(window[0], 0, UVMF_INVLPG), 0);
        CHECK_IS(mmuext(MMUEXT_CLEAR_PAGE, mfn, 0), 0);
        CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE + level, mfn, 0), 0);
        CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE + level, mfn, 0), -XEN_EINVAL);
        CHECK_IS(mmuext(MMUEXT_CLEAR_PAGE, mfn, 0), -XEN_EINVAL);
        CHECK_IS(mmuext(MMUEXT_UNPIN_TABLE, mfn, 0), 0);
    }
    CHECK_IS(give_away(), 1);
    CHECK_IS(give_away(), 0);
    CHECK(map_at(window[0], make_pte(mfn, PTE_ALL), UVMF_NONE) < 0);
}
