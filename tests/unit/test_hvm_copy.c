// SPDX-License-Identifier: BSD-2-Clause
/* Loads and stores that the hypervisor makes for a guest's instruction, by linear address, on two pages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/hvm.h>
#include <hv/x86.h>
#include "fake/fake.h"

/* Guest memory: a directory, its first table, and pages that this maps from linear address 4 MiB on. */
#define DIRECTORY 1u
#define TABLE     2u
#define FIRST     4u
#define FRAMES    8u
#define LINEAR(n) (4ul << 20 | (n)*PAGE_SIZE)
#define ALL       (PTE_P | PTE_RW | PTE_US)

static uint32_t memory[FRAMES * PAGE_SIZE / 4];
static struct hvm_vcpu h;
static struct domain d;
static struct vcpu v = {.hvm = &h, .domain = &d};
static unsigned int privilege, writes;

static uint8_t *at_gpa(gpa_t at)
{
    return (uint8_t *)memory + at.n;
}

static bool mem_read(void *ctx, gpa_t at, unsigned int bytes, uint64_t *value)
{
    *value = 0;
    memcpy(value, at_gpa(at), bytes);
    return true;
}

static bool mem_swap(void *ctx, gpa_t at, unsigned int bytes, uint64_t old, uint64_t new)
{
    memcpy(at_gpa(at), &new, bytes);
    return true;
}

struct guest_mem shadow_memory(struct shadow *s)
{
    return (struct guest_mem){.read = mem_read, .swap = mem_swap};
}

const struct guest_paging *hvm_paging(struct vcpu *of)
{
    return &h.shadow.paging;
}

static struct page_info frames[FRAMES];
struct page_info *frame_table = frames;

void *mfn_to_virt(mfn_t m)
{
    return (uint8_t *)memory + m.n * PAGE_SIZE;
}

struct page_info *p2m_get_page(struct domain *of, gfn_t gfn, enum p2m_type *type)
{
    return gfn.n == FIRST + 2 ? NULL : &frames[gfn.n]; /* no memory is there */
}

void put_page(struct page_info *pg)
{
}

int shadow_write(struct domain *of, gpa_t at, unsigned int bytes, const void *src)
{
    writes++;
    memcpy(at_gpa(at), src, bytes);
    return 0;
}

void hvm_inject(struct vcpu *of, unsigned int vector, bool has_error, uint32_t error)
{
    assert_false(h.exception.valid);
    h.exception.valid = true;
    h.exception.vector = (uint8_t)vector;
    h.exception.error = error;
}

static unsigned int cpl(const struct vcpu *of)
{
    return privilege;
}

static void get_segment(const struct vcpu *of, enum hvm_seg seg, struct hvm_segment *s)
{
    *s = (struct hvm_segment){0};
}

static const struct hvm_ops ops = {.cpl = cpl, .get_segment = get_segment};
const struct hvm_ops *hvm_ops = &ops;

static int begin(void **state)
{
    static const struct guest_cpu cpu = {.phys_bits = 40, .nx = true};

    memset(memory, 0, sizeof(memory));
    h = (struct hvm_vcpu){0};
    guest_paging_set(&h.shadow.paging, &cpu, CR0_PE | CR0_PG | CR0_WP, 0, 0);
    h.shadow.paging.cr3 = DIRECTORY * PAGE_SIZE;
    memory[DIRECTORY * 1024 + 1] = TABLE * PAGE_SIZE | ALL;
    for (unsigned int i = 0; i < 3; i++)
        memory[TABLE * 1024 + i] = (FIRST + i) * PAGE_SIZE | ALL;
    privilege = writes = 0;
    return 0;
}

static void set_entry(unsigned int i, uint32_t flags)
{
    memory[TABLE * 1024 + i] = (FIRST + i) * PAGE_SIZE | flags;
}

static void assert_fault(unsigned long linear, uint32_t error)
{
    assert_true(h.exception.valid);
    assert_int_equal(h.exception.vector, TRAP_PF);
    assert_int_equal(h.exception.error, error);
    assert_int_equal(h.cr2, linear);
    assert_int_equal(writes, 0);
    h.exception.valid = false;
}

static void test_two_pages(void **state)
{
    assert_true(hvm_store(&v, LINEAR(1) - 1, "\x11\x22\x33\x44", 4));
    assert_int_equal(writes, 2);
    assert_memory_equal(at_gpa(_gpa((FIRST + 1) * PAGE_SIZE - 1)), "\x11\x22\x33\x44", 4);
    assert_true(hvm_store(&v, LINEAR(1), "\x55", 1));
    assert_int_equal(writes, 3);
    assert_int_equal(*at_gpa(_gpa((FIRST + 1) * PAGE_SIZE)), 0x55);
}

/* A store that faults has stored nothing, on whichever page it does. */
static void test_second_page_faults(void **state)
{
    set_entry(1, 0);
    assert_false(hvm_store(&v, LINEAR(1) - 2, "\x11\x22\x33\x44", 4));
    assert_fault(LINEAR(1), PFEC_W);
    set_entry(1, ALL & ~PTE_RW);
    assert_false(hvm_store(&v, LINEAR(1) - 2, "\x11\x22\x33\x44", 4));
    assert_fault(LINEAR(1), PFEC_W | PFEC_P);
    set_entry(1, ALL & ~PTE_US);
    privilege = 3;
    assert_false(hvm_store(&v, LINEAR(1) - 2, "\x11\x22\x33\x44", 4));
    assert_fault(LINEAR(1), PFEC_W | PFEC_P | PFEC_U);
    assert_false(hvm_store(&v, LINEAR(2) - 2, "\x11\x22\x33\x44", 4));
    assert_fault(LINEAR(2) - 2, PFEC_W | PFEC_P | PFEC_U);
}

static void test_load(void **state)
{
    uint32_t value = 0;

    memcpy(at_gpa(_gpa((FIRST + 1) * PAGE_SIZE - 2)), "\x11\x22\x33\x44", 4);
    assert_true(hvm_load(&v, LINEAR(1) - 2, &value, 4));
    assert_int_equal(value, 0x44332211);
    assert_true(hvm_load(&v, LINEAR(2) - 2, &value, 4));
    assert_int_equal(value, 0xffff0000);
    set_entry(1, 0);
    assert_false(hvm_load(&v, LINEAR(1) - 2, &value, 4));
    assert_fault(LINEAR(1), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_two_pages, begin),
        cmocka_unit_test_setup(test_second_page_faults, begin),
        cmocka_unit_test_setup(test_load, begin),
    };

    return cmocka_run_group_tests_name("hvm: guest memory", tests, NULL, NULL);
}
