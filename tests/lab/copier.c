// SPDX-License-Identifier: BSD-2-Clause
/*
 * Copies a guest's memory while it runs, as a migration does, with the log of stores; and then looks whether the copy
 * is right. Of the copy there are sums only.
 *
 *   copier DOMID FRAMES ROUNDS [FILE]
 *
 * With FILE it goes on until that is there. FRAMES is how many guest frames there are of a translated guest, or "pv":
 * then the guest's P2M says it. Prints the frames that each round reported, those that the last one did with the guest
 * paused, and "missed" with the number of frames that the copy has wrong, and the log does not know of.
 *
 *   copier DOMID worry
 *
 * Turns the log on, says "on", and reads and clears it until the guest is no more.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/domctl.h>

#include "calls.h"
#include "libctl/ctl.h"
#include "libctl/save.h"

#define FRAME 4096u
#define BATCH 1024u

static struct ctl *ctl;
static uint32_t domid;
static size_t frames;
static const uint8_t **memory; /* the guest's; NULL: nothing is there */
static uint64_t *copy;
static uint8_t *bitmap;

/* 0, or -1 with errno. */
static int shadow_op(uint32_t command, uint32_t mode, uint64_t *pages)
{
    struct xen_domctl *op = buffer(sizeof(*op));
    int rc;

    op->cmd = XEN_DOMCTL_shadow_op;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = (domid_t)domid;
    op->u.shadow_op = (struct xen_domctl_shadow_op){.op = command, .mode = mode, .pages = frames};
    op->u.shadow_op.dirty_bitmap.p = bitmap;
    rc = xencall1(calls, __HYPERVISOR_domctl, (uintptr_t)op);
    if (pages)
        *pages = op->u.shadow_op.pages;
    xencall_free_buffer(calls, op);
    return rc;
}

/* Where the guest's frames are, by its own list or by its own names. */
static uint64_t *find(const char *how)
{
    struct ctl_error err;
    struct ctl_save save = {.ctl = ctl, .err = &err, .info.domid = domid};
    uint64_t *list;

    if (strcmp(how, "pv") == 0) {
        must(ctl_domain_info(ctl, domid, &save.info, &err) == 0, "information");
        must(ctl_save_open(&save) == 0, err.message);
        frames = save.nr_pfns;
    } else {
        frames = (size_t)atoi(how);
    }
    list = calloc(frames, sizeof(*list));
    for (size_t i = 0; i < frames; i++)
        list[i] = save.p2m ? save.p2m[i] : i;
    ctl_save_close(&save);
    return list;
}

static void map(const uint64_t *list)
{
    uint64_t some[BATCH];
    size_t at[BATCH], n = 0;

    memory = calloc(frames, sizeof(*memory));
    for (size_t i = 0; i <= frames; i++) {
        if (i < frames && list[i] != NO_FRAME) {
            some[n] = list[i];
            at[n++] = i;
        }
        if (n == BATCH || (i == frames && n)) {
            const uint8_t *p = ctl_foreign_map(ctl, domid, PROT_READ, some, n, NULL);

            must(p != NULL, "map");
            while (n--)
                memory[at[n]] = p + n * FRAME;
            n = 0;
        }
    }
}

static uint64_t sum_of(size_t frame)
{
    const uint64_t *word = (const void *)memory[frame];
    uint64_t sum = 1;

    for (size_t i = 0; word && i < FRAME / sizeof(*word); i++)
        sum = (sum ^ ((const volatile uint64_t *)word)[i]) * 0x9e3779b97f4a7c15ull + 1;
    return sum;
}

static bool reported(size_t frame)
{
    return bitmap[frame / 8] & 1u << frame % 8;
}

/* Reads and clears the bits, copies what they name, says how many there were. */
static void copy_round(uint32_t mode)
{
    uint64_t pages;
    unsigned n = 0;

    must(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, mode, &pages) == 0, "clean");
    must(pages == frames, "another number of frames");
    for (size_t i = 0; i < frames; i++)
        if (reported(i)) {
            copy[i] = sum_of(i);
            n++;
        }
    printf("%u ", n);
}

/* What others than the guest store to at any time is in the log again. */
static unsigned wrong(void)
{
    unsigned n = 0;
    bool *differs = calloc(frames, sizeof(*differs));

    for (size_t i = 0; i < frames; i++)
        differs[i] = copy[i] != sum_of(i);
    must(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 0, NULL) == 0, "peek");
    for (size_t i = 0; i < frames; i++)
        n += differs[i] && !reported(i);
    free(differs);
    return n;
}

static int worry(void)
{
    frames = 1u << 15;
    bitmap = buffer((frames + 7) / 8);
    must(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL) == 0, "enable");
    printf("on\n");
    fflush(stdout);
    while (shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, NULL) == 0)
        usleep(20000);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t *list;

    if (argc < 3 || argc > 5)
        return 2;
    calls = xencall_open(NULL, 0);
    ctl = ctl_open(NULL);
    must(calls && ctl, "open");
    domid = (uint32_t)atoi(argv[1]);
    if (argc == 3)
        return worry();
    list = find(argv[2]);
    bitmap = buffer((frames + 7) / 8);
    copy = calloc(frames, sizeof(*copy));
    map(list);
    must(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL) == 0, "enable");
    for (size_t i = 0; i < frames; i++)
        copy[i] = sum_of(i);
    for (int i = atoi(argv[3]); i > 0 || (argc == 5 && access(argv[4], F_OK)); i--) {
        usleep(100000);
        copy_round(0);
    }
    must(ctl_domain_pause(ctl, domid, NULL) == 0, "pause");
    copy_round(XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL);
    printf("missed %u\n", wrong());
    must(shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL) == 0, "off");
    must(ctl_domain_unpause(ctl, domid, NULL) == 0, "unpause");
    return 0;
}
