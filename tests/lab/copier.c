// SPDX-License-Identifier: BSD-2-Clause
/*
 * Copies a translated guest's memory while it runs, as a migration does, with the log of stores; and then looks whether
 * the copy is right.
 *
 *   copier DOMID FRAMES ROUNDS
 *
 * prints the frames that each round reported, those that the last one did with the guest paused, and "missed" with the
 * number of frames that the copy has wrong.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/domctl.h>

#include "calls.h"
#include "libctl/ctl.h"

#define FRAME 4096u

static struct ctl *ctl;
static uint32_t domid;
static size_t frames;
static const uint8_t *memory; /* the guest's */
static uint8_t *copy, *bitmap;

static struct xen_domctl_shadow_op shadow_op(uint32_t command, uint32_t mode, const char *what)
{
    struct xen_domctl *op = buffer(sizeof(*op));
    struct xen_domctl_shadow_op done;

    op->cmd = XEN_DOMCTL_shadow_op;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = (domid_t)domid;
    op->u.shadow_op = (struct xen_domctl_shadow_op){.op = command, .mode = mode, .pages = frames};
    op->u.shadow_op.dirty_bitmap.p = bitmap;
    must(xencall1(calls, __HYPERVISOR_domctl, (uintptr_t)op) == 0, what);
    done = op->u.shadow_op;
    xencall_free_buffer(calls, op);
    return done;
}

static void map(void)
{
    uint64_t *list = calloc(frames, sizeof(*list));

    for (size_t i = 0; i < frames; i++)
        list[i] = i;
    memory = ctl_foreign_map(ctl, domid, PROT_READ, list, frames, NULL);
    must(memory != NULL, "map");
    free(list);
}

/* Reads and clears the bits, copies what they name, says how many there were. */
static void copy_round(uint32_t mode)
{
    struct xen_domctl_shadow_op done;
    unsigned reported = 0;

    done = shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, mode, "clean");
    must(done.pages == frames, "another number of frames");
    for (size_t i = 0; i < frames; i++)
        if (bitmap[i / 8] & 1u << i % 8) {
            memcpy(copy + i * FRAME, memory + i * FRAME, FRAME);
            reported++;
        }
    printf("%u ", reported);
}

static unsigned wrong(void)
{
    unsigned n = 0;

    for (size_t i = 0; i < frames; i++)
        n += memcmp(copy + i * FRAME, memory + i * FRAME, FRAME) != 0;
    return n;
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
    bitmap = buffer((frames + 7) / 8);
    copy = malloc(frames * FRAME);
    map();
    shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, "enable");
    memcpy(copy, memory, frames * FRAME);
    for (int i = atoi(argv[3]); i > 0; i--) {
        usleep(100000);
        copy_round(0);
    }
    must(ctl_domain_pause(ctl, domid, NULL) == 0, "pause");
    copy_round(XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL);
    printf("missed %u\n", wrong());
    shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, "off");
    must(ctl_domain_unpause(ctl, domid, NULL) == 0, "unpause");
    return 0;
}
