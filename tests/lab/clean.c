// SPDX-License-Identifier: BSD-2-Clause
/*
 * What a round of a migration costs the hypervisor: reads and clears the log of a guest's stores.
 *
 *   clean DOMID FRAMES ROUNDS
 *
 * Each round lets the guest work for a second, pauses it, and prints how many frames it stored to and how many ticks of
 * the time stamp counter the call took.
 */
#include <stdint.h>
#include <unistd.h>
#include <x86intrin.h>
#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/domctl.h>

#include "calls.h"
#include "libctl/ctl.h"

#define SECOND 1000000u

static struct ctl *ctl;
static uint32_t domid;
static size_t frames;
static uint64_t *bitmap;

static void shadow_op(uint32_t command)
{
    struct xen_domctl *op = buffer(sizeof(*op));

    op->cmd = XEN_DOMCTL_shadow_op;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = (domid_t)domid;
    op->u.shadow_op = (struct xen_domctl_shadow_op){.op = command, .pages = frames};
    op->u.shadow_op.dirty_bitmap.p = (uint8_t *)bitmap;
    must(xencall1(calls, __HYPERVISOR_domctl, (uintptr_t)op) == 0, "shadow_op");
    xencall_free_buffer(calls, op);
}

static unsigned set_bits(void)
{
    unsigned n = 0;

    for (size_t i = 0; i < frames / 64; i++)
        n += (unsigned)__builtin_popcountll(bitmap[i]);
    return n;
}

static void one_round(void)
{
    uint64_t began;

    usleep(SECOND);
    must(ctl_domain_pause(ctl, domid, NULL) == 0, "pause");
    began = __rdtsc();
    shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN);
    printf("%llu ", (unsigned long long)(__rdtsc() - began));
    printf("%u\n", set_bits());
    must(ctl_domain_unpause(ctl, domid, NULL) == 0, "unpause");
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return 2;
    calls = xencall_open(NULL, 0);
    ctl = ctl_open(NULL);
    must(calls && ctl, "open");
    domid = (uint32_t)atoi(argv[1]);
    frames = (size_t)atoi(argv[2]);
    bitmap = buffer(frames / 8);
    shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY);
    shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN);
    for (int i = atoi(argv[3]); i > 0; i--)
        one_round();
    shadow_op(XEN_DOMCTL_SHADOW_OP_OFF);
    return 0;
}
