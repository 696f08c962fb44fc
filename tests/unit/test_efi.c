// SPDX-License-Identifier: BSD-2-Clause
/*
 * UEFI on the host: the firmware's tables as bytes, whole, damaged and random, each in a buffer of exactly its length
 * so that the address sanitizer sees any byte read beyond it; the page tables of the runtime services, against a walk;
 * the call itself, by the firmware's convention, and how a fault ends it.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stdlib.h>
#include <time.h>
#include <hv/efi.h>
#include <hv/fpu.h>
#include <hv/heap.h>
#include <hv/x86.h>
#include <cmocka.h>

#define RT   EFI_MEMORY_RUNTIME
#define WB   EFI_MEMORY_WB
#define CODE EFI_RUNTIME_CODE
#define DATA EFI_RUNTIME_DATA
#define MMIO 11u

/* ---- what efi_call.c needs ---- */

static struct cpu_info info;
static unsigned int allocs, fail_alloc;
static void *tables[4096];

struct cpu_info *get_cpu_info(void)
{
    return &info;
}

void *alloc_hv_mem(unsigned int order)
{
    assert_int_equal(order, 0);
    if (fail_alloc && --fail_alloc == 0)
        return NULL;
    assert_in_range(allocs, 0, ARRAY_SIZE(tables) - 1);
    return tables[allocs++] = aligned_alloc(PAGE_SIZE, PAGE_SIZE);
}

void *mfn_to_virt(mfn_t m)
{
    return (void *)(m.n << PAGE_SHIFT);
}

maddr_t virt_to_maddr(const void *p)
{
    return _maddr((unsigned long)p);
}

void switch_cr3(unsigned long cr3)
{
    fail_msg("CR3 %lx", cr3);
}

void fpu_save(struct vcpu *v)
{
}

void fpu_restore(struct vcpu *v)
{
}

void printk(const char *fmt, ...)
{
}

/* ---- memory map ---- */

static struct efi_info e;
static uint64_t rng;

static uint64_t next(void)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return rng >> 11;
}

static int begin(void **state)
{
    memset(&e, 0, sizeof(e));
    memset(&efi, 0, sizeof(efi));
    return 0;
}

static int end(void **state)
{
    while (allocs)
        free(tables[--allocs]);
    fail_alloc = 0;
    return 0;
}

