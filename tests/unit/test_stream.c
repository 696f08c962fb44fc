// SPDX-License-Identifier: BSD-2-Clause
/*
 * Saving and restoring: guests made at random come back as they were, by both ways in which a guest keeps its list of
 * frames; and streams that are cut, damaged, reordered or that lie are refused with the place named, and leave nothing
 * behind. The machine is saved_guest.c. UMBRA_SEED chooses the first seed.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "libctl/save.h"
#include "stream_pieces.h"

#define ROUNDS 40

static void test_round_trips(void **state)
{
    uint64_t seed = first_seed("test_stream");

    for (unsigned i = 0; i < ROUNDS; i++) {
        machine_seed(seed + i);
        machine_make(600 + machine_random() % 1800, i & 1, 1 + i % MAX_VCPUS);
        assert_int_equal(save(), 0);
        is_a_copy(seed + i);
    }
}

/* A guest of one list frame: few records. */
static void small_guest(void)
{
    machine_seed(7);
    machine_make(300, true, 2);
    domains[SOURCE].vcpu[1].online = true;
    domains[SOURCE].vcpu[0].nr_msrs = 2;
    take_apart();
}

static void test_truncated(void **state)
{
    small_guest();
    all_cuts();
}

static void test_lengths(void **state)
{
    uint32_t page_data, n = 0x7ffffff0;
    size_t size;

    small_guest();
    page_data = find(REC_PAGE_DATA);
    size = with(~0u, 0, "", -1);
    memcpy(built + HEADERS + 4, &n, 4);
    refused_with(built, size, "more than any record has");
    for (unsigned i = 0; i < pieces; i++) {
        if (piece[i].length && piece[i].type != REC_PV_VCPU_EXTENDED && piece[i].type != REC_PV_VCPU_XSAVE) {
            assert_true(restore(built, with(i, piece[i].type, piece[i].body, piece[i].length - 8)) < 0);
        }
        if (piece[i].type != REC_PV_VCPU_XSAVE && piece[i].type != REC_PV_VCPU_MSRS) {
            assert_true(restore(built, with(i, piece[i].type, piece[i].body, (long)piece[i].length + 4)) < 0);
        }
    }
    n = 0;
    memcpy(piece[page_data].body, &n, 4);
    refused_with(image, image_size, "0 pages where");
    n = 1025;
    memcpy(piece[page_data].body, &n, 4);
    refused_with(image, image_size, "record PAGE_DATA at offset");
}

/* What waits for the end of the stream is little, whatever it says. */
static void test_bounds(void **state)
{
    static const uint32_t parts[] = {REC_PV_VCPU_BASIC, REC_PV_VCPU_EXTENDED, REC_PV_VCPU_XSAVE, REC_PV_VCPU_MSRS};
    static uint8_t body[1 << 20];
    uint32_t last = 0x3fffff, vcpu = 3;

    small_guest();
    memcpy(body + 4, &last, 4);
    refused_with(built, with(find(REC_PV_P2M_FRAMES), REC_PV_P2M_FRAMES, body, 8 + (last + 1) / 512 * 8),
                 "guest frames up to 0x3fffff, of a guest that has");
    memcpy(body, &vcpu, 4);
    memset(body + 4, 0, 4);
    for (unsigned i = 0; i < CTL_ARRAY(parts); i++) {
        refused_with(built, before(find(REC_PV_VCPU_BASIC), parts[i], body, sizeof(body)),
                     "bytes of vCPU 3 are more than it can have");
    }
}

static void test_unknown_records(void **state)
{
    static const uint32_t never[] = {REC_HVM_CONTEXT, REC_HVM_PARAMS, REC_TOOLSTACK,
                                     REC_VERIFY,      REC_CHECKPOINT, REC_CHECKPOINT_DIRTY};

    small_guest();
    for (unsigned i = 0; i <= pieces - 1; i++) {
        assert_int_equal(restore(built, before(i, REC_OPTIONAL | 0x123, "whatever", 8)), 0);
        refused_with(built, before(i, 0x13, "", 0), "mandatory and not known");
        for (unsigned k = 0; k < CTL_ARRAY(never); k++) {
            refused_with(built, before(i, never[k], "12345678", 8), "does not belong");
        }
    }
}

