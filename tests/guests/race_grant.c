// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: two vCPUs map one grant and take each mapping back both at the same time, by the same handle. Each mapping is
 * taken back once, by one of them; at the end the grant is not in use and the page is as free as before.
 */
#include "guest.h"

#define ROUNDS 600

static void *window[2];
static volatile grant_handle_t handle;
static volatile unsigned int turn, given[2];
static domid_t self;

static void take_back(unsigned int me)
{
    struct gnttab_unmap_grant_ref op = {.host_addr = P(window[0]), .handle = handle};

    REQUIRE(grant_op(GNTTABOP_unmap_grant_ref, &op, 1) == 0);
    given[me] += op.status == GNTST_okay;
}

static void second(void)
{
    for (unsigned int seen = 0; !stop;) {
        if (turn == seen)
            continue;
        seen = turn;
        take_back(1);
        __atomic_store_n(&turn, seen + 1, __ATOMIC_SEQ_CST);
        seen++;
    }
}

void guest_main(void)
{
    grant_entry_v1_t *entries = grant_entries();
    void *page = new_page();
    unsigned long saved;

    self = own_domid();
    window[0] = new_page();
    saved = *entry_of(window[0], 1);
    entries[9] = (grant_entry_v1_t){GTF_permit_access, self, (uint32_t)mfn_of(page)};
    start_vcpu(1, second);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        struct gnttab_map_grant_ref op = {.host_addr = P(window[0]), .ref = 9, .dom = self, .flags = GNTMAP_host_map};
        unsigned int mine = turn + 1;

        REQUIRE(map_grant(&op, &op) == GNTST_okay);
        handle = op.handle;
        __atomic_store_n(&turn, mine, __ATOMIC_SEQ_CST);
        take_back(0);
        while (turn == mine)
            ;
    }
    stop = true;
    wait_vcpu(1);
    CHECK_IS(given[0] + given[1], ROUNDS);
    CHECK(!(entries[9].flags & (GTF_reading | GTF_writing)));
    CHECK_IS(mmu_store(entry_of(window[0], 1), saved), 0);
    CHECK_IS(set_readonly(page), 0);
    CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(page), 0), 0);
    say("%u by the first, %u by the second", given[0], given[1]);
}