static void put(uint8_t *p, uint64_t v, unsigned int bytes)
{
    for (unsigned int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

static void put_region(uint8_t *p, const struct efi_region *r)
{
    put(p, r->type, 4);
    put(p + 8, r->start, 8);
    put(p + 24, r->pages, 8);
    put(p + 32, r->attr, 8);
}

/* Parses n descriptors of so many bytes each, and extra ones behind the last. */
static int parse(const struct efi_region *r, unsigned int n, uint32_t size, size_t extra, struct efi_info *out)
{
    size_t len = n * (size_t)size + extra;
    uint8_t *p = malloc(len ? len : 1);
    int rc;

    memset(p, 0xa5, len);
    for (unsigned int i = 0; i < n; i++)
        put_region(p + i * (size_t)size, &r[i]);
    rc = efi_parse_memory_map(p, len, size, out);
    free(p);
    return rc;
}

static const struct efi_region some[] = {
    {0, 0x9f, WB, 7},
    {0x100000, 0x700, WB, 7},
    {0x800000, 8, WB, 10},
    {0x7e000000, 0x100, RT | WB, DATA},
    {0x7e100000, 0x80, RT | WB, CODE},
    {0xffc00000, 0x84, RT | EFI_MEMORY_UC, MMIO},
};

static void test_map(void **state)
{
    static const uint32_t sizes[] = {40, 48, 56, 4096};

    for (unsigned int i = 0; i < ARRAY_SIZE(sizes); i++) {
        assert_int_equal(parse(some, ARRAY_SIZE(some), sizes[i], i, &e), 0);
        assert_true(e.whole_map);
        assert_int_equal(e.region_count, ARRAY_SIZE(some));
        for (unsigned int n = 0; n < ARRAY_SIZE(some); n++) {
            assert_int_equal(e.region[n].start, some[n].start);
            assert_int_equal(e.region[n].pages, some[n].pages);
            assert_int_equal(e.region[n].attr, some[n].attr);
            assert_int_equal(e.region[n].type, some[n].type);
        }
    }
}

static void test_map_of_odd_sizes(void **state)
{
    static const uint32_t small[] = {0, 1, 39};

    assert_int_equal(parse(some, 2, 48, 0, &e), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(small); i++)
        assert_int_equal(efi_parse_memory_map((const uint8_t *)"", 0, small[i], &e), -EINVAL);
    assert_int_equal(e.region_count, 2);               /* as it was */
    assert_int_equal(parse(some, 0, ~0u, 100, &e), 0); /* one that does not fit */
    assert_int_equal(e.region_count, 0);
    assert_int_equal(parse(some, 1, 48, 47, &e), 0);
    assert_int_equal(e.region_count, 1);
}

static void test_map_passes_nonsense_over(void **state)
{
    static const struct efi_region odd[] = {
        {0x1000, 0, WB, 7},                  /* empty */
        {0x1001, 1, WB, 7},                  /* no page boundary */
        {0x1000, 1ull << 40, WB, 7},         /* beyond all addresses */
        {~0xfffull, 2, WB, 7},               /* wraps */
        {0xffffffffff000, 2, WB, 7},         /* the last page, and one more */
        {0x1000, ~0ull, WB, 7},              /* size in bytes wraps */
        {0xffffffffff000, 1, RT | WB, DATA}, /* the last page */
    };

    assert_int_equal(parse(odd, ARRAY_SIZE(odd), 48, 0, &e), 0);
    assert_int_equal(e.region_count, 1);
    assert_int_equal(e.region[0].type, DATA);
    assert_true(efi_kept(&e, 0xffffffffff000, PAGE_SIZE));
    assert_false(efi_kept(&e, 0xffffffffff000, PAGE_SIZE + 1));
    assert_false(efi_kept(&e, 0xffffffffff001, PAGE_SIZE));
    assert_false(efi_kept(&e, 0xffffffffff001, ~0ull));
}

static void test_map_joins_neighbours(void **state)
{
    static const struct efi_region row[] = {
        {0x1000, 1, WB, 7}, {0x2000, 3, WB, 7}, {0x5000, 1, WB, 4}, {0x7000, 1, WB, 4}, {0x8000, 1, RT | WB, 4},
    };

    assert_int_equal(parse(row, ARRAY_SIZE(row), 48, 0, &e), 0);
    assert_int_equal(e.region_count, 4);
    assert_int_equal(e.region[0].pages, 4);
    assert_ptr_equal(efi_region_of(&e, 0x4fff), &e.region[0]);
    assert_ptr_equal(efi_region_of(&e, 0x5000), &e.region[1]);
    assert_null(efi_region_of(&e, 0x6000));
    assert_null(efi_region_of(&e, 0));
    assert_null(efi_region_of(&e, ~0ull));
    assert_false(efi_kept(&e, 0x7000, 1)); /* not at run time */
    assert_true(efi_kept(&e, 0x8000, PAGE_SIZE));
}

static void test_map_with_too_many(void **state)
{
    struct efi_region *many = calloc(MAX_EFI_REGIONS + 1, sizeof(*many));

    for (unsigned int i = 0; i <= MAX_EFI_REGIONS; i++)
        many[i] = (struct efi_region){(2ull * i) << PAGE_SHIFT, 1, WB, 7};
    assert_int_equal(parse(many, MAX_EFI_REGIONS, 40, 0, &e), 0);
    assert_true(e.whole_map);
    assert_int_equal(parse(many, MAX_EFI_REGIONS + 1, 40, 0, &e), 0);
    assert_false(e.whole_map);
    assert_int_equal(e.region_count, MAX_EFI_REGIONS);
    free(many);
}

/* ---- system table and services ---- */

#define CONFIG 0x7e000800ull
#define TABLES 0x7e010000ull

static void make_system_table(uint8_t *p)
{
    memset(p, 0, EFI_SYSTEM_TABLE_SIZE);
    memcpy(p, "IBI SYST", 8);
    put(p + 8, 0x20046, 4);
    put(p + 12, EFI_SYSTEM_TABLE_SIZE, 4);
    put(p + 24, 0x7e000100, 8);
    put(p + 32, 0x10000, 4);
    put(p + 88, TABLES, 8);
    put(p + 104, 9, 8);
    put(p + 112, CONFIG, 8);
}

static int parse_system(const uint8_t *p, uint64_t *vendor)
{
    uint8_t *exact = malloc(EFI_SYSTEM_TABLE_SIZE);
    int rc;

    memcpy(exact, p, EFI_SYSTEM_TABLE_SIZE);
    rc = efi_parse_system_table(exact, &e, vendor);
    free(exact);
    return rc;
}

static void test_system_table(void **state)
{
    uint8_t p[EFI_SYSTEM_TABLE_SIZE];
    uint64_t vendor;

    assert_int_equal(parse(some, ARRAY_SIZE(some), 48, 0, &e), 0);
    make_system_table(p);
    assert_int_equal(parse_system(p, &vendor), 0);
    assert_int_equal(e.version, 0x20046);
    assert_int_equal(e.vendor_version, 0x10000);
    assert_int_equal(e.config, CONFIG);
    assert_int_equal(e.config_entries, 9);
    assert_int_equal(e.runtime_table, TABLES);
    assert_int_equal(vendor, 0x7e000100);
    put(p + 104, 0, 8);
    put(p + 112, 0, 8);
    assert_int_equal(parse_system(p, &vendor), 0); /* no tables, none looked for */
}

static void test_damaged_system_table(void **state)
{
    static const struct {
        unsigned int at, bytes;
        uint64_t value;
    } wrong[] = {
        {0, 8, 0},                  /* no signature */
        {12, 4, 119},               /* too short */
        {104, 8, 1025},             /* more tables than anyone has */
        {104, 8, ~0ull},            /* their size wraps */
        {112, 8, 0},                /* nowhere */
        {112, 8, 0x100000},         /* in memory that is not kept */
        {112, 8, 0x7e0fffff},       /* beyond the end of what is */
        {112, 8, 0xfffffffffffff0}, /* beyond all addresses */
    };
    uint8_t p[EFI_SYSTEM_TABLE_SIZE];
    uint64_t vendor;

    assert_int_equal(parse(some, ARRAY_SIZE(some), 48, 0, &e), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++) {
        make_system_table(p);
        put(p + wrong[i].at, wrong[i].value, wrong[i].bytes);
        assert_int_equal(parse_system(p, &vendor), -EINVAL);
    }
}

static void make_services(uint8_t *p, uint32_t version)
{
    memset(p, 0, EFI_RUNTIME_TABLE_SIZE);
    memcpy(p, "RUNTSERV", 8);
    put(p + 8, version, 4);
    for (unsigned int at = 24; at < EFI_RUNTIME_TABLE_SIZE; at += 8)
        put(p + at, 0x7e100000 + 16 * at, 8);
}

static int parse_services(const uint8_t *p, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    int rc;

    memcpy(exact, p, len);
    rc = efi_parse_runtime_table(exact, len, &e);
    free(exact);
    return rc;
}

static void test_services(void **state)
{
    uint8_t p[EFI_RUNTIME_TABLE_SIZE];

    assert_int_equal(parse(some, ARRAY_SIZE(some), 48, 0, &e), 0);
    make_services(p, 0x20046);
    assert_int_equal(parse_services(p, sizeof(p)), 0);
    assert_int_equal(e.runtime_version, 0x20046);
    assert_int_equal(e.service[EFI_GET_VARIABLE], 0x7e100000 + 16 * 72);
    assert_int_equal(e.service[EFI_RESET_SYSTEM], 0x7e100000 + 16 * 104);
    assert_int_equal(e.service[EFI_QUERY_VARIABLE_INFO], 0x7e100000 + 16 * 128);
    assert_int_equal(parse_services(p, EFI_RUNTIME_TABLE_V1), -EINVAL); /* says it is of version 2 */
    assert_int_equal(parse_services(p, EFI_RUNTIME_TABLE_V1 - 1), -EINVAL);
    make_services(p, 0x1000a);
    memset(&e.service, 0, sizeof(e.service));
    assert_int_equal(parse_services(p, EFI_RUNTIME_TABLE_V1), 0);
    assert_int_equal(e.service[EFI_QUERY_VARIABLE_INFO], 0); /* version 1 has none */
    p[0]++;
    assert_int_equal(parse_services(p, sizeof(p)), -EINVAL);
}

/* A service that lies outside of the firmware's code is no service. */
static void test_services_elsewhere(void **state)
{
    static const uint64_t wrong[] = {0, 0x100000, 0x7e000000, 0x7e180000, 0xffc00000, ~0ull};
    static const unsigned int at[] = {72, 80, 88, 96, 104, 128};
    uint8_t p[EFI_RUNTIME_TABLE_SIZE];

    assert_int_equal(parse(some, ARRAY_SIZE(some), 48, 0, &e), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(at); i++)
        for (unsigned int n = 0; n < ARRAY_SIZE(wrong); n++) {
            make_services(p, 0x20046);
            put(p + at[i], wrong[n], 8);
            assert_int_equal(parse_services(p, sizeof(p)), -EINVAL);
        }
}

static void test_vendor(void **state)
{
    static const uint8_t name[] = {'E', 0, 'D', 0, 0x2d, 0x4e, 0, 0, 'x', 0};
    uint8_t *endless = malloc(1000);

    efi_take_vendor(name, sizeof(name), &e);
    assert_int_equal(e.vendor[2], 0x4e2d);
    assert_int_equal(e.vendor[3], 0);
    assert_int_equal(e.vendor[4], 0);
    memset(endless, 'x', 1000);
    efi_take_vendor(endless, 1000, &e);
    assert_int_equal(e.vendor[EFI_VENDOR_MAX - 2], 'x' << 8 | 'x');
    assert_int_equal(e.vendor[EFI_VENDOR_MAX - 1], 0);
    efi_take_vendor(endless, 3, &e); /* half a character is none */
    assert_int_equal(e.vendor[1], 0);
    efi_take_vendor(endless, 0, &e);
    assert_int_equal(e.vendor[0], 0);
    free(endless);
}

/* Any bytes at all. */
static void test_random_bytes(void **state)
{
    const char *seed = getenv("UMBRA_SEED");
    uint64_t vendor;

    rng = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    printf("test_efi: UMBRA_SEED=%#llx\n", (unsigned long long)rng);
    for (unsigned int n = 0; n < 20000; n++) {
        size_t len = next() % 600;
        uint8_t *p = malloc(len ? len : 1);

        for (size_t i = 0; i < len; i++)
            p[i] = (uint8_t)(next() % 3 ? 0 : next());
        (void)efi_parse_memory_map(p, len, (uint32_t)(next() % 100), &e);
        for (unsigned int i = 0; i < e.region_count; i++) {
            const struct efi_region *r = &e.region[i];

            assert_true(r->pages && r->start + (r->pages << PAGE_SHIFT) > r->start);
            assert_non_null(efi_region_of(&e, r->start + (r->pages << PAGE_SHIFT) - 1));
        }
        if (len >= EFI_SYSTEM_TABLE_SIZE) {
            memcpy(p, "IBI SYST", 8);
            (void)efi_parse_system_table(p, &e, &vendor);
            memcpy(p, "RUNTSERV", 8);
            (void)efi_parse_runtime_table(p, len, &e);
        }
        free(p);
    }
}

/* ---- the tables that the services run on ---- */

/* The first page allocated is the top. Returns the leaf for an address, 0: none; *level is where it stands. */
static uint64_t walk(uint64_t address, unsigned int *level)
{
    const pte_t *table = tables[0];

    for (*level = 4; *level > 0; (*level)--) {
        pte_t entry = table[pt_index(address, *level)];

        if (!(entry.n & PTE_P) || *level == 1 || (entry.n & PTE_PSE))
            return entry.n & PTE_P ? entry.n : 0;
        table = mfn_to_virt(pte_mfn(entry));
    }
    return 0;
}

static void expect_page(uint64_t address, uint64_t flags)
{
    unsigned int level;
    uint64_t leaf = walk(address, &level), size = level == 2 ? 1ul << 21 : PAGE_SIZE;

    assert_in_range(level, 1, 2);
    assert_int_equal(leaf & PTE_ADDR, address & ~(size - 1));
    assert_int_equal(leaf & ~PTE_ADDR & ~(level == 2 ? PTE_PSE : 0), flags);
}

static void test_regions_are_mapped(void **state)
{
    const uint64_t rw = PTE_P | PTE_RW | PTE_A | PTE_D;
    unsigned int level;

    assert_int_equal(parse(some, ARRAY_SIZE(some), 48, 0, &efi), 0);
    efi.region[efi.region_count++] = (struct efi_region){0x80123000, 0x1000, RT | EFI_MEMORY_WT, MMIO};
    assert_int_equal(efi_map_services(), 0);
    for (unsigned int i = 0; i < 0x100; i++)
        expect_page(0x7e000000 + i * PAGE_SIZE, rw | PTE_NX);
    for (unsigned int i = 0; i < 0x80; i++)
        expect_page(0x7e100000 + i * PAGE_SIZE, rw);
    for (unsigned int i = 0; i < 0x84; i++)
        expect_page(0xffc00000 + i * PAGE_SIZE, rw | PTE_NX | PTE_PWT | PTE_PCD);
    for (unsigned int i = 0; i < 0x1000; i++)
        expect_page(0x80123000 + i * PAGE_SIZE, rw | PTE_NX | PTE_PWT);
    (void)walk(0x80200000, &level);
    assert_int_equal(level, 2); /* large where it fits */
    for (uint64_t a = 0; a < 1ull << 33; a += 0x1ff000) {
        const struct efi_region *r = efi_region_of(&efi, a);

        assert_true(!walk(a, &level) == !(r && (r->attr & RT)));
    }
    assert_int_equal(walk(HYPERVISOR_BASE, &level), 0);
}

/* Regions that overlap, in small and large pages: the first one stays, no table is lost. */
static void test_regions_that_overlap(void **state)
{
    unsigned int level;

    efi.region_count = 3;
    efi.region[0] = (struct efi_region){0x400000, 0x200, RT | WB, CODE};
    efi.region[1] = (struct efi_region){0x401000, 1, RT | WB, DATA};
    efi.region[2] = (struct efi_region){0x3ff000, 0x202, RT | WB, DATA};
    assert_int_equal(efi_map_services(), 0);
    assert_false(walk(0x401000, &level) & PTE_NX);
    assert_true(walk(0x3ff000, &level) & PTE_NX);
    assert_true(walk(0x600000, &level) & PTE_NX);
    assert_int_equal(efi_map_services(), 0);
}

static void test_regions_that_cannot_be_mapped(void **state)
{
    unsigned int needed;

    efi.region_count = 1;
    efi.region[0] = (struct efi_region){(1ull << 47) - PAGE_SIZE, 2, RT | WB, DATA};
    assert_int_equal(efi_map_services(), -EINVAL);
    end(state);
    efi.region[0].pages = 1;
    assert_int_equal(efi_map_services(), 0);
    needed = allocs;
    assert_int_equal(needed, 4);
    for (unsigned int n = 1; n <= needed; n++) {
        end(state);
        fail_alloc = n;
        assert_int_equal(efi_map_services(), -ENOMEM);
    }
}

/* ---- the call ---- */

__asm__(".include \"hypervisor/x86/efi_enter.S\"\n.text\n");
unsigned long efi_enter(unsigned long service, const unsigned long args[6]);
extern const char efi_enter_failed[];
extern unsigned long efi_stack;

static unsigned long seen[6], seen_sp;

static __attribute__((ms_abi, noinline)) unsigned long service(unsigned long a, unsigned long b, unsigned long c,
                                                               unsigned long d, unsigned long f, unsigned long g)
{
    const unsigned long args[6] = {a, b, c, d, f, g};

    memcpy(seen, args, sizeof(seen));
    seen_sp = (unsigned long)__builtin_frame_address(0);
    assert_true(efi_stack != 0);
    return 0x8000000000000005;
}

/* Ends as an exception does that efi_fault has handled, with other values in every register of the caller. */
static __attribute__((ms_abi, noinline)) unsigned long service_that_faults(void)
{
    __asm__ __volatile__("xor %%ebx, %%ebx; mov %%rbx, %%r12; mov %%rbx, %%r13; mov %%rbx, %%r14; mov %%rbx, %%r15\n\t"
                         "sub $512, %%rsp; std; xor %%ebp, %%ebp; jmp *%0" ::"a"(efi_enter_failed)
                         : "memory");
    __builtin_unreachable();
}

static void test_call(void **state)
{
    static const unsigned long args[6] = {1, ~0ul, 3, 4, 1ul << 63, 6};

    assert_true(efi_enter((unsigned long)service, args) == EFI_BUFFER_TOO_SMALL);
    assert_memory_equal(seen, args, sizeof(seen));
    assert_int_equal(seen_sp & 15, 0);
    assert_int_equal(efi_stack, 0);
    for (unsigned int i = 0; i < 2; i++) {
        assert_true(efi_enter((unsigned long)service_that_faults, args) == EFI_ABORTED);
        assert_int_equal(efi_stack, 0);
    }
}

/* Only exceptions of the CPU that is in the firmware, and none that has another meaning. */
static void test_fault(void **state)
{
    static const unsigned int others[] = {TRAP_NMI, TRAP_DB, TRAP_MC, TRAP_DF, 32, 255, TRAP_SYSCALL};
    struct cpu_user_regs regs = {.entry_vector = TRAP_GP, .rip = 0x7e100123, .rflags = EFLAGS_DF | EFLAGS_TF};

    assert_false(efi_fault(&regs)); /* no call */
    efi_stack = 1;
    info.cpu = 1; /* the call is on CPU 0 */
    assert_false(efi_fault(&regs));
    info.cpu = 0;
    for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
        regs.entry_vector = others[i];
        assert_false(efi_fault(&regs));
        assert_int_equal(regs.rip, 0x7e100123);
    }
    regs.entry_vector = TRAP_GP;
    assert_true(efi_fault(&regs));
    assert_int_equal(regs.rip, (unsigned long)efi_enter_failed);
    assert_int_equal(regs.rflags, EFLAGS_MBS);
    efi_stack = 0;
}

/* Without services nothing is tried: not in a restart either. */
static void test_no_services(void **state)
{
    unsigned long status = 7;

    assert_int_equal(efi_call(EFI_GET_VARIABLE, (unsigned long[6]){0}, &status), -EOPNOTSUPP);
    assert_int_equal(status, 7);
    efi.runtime = true;
    assert_int_equal(efi_call(EFI_QUERY_VARIABLE_INFO, (unsigned long[6]){0}, &status), -EOPNOTSUPP);
    efi_reset(false);
    efi_reset(true);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_map),
        TEST(test_map_of_odd_sizes),
        TEST(test_map_passes_nonsense_over),
        TEST(test_map_joins_neighbours),
        TEST(test_map_with_too_many),
        TEST(test_system_table),
        TEST(test_damaged_system_table),
        TEST(test_services),
        TEST(test_services_elsewhere),
        TEST(test_vendor),
        TEST(test_random_bytes),
        TEST(test_regions_are_mapped),
        TEST(test_regions_that_overlap),
        TEST(test_regions_that_cannot_be_mapped),
        TEST(test_call),
        TEST(test_fault),
        TEST(test_no_services),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