static void test_order(void **state)
{
    unsigned list, end, pages, static_end;

    small_guest();
    list = find(REC_PV_P2M_FRAMES);
    end = pieces - 1;
    pages = find(REC_PAGE_DATA);
    static_end = find(REC_STATIC_DATA_END);
    refused_with(built, before(list, REC_PAGE_DATA, piece[pages].body, piece[pages].length),
                 "before X86_PV_P2M_FRAMES");
    refused_with(built, before(static_end, REC_PV_P2M_FRAMES, piece[list].body, piece[list].length),
                 "before STATIC_DATA_END");
    refused_with(built, before(end, REC_PV_INFO, piece[0].body, piece[0].length), "after STATIC_DATA_END");
    refused_with(built, before(end, REC_PV_P2M_FRAMES, piece[list].body, piece[list].length), "a second one");
    refused_with(built, before(static_end, REC_END, "", 0), "before X86_PV_P2M_FRAMES");
    refused_with(built, with(find(REC_PV_INFO), 0, "", -1), "before X86_PV_INFO");
    refused_with(built, with(find(REC_SHARED_INFO), 0, "", -1), "SHARED_INFO is missing");
    refused_with(built, with(find(REC_PV_VCPU_BASIC), 0, "", -1), "vCPU 0 is missing");
    for (unsigned i = 0; i < pieces; i++) {
        if (piece[i].type == REC_SHARED_INFO ||
            (piece[i].type >= REC_PV_VCPU_BASIC && piece[i].type <= REC_PV_VCPU_XSAVE)) {
            refused_with(built, before(end, piece[i].type, piece[i].body, piece[i].length), "it comes twice");
        }
    }
}

static void lie_about_page(uint64_t word, const char *text)
{
    unsigned pages = find(REC_PAGE_DATA);
    uint64_t kept;

    memcpy(&kept, piece[pages].body + 8, 8);
    memcpy(piece[pages].body + 8, &word, 8);
    refused_with(image, image_size, text);
    memcpy(piece[pages].body + 8, &kept, 8);
}

static void test_lies(void **state)
{
    uint64_t list, far = 1ull << 40, vcpu = 4;
    unsigned p2m, basic;

    small_guest();
    p2m = find(REC_PV_P2M_FRAMES);
    basic = find(REC_PV_VCPU_BASIC);
    lie_about_page(300, "beyond the last");
    lie_about_page(PAGE_PFN_MASK, "beyond the last");
    for (uint64_t type = 5; type <= 8; type++) {
        lie_about_page(type << PAGE_TYPE_SHIFT | 1, "is not known");
    }
    lie_about_page((uint64_t)PAGE_INVALID << PAGE_TYPE_SHIFT | 1, "bytes where");
    memcpy(&list, piece[p2m].body + 8, 8);
    memcpy(piece[p2m].body + 8, &far, 8);
    refused_with(image, image_size, "beyond the last");
    memcpy(piece[p2m].body + 8, &list, 8);
    memcpy(piece[basic].body, &vcpu, 4);
    refused_with(image, image_size, "of a guest that has 4");
    vcpu = 0;
    memcpy(piece[basic].body, &vcpu, 4);
    image[HEADERS - 16] = STREAM_TYPE_HVM;
    refused_with(image, image_size, "by its configuration a PV guest");
    image[HEADERS - 16] = STREAM_TYPE_PV;
    image[15] = 1;
    refused_with(image, image_size, "libxl's format");
    image[15] = 0;
    image[11]++;
    refused_with(image, image_size, "libxc's version 3 in libxl's 3 are not read here, only 3 in 2");
    image[11]--;
    image[24 + 15] = 2;
    refused_with(image, image_size, "libxc's version 2 in libxl's 2 are not read here");
    image[24 + 15] = 3;
    image[HEADERS - 8]++; /* major */
    refused_with(image, image_size, "ABI 5.17, another than 4.17 here");
    image[HEADERS - 8]--;
    image[HEADERS - 4]++; /* minor */
    assert_int_equal(restore(image, image_size), 0);
    image[HEADERS - 4]--;
    image[image_size - 8] = 3;
    refused_with(image, image_size, "EMULATOR_CONTEXT");
    image[image_size - 8] = 0;
    assert_int_equal(restore(image, image_size), 0);
}

