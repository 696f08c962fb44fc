// SPDX-License-Identifier: BSD-2-Clause
/*
 * Boot on the host: the command line against declared parameters, and the memory map against a byte-per-frame model
 * that marks each frame by the plain rules, with random firmware maps.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <hv/boot.h>
#include <hv/efi.h>
#include <hv/heap.h>
#include <cmocka.h>

/* ---- what boot/ needs ---- */

static char log_text[4096];
static jmp_buf panicked;
struct boot_info boot_info;
char image_start[1], image_end[1];

size_t strlcpy(char *dst, const char *src, size_t size)
{
    snprintf(dst, size, "%s", src);
    return strlen(src);
}

unsigned long long strtoull_hv(const char *s, const char **end, unsigned int base)
{
    return strtoull(s, (char **)end, (int)base);
}

void printk(const char *fmt, ...)
{
    size_t n = strlen(log_text);
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(log_text + n, sizeof(log_text) - n, fmt, ap);
    va_end(ap);
}

void panic(const char *fmt, ...)
{
    longjmp(panicked, 1);
}

#define IMAGE_FIRST 0x200u /* frames of the image */
#define IMAGE_PAST  0x280u
maddr_t virt_to_maddr(const void *p)
{
    return _maddr((p == image_end ? IMAGE_PAST : IMAGE_FIRST) * PAGE_SIZE);
}

#define FRAMES 0x4000u
enum { NOTHING, RAM, RESERVED, TAKEN, IN_HEAP };
static unsigned char model[FRAMES];

void heap_add(mfn_t start, mfn_t end)
{
    for (uint64_t m = start.n; m < end.n; m++) {
        assert_in_range(m, 0, FRAMES - 1);
        assert_int_equal(model[m], RAM);
        model[m] = IN_HEAP;
    }
}

/* ---- command line ---- */

static bool opt_flag, opt_on = true;
CMDLINE_PARAM("flag", PARAM_BOOL, opt_flag);
CMDLINE_PARAM("on", PARAM_BOOL, opt_on);
static unsigned int opt_count;
CMDLINE_PARAM("count", PARAM_UINT, opt_count);
static uint64_t opt_size;
CMDLINE_PARAM("size", PARAM_SIZE, opt_size);
static char opt_text[8];
CMDLINE_PARAM("text", PARAM_STRING, opt_text);
static char custom_value[32];
static int take_custom(const char *value)
{
    strlcpy(custom_value, value, sizeof(custom_value));
    return strcmp(value, "bad") ? 0 : -EINVAL;
}
CMDLINE_CUSTOM("custom", take_custom);

static void test_cmdline(void **state)
{
    cmdline_parse("  placeholder flag no-on count=0x10\tsize=512M text=abc custom=x,y ");
    assert_true(opt_flag);
    assert_false(opt_on);
    assert_int_equal(opt_count, 16);
    assert_int_equal(opt_size, 512ull << 20);
    assert_string_equal(opt_text, "abc");
    assert_string_equal(custom_value, "x,y");
    cmdline_parse("flag=off on=yes no-custom size=7");
    assert_false(opt_flag);
    assert_true(opt_on);
    assert_string_equal(custom_value, "no");
    assert_int_equal(opt_size, 7);
    cmdline_report();
    assert_string_equal(log_text, "");
}

static void test_cmdline_complaints(void **state)
{
    char line[1200];

    cmdline_parse("unknwon count=1x text=muchtoolong no-size flag=perhaps custom=bad");
    assert_int_equal(opt_count, 16);
    log_text[0] = 0;
    cmdline_report();
    assert_non_null(strstr(log_text, "parameter \"unknwon\" unknown!"));
    assert_non_null(strstr(log_text, "parameter \"count\" has an invalid value"));
    assert_non_null(strstr(log_text, "\"no-size\" unknown!"));
    assert_non_null(strstr(log_text, "\"flag\" has an invalid"));
    assert_non_null(strstr(log_text, "\"custom\" has an invalid"));
    memset(line, 'x', sizeof(line)); /* a word longer than any buffer */
    line[sizeof(line) - 1] = 0;
    cmdline_parse(line);
    for (int i = 0; i < 100; i++)
        cmdline_parse("a=b c d e f");
}

static void test_parse_size(void **state)
{
    const char *end;

    assert_int_equal(parse_size("1G", &end), 1u << 30);
    assert_string_equal(end, "");
    assert_int_equal(parse_size("3k,max", &end), 3072);
    assert_string_equal(end, ",max");
    assert_int_equal(parse_size("x", &end), 0);
    assert_string_equal(end, "x");
}

/* ---- memory map ---- */

static uint64_t rng;
static unsigned int below(unsigned int n)
{
    rng = rng * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned int)(rng >> 33) % n;
}

static void add_region(uint64_t start, uint64_t size, uint32_t type)
{
    boot_info.region[boot_info.region_count++] = (struct mem_region){start, size, type};
}

