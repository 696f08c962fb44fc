/* SPDX-License-Identifier: BSD-2-Clause */
/* The log ring as readconsole shows it, and the one that the next boot finds; printk's levels, thresholds, rate limit,
 * prefix and cutting of long lines. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../hypervisor/debug/ring.c"
#include "../../hypervisor/debug/kept.c"
#include "../../hypervisor/debug/printk.c"

/* ---- what printk stands on ---- */

static char out[8192];
static size_t out_len;
static s_time_t now;
static bool lock_nested;
static struct cpu_info cpu;
bool panicking;

struct cpu_info *get_cpu_info(void)
{
    return &cpu;
}

s_time_t system_time(void)
{
    return now;
}

struct output_lock output_lock(void)
{
    return (struct output_lock){0, !lock_nested};
}

void output_unlock(struct output_lock l)
{
}

void output_raw(const char *s, size_t n, bool log)
{
    assert_true(out_len + n < sizeof(out));
    memcpy(out + out_len, s, n);
    out_len += n;
    out[out_len] = '\0';
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    snprintf(dst, size, "%s", src);
    return strlen(src);
}

uint64_t total_pages = 1 << 18;
static struct kept memory; /* as a boot finds it */
static const char *early;  /* what this boot has logged before */

uint64_t memmap_find(uint64_t size, uint64_t align, uint64_t below)
{
    assert_int_equal(size, sizeof(memory));
    assert_int_equal(below, 512ull << 20);
    return early ? PAGE_SIZE : 0;
}

void memmap_reserve(uint64_t start, uint64_t end)
{
    assert_int_equal(end - start, sizeof(memory));
}

void *mfn_to_virt(mfn_t m)
{
    assert_int_equal(m.n, 1);
    return &memory;
}

size_t console_ring_read(char *buf, size_t n, uint32_t *index)
{
    n = MIN(n, strlen(early) - *index);
    memcpy(buf, early + *index, n);
    *index += (uint32_t)n;
    return n;
}

static int fresh(void **state)
{
    out[0] = '\0';
    out_len = 0;
    now += SECONDS(1000);
    mid_line = lock_nested = panicking = false;
    limit.missed = 0;
    limit.tokens = LIMIT_BURST;
    parse_loglvl("info");
    parse_guest_loglvl("none/warning");
    return 0;
}

/* ---- ring ---- */

static void ring_keeps_the_last(void **state)
{
    char buf[8], got[32];
    struct log_ring r = {buf, 8, 0, 0};
    uint32_t index = 0;

    ring_put(&r, "abc", 3);
    assert_int_equal(ring_get(&r, got, 2, &index), 2);
    assert_memory_equal(got, "ab", 2);
    assert_int_equal(index, 2);
    assert_int_equal(ring_get(&r, got, 9, &index), 1);
    assert_int_equal(ring_get(&r, got, 9, &index), 0);
    ring_put(&r, "defghijkl", 9); /* longer than the ring */
    index = 0;
    assert_int_equal(ring_get(&r, got, 32, &index), 8);
    assert_memory_equal(got, "efghijkl", 8);
}

static void ring_wild_index_starts_over(void **state)
{
    char buf[8], got[8];
    struct log_ring r = {buf, 8, 0xfffffffc, 0xfffffffc};
    uint32_t index = 5;

    ring_put(&r, "abcdef", 6); /* the counters wrap */
    assert_int_equal(r.end, 2);
    assert_int_equal(ring_get(&r, got, 8, &index), 6);
    assert_memory_equal(got, "abcdef", 6);
    assert_int_equal(index, 2);
    index = 0xfffffffe;
    assert_int_equal(ring_get(&r, got, 8, &index), 4);
    assert_memory_equal(got, "cdef", 4);
}

static void ring_grows(void **state)
{
    char small[8], big[32], got[32];
    struct log_ring r = {small, 8, 0, 0};
    uint32_t index = 0;

    ring_put(&r, "0123456789ab", 12);
    ring_grow(&r, big, 32);
    ring_put(&r, "cdefghijklmnop", 14);
    assert_int_equal(ring_get(&r, got, 32, &index), 22);
    assert_memory_equal(got, "456789abcdefghijklmnop", 22);
}