/* What start_info says, in the stream. */
static void console_in(uint64_t pfn)
{
    struct start_info *si = NULL;

    for (unsigned i = 0; i < pieces && !si; i++) {
        const struct page_header *h = (void *)piece[i].body;
        const uint64_t *word = (void *)(piece[i].body + sizeof(*h));
        uint8_t *data = piece[i].body + sizeof(*h);

        if (piece[i].type != REC_PAGE_DATA) {
            continue;
        }
        data += h->count * sizeof(*word);
        for (unsigned p = 0; p < h->count; p++) {
            unsigned type = (unsigned)(word[p] >> PAGE_TYPE_SHIFT);

            if ((word[p] & PAGE_PFN_MASK) == places.start_info) {
                si = (void *)data;
            }
            data += page_has_data(type) ? 4096 : 0;
        }
    }
    assert_non_null(si);
    si->console.domU.mfn = pfn;
}

/* A list of frames, start_info, a ring or a GDT in memory that is a page table, or none, is no way to write to page
 * tables. */
static void test_wrong_places(void **state)
{
    unsigned p2m, basic;
    uint64_t list, table = 0, none = 0;
    struct vcpu_guest_context *c;

    small_guest();
    p2m = find(REC_PV_P2M_FRAMES);
    basic = find(REC_PV_VCPU_BASIC);
    while (page_level(domains[SOURCE].type[table]) != 4) {
        table++;
    }
    while (domains[SOURCE].frame[none]) {
        none++;
    }
    memcpy(&list, piece[p2m].body + 8, 8);
    memcpy(piece[p2m].body + 8, &table, 8);
    refused_with(image, image_size, "is no plain memory");
    memcpy(piece[p2m].body + 8, &none, 8);
    refused_with(image, image_size, "is no plain memory");
    memcpy(piece[p2m].body + 8, &list, 8);
    c = (void *)(piece[basic].body + 8);
    c->user_regs.rdx = table;
    refused_with(image, image_size, "is no plain memory");
    c->user_regs.rdx = none;
    refused_with(image, image_size, "has no memory");
    c->user_regs.rdx = places.start_info;
    console_in(table);
    refused_with(image, image_size, "the console's ring, in guest frame");
    console_in(none);
    refused_with(image, image_size, "the console's ring is in guest frame");
    console_in(places.console);
    c->gdt_ents = 512;
    c->gdt_frames[0] = none;
    refused_with(image, image_size, "a page of the GDT");
    c->gdt_ents = 0xffffffff;
    refused_with(image, image_size, "a GDT of");
    c->gdt_ents = 0;
    c->ctrlreg[3] = xen_pfn_to_cr3(1ull << 36);
    refused_with(image, image_size, "a top-level page table");
}

/* Memory that runs out, and calls that fail one after the other. */
static void test_refusals(void **state)
{
    small_guest();
    for (limit = 1; limit < 260; limit += 37) {
        refused_with(image, image_size, "no memory for guest frame");
    }
    limit = MAX_PFNS;
    all_failures();
}

static void test_damaged(void **state)
{
    small_guest();
    damage();
}

/* --- what a guest can do to its saver --- */

