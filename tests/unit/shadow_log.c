// SPDX-License-Identifier: BSD-2-Clause
/* See shadow_log.h. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/logdirty.h>
#include <hv/sched.h>
#include "fake/ram.h"
#include "shadow_lend.h"
#include "shadow_log.h"

#define HOLDERS 3u

static uint8_t copy[SIZE];
static uint8_t bitmap[FRAMES / 8];
static struct logdirty_read reading; /* under way while it has a token */
static struct page_info *held[HOLDERS];
static bool copied; /* the log is on, and all memory was copied once */
static unsigned long domains, rounds, reported, extra, stores;

static const uint8_t *frame(uint64_t gfn)
{
    return mfn_to_virt(model_frame(gfn));
}

static bool differs(uint64_t gfn)
{
    return memcmp(copy + gfn * PAGE_SIZE, frame(gfn), PAGE_SIZE);
}

static bool reports(uint64_t gfn)
{
    return bitmap[gfn / 8] >> gfn % 8 & 1;
}

static void take_copy(uint64_t gfn)
{
    memcpy(copy + gfn * PAGE_SIZE, frame(gfn), PAGE_SIZE);
}

/* One slice. */
static int call(int (*op)(struct domain *))
{
    int rc;

    fake_preempt_percent = 70;
    stretch_begin(STRETCH_TEARDOWN, 0);
    rc = op(d);
    assert_true(this_cpu(stretch_now).work <= STRETCH_BOUND);
    stretch_end();
    fake_preempt_percent = 0;
    return rc;
}

static int read_on(struct domain *domain)
{
    return logdirty_read(domain, &reading);
}

/* ---- reading ---- */

/* Never a missed page; borrowed ones are others' to copy. */
static void check(void)
{
    struct logdirty_read peek = {.bitmap = bitmap, .pages = FRAMES};

    stretch_point();
    while (logdirty_read(d, &peek) == -ERESTART)
        stretch_point();
    assert_int_equal(peek.pages, FRAMES);
    for (uint64_t gfn = 0; gfn < FRAMES; gfn++)
        if (differs(gfn) && !reports(gfn) && !lend_has(gfn))
            fail_msg("frame %lx differs from the copy, and is clean", gfn);
}

static void use_bitmap(void)
{
    for (uint64_t gfn = 0; gfn < FRAMES; gfn++)
        if (reports(gfn)) {
            reported++;
            extra += !differs(gfn);
            take_copy(gfn);
        }
    rounds++;
    check();
}

static void go_on_reading(void)
{
    int rc;

    if (!reading.token) {
        check();
        reading = (struct logdirty_read){.clean = true, .bitmap = bitmap, .pages = FRAMES};
        memset(bitmap, 0x5a, sizeof(bitmap));
    }
    rc = call(read_on);
    if (rc == -ERESTART)
        return;
    assert_int_equal(rc, 0);
    reading.token = 0;
    use_bitmap();
}

/* ---- on and off ---- */

static void go_on_starting(void)
{
    int rc = call(logdirty_enable);

    if (rc == -ERESTART || rc == -ENOMEM)
        return;
    assert_int_equal(rc, 0);
    for (uint64_t gfn = 0; gfn < FRAMES; gfn++)
        take_copy(gfn);
    copied = true;
    check();
}

static void turn_off(void)
{
    copied = false;
    reading.token = 0;
    while (call(logdirty_disable) == -ERESTART)
        ;
    assert_int_equal(d->logdirty.state, LOGDIRTY_OFF);
    assert_int_equal(d->paging_pool->used[PAGING_LOGDIRTY], 0);
}

/* ---- others ---- */

static void take_or_drop(unsigned int i)
{
    if (held[i])
        put_page_and_type(held[i]);
    held[i] = held[i] ? NULL : get_writable_page(d, _gfn(fake_below(FRAMES)));
}

/* Not to a table: it would be the guest's fault, and the model does not follow it. */
static void store_held(unsigned int i)
{
    uint64_t gfn = held[i] ? get_gpfn_from_mfn(page_to_mfn(held[i])) : FRAMES, value = fake_rand();
    uint64_t at = (gfn << PAGE_SHIFT) + 8 * fake_below(512);

    if (gfn >= FRAMES || is_table(page_to_mfn(held[i])) || gfn < TABLES || (gfn >= SMALL && gfn < SMALL + LARGE_TABLES))
        return;
    model_will_store(at, 8);
    memcpy((uint8_t *)page_to_virt(held[i]) + at % PAGE_SIZE, &value, 8);
    model_wrote(at, 8, value);
    stores++;
}

/* ---- all of it ---- */

void log_begin(void)
{
    logdirty_harvest = domains++ / 2 % 2;
    copied = false;
    reading.token = 0;
    memset(held, 0, sizeof(held));
}

void log_end(void)
{
    if (copied && !reading.token)
        check();
    for (unsigned int i = 0; i < HOLDERS; i++)
        if (held[i])
            put_page_and_type(held[i]);
    turn_off();
}

void log_step(void)
{
    unsigned int percent = fake_below(1000);

    if (percent < 10)
        take_or_drop(fake_below(HOLDERS));
    else if (percent < 30)
        store_held(fake_below(HOLDERS));
    else if (percent < 31)
        turn_off();
    else if (percent < 45)
        copied ? go_on_reading() : go_on_starting();
}

void log_tell(unsigned long ops)
{
    printf("log of stores: %lu rounds, %lu frames reported, %lu of them the same, %lu stores by others\n", rounds,
           reported, extra, stores);
    if (ops >= 100000)
        assert_true(rounds > ops / 1000 && stores > ops / 1000 && extra < reported);
    rounds = reported = extra = stores = 0;
}
