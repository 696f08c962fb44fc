// SPDX-License-Identifier: BSD-2-Clause
/* Memory, grants, time and hypercalls of a guest that is a device's half. */
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "device_world.h"

enum { TABLES = 1, STORE_FRAME = 5, CONSOLE_FRAME, FIRST_PAGE = 16, FIRST_PORT = 8 };
enum { ABOVE = 4096 }; /* memory that is no frame of this guest's */

uint8_t ram[FRAMES][PAGE_SIZE] __attribute__((aligned(4096)));
unsigned int nr_checks, nr_failures, chance;
evtchn_port_t world_port;
struct start_info *start_info;
struct shared_info *shared_info;
const char guest_name[] = "host";

static struct start_info info;
static grant_entry_v1_t table[REFS];
static bool given[FRAMES];
static unsigned int held[FRAMES], next_page = FIRST_PAGE;
static struct {
    unsigned int uses, frame;
} active[REFS];
static uint64_t clock_ns;
static const void *readonly; /* the latest page of somebody else's */
static jmp_buf *failing;

/* ---- checks ---- */

void check_at(bool ok, const char *file, int line, const char *what)
{
    nr_checks++;
    nr_failures += !ok;
    if (!ok)
        fprintf(stderr, "%s:%d: %s\n", file, line, what);
}

void check_value_at(long value, long wanted, const char *file, int line, const char *what)
{
    check_at(value == wanted, file, line, what);
    if (value != wanted)
        fprintf(stderr, "  it is %ld, not %ld\n", value, wanted);
}

void fail_now(const char *file, int line, const char *what)
{
    check_at(false, file, line, what);
    longjmp(*failing, 1);
}

void say(const char *fmt, ...)
{
    (void)fmt;
}

bool world_run(void (*guest)(void))
{
    jmp_buf here;

    failing = &here;
    if (setjmp(here) == 0)
        guest();
    return nr_checks > 0 && nr_failures == 0;
}

/* ---- memory ---- */

static unsigned int index_of(unsigned long mfn)
{
    return mfn >= BASE && mfn < BASE + FRAMES ? (unsigned int)(mfn - BASE) : FRAMES;
}

void *new_page(void)
{
    return ram[next_page++];
}

unsigned long spare_mfn(unsigned int n)
{
    return BASE + FRAMES - 1 - n;
}

unsigned long mfn_of(const void *p)
{
    return BASE + (unsigned long)((const uint8_t *)p - ram[0]) / PAGE_SIZE;
}

void *virt_of(unsigned long mfn)
{
    return ram[index_of(mfn)];
}

unsigned long *entry_of(const void *va, unsigned int level)
{
    (void)va;
    return (unsigned long *)ram[TABLES + level - 1];
}

domid_t own_domid(void)
{
    return 7;
}

grant_entry_v1_t *grant_entries(void)
{
    return table;
}

uint8_t *world_map(grant_ref_t ref, bool write)
{
    unsigned int frame;

    if (ref >= REFS || !(table[ref].flags & GTF_permit_access) || table[ref].domid != 0)
        return NULL;
    frame = index_of(table[ref].frame);
    if ((write && (table[ref].flags & GTF_readonly)) || frame == FRAMES || (given[frame] && !held[frame]))
        return NULL;
    if (write && frame >= TABLES && frame < TABLES + 4)
        return NULL;
    table[ref].flags |= (uint16_t)(GTF_reading | (write ? GTF_writing : 0));
    active[ref].uses++;
    active[ref].frame = frame;
    held[frame]++;
    return ram[frame];
}

void world_unmap(const uint8_t *page)
{
    unsigned int frame = index_of(mfn_of(page));

    held[frame]--;
    for (unsigned int ref = 0; ref < REFS; ref++) {
        if (!active[ref].uses || active[ref].frame != frame)
            continue;
        if (--active[ref].uses == 0)
            table[ref].flags &= (uint16_t) ~(GTF_reading | GTF_writing);
        return;
    }
}

static long reservation(unsigned int cmd, const struct xen_memory_reservation *r)
{
    xen_pfn_t *name = r->extent_start.p;
    unsigned int frame = index_of(*name);

    if (cmd == XENMEM_decrease_reservation) {
        if (frame == FRAMES || (given[frame] && !held[frame]))
            return 0;
        given[frame] = true;
        return 1;
    }
    for (frame = 0; frame < FRAMES && (!given[frame] || held[frame]); frame++)
        continue;
    if (frame == FRAMES)
        return 0;
    given[frame] = false;
    *name = BASE + frame;
    return 1;
}

/* ---- time, and calls ---- */

uint64_t now(void)
{
    return clock_ns += 20000;
}

void world_work(void)
{
    bool changed = store_serve();

    chance = chance * 1103515245u + 12345;
    blkback_work(changed);
    netback_work(changed);
    front_work();
}

long evtchn_op(unsigned int cmd, void *arg)
{
    if (cmd == EVTCHNOP_alloc_unbound)
        world_port = ((struct evtchn_alloc_unbound *)arg)->port = FIRST_PORT;
    else if (cmd == EVTCHNOP_bind_interdomain)
        world_port = ((struct evtchn_bind_interdomain *)arg)->local_port = FIRST_PORT;
    clock_ns += 20000;
    if (cmd == EVTCHNOP_send && (chance += 0x9e3779b9u) >> 30 == 0)
        world_work();
    return 0;
}

long hypercall(unsigned long nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e)
{
    (void)c;
    (void)d;
    (void)e;
    if (nr == __HYPERVISOR_memory_op)
        return reservation((unsigned int)a, (const struct xen_memory_reservation *)b);
    if (nr == __HYPERVISOR_sched_op && a == SCHEDOP_poll) {
        clock_ns = ((const struct sched_poll *)b)->timeout;
        world_work();
    }
    return 0;
}

int map_grant(const struct gnttab_map_grant_ref *request, struct gnttab_map_grant_ref *result)
{
    *result = *request;
    result->status = (int16_t)front_grant(request);
    if (result->status == GNTST_okay && (request->flags & GNTMAP_readonly))
        readonly = (void *)request->host_addr;
    return result->status;
}

/* Who writes to a page of somebody else's that was granted to be written to is not asked here. */
long grant_op(unsigned int cmd, void *arg, unsigned int count)
{
    struct gnttab_copy *op = arg;
    struct gnttab_map_grant_ref as_map = {.ref = op->dest.u.ref};

    check_at(cmd == GNTTABOP_copy && count == 1, __FILE__, __LINE__, "another operation on grants");
    op->status = (int16_t)front_grant(&as_map);
    return 0;
}

int try_write(void *p, uint64_t value)
{
    (void)value;
    return p == readonly ? TRAP_PF : -1;
}

void world_begin(void)
{
    info = (struct start_info){.nr_pages = FRAMES, .store_mfn = BASE + STORE_FRAME, .store_evtchn = 1};
    info.console.domU.mfn = BASE + CONSOLE_FRAME;
    info.console.domU.evtchn = 2;
    start_info = &info;
}