static void test_hostile_guest(void **state)
{
    struct shared_info *shared;
    struct arch_shared_info kept;
    uint64_t *table, pfn = 0;

    small_guest();
    shared = (void *)machine[domains[SOURCE].shared_frame];
    kept = shared->arch;
    shared->arch.max_pfn = 0;
    save_refused("impossible length");
    shared->arch.max_pfn = 1ull << 60;
    save_refused("impossible length");
    shared->arch.max_pfn = 300 + 512;
    save_refused("do not map the list");
    shared->arch.max_pfn = 1u << 21; /* as of one that was made for 4 GiB, and has been given little */
    save_refused("impossible length");
    saved_most_kib = 4 << 20;
    save_refused("do not map the list");
    saved_most_kib = 0;
    shared->arch = kept;
    shared->arch.p2m_vaddr += 8;
    save_refused("not at the beginning of a page");
    shared->arch = kept;
    shared->arch.p2m_cr3 = xen_pfn_to_cr3(1ull << 30);
    save_refused("not its own");
    shared->arch.p2m_cr3 = 0;
    shared->arch.pfn_to_mfn_frame_list_list = 3;
    save_refused("not its own");
    shared->arch = kept;
    while (domains[SOURCE].type[pfn] == PAGE_NORMAL) {
        pfn++;
    }
    table = (void *)machine[domains[SOURCE].frame[pfn]];
    table[7] = 3ull << 12 | PTE_PRESENT;
    save_refused("is not for its own memory");
    domains[SOURCE].suspended = false;
    save_refused("it is not suspended");
}

/* --- long lists --- */

static enum { RANDOM, ZERO, NO_RANDOM } randomness;

/* In the place of the C library's. */
ssize_t getrandom(void *to, size_t size, unsigned flags)
{
    memset(to, 0, size);
    return randomness == RANDOM ? syscall(SYS_getrandom, to, size, flags) : randomness == ZERO ? (ssize_t)size : -1;
}

static uint64_t *table_page(unsigned level)
{
    return (void *)machine[domains[SOURCE].frame[machine_table(level, 0)]];
}

/* The list of the small guest is so long, of these frames in turn; what it had in mind before is forgotten. */
static void list_is(uint64_t pfns, const uint64_t *frames, unsigned n)
{
    struct shared_info *shared = (void *)machine[domains[SOURCE].shared_frame];

    for (unsigned i = 0; i < PTE_COUNT; i++) {
        table_page(1)[i] = frames[i % n] << 12 | PTE_PRESENT;
        table_page(2)[i] = domains[SOURCE].frame[machine_table(1, 0)] << 12 | PTE_PRESENT;
    }
    shared->arch.max_pfn = pfns;
}

static int open_list(struct ctl_save *v)
{
    int rc;

    err = (struct ctl_error){0};
    *v = (struct ctl_save){.err = &err};
    assert_int_equal(ctl_domain_info(NULL, SOURCE, &v->info, &err), 0);
    rc = ctl_save_open(v);
    assert_int_equal(rc, err.code);
    return rc;
}

static void open_refused(const char *text)
{
    struct ctl_save v;

    assert_true(open_list(&v) < 0);
    if (!strstr(err.message, text)) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, text);
    }
    assert_string_equal(err.object, "domain");
    assert_int_equal(v.back.steps, 0);
    ctl_save_close(&v);
}

/* As many as the guest can have, and as it can map of others; not one more. The first of equal ones counts. */
static void test_many_entries(void **state)
{
    uint64_t frame, most = 300 + (1 << 18), *list;
    struct ctl_save v;

    small_guest();
    frame = machine_take(SOURCE);
    list = (void *)machine[frame];
    for (unsigned i = 0; i < 512; i++) {
        list[i] = i ? 1000 + i * 77 : NO_FRAME;
    }
    list_is(most + most / 511, &frame, 1);
    assert_int_equal(open_list(&v), 0);
    for (unsigned i = 1; i < 512; i++) {
        assert_int_equal(ctl_save_pfn(&v, list[i]), i);
        assert_int_equal(ctl_save_pfn(&v, list[i] + 1), NO_FRAME);
    }
    ctl_save_close(&v);
    list_is(most + most / 511 + 2, &frame, 1);
    open_refused("its list names 262445 frames, and it can have 262444");
}

