// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: grant copies, which go past all page tables: to the guest's own page tables and descriptor pages, beyond the
 * end of a frame, to and from frames of others by number, through references that do not exist or are not granted that
 * way. Each is refused in its status and moves nothing.
 */
#include "guest.h"

static char *from, *to;

static int copy(struct gnttab_copy op)
{
    REQUIRE(grant_op(GNTTABOP_copy, &op, 1) == 0);
    return op.status;
}

static struct gnttab_copy request(void)
{
    struct gnttab_copy op = {.len = 16};

    op.source.domid = op.dest.domid = DOMID_SELF;
    op.source.u.gmfn = mfn_of(from);
    op.dest.u.gmfn = mfn_of(to);
    return op;
}

#define STATUS(change, wanted)             \
    do {                                   \
        struct gnttab_copy op = request(); \
        change;                            \
        CHECK_IS(copy(op), (wanted));      \
    } while (0)

#define REFUSED(change)                    \
    do {                                   \
        struct gnttab_copy op = request(); \
        change;                            \
        CHECK(copy(op) < 0);               \
        CHECK_IS(to[0], 0);                \
    } while (0)

void guest_main(void)
{
    grant_entry_v1_t *entries = grant_entries();
    domid_t self = own_domid();

    from = new_page();
    to = new_page();
    __builtin_memset(from, 7, PAGE_SIZE);
    for (unsigned int level = 1; level <= 4; level++) {
        const unsigned long *table = entry_of(from, level);
        unsigned long before = table[300 % 512];

        REFUSED(op.dest.u.gmfn = mfn_of(table));
        CHECK_IS(table[300 % 512], before);
    }
    REFUSED(op.dest.offset = 4081);
    REFUSED(op.source.offset = 4081);
    REFUSED(op.dest.offset = 0xffff);
    REFUSED(op.source.offset = 0xfff8);
    REFUSED(op.len = 0xffff);
    REFUSED(op.dest.u.gmfn = 0x200);
    REFUSED(op.source.u.gmfn = 0x200);
    REFUSED(op.source.u.gmfn = ~0ul);
    REFUSED(op.source.u.gmfn = mfn_of(from) | 1ul << 32);
    REFUSED(op.source.domid = 0);
    REFUSED(op.dest.domid = 0);
    REFUSED(op.source.domid = DOMID_XEN);
    REFUSED(op.flags = GNTCOPY_source_gref; op.source.u.ref = 5);
    REFUSED(op.flags = GNTCOPY_source_gref; op.source.u.ref = ~0u);
    REFUSED(op.flags = GNTCOPY_dest_gref; op.dest.u.ref = 1u << 20);
    REFUSED(op.flags = GNTCOPY_dest_gref; op.dest.u.ref = 6; op.dest.domid = 0);
    entries[6] = (grant_entry_v1_t){GTF_permit_access | GTF_readonly, self, (uint32_t)mfn_of(to)};
    REFUSED(op.flags = GNTCOPY_dest_gref; op.dest.u.ref = 6; op.dest.domid = self);
    entries[6].frame = 0x200;
    REFUSED(op.flags = GNTCOPY_source_gref; op.source.u.ref = 6; op.source.domid = self);
    CHECK(!(entries[6].flags & (GTF_reading | GTF_writing)));
    STATUS((void)0, GNTST_okay);
    CHECK_IS(to[15], 7);
    CHECK_IS(to[16], 0);
}
