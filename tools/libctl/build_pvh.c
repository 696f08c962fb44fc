// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a PVH domain needs between its creation and its first instruction.
 *
 * Flow: pool for P2M and shadows -> memory, in 2 MiB extents where it can be -> kernel, ramdisk, start information ->
 * ACPI tables and rings in the hole below 4 GiB -> parameters, registers of vCPU 0. Place: build.c takes these steps,
 * after those that all domains have, and undoes them. Frames are guest frame numbers throughout.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libctl/build.h"

#define LARGE_ORDER 9
#define LARGE       (1ull << LARGE_ORDER)
#define BATCH       512u

static int step_pool(struct ctl_build *b)
{
    return ctl_domain_set_pool(b->ctl, b->domid, b->pool_kib, b->err);
}

/* Extents from `at` that can be had in one call: up to the next boundary, unless they are large. */
static size_t batch_of(uint64_t at, uint64_t end, unsigned order, uint64_t *frames)
{
    uint64_t room = order ? (end - at) >> order : LARGE - at % LARGE, n = room < end - at ? room : end - at;

    n = n < BATCH ? n : BATCH;
    for (uint64_t i = 0; i < n; i++) {
        frames[i] = at + (i << order);
    }
    return n;
}

/* Where no 2 MiB are to be had in one piece, the rest comes in single frames. */
static int populate(struct ctl_build *b, uint64_t at, uint64_t end)
{
    uint64_t frames[BATCH];
    bool large = true;

    while (at < end) {
        unsigned order = large && at % LARGE == 0 && end - at >= LARGE ? LARGE_ORDER : 0;
        size_t n = batch_of(at, end, order, frames);
        long done = ctl_memory_populate(b->ctl, b->domid, order, frames, n, order ? NULL : b->err);

        large = done == (long)n;
        if (done < 0 && !order) {
            return done;
        }
        at += done > 0 ? (uint64_t)done << order : 0;
        if (!large && !order) {
            return ctl_fail_domain(b->ctl, b->err, -ENOMEM, CTL_AT("populate memory", b->domid),
                                   "the host's memory or the domain's shadow memory ran out at address 0x%llx",
                                   (unsigned long long)at << CTL_PAGE_SHIFT);
        }
    }
    return 0;
}

static int step_memory(struct ctl_build *b)
{
    const struct ctl_pvh_layout *l = &b->pvh;
    uint64_t special = (CTL_SPECIAL_END - CTL_ACPI) >> CTL_PAGE_SHIFT, first = 1ull << (32 - CTL_PAGE_SHIFT);
    int rc = ctl_memory_claim(b->ctl, b->domid, ((l->low + l->high) >> CTL_PAGE_SHIFT) + special, b->err);

    if (rc == 0) {
        rc = populate(b, 0, l->low >> CTL_PAGE_SHIFT);
    }
    if (rc == 0) {
        rc = populate(b, CTL_ACPI >> CTL_PAGE_SHIFT, CTL_SPECIAL_END >> CTL_PAGE_SHIFT);
    }
    if (rc == 0) {
        rc = populate(b, first, first + (l->high >> CTL_PAGE_SHIFT));
    }
    b->console_frame = CTL_CONSOLE_RING >> CTL_PAGE_SHIFT;
    b->store_frame = CTL_STORE_RING >> CTL_PAGE_SHIFT;
    return rc;
}

/* The bytes [at, end) of the domain's memory, page-aligned; NULL with b->err filled. */
static uint8_t *map(struct ctl_build *b, uint64_t at, uint64_t end)
{
    size_t n = (end - at) >> CTL_PAGE_SHIFT;
    uint64_t *frames = malloc(n * sizeof(*frames));
    uint8_t *memory;

    if (!frames) {
        ctl_error_set(b->err, -ENOMEM, "map memory", b->config->name, NULL, "no memory for the list of frames");
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        frames[i] = (at >> CTL_PAGE_SHIFT) + i;
    }
    memory = ctl_foreign_map(b->ctl, b->domid, PROT_READ | PROT_WRITE, frames, n, b->err);
    free(frames);
    return memory;
}

static void unmap(struct ctl_build *b, uint8_t *memory, uint64_t at, uint64_t end)
{
    ctl_foreign_unmap(b->ctl, memory, (end - at) >> CTL_PAGE_SHIFT);
}

static int step_load(struct ctl_build *b)
{
    const struct ctl_pvh_layout *l = &b->pvh;
    uint8_t *memory = map(b, l->kernel, l->end);
    int rc;

    if (!memory) {
        return b->err->code;
    }
    ctl_image_copy(&b->image, memory, l->kernel);
    rc = ctl_file_fill(b->config->ramdisk, memory + (l->ramdisk - l->kernel), l->ramdisk_bytes, b->err);
    ctl_pvh_start_info(l, b->config->cmdline, memory + (l->start_info - l->kernel));
    unmap(b, memory, l->kernel, l->end);
    return rc;
}

static int step_special(struct ctl_build *b)
{
    uint8_t *memory = map(b, CTL_ACPI, CTL_SPECIAL_END);

    if (!memory) {
        return b->err->code;
    }
    memset(memory, 0, CTL_SPECIAL_END - CTL_ACPI);
    ctl_acpi_build(memory, b->maxvcpus);
    unmap(b, memory, CTL_ACPI, CTL_SPECIAL_END);
    return 0;
}

static int step_params(struct ctl_build *b)
{
    const struct {
        uint32_t index;
        uint64_t value;
    } params[] = {
        {HVM_PARAM_CONSOLE_PFN, b->console_frame},
        {HVM_PARAM_CONSOLE_EVTCHN, b->console_port},
        {HVM_PARAM_STORE_PFN, b->store_frame},
        {HVM_PARAM_STORE_EVTCHN, b->store_port},
    };
    int rc = 0;

    for (size_t i = 0; i < CTL_ARRAY(params) && rc == 0; i++) {
        rc = ctl_domain_set_param(b->ctl, b->domid, params[i].index, params[i].value, b->err);
    }
    return rc;
}

static int step_registers(struct ctl_build *b)
{
    return ctl_vcpu_set_flat(b->ctl, b->domid, b->image.notes.phys32_entry, b->pvh.start_info, b->err);
}

int (*const ctl_build_steps_pvh[])(struct ctl_build *) = {
    step_pool, step_memory, step_load, step_special, step_params, step_registers, NULL,
};