/* What Linux writes for memory that it gave back, for frames of others, and for those of the host's map. */
static void test_marks(void **state)
{
    uint64_t frame, *list, pfns = 4 * 300 + (1 << 20);
    struct ctl_save v;

    small_guest();
    frame = machine_take(SOURCE);
    list = (void *)machine[frame];
    for (unsigned i = 0; i < 512; i++) {
        list[i] = i % 3 == 0 ? NO_FRAME : i % 3 == 1 ? 1ull << 63 | i : 1ull << 62 | i;
    }
    list_is(pfns, &frame, 1);
    assert_int_equal(open_list(&v), 0);
    assert_int_equal(ctl_save_pfn(&v, 1), NO_FRAME);
    ctl_save_close(&v);
    list_is(pfns + 1, &frame, 1);
    open_refused("impossible length");
}

#define FLOOD 128

/* All of it falls into few of 2^17 slots, for who knows the factor and takes bits from 20 on. */
static void make_flood(uint64_t *frames)
{
    uint64_t mfn = 0;

    for (unsigned i = 0; i < FLOOD * 512; i++) {
        do {
            mfn++;
        } while (mfn * 0x9e3779b97f4a7c15ull >> 20 & (0x1ffff & ~(FLOOD - 1)));
        if (i % 512 == 0) {
            frames[i / 512] = machine_take(SOURCE);
        }
        ((uint64_t *)(void *)machine[frames[i / 512]])[i % 512] = mfn;
    }
}

static void test_flood(void **state)
{
    uint64_t frames[FLOOD] = {0};
    struct ctl_save v;

    small_guest();
    make_flood(frames);
    list_is(FLOOD * 512, frames, FLOOD);
    assert_int_equal(open_list(&v), 0);
    assert_true(v.back.steps <= 32 * FLOOD * 512);
    for (unsigned i = 0; i < FLOOD * 512; i++) {
        assert_int_equal(ctl_save_pfn(&v, v.p2m[i]), i);
    }
    ctl_save_close(&v);
}

/* Even with a factor that is known it does not go on for long. */
static void test_no_chance(void **state)
{
    uint64_t frames[FLOOD] = {0};
    struct ctl_save v;

    small_guest();
    make_flood(frames);
    list_is(FLOOD * 512, frames, FLOOD);
    randomness = ZERO;
    assert_true(open_list(&v) < 0);
    assert_non_null(strstr(err.message, "no random number orders its list"));
    assert_true(v.back.steps > 32 * FLOOD * 512 && v.back.steps < 33 * FLOOD * 512);
    ctl_save_close(&v);
    randomness = NO_RANDOM;
    open_refused("no random numbers");
    randomness = RANDOM;
}

static void test_disk_full(void **state)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    struct ctl_stream *s;

    small_guest();
    assert_true(fd >= 0);
    s = ctl_stream_open(fd, "file", &err);
    err = (struct ctl_error){0};
    assert_int_equal(ctl_domain_save(NULL, SOURCE, s, &err), -ENOSPC);
    assert_non_null(strstr(err.hint, "make room"));
    assert_int_equal(live_resources, 0);
    ctl_stream_close(s);
    close(fd);
}

/* A stream ends only when what the guest has written is on its disks. */
static void test_disks(void **state)
{
    small_guest();
    disks_flushed = 0;
    assert_int_equal(save(), 0);
    assert_int_equal(disks_flushed, 1);
    disks_fail = -EIO;
    save_refused("its storage does not answer");
    disks_fail = 0;
}

/* --- another host that stands still --- */

static struct ctl_stream *impatient(int fd)
{
    struct ctl_stream *s = ctl_stream_open(fd, "host", &err);

