/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The kept log: the last 64 KiB that were logged, once more, in memory of its own that a warm restart leaves alone. The
 * next boot finds it at the same address, puts it aside for the control domain (umbra_op previous_log) and begins anew.
 *
 * The address is the same while the memory map is, and `mem=`, which cuts the map's end off: boot modules that reach up
 * to half of the memory move it, no other option does. Firmware and GRUB work at the ends of the memory below 4 GiB,
 * so it lies in the middle.
 *
 * Invariant: nothing that is read from there before it began anew is believed: it may be garbage.
 */
#include <hv/boot.h>
#include <hv/frame.h>
#include <umbra/umbra_op.h>
#include "console_private.h"

#define KEPT_SIZE  UMBRA_PREVIOUS_LOG_max
#define PLACE_MAX  (1ull << 30)
#define PLACE_UNIT (16ull << 20) /* the size of the memory may differ by some pages from boot to boot */
#define CACHE_LINE 64

struct kept {
    struct kept_head {
        uint64_t magic;
        uint32_t version, size;
    } head;
    struct log_ring ring;
    char log[KEPT_SIZE];    /* the ring's */
    char before[KEPT_SIZE]; /* what the boot before logged, from its first byte on */
};

static const struct kept_head valid = {0x676f4c6172626d55ull, 1, sizeof(struct kept)}; /* "UmbraLog" */
static struct kept *kept;
static size_t before_size;

void kept_put(const char *s, size_t n)
{
    if (kept)
        ring_put(&kept->ring, s, n);
}

size_t console_previous(const char **log)
{
    *log = before_size ? kept->before : NULL;
    return before_size;
}

/* Puts aside what the boot before logged; returns its size, 0: there is nothing that can be believed. */
static size_t take_over(struct kept *k)
{
    struct log_ring r = {k->log, KEPT_SIZE, k->ring.start, k->ring.end};
    uint32_t index = r.start;

    if (memcmp(&k->head, &valid, sizeof(valid)) != 0 || r.end - r.start > KEPT_SIZE)
        return 0;
    return ring_get(&r, k->before, KEPT_SIZE, &index);
}

/* With what this boot has logged so far. */
static void begin_anew(struct kept *k)
{
    uint32_t index = 0;
    char buf[128];
    size_t n;

    k->head = valid;
    k->ring = (struct log_ring){k->log, KEPT_SIZE, 0, 0};
    while ((n = console_ring_read(buf, sizeof(buf), &index)) > 0)
        ring_put(&k->ring, buf, n);
}

void console_init_kept(void)
{
    uint64_t middle = MIN((total_pages << PAGE_SHIFT) / 2, PLACE_MAX);
    uint64_t place = memmap_find(sizeof(struct kept), PAGE_SIZE, ROUND_DOWN(middle, PLACE_UNIT));

    if (!place)
        return;
    memmap_reserve(place, place + sizeof(struct kept));
    kept = mfn_to_virt(maddr_to_mfn(_maddr(place)));
    before_size = take_over(kept);
    begin_anew(kept);
    printk(XLOG_INFO "Log kept at %lx; of the boot before: %zu bytes\n", place, before_size);
}

/* Line by line: that reaches the caches of all CPUs, and those that have stopped cannot write theirs back. */
void console_keep(void)
{
    if (!kept)
        return;
    for (size_t at = 0; at < offsetof(struct kept, before); at += CACHE_LINE)
        __asm__ __volatile__("clflush %0" ::"m"(((char *)kept)[at]));
    __asm__ __volatile__("mfence" ::: "memory");
}