static void ring_cleared(void **state)
{
    char buf[8], got[8];
    struct log_ring r = {buf, 8, 0, 0};
    uint32_t index = 1;

    ring_put(&r, "abc", 3);
    r.start = r.end;
    assert_int_equal(ring_get(&r, got, 8, &index), 0);
    ring_put(&r, "d", 1);
    assert_int_equal(ring_get(&r, got, 8, &index), 1);
    assert_int_equal(got[0], 'd');
}

/* ---- kept ring ---- */

/* The machine is started: what it finds of the boot before, as a string. */
static const char *boot(const char *says)
{
    static char text[KEPT_SIZE + 1];
    const char *log;
    size_t n;

    kept = NULL;
    early = says;
    console_init_kept();
    n = console_previous(&log);
    assert_int_equal(log != NULL, n != 0);
    memcpy(text, n ? log : "", n);
    text[n] = '\0';
    return text;
}

static void kept_for_the_next(void **state)
{
    memset(&memory, 0xa5, sizeof(memory));
    assert_string_equal(boot("one "), "");
    kept_put("two", 3);
    console_keep();
    assert_string_equal(boot("three"), "one two");
    assert_string_equal(boot("four"), "three"); /* one boot, and no more */
    for (unsigned int i = 0; i < KEPT_SIZE; i++)
        kept_put(&"abc"[i % 3], 1); /* KEPT_SIZE is one more than a multiple of 3 */
    assert_string_equal(boot("five") + KEPT_SIZE - 4, "abca");
    assert_int_equal(strlen(boot("six")), 4);
}

static void kept_is_not_believed(void **state)
{
    static const struct {
        size_t at;
        uint32_t flip;
    } broken[] = {{offsetof(struct kept, head.magic), 1},
                  {offsetof(struct kept, head.version), 3},
                  {offsetof(struct kept, head.size), 1u << 16},
                  {offsetof(struct kept, ring.start), 1u << 31},
                  {offsetof(struct kept, ring.end), 1u << 17}};

    for (unsigned int i = 0; i < ARRAY_SIZE(broken); i++) {
        boot("one");
        *(uint32_t *)((char *)&memory + broken[i].at) ^= broken[i].flip;
        assert_string_equal(boot("two"), "");
        assert_string_equal(boot("three"), "two"); /* it began anew */
    }
    boot("four");
    memory.ring.buf = NULL; /* and the size: what it uses is its own */
    memory.ring.size = 5;
    assert_string_equal(boot("five"), "four");
    memory.ring.start = 0xfffffffc; /* the counters wrap */
    memory.ring.end = 2;
    memcpy(memory.log + KEPT_SIZE - 4, "wrap", 4);
    assert_string_equal(boot("six"), "wrapfi");
}

static void kept_nowhere(void **state)
{
    kept = NULL;
    before_size = 0;
    early = NULL; /* there is no place for it */
    console_init_kept();
    kept_put("x", 1);
    console_keep();
    assert_null(kept);
}

/* ---- printk ---- */

static void prefix_once_a_line(void **state)
{
    printk("one %d", 1);
    printk(" more\ntwo\n");
    printk("\n");
    assert_string_equal(out, "(XEN) one 1 more\n(XEN) two\n(XEN) \n");
}

static void thresholds_shown(void **state)
{
    static const struct {
        const char *given, *shown;
    } levels[] = {{"none", "none/none"},
                  {"error/all", "error/debug"},
                  {"warning", "warning/warning"},
                  {"info/error", "info/info"},
                  {"debug", "debug/debug"}};
    char text[32];

    for (unsigned int i = 0; i < ARRAY_SIZE(levels); i++) {
        assert_int_equal(parse_loglvl(levels[i].given), 0);
        show_loglvl(text, sizeof(text));
        assert_string_equal(text, levels[i].shown);
        assert_int_equal(parse_loglvl(text), 0);
    }
    assert_int_equal(parse_loglvl("debug/loud"), -EINVAL);
    show_guest_loglvl(text, sizeof(text));
    assert_string_equal(text, "none/warning");
}