    ctl_stream_patience(s, 100);
    err = (struct ctl_error){0};
    return s;
}

static void test_nothing_comes(void **state)
{
    char *text = NULL;
    struct ctl_stream *s;
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], "Xen saved", 9), 9);
    s = impatient(ends[0]);
    assert_int_equal(ctl_stream_read_config(s, &text, &err), -ETIMEDOUT);
    assert_non_null(strstr(err.message, "offset 9: nothing came for 100 ms"));
    ctl_stream_close(s);
    close(ends[1]);
    s = impatient(ends[0]);
    assert_int_equal(ctl_stream_read_config(s, &text, &err), -EBADMSG); /* the end is not silence */
    ctl_stream_close(s);
    close(ends[0]);
}

static void test_nothing_is_taken(void **state)
{
    static char json[1 << 18];
    struct ctl_stream *s;
    int ends[2];

    memset(json, ' ', sizeof(json) - 1);
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    s = impatient(ends[1]);
    assert_int_equal(ctl_stream_write_config(s, json, &err), -ETIMEDOUT);
    assert_non_null(strstr(err.message, "nothing was taken for 100 ms, after "));
    ctl_stream_close(s);
    close(ends[0]);
    close(ends[1]);
}

/* --- xl's header --- */

static int config_of(const void *data, size_t size, char **text)
{
    int fd = memory_file(data, size), rc;
    struct ctl_stream *s = ctl_stream_open(fd, "file", &err);

    *text = NULL;
    rc = ctl_stream_read_config(s, text, &err);
    ctl_stream_close(s);
    close(fd);
    return rc;
}

static void test_config(void **state)
{
    static const struct {
        unsigned at;
        uint32_t value;
        int rc;
    } bad[] = {{0, 0, -EBADMSG},           {32, 0x04030201, -EBADMSG}, {36, 2, -EOPNOTSUPP}, {36, 7, -EOPNOTSUPP},
               {40, 1, -EBADMSG},          {44, 3, -EBADMSG},          {44, ~0u, -EBADMSG},  {44, 1 << 20, -EBADMSG},
               {48, 0x7fffffff, -EBADMSG}, {48, 1000, -EBADMSG}};
    const char json[] = "{\"umbra\": {\"name\": \"x\"}}";
    uint8_t head[48 + 4 + sizeof(json)];
    int fd = memory_file("", 0);
    struct ctl_stream *s = ctl_stream_open(fd, "file", &err);
    char *text;

    assert_int_equal(ctl_stream_write_config(s, json, &err), 0);
    ctl_stream_close(s);
    assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
    close(fd);
    assert_int_equal(config_of(head, sizeof(head), &text), 0);
    assert_string_equal(text, json);
    free(text);
    for (size_t i = 0; i < CTL_ARRAY(bad); i++) {
        uint8_t copy[sizeof(head)];

        memcpy(copy, head, sizeof(head));
        memcpy(copy + bad[i].at, &bad[i].value, 4);
        assert_int_equal(config_of(copy, sizeof(copy), &text), bad[i].rc);
        assert_null(text);
    }
    for (size_t n = 0; n < sizeof(head); n++) {
        assert_int_equal(config_of(head, n, &text), -EBADMSG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),   cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_lengths),       cmocka_unit_test(test_unknown_records),
        cmocka_unit_test(test_order),         cmocka_unit_test(test_lies),
        cmocka_unit_test(test_wrong_places),  cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_damaged),       cmocka_unit_test(test_hostile_guest),
        cmocka_unit_test(test_disks),         cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_config),        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_nothing_comes), cmocka_unit_test(test_nothing_is_taken),
        cmocka_unit_test(test_many_entries),  cmocka_unit_test(test_marks),
        cmocka_unit_test(test_flood),         cmocka_unit_test(test_no_chance),
    };

    return cmocka_run_group_tests(tests, NULL, forget_image);
}
