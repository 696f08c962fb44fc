// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: requests of a connected front end, to a disk that it may only read, with operations, numbers of segments and
 * sectors that do not exist; and with grants that were never given, are another domain's, only to be read from, or name
 * a frame that is not the guest's, or its page table. Each gets an answer, which is an error, and nothing is stored.
 */
#include "lib/disk.h"

#define OF_OTHER_DOMAIN (FIRST_REF + 1)
#define READ_ONLY       (FIRST_REF + 2)
#define FOREIGN         (FIRST_REF + 3)
#define WILD            (FIRST_REF + 4)
#define INDIRECT        (FIRST_REF + 5)
#define TABLES          (FIRST_REF + 6)
#define NEVER_GIVEN     (REFS - 1)

static struct disk d;

#define REFUSED(change)                                        \
    do {                                                       \
        struct blkif_request r = disk_read_request(FIRST_REF); \
        change;                                                \
        CHECK(disk_do(&d, &r) < 0);                            \
    } while (0)

static void wild_numbers(void)
{
    static const uint8_t operations[] = {BLKIF_OP_RESERVED_1, 7, 0x80, 0xff};

    for (unsigned int i = 0; i < ARRAY_SIZE(operations); i++)
        REFUSED(r.operation = operations[i]);
    REFUSED(r.nr_segments = 0);
    REFUSED(r.nr_segments = BLKIF_MAX_SEGMENTS_PER_REQUEST + 1);
    REFUSED(r.nr_segments = 0xff);
    REFUSED(r.seg[0].last_sect = PAGE_SECTORS);
    REFUSED(r.seg[0].last_sect = 0xff);
    REFUSED(r.seg[0].first_sect = 5; r.seg[0].last_sect = 4);
    REFUSED(r.sector_number = d.sectors);
    REFUSED(r.sector_number = d.sectors - PAGE_SECTORS + 1);
    REFUSED(r.sector_number = ~0ul);
    REFUSED(r.sector_number = 1ul << 55);
    REFUSED(r.operation = BLKIF_OP_WRITE);
    REFUSED(r.operation = BLKIF_OP_WRITE_BARRIER);
    REFUSED(r.operation = BLKIF_OP_DISCARD; r.sector_number = ~0ul);
    REFUSED(r.operation = BLKIF_OP_DISCARD; r.nr_segments = 0xff; r.seg[0].gref = ~0u; r.seg[1].gref = ~0u);
}

static void wild_grants(void)
{
    REFUSED(r.seg[0].gref = NEVER_GIVEN);
    REFUSED(r.seg[0].gref = REFS);
    REFUSED(r.seg[0].gref = ~0u);
    for (grant_ref_t ref = OF_OTHER_DOMAIN; ref <= WILD; ref++)
        REFUSED(r.seg[0].gref = ref);
    for (grant_ref_t ref = TABLES; ref < TABLES + 4; ref++)
        REFUSED(r.seg[0].gref = ref);
    REFUSED(r.nr_segments = 2; r.seg[1].gref = NEVER_GIVEN); /* the first is good */
}

/* The same with its segments in a page that is garbage, or is not there. */
static void indirect(uint8_t operation, uint16_t segments, grant_ref_t ref)
{
    struct blkif_request_indirect ask = {.operation = BLKIF_OP_INDIRECT, .indirect_op = operation};
    struct blkif_request r = {0};

    ask.nr_segments = segments;
    for (unsigned int i = 0; i < ARRAY_SIZE(ask.indirect_grefs); i++)
        ask.indirect_grefs[i] = ref;
    __builtin_memcpy(&r, &ask, sizeof(ask));
    CHECK(disk_do(&d, &r) < 0);
}

void guest_main(void)
{
    uint64_t *page = new_page(), *untouched = new_page(), *segments = new_page();
    struct blkif_request good = disk_read_request(FIRST_REF);

    lend(FIRST_REF, mfn_of(page), 0);
    lend(OF_OTHER_DOMAIN, mfn_of(untouched), 0);
    grant_entries()[OF_OTHER_DOMAIN].domid = own_domid();
    lend(READ_ONLY, mfn_of(untouched), GTF_readonly);
    lend(FOREIGN, 0x200, 0);
    lend(WILD, ~0u, 0);
    lend(INDIRECT, mfn_of(segments), 0);
    __builtin_memset(segments, 0xa5, PAGE_SIZE);
    for (unsigned int level = 1; level <= 4; level++)
        lend(TABLES + level - 1, mfn_of(entry_of(page, level)), 0);
    disk_open(&d);
    REQUIRE(disk_connect(&d, false));
    CHECK_IS(disk_do(&d, &good), BLKIF_RSP_OKAY);
    wild_numbers();
    wild_grants();
    for (unsigned int n = 0; n <= 0xffff; n = 2 * n + 1)
        indirect(BLKIF_OP_READ, (uint16_t)n, n % 3 ? INDIRECT : NEVER_GIVEN);
    indirect(BLKIF_OP_WRITE, 8, INDIRECT);
    indirect(BLKIF_OP_INDIRECT, 8, INDIRECT);
    CHECK(untouched[0] == 0 && untouched[511] == 0);
    CHECK_IS(disk_do(&d, &good), BLKIF_RSP_OKAY);
    CHECK_IS(*(char *)page, 'u');
}
