// SPDX-License-Identifier: BSD-2-Clause
/*
 * Saving and restoring PVH guests: made at random they come back as they were, with empty rings; and streams that are
 * cut, damaged, reordered or that lie are refused with the place named, and leave nothing behind. The machine is
 * saved_guest.c and saved_pvh.c. UMBRA_SEED chooses the first seed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stream_pieces.h"

#include <xen/hvm/save.h>

#define ROUNDS 40

static void test_round_trips(void **state)
{
    uint64_t seed = first_seed("test_stream_pvh");

    for (unsigned i = 0; i < ROUNDS; i++) {
        machine_seed(seed + i);
        machine_make_pvh(520 + machine_random() % 2000, 1 + i % MAX_VCPUS);
        assert_int_equal(save(), 0);
        is_a_copy(seed + i);
    }
}

/* Few records. */
static void small_guest(void)
{
    machine_seed(7);
    machine_make_pvh(600, 2);
    domains[SOURCE].param[HVM_PARAM_IDENT_PT] = 0xfeffc000;
    take_apart();
}

static void test_truncated(void **state)
{
    small_guest();
    all_cuts();
}

static void test_lengths(void **state)
{
    uint32_t n = 0;

    small_guest();
    for (unsigned i = 0; i < pieces; i++) {
        if (piece[i].length && piece[i].type != REC_HVM_CONTEXT) {
            assert_true(restore(built, with(i, piece[i].type, piece[i].body, piece[i].length - 8)) < 0);
        }
        if (piece[i].type != REC_HVM_CONTEXT) {
            assert_true(restore(built, with(i, piece[i].type, piece[i].body, (long)piece[i].length + 4)) < 0);
        }
    }
    refused_with(built, with(find(REC_HVM_CONTEXT), REC_HVM_CONTEXT, "", 0), "the hypervisor did not accept it");
    refused_with(built, with(find(REC_HVM_PARAMS), REC_HVM_PARAMS, "1234", 4), "record HVM_PARAMS at offset");
    n = HVM_NR_PARAMS + 1;
    memcpy(piece[find(REC_HVM_PARAMS)].body, &n, 4);
    refused_with(image, image_size, "or one of");
    n = ~0u;
    memcpy(piece[find(REC_HVM_PARAMS)].body, &n, 4);
    refused_with(image, image_size, "or one of");
}

/* Records of PV guests, of checkpoints, and unknown ones, wherever they stand. */
static void test_foreign_records(void **state)
{
    static const uint32_t never[] = {REC_PV_INFO,       REC_PV_P2M_FRAMES, REC_PV_VCPU_BASIC,   REC_PV_VCPU_EXTENDED,
                                     REC_PV_VCPU_XSAVE, REC_PV_VCPU_MSRS,  REC_SHARED_INFO,     REC_TOOLSTACK,
                                     REC_VERIFY,        REC_CHECKPOINT,    REC_CHECKPOINT_DIRTY};

    small_guest();
    for (unsigned i = 0; i <= pieces - 1; i++) {
        assert_int_equal(restore(built, before(i, REC_OPTIONAL | 0x123, "whatever", 8)), 0);
        refused_with(built, before(i, 0x13, "", 0), "mandatory and not known");
        for (unsigned k = 0; k < CTL_ARRAY(never); k++) {
            refused_with(built, before(i, never[k], "12345678", 8), "does not belong in the image of a PVH guest");
        }
    }
}

static size_t with_leaf(uint32_t leaf, uint32_t sub, uint32_t ebx, uint32_t ecx)
{
    const xen_cpuid_leaf_t l = {.leaf = leaf, .subleaf = sub, .b = ebx, .c = ecx};

    return with(find(REC_CPUID_POLICY), REC_CPUID_POLICY, &l, sizeof(l));
}

/* A guest that was told of what the processor here does not have. What a hypervisor shows by itself is no matter. */
static void test_other_processors(void **state)
{
    small_guest();
    processor_lacks = 1u << 8 | 1u << 31;
    refused_with(built, with_leaf(7, 0, 1u << 8, 0), "CPUID leaf 0x7.0, ebx, bits 0x100");
    refused_with(built, with_leaf(1, XEN_CPUID_NO_SUBLEAF, 0, 1u << 8), "CPUID leaf 0x1.0, ecx, bits 0x100");
    assert_int_equal(restore(built, with_leaf(7, 0, 1u << 7, 0)), 0);
    assert_int_equal(restore(built, with_leaf(7, 2, 1u << 8, 0)), 0);
    assert_int_equal(restore(built, with_leaf(1, XEN_CPUID_NO_SUBLEAF, 1u << 8, 1u << 31)), 0);
    processor_lacks = 0;
    assert_int_equal(restore(built, with_leaf(7, 0, 1u << 8, 0)), 0);
}