/* Random regions at byte granularity; one big RAM region keeps the image inside RAM. */
static void make_map(void)
{
    unsigned int i, n = 1 + below(30);

    memset(&boot_info, 0, sizeof(boot_info));
    add_region(0x100000, 0x400000, 1);
    for (i = 0; i < n; i++)
        add_region(below(FRAMES * PAGE_SIZE - 0x100000), 1 + below(0x100000), 1 + below(3));
    efi.region_count = below(3) ? 0 : below(5); /* a BIOS more often than not */
    for (i = 0; i < efi.region_count; i++)
        efi.region[i] = (struct efi_region){.start = below(FRAMES) * PAGE_SIZE,
                                            .pages = 1 + below(300),
                                            .attr = below(2) ? EFI_MEMORY_RUNTIME : EFI_MEMORY_WB};
}

static void model_map(void)
{
    unsigned int i;
    uint64_t m;

    memset(model, NOTHING, sizeof(model));
    for (i = 0; i < boot_info.region_count; i++)
        for (m = 0; m < FRAMES; m++) {
            const struct mem_region *r = &boot_info.region[i];

            if (r->type == 1 && r->start <= m * PAGE_SIZE && r->start + r->size >= (m + 1) * PAGE_SIZE &&
                model[m] == NOTHING)
                model[m] = RAM;
            if (r->type != 1 && r->start < (m + 1) * PAGE_SIZE && r->start + r->size > m * PAGE_SIZE)
                model[m] = RESERVED;
        }
    for (i = 0; i < efi.region_count; i++)
        for (m = efi.region[i].start / PAGE_SIZE; m < FRAMES; m++)
            if (m < efi.region[i].start / PAGE_SIZE + efi.region[i].pages && (efi.region[i].attr & EFI_MEMORY_RUNTIME))
                model[m] = RESERVED;
}

static void check_ram(void)
{
    uint64_t m, count = 0;
    mfn_t start, end, last = _mfn(0);

    for (m = 0; m < FRAMES; m++)
        assert_int_equal(mfn_is_ram(_mfn(m)), model[m] == RAM);
    assert_false(mfn_is_ram(_mfn(FRAMES)));
    assert_false(mfn_is_ram(INVALID_MFN));
    for (unsigned int i = 0; memmap_ram(i, &start, &end); i++) {
        assert_true(start.n < end.n);
        assert_true(i == 0 || start.n > last.n);
        last = end;
        count += end.n - start.n;
    }
    assert_int_equal(count, total_pages);
    assert_int_equal(last.n, max_page);
}

static void take(uint64_t start, uint64_t size)
{
    for (uint64_t m = start / PAGE_SIZE; m < (start + size) / PAGE_SIZE; m++) {
        assert_int_equal(model[m], RAM);
        model[m] = TAKEN;
    }
}

/* False: the random map has no RAM for the image. */
static bool round_of_map(void)
{
    uint64_t m, at;

    make_map();
    model_map();
    for (m = 0x200; m < 0x280; m++)
        if (model[m] != RAM)
            return false;
    memmap_reset();
    memmap_init();
    check_ram();
    for (m = 0; m < FRAMES; m++)
        if ((m < 0x100 || (m >= IMAGE_FIRST && m < IMAGE_PAST)) && model[m] == RAM)
            model[m] = TAKEN;
    for (unsigned int i = 0; i < 20; i++) {
        uint64_t size = (1 + below(8)) * PAGE_SIZE, align = PAGE_SIZE << below(4);

        if (setjmp(panicked))
            break; /* out of memory is told by panic */
        at = memmap_alloc(size, align, 1ull << 32);
        assert_int_equal(at % align, 0);
        take(at, size);
    }
    memmap_release_to_heap();
    for (m = 0; m < FRAMES; m++)
        assert_int_not_equal(model[m], RAM);
    return true;
}

static void test_memmap(void **state)
{
    const char *seed = getenv("UMBRA_SEED");

    rng = seed ? strtoull(seed, NULL, 0) : (uint64_t)time(NULL);
    printf("test_boot: UMBRA_SEED=%#llx\n", (unsigned long long)rng);
    for (unsigned int done = 0; done < 200;)
        done += round_of_map();
}

static void test_module_outside(void **state)
{
    memset(&boot_info, 0, sizeof(boot_info));
    efi.region_count = 0;
    add_region(0, 0x800000, 1);
    boot_info.module_count = 1;
    boot_info.module[0] = (struct boot_module){.start = 0x700000, .size = 0x200000};
    memmap_reset();
    if (!setjmp(panicked)) {
        memmap_init();
        fail_msg("a module outside of memory was accepted");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cmdline), cmocka_unit_test(test_cmdline_complaints), cmocka_unit_test(test_parse_size),
        cmocka_unit_test(test_memmap),  cmocka_unit_test(test_module_outside),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