static void thresholds(void **state)
{
    printk(XLOG_DEBUG "hidden\n");
    printk(XLOG_INFO "shown\n");
    parse_loglvl("error");
    printk(XLOG_WARNING "hidden\n");
    printk("no level is a warning\n");
    printk(XLOG_ERR "error\n");
    parse_loglvl("none");
    printk(XLOG_ERR "hidden\n");
    panicking = true;
    printk(XLOG_DEBUG "all in a panic\n");
    assert_string_equal(out, "(XEN) shown\n(XEN) error\n(XEN) all in a panic\n");
}

static void options_as_xen_spells_them(void **state)
{
    struct threshold t = {9, 9};

    assert_int_equal(parse_threshold("all", &t), 0);
    assert_int_equal(t.lower, 4);
    assert_int_equal(parse_threshold("error/warning", &t), 0);
    assert_int_equal(t.lower, 1);
    assert_int_equal(t.upper, 2);
    assert_int_equal(parse_threshold("info/none", &t), 0);
    assert_int_equal(t.upper, 3);
    assert_int_equal(parse_threshold("none", &t), 0);
    assert_int_equal(t.upper, 0);
    assert_int_equal(parse_threshold("", &t), -EINVAL);
    assert_int_equal(parse_threshold("errors", &t), -EINVAL);
    assert_int_equal(parse_threshold("error/", &t), -EINVAL);
    assert_int_equal(parse_threshold("error/all/x", &t), -EINVAL);
    assert_int_equal(t.upper, 0);
}

static unsigned int lines(void)
{
    unsigned int n = 0;

    for (const char *s = out; (s = strchr(s, '\n')) != NULL; s++)
        n++;
    return n;
}

static void guests_cannot_flood(void **state)
{
    for (unsigned int i = 0; i < 1000; i++)
        gprintk("bad %u\n", i);
    assert_int_equal(lines(), 10);
    now += SECONDS(1); /* two more */
    for (unsigned int i = 0; i < 1000; i++)
        printk(XLOG_GUEST "bad %u\n", i);
    assert_int_equal(lines(), 13);
    assert_non_null(strstr(out, "(XEN) printk: 990 messages suppressed.\n"));
    now -= SECONDS(500); /* a CPU whose clock is behind does not stop the refill for good */
    gprintk("x\n");
    now += SECONDS(1);
    gprintk("late\n");
    assert_non_null(strstr(out, "late"));
}

static void guest_is_named(void **state)
{
    static struct domain d = {.id = 7};
    static struct vcpu v = {.domain = &d, .vcpu_id = 3};

    cpu.cur_vcpu = &v;
    gprintk("oops %s\n", "there");
    cpu.cur_vcpu = NULL;
    assert_string_equal(out, "(XEN) d7v3 oops there\n");
}

static void long_messages_are_cut(void **state)
{
    char text[3000];

    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    printk("%s\n", text);
    assert_int_equal(out_len, 6 + sizeof(line_buf) - 1);
    assert_int_equal(out[out_len - 1], '\n');
    lock_nested = true;
    printk("%s\n", text);
    assert_int_equal(out[out_len - 1], '\n');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ring_keeps_the_last),
        cmocka_unit_test(ring_wild_index_starts_over),
        cmocka_unit_test(ring_grows),
        cmocka_unit_test(ring_cleared),
        cmocka_unit_test_setup(kept_for_the_next, fresh),
        cmocka_unit_test_setup(kept_is_not_believed, fresh),
        cmocka_unit_test_setup(kept_nowhere, fresh),
        cmocka_unit_test_setup(prefix_once_a_line, fresh),
        cmocka_unit_test_setup(thresholds, fresh),
        cmocka_unit_test_setup(thresholds_shown, fresh),
        cmocka_unit_test_setup(options_as_xen_spells_them, fresh),
        cmocka_unit_test_setup(guests_cannot_flood, fresh),
        cmocka_unit_test_setup(guest_is_named, fresh),
        cmocka_unit_test_setup(long_messages_are_cut, fresh),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