static void test_order(void **state)
{
    unsigned end, static_end, params, context;

    small_guest();
    end = pieces - 1;
    static_end = find(REC_STATIC_DATA_END);
    params = find(REC_HVM_PARAMS);
    context = find(REC_HVM_CONTEXT);
    assert_true(params < context);
    for (unsigned i = static_end + 1; i < pieces; i++) {
        if (piece[i].type != REC_TSC_INFO) {
            refused_with(built, before(static_end, piece[i].type, piece[i].body, piece[i].length),
                         "before STATIC_DATA_END");
        }
    }
    refused_with(built, before(end, REC_CPUID_POLICY, "", 0), "after STATIC_DATA_END");
    refused_with(built, before(end, REC_STATIC_DATA_END, "", 0), "after STATIC_DATA_END");
    refused_with(built, before(end, REC_HVM_PARAMS, piece[params].body, piece[params].length), "a second one");
    refused_with(built, before(end, REC_HVM_CONTEXT, piece[context].body, piece[context].length), "it comes twice");
    refused_with(built, with(params, 0, "", -1), "HVM_PARAMS is missing");
    refused_with(built, with(context, 0, "", -1), "HVM_CONTEXT is missing");
    assert_int_equal(restore(built, with(find(REC_TSC_INFO), 0, "", -1)), 0);
}

/* Stock tools write the context first, and parameters before pages would be possible, too. */
static void test_other_orders(void **state)
{
    unsigned context;
    uint8_t *body;
    uint32_t length;

    small_guest();
    context = find(REC_HVM_CONTEXT);
    body = malloc(piece[context].length);
    length = piece[context].length;
    memcpy(body, piece[context].body, length);
    memmove(built, image, HEADERS);
    piece[context].type = REC_OPTIONAL | 1; /* passed over */
    assert_int_equal(restore(built, before(find(REC_HVM_PARAMS), REC_HVM_CONTEXT, body, length)), 0);
    assert_null(machine_compare(&b));
    assert_int_equal(restore(built, before(find(REC_PAGE_DATA), REC_HVM_CONTEXT, body, length)), 0);
    assert_null(machine_compare(&b));
    free(body);
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

static void test_pages(void **state)
{
    const struct {
        struct page_header h;
        uint64_t word[3];
    } none = {{3, 0},
              {(uint64_t)PAGE_INVALID << PAGE_TYPE_SHIFT | PAGE_PFN_MASK, (uint64_t)PAGE_INVALID << PAGE_TYPE_SHIFT | 5,
               (uint64_t)PAGE_BROKEN << PAGE_TYPE_SHIFT | 1ull << 40}},
      more = {{3, 0},
              {(uint64_t)PAGE_ALLOC << PAGE_TYPE_SHIFT | 3000, (uint64_t)PAGE_ALLOC << PAGE_TYPE_SHIFT | 3001,
               (uint64_t)PAGE_ALLOC << PAGE_TYPE_SHIFT | 3000}};

    small_guest();
    for (uint64_t type = 1; type < PAGE_BROKEN; type++) {
        lie_about_page(type << PAGE_TYPE_SHIFT | 1, "is not known");
    }
    lie_about_page(PAGE_PFN_MASK, "beyond the last");
    lie_about_page(1ull << 36, "beyond the last");
    lie_about_page((uint64_t)PAGE_INVALID << PAGE_TYPE_SHIFT | 1, "bytes where");
    assert_int_equal(restore(built, before(pieces - 1, REC_PAGE_DATA, &none, sizeof(none))), 0);
    assert_null(machine_compare(&b));
    assert_int_equal(restore(built, before(pieces - 1, REC_PAGE_DATA, &more, sizeof(more))), 0);
    assert_true(domains[TARGET].frame[3000] && domains[TARGET].frame[3001] && !domains[TARGET].frame[3002]);
}

/* The stream with one more parameter. */
static size_t with_param(uint64_t index, uint64_t value)
{
    unsigned params = find(REC_HVM_PARAMS);
    uint8_t body[1024];
    uint64_t more[2] = {index, value};
    uint32_t n;

    memcpy(&n, piece[params].body, 4);
    n++;
    memcpy(body, piece[params].body, piece[params].length);
    memcpy(body, &n, 4);
    memcpy(body + piece[params].length, more, sizeof(more));
    return with(params, REC_HVM_PARAMS, body, (long)(piece[params].length + sizeof(more)));
}

static void set_param(uint64_t index, uint64_t value)
{
    unsigned params = find(REC_HVM_PARAMS);

    for (uint32_t at = 8; at < piece[params].length; at += 16) {
        uint64_t is;

        memcpy(&is, piece[params].body + at, 8);
        if (is == index) {
            memcpy(piece[params].body + at + 8, &value, 8);
            return;
        }
    }
    fail();
}

static void test_params(void **state)
{
    static const uint64_t passed[] = {HVM_PARAM_VM86_TSS_SIZED,   HVM_PARAM_X87_FIP_WIDTH,
                                      HVM_PARAM_IOREQ_PFN,        HVM_PARAM_BUFIOREQ_PFN,
                                      HVM_PARAM_IOREQ_SERVER_PFN, HVM_PARAM_NR_IOREQ_SERVER_PAGES};
    static const uint64_t refused[] = {HVM_PARAM_VIRIDIAN,     HVM_PARAM_MCA_CAP, HVM_PARAM_CALLBACK_IRQ,
                                       HVM_PARAM_STORE_EVTCHN, HVM_PARAM_ALTP2M,  HVM_PARAM_NESTEDHVM,
                                       HVM_NR_PARAMS,          1ull << 32,        ~0ull};

    small_guest();
    for (unsigned i = 0; i < CTL_ARRAY(passed); i++) {
        assert_int_equal(restore(built, with_param(passed[i], 8)), 0);
        assert_null(machine_compare(&b));
    }
    for (unsigned i = 0; i < CTL_ARRAY(refused); i++) {
        refused_with(built, with_param(refused[i], 8), "is not one of a PVH guest");
    }
    assert_int_equal(restore(built, with_param(HVM_PARAM_VIRIDIAN, 0)), 0);
    refused_with(built, with_param(HVM_PARAM_STORE_PFN, 3), "comes twice");
    set_param(HVM_PARAM_STORE_PFN, 3000);
    refused_with(image, image_size, "xenstore's ring is in guest frame 0xbb8, which has no memory");
    set_param(HVM_PARAM_STORE_PFN, 1ull << 60);
    refused_with(image, image_size, "xenstore's ring");
    set_param(HVM_PARAM_STORE_PFN, places.store);
    set_param(HVM_PARAM_CONSOLE_PFN, ~0ull);
    refused_with(image, image_size, "the console's ring");
    set_param(HVM_PARAM_CONSOLE_PFN, places.console);
    assert_int_equal(restore(image, image_size), 0);
}

/* The configuration that stands in front of the stream says what was made. */
static void test_types(void **state)
{
    small_guest();
    image[HEADERS - 16] = STREAM_TYPE_PV;
    refused_with(image, image_size, "by its configuration a PVH guest");
    image[HEADERS - 16] = 77;
    refused_with(image, image_size, "of type 77");
    image[HEADERS - 16] = STREAM_TYPE_HVM;
    domains[SOURCE].hvm = false;
    refused_with(image, image_size, "by its configuration a PV guest");
}

static void test_refusals(void **state)
{
    small_guest();
    for (limit = 1; limit < 512; limit += 102) {
        refused_with(image, image_size, "maxmem or shadow_memory");
    }
    limit = MAX_PFNS;
    all_failures();
}

static void test_damaged(void **state)
{
    small_guest();
    damage();
}

static void test_odd_guests(void **state)
{
    small_guest();
    domains[SOURCE].type[1] = PAGE_L1;
    save_refused("has type 1");
    domains[SOURCE].type[1] = 0;
    domains[SOURCE].nr_pfns = 1ull << 30;
    save_refused("too far from the others");
    domains[SOURCE].nr_pfns = 600;
    domains[SOURCE].suspended = false;
    save_refused("it is not suspended");
}

/* Of one that goes on the result of its call is set, and nothing else. */
static void test_result(void **state)
{
    struct saved_domain *d = &domains[SOURCE], before_it;
    size_t at = sizeof(struct hvm_save_descriptor), differ = 0;
    struct hvm_hw_cpu cpu;

    small_guest();
    before_it = *d;
    assert_int_equal(ctl_hvm_set_result(NULL, SOURCE, 0x1122334455667788, &err), 0);
    assert_int_equal(d->context_size, before_it.context_size);
    for (uint32_t i = 0; i < d->context_size; i++) {
        differ += d->context[i] != before_it.context[i];
    }
    assert_in_range(differ, 1, 8);
    at = d->context_size - 2 * sizeof(struct hvm_save_descriptor) - sizeof(cpu) + at;
    memcpy(&cpu, d->context + at, sizeof(cpu));
    assert_int_equal(cpu.rax, 0x1122334455667788);
    d->context_size = 40; /* no registers, and a record that is cut off */
    assert_int_equal(ctl_hvm_set_result(NULL, SOURCE, 1, &err), -ESRCH);
    for (int n = 1; n <= 3; n++) {
        *d = before_it;
        fail_domctl = n;
        assert_int_equal(ctl_hvm_set_result(NULL, SOURCE, 1, &err), -EIO);
    }
    assert_int_equal(live_resources, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),      cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_lengths),          cmocka_unit_test(test_foreign_records),
        cmocka_unit_test(test_other_processors), cmocka_unit_test(test_order),
        cmocka_unit_test(test_other_orders),     cmocka_unit_test(test_pages),
        cmocka_unit_test(test_params),           cmocka_unit_test(test_types),
        cmocka_unit_test(test_refusals),         cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_odd_guests),       cmocka_unit_test(test_result),
    };

    return cmocka_run_group_tests(tests, NULL, forget_image);
}
