// SPDX-License-Identifier: BSD-2-Clause
/* See saved_guest.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "saved_guest.h"

#define P2M_ADDRESS 0xffffc90000000000ull
#define ROUND_UP(n) (((n) + 511) / 512)

uint8_t machine[FRAMES][4096] __attribute__((aligned(4096)));
uint8_t owner[FRAMES];
struct saved_domain domains[3];
struct saved_places places;
int fail_domctl;
uint32_t processor_lacks;
int disks_fail;
unsigned disks_flushed;
unsigned live_resources;

static uint64_t state;

void machine_seed(uint64_t seed)
{
    state = seed * 0x9e3779b97f4a7c15ull + 1;
}

uint64_t machine_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state * 0x2545f4914f6cdd1dull;
}

static uint64_t below(uint64_t n)
{
    return (machine_random() >> 16) % n;
}

static uint64_t free_frame(void)
{
    uint64_t f;

    do {
        f = 16 + below(FRAMES - 16);
    } while (owner[f]);
    return f;
}

uint64_t machine_take(unsigned domid)
{
    uint64_t f = free_frame();

    owner[f] = (uint8_t)domid;
    memset(machine[f], 0xcc, sizeof(machine[f]));
    return f;
}

uint64_t machine_pfn(const struct saved_domain *d, uint64_t frame)
{
    for (uint64_t pfn = 0; pfn < d->nr_pfns; pfn++) {
        if (frame && d->frame[pfn] == frame) {
            return pfn;
        }
    }
    return NO_FRAME;
}

/* --- a guest at random --- */

void machine_fill(void *to, size_t size)
{
    uint8_t *p = to;

    for (size_t i = 0; i < size; i++) {
        p[i] = (uint8_t)(machine_random() >> 32);
    }
}

/* A guest frame with memory that nothing special is in yet. */
static bool special[MAX_PFNS];

static uint64_t plain_pfn(void)
{
    uint64_t pfn;

    do {
        pfn = below(domains[SOURCE].nr_pfns);
    } while (!domains[SOURCE].frame[pfn] || special[pfn]);
    return pfn;
}

static uint64_t special_pfn(void)
{
    uint64_t pfn = plain_pfn();

    special[pfn] = true;
    return pfn;
}

static void *page_of(uint64_t pfn)
{
    return machine[domains[SOURCE].frame[pfn]];
}

static uint64_t entry_for(uint64_t pfn)
{
    return domains[SOURCE].frame[pfn] << 12 | (machine_random() & 0x8000000000000e67ull) | PTE_PRESENT;
}

/* A table whose present entries, if it has any, name what `names` gives. */
static uint64_t make_table(unsigned level, uint64_t (*names)(unsigned level))
{
    uint64_t pfn = special_pfn(), *table = page_of(pfn);

    domains[SOURCE].type[pfn] = (uint8_t)(level | (below(2) ? PAGE_PINNED : 0));
    for (unsigned i = 0; i < PTE_COUNT; i++) {
        bool own = level == 4 && i >= L4_HV_FIRST && i < L4_HV_END;

        table[i] = own ? machine_random() : below(3) ? machine_random() & ~PTE_PRESENT : entry_for(names(level));
    }
    return pfn;
}

static uint64_t tables[5][8];
static unsigned nr_tables[5];

static uint64_t lower(unsigned level)
{
    if (level == 1) {
        return plain_pfn();
    }
    return tables[level - 1][below(nr_tables[level - 1])];
}

uint64_t machine_table(unsigned level, unsigned i)
{
    return i < nr_tables[level] ? tables[level][i] : NO_FRAME;
}

uint64_t machine_plain(void)
{
    return plain_pfn();
}

static void make_tables(void)
{
    for (unsigned level = 1; level <= 4; level++) {
        nr_tables[level] = 1 + (unsigned)below(4);
        for (unsigned i = 0; i < nr_tables[level]; i++) {
            tables[level][i] = make_table(level, lower);
        }
    }
}

/* An entry on the way to the list, in a table that may serve others too. */
static void link_table(uint64_t upper, uint64_t address, unsigned level, uint64_t to)
{
    uint64_t *table = page_of(upper);

    table[address >> (12 + 9 * (level - 1)) & 511] = domains[SOURCE].frame[to] << 12 | 0x67;
}

static void place_flat(struct arch_shared_info *arch)
{
    uint64_t way[5];

    for (unsigned level = 1; level <= 4; level++) {
        way[level] = tables[level][0];
    }
    for (unsigned level = 4; level > 1; level--) {
        link_table(way[level], P2M_ADDRESS, level, way[level - 1]);
    }
    for (uint64_t i = 0; i < places.nr_p2m; i++) {
        link_table(way[1], P2M_ADDRESS + (i << 12), 1, places.p2m[i]);
    }
    arch->p2m_cr3 = xen_pfn_to_cr3(domains[SOURCE].frame[way[4]]);
    arch->p2m_vaddr = P2M_ADDRESS;
    arch->pfn_to_mfn_frame_list_list = ~0ul;
}

static void place_tree(struct arch_shared_info *arch)
{
    uint64_t top = special_pfn(), leaf = special_pfn(), *list = page_of(leaf);

    *(uint64_t *)page_of(top) = domains[SOURCE].frame[leaf];
    for (uint64_t i = 0; i < places.nr_p2m; i++) {
        list[i] = domains[SOURCE].frame[places.p2m[i]];
    }
    arch->p2m_cr3 = 0;
    arch->pfn_to_mfn_frame_list_list = domains[SOURCE].frame[top];
}

static void make_list(bool flat)
{
    struct saved_domain *d = &domains[SOURCE];
    struct shared_info *shared = (void *)machine[d->shared_frame];

    places.nr_p2m = ROUND_UP(d->nr_pfns);
    for (uint64_t i = 0; i < places.nr_p2m; i++) {
        uint64_t *list;

        places.p2m[i] = special_pfn();
        list = page_of(places.p2m[i]);
        for (uint64_t j = 0; j < 512; j++) {
            uint64_t pfn = i * 512 + j, frame = pfn < d->nr_pfns ? d->frame[pfn] : 0;

            list[j] = frame ? frame : below(2) ? NO_FRAME : 1ull << 62 | pfn;
        }
    }
    shared->arch.max_pfn = d->nr_pfns;
    if (flat) {
        place_flat(&shared->arch);
    } else {
        place_tree(&shared->arch);
    }
}

static void make_start_info(void)
{
    struct start_info *si;

    places.start_info = special_pfn();
    places.store = plain_pfn();
    places.console = special_pfn(); /* what is in it does not arrive */
    si = page_of(places.start_info);
    si->store_mfn = places.store; /* a guest that sleeps has turned them into its own numbers */
    si->console.domU.mfn = places.console;
}

static void make_vcpu(struct saved_vcpu *v, unsigned id)
{
    struct saved_domain *d = &domains[SOURCE];

    v->online = id == 0 || below(4);
    machine_fill(&v->basic, sizeof(v->basic));
    v->basic.gdt_ents = below(3) * 512;
    memset(v->basic.gdt_frames, 0, sizeof(v->basic.gdt_frames));
    for (unsigned i = 0; i < v->basic.gdt_ents / 512; i++) {
        v->basic.gdt_frames[i] = d->frame[plain_pfn()];
    }
    v->basic.ctrlreg[3] = xen_pfn_to_cr3(d->frame[tables[4][0]]);
    v->basic.ctrlreg[1] = below(2) ? xen_pfn_to_cr3(d->frame[tables[4][below(nr_tables[4])]]) : 0;
    if (id == 0) {
        v->basic.user_regs.rdx = d->frame[places.start_info];
    }
    machine_fill(&v->ext, sizeof(v->ext));
    v->ext.vcpu = id;
    v->ext.size = sizeof(v->ext);
    v->xstate_size = 16 + 8 * below((XSTATE - 16) / 8 + 1);
    machine_fill(v->xstate, sizeof(v->xstate));
    v->nr_msrs = (uint32_t)below(5);
    machine_fill(v->msrs, sizeof(v->msrs));
}

void machine_make(uint64_t pfns, bool flat, unsigned vcpus)
{
    struct saved_domain *d = &domains[SOURCE];

    memset(domains, 0, sizeof(domains));
    memset(owner, 0, sizeof(owner));
    memset(special, 0, sizeof(special));
    d->nr_pfns = pfns;
    d->suspended = true;
    d->policy_seed = machine_random();
    d->tsc_nsec = machine_random();
    d->shared_frame = machine_take(SOURCE);
    machine_fill(machine[d->shared_frame], 4096);
    for (uint64_t pfn = 0; pfn < pfns; pfn++) {
        if (below(20)) {
            d->frame[pfn] = machine_take(SOURCE);
            machine_fill(machine[d->frame[pfn]], below(4) ? 64 : 4096);
        }
    }
    make_tables();
    make_start_info();
    make_list(flat);
    for (unsigned i = 0; i < vcpus; i++) {
        make_vcpu(&d->vcpu[i], i);
    }
}

void machine_empty(struct ctl_build *b, struct ctl_domain_config *config, struct ctl_error *err)
{
    struct saved_domain *d = &domains[TARGET];

    for (unsigned f = 0; f < FRAMES; f++) {
        owner[f] = owner[f] == TARGET ? 0 : owner[f];
    }
    memset(d, 0, sizeof(*d));
    d->hvm = domains[SOURCE].hvm;
    d->no_large = domains[SOURCE].no_large;
    d->shared_frame = machine_take(TARGET);
    memset(machine[d->shared_frame], 0, 4096);
    d->populate_limit = MAX_PFNS;
    *err = (struct ctl_error){0};
    *config = (struct ctl_domain_config){.name = "copy", .type = d->hvm ? CTL_PVH : CTL_PV};
    *b = (struct ctl_build){.ctl = NULL,
                            .config = config,
                            .err = err,
                            .maxvcpus = MAX_VCPUS,
                            .maxmem_kib = MAX_PFNS * 4,
                            .pool_kib = 3072,
                            .domid = TARGET,
                            .store_port = 1,
                            .console_port = 2};
}

/* --- is it a copy? --- */

static bool same_table(const uint64_t *a, const uint64_t *b, unsigned level)
{
    for (unsigned i = 0; i < PTE_COUNT; i++) {
        uint64_t want = a[i];

        if (level == 4 && i >= L4_HV_FIRST && i < L4_HV_END) {
            want = 0;
        } else if (want & PTE_PRESENT) {
            uint64_t pfn = machine_pfn(&domains[SOURCE], (want & PTE_FRAME) >> 12);

            want = (want & ~PTE_FRAME) | domains[TARGET].frame[pfn] << 12;
        }
        if (want != b[i]) {
            return false;
        }
    }
    return true;
}

static bool same_list(uint64_t first, const uint64_t *a, const uint64_t *b)
{
    for (uint64_t i = 0; i < 512; i++) {
        uint64_t want = first + i < domains[SOURCE].nr_pfns ? domains[TARGET].frame[first + i] : 0;

        if (b[i] != (want ? want : a[i] >> 62 == 1 ? a[i] : NO_FRAME)) {
            return false;
        }
    }
    return true;
}

static const char *compare_page(uint64_t pfn)
{
    static const uint8_t empty[4096];
    const struct saved_domain *s = &domains[SOURCE], *t = &domains[TARGET];
    const void *a = machine[s->frame[pfn]], *b = machine[t->frame[pfn]];

    if (!s->frame[pfn] != !t->frame[pfn]) {
        return "another frame has memory";
    }
    if (!s->frame[pfn] || pfn == places.start_info) {
        return NULL;
    }
    if ((t->type[pfn] & PAGE_PINNED) != (s->type[pfn] & PAGE_PINNED)) {
        return "pins";
    }
    for (uint64_t i = 0; i < places.nr_p2m; i++) {
        if (pfn == places.p2m[i]) {
            return same_list(i * 512, a, b) ? NULL : "the list of frames";
        }
    }
    if (page_level(s->type[pfn])) {
        return same_table(a, b, page_level(s->type[pfn])) ? NULL : "a page table";
    }
    if (pfn == places.console) {
        return memcmp(b, empty, sizeof(empty)) == 0 ? NULL : "the console's ring";
    }
    return memcmp(a, b, 4096) ? "a page" : NULL;
}

static const char *compare_start_info(const struct ctl_build *b)
{
    const struct saved_domain *t = &domains[TARGET];
    const struct start_info *si = (const void *)machine[t->frame[places.start_info]];
    const struct shared_info *shared = (const void *)machine[t->shared_frame],
                             *before = (const void *)machine[domains[SOURCE].shared_frame];

    if (si->store_mfn != t->frame[places.store] || si->console.domU.mfn != t->frame[places.console] ||
        si->store_evtchn != 1 || si->console.domU.evtchn != 2 || si->shared_info != t->shared_frame << 12 ||
        b->store_frame != si->store_mfn || b->console_frame != si->console.domU.mfn) {
        return "start_info";
    }
    for (unsigned i = 0; i < sizeof(shared->evtchn_mask) / sizeof(shared->evtchn_mask[0]); i++) {
        if (shared->evtchn_pending[i] || ~shared->evtchn_mask[i]) {
            return "event channels";
        }
    }
    return shared->arch.p2m_vaddr == before->arch.p2m_vaddr ? NULL : "shared information";
}

static uint64_t moved(uint64_t frame)
{
    return domains[TARGET].frame[machine_pfn(&domains[SOURCE], frame)];
}

static const char *compare_vcpu(unsigned id)
{
    const struct saved_vcpu *t = &domains[TARGET].vcpu[id];
    struct saved_vcpu s = domains[SOURCE].vcpu[id];

    if (s.online != t->online) {
        return "another vCPU is up";
    }
    if (!s.online) {
        return NULL;
    }
    for (unsigned i = 0; i < s.basic.gdt_ents / 512; i++) {
        s.basic.gdt_frames[i] = moved(s.basic.gdt_frames[i]);
    }
    s.basic.ctrlreg[3] = xen_pfn_to_cr3(moved(xen_cr3_to_pfn(s.basic.ctrlreg[3])));
    s.basic.ctrlreg[1] = s.basic.ctrlreg[1] ? xen_pfn_to_cr3(moved(xen_cr3_to_pfn(s.basic.ctrlreg[1]))) : 0;
    s.basic.flags |= VGCF_online;
    if (id == 0) {
        s.basic.user_regs.rdx = moved(s.basic.user_regs.rdx);
    }
    if (memcmp(&s.basic, &t->basic, sizeof(s.basic)) || memcmp(&s.ext, &t->ext, sizeof(s.ext))) {
        return "registers";
    }
    if (s.xstate_size != t->xstate_size || memcmp(s.xstate, t->xstate, s.xstate_size)) {
        return "extended state";
    }
    return s.nr_msrs == t->nr_msrs && !memcmp(s.msrs, t->msrs, s.nr_msrs * sizeof(s.msrs[0])) ? NULL : "MSRs";
}

const char *machine_compare(const struct ctl_build *b)
{
    const char *wrong;

    domains[TARGET].nr_pfns = domains[SOURCE].nr_pfns;
    if (domains[SOURCE].hvm) {
        return pvh_compare(b);
    }
    wrong = compare_start_info(b);
    for (uint64_t pfn = 0; pfn < domains[SOURCE].nr_pfns && !wrong; pfn++) {
        wrong = compare_page(pfn);
    }
    for (unsigned i = 0; i < MAX_VCPUS && !wrong; i++) {
        wrong = compare_vcpu(i);
    }
    if (!wrong && (domains[TARGET].policy_seed != domains[SOURCE].policy_seed ||
                   domains[TARGET].tsc_nsec != domains[SOURCE].tsc_nsec)) {
        wrong = "policy or time";
    }
    return wrong;
}

/* --- libctl's calls --- */

int ctl_fail_domain(struct ctl *ctl, struct ctl_error *err, int code, struct ctl_at at, const char *fmt, ...)
{
    char text[CTL_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    return ctl_error_set(err, code, at.step, "domain", NULL, "%s", text);
}

void *ctl_buffer_get(struct ctl *ctl, size_t size)
{
    live_resources++;
    return calloc(1, size ? size : 1);
}

void ctl_buffer_put(struct ctl *ctl, void *buffer)
{
    live_resources -= buffer != NULL;
    free(buffer);
}

/* A mapping is a copy, written back when it is undone. */
static struct {
    uint8_t *at;
    uint64_t frame[PAGE_BATCH];
    bool writable;
} maps[4];

/* What a call means by a frame. */
static uint64_t frame_of(uint32_t domid, uint64_t frame)
{
    if (domains[domid].hvm) {
        return frame < MAX_PFNS ? domains[domid].frame[frame] : 0;
    }
    return frame < FRAMES ? frame : 0;
}

void *ctl_foreign_map(struct ctl *ctl, uint32_t domid, int prot, const uint64_t *frames, size_t count,
                      struct ctl_error *err)
{
    unsigned m = 0;

    live_run();
    for (size_t i = 0; i < count; i++) {
        if (count > PAGE_BATCH || owner[frame_of(domid, frames[i])] != domid) {
            ctl_error_set(err, -EINVAL, "map memory", "domain", NULL, "not its own");
            return NULL;
        }
    }
    while (maps[m].at) {
        m++;
    }
    maps[m].at = malloc(count * 4096);
    maps[m].writable = prot & PROT_WRITE;
    for (size_t i = 0; i < count; i++) {
        maps[m].frame[i] = frame_of(domid, frames[i]);
        memcpy(maps[m].at + i * 4096, machine[maps[m].frame[i]], 4096);
    }
    live_resources++;
    return maps[m].at;
}

void ctl_foreign_unmap(struct ctl *ctl, void *address, size_t count)
{
    unsigned m = 0;

    if (!address) {
        return;
    }
    while (maps[m].at != address) {
        m++;
    }
    for (size_t i = 0; i < count && maps[m].writable; i++) {
        memcpy(machine[maps[m].frame[i]], maps[m].at + i * 4096, 4096);
    }
    free(maps[m].at);
    maps[m].at = NULL;
    live_resources--;
}

/* Where memory is already, there should be no more. */
static bool has_room(const struct saved_domain *d, uint64_t pfn, uint64_t n)
{
    bool room = pfn % n == 0 && pfn + n <= MAX_PFNS && d->populate_limit >= n && !(n > 1 && d->no_large);

    for (uint64_t i = 0; i < n && room; i++) {
        room = !d->frame[pfn + i];
    }
    return room;
}

static long pvh_populate(struct saved_domain *d, unsigned order, const uint64_t *frames, size_t count)
{
    uint64_t n = 1ull << order;

    for (size_t i = 0; i < count; i++) {
        if (!has_room(d, frames[i], n)) {
            return (long)i;
        }
        d->populate_limit -= n;
        d->large += n > 1;
        for (uint64_t k = 0; k < n; k++) {
            d->frame[frames[i] + k] = machine_take((unsigned)(d - domains));
        }
    }
    return (long)count;
}

long ctl_memory_populate(struct ctl *ctl, uint32_t domid, unsigned order, uint64_t *frames, size_t count,
                         struct ctl_error *err)
{
    struct saved_domain *d = &domains[domid];

    if (d->hvm) {
        return pvh_populate(d, order, frames, count);
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t pfn = frames[i];

        if (!d->populate_limit) {
            return (long)i;
        }
        d->populate_limit--;
        frames[i] = machine_take(domid);
        if (pfn < MAX_PFNS) {
            d->frame[pfn] = frames[i];
        }
    }
    return (long)count;
}

int ctl_domain_info(struct ctl *ctl, uint32_t domid, struct ctl_domain_info *info, struct ctl_error *err)
{
    *info = (struct ctl_domain_info){.domid = domid,
                                     .name = "guest",
                                     .hvm = domains[domid].hvm,
                                     .shutdown = domains[domid].suspended,
                                     .shutdown_reason = SHUTDOWN_suspend,
                                     .memory_kib = domains[domid].nr_pfns * 4,
                                     .maxmem_kib = (domains[domid].hvm ? MAX_PFNS : domains[domid].nr_pfns) * 4,
                                     .vcpus_max = MAX_VCPUS,
                                     .shared_info_frame = domains[domid].shared_frame};
    return 0;
}

uint64_t saved_most_kib;

uint64_t ctl_memory_most_kib(struct ctl *ctl, const struct ctl_domain_info *info)
{
    return saved_most_kib > info->maxmem_kib ? saved_most_kib : info->maxmem_kib;
}

/* Before it sleeps there is nothing to be sure of. */
int ctl_disks_flush(struct ctl *ctl, uint32_t domid, int (*go_on)(void *ctx, struct ctl_error *err), void *ctx,
                    struct ctl_error *err)
{
    int rc = go_on(ctx, err);

    if (!domains[domid].suspended)
        abort();
    disks_flushed++;
    if (rc < 0)
        return rc;
    return disks_fail ? ctl_error_set(err, disks_fail, "flush a disk", NULL, NULL, "its storage does not answer") : 0;
}

int ctl_disks_flush_early(struct ctl *ctl, uint32_t domid, int (*go_on)(void *ctx, struct ctl_error *err), void *ctx,
                          struct ctl_error *err)
{
    disks_flushed += domains[domid].suspended ? 100 : 1; /* before it sleeps, or it is of no use */
    live_pass(live.flush_ms);
    return go_on(ctx, err);
}

/* The hypervisor's view: a table may be pinned when all that it names is the domain's. */
int ctl_call_mmuext(struct ctl *ctl, struct mmuext_op *ops, unsigned n, uint32_t domid)
{
    struct saved_domain *d = &domains[domid];

    d->nr_pfns = MAX_PFNS;
    for (unsigned i = 0; i < n; i++) {
        unsigned level = ops[i].cmd - MMUEXT_PIN_L1_TABLE + 1;
        uint64_t frame = ops[i].arg1.mfn, *table, pfn;

        if (frame >= FRAMES || owner[frame] != domid || level < 1 || level > 4) {
            return -EINVAL;
        }
        table = (void *)machine[frame];
        for (unsigned slot = 0; slot < PTE_COUNT; slot++) {
            uint64_t to = (table[slot] & PTE_FRAME) >> 12;

            if ((table[slot] & PTE_PRESENT) && (to >= FRAMES || owner[to] != domid)) {
                return -EINVAL;
            }
        }
        pfn = machine_pfn(d, frame);
        if (pfn < MAX_PFNS) {
            d->type[pfn] = (uint8_t)(level | PAGE_PINNED);
        }
    }
    return 0;
}

static int page_info(struct saved_domain *d, struct xen_domctl *op)
{
    if (d->hvm) {
        return pvh_domctl(d, op);
    }
    for (uint64_t i = 0; i < op->u.getpageframeinfo3.num; i++) {
        uint64_t pfn = machine_pfn(d, op->u.getpageframeinfo3.array.p[i]);

        op->u.getpageframeinfo3.array.p[i] = (uint64_t)(pfn == NO_FRAME ? PAGE_INVALID : d->type[pfn]) << 28;
    }
    return 0;
}

static int cpu_policy(struct saved_domain *d, struct xen_domctl *op)
{
    struct xen_domctl_cpu_policy *p = &op->u.cpu_policy;

    if (op->cmd == XEN_DOMCTL_get_cpu_policy) {
        p->nr_leaves = 3;
        p->nr_msrs = 1;
        memcpy(&p->leaves.p[2].a, &d->policy_seed, sizeof(d->policy_seed));
    } else if (p->nr_leaves >= 3) {
        memcpy(&d->policy_seed, &p->leaves.p[2].a, sizeof(d->policy_seed));
    }
    return 0;
}

static int vcpu_xstate(struct saved_vcpu *v, struct xen_domctl *op)
{
    struct xen_domctl_vcpuextstate *e = &op->u.vcpuextstate;

    if (op->cmd == XEN_DOMCTL_setvcpuextstate) {
        if (e->size > XSTATE) {
            return -EINVAL;
        }
        v->xstate_size = e->size;
        memcpy(v->xstate, e->buffer.p, e->size);
        return 0;
    }
    if (e->buffer.p) {
        e->size = v->xstate_size;
        memcpy(e->buffer.p, v->xstate, e->size);
    } else {
        e->size = XSTATE;
        e->xfeature_mask = 7;
    }
    return 0;
}

static int vcpu_msrs(struct saved_vcpu *v, struct xen_domctl *op)
{
    struct xen_domctl_vcpu_msrs *m = &op->u.vcpu_msrs;

    if (op->cmd == XEN_DOMCTL_get_vcpu_msrs) {
        m->msr_count = v->nr_msrs;
        memcpy(m->msrs.p, v->msrs, v->nr_msrs * sizeof(v->msrs[0]));
    } else {
        if (m->msr_count > 4) {
            return -EINVAL;
        }
        v->nr_msrs = m->msr_count;
        memcpy(v->msrs, m->msrs.p, m->msr_count * sizeof(v->msrs[0]));
    }
    return 0;
}

static int vcpu_call(struct saved_vcpu *v, struct xen_domctl *op)
{
    switch (op->cmd) {
    case XEN_DOMCTL_getvcpuinfo:
        op->u.getvcpuinfo.online = v->online;
        return 0;
    case XEN_DOMCTL_getvcpucontext:
        memcpy((void *)op->u.vcpucontext.ctxt.p, &v->basic, sizeof(v->basic));
        return 0;
    case XEN_DOMCTL_setvcpucontext:
        memcpy(&v->basic, (void *)op->u.vcpucontext.ctxt.p, sizeof(v->basic));
        v->online = true;
        return 0;
    case XEN_DOMCTL_get_ext_vcpucontext:
        op->u.ext_vcpucontext = v->ext;
        return 0;
    case XEN_DOMCTL_set_ext_vcpucontext:
        v->ext = op->u.ext_vcpucontext;
        return 0;
    case XEN_DOMCTL_getvcpuextstate:
    case XEN_DOMCTL_setvcpuextstate:
        return vcpu_xstate(v, op);
    default:
        return vcpu_msrs(v, op);
    }
}

bool call_fails(void)
{
    return fail_domctl && --fail_domctl == 0;
}

/* What the machine's processor has. */
int ctl_call_sysctl(struct ctl *ctl, struct xen_sysctl *op)
{
    if (call_fails() || op->cmd != XEN_SYSCTL_get_cpu_featureset) {
        return -EIO;
    }
    for (uint32_t i = 0; i < op->u.cpu_featureset.nr_features; i++) {
        op->u.cpu_featureset.features.p[i] = ~processor_lacks;
    }
    return 0;
}

int ctl_call_domctl(struct ctl *ctl, struct xen_domctl *op)
{
    struct saved_domain *d = &domains[op->domain];

    if (call_fails()) {
        return -EIO;
    }
    live_run();
    switch (op->cmd) {
    case XEN_DOMCTL_getpageframeinfo3:
        return page_info(d, op);
    case XEN_DOMCTL_get_cpu_policy:
    case XEN_DOMCTL_set_cpu_policy:
        return cpu_policy(d, op);
    case XEN_DOMCTL_gettscinfo:
        op->u.tsc_info.elapsed_nsec = d->tsc_nsec;
        return 0;
    case XEN_DOMCTL_settscinfo:
        d->tsc_nsec = op->u.tsc_info.elapsed_nsec;
        return 0;
    case XEN_DOMCTL_gethvmcontext:
    case XEN_DOMCTL_sethvmcontext:
        return pvh_domctl(d, op);
    case XEN_DOMCTL_shadow_op:
        if (op->u.shadow_op.op != XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION) {
            return live_domctl(d, &op->u.shadow_op);
        }
        return pvh_domctl(d, op);
    default: /* all begin with the vCPU's number */
        return op->u.getvcpuinfo.vcpu < MAX_VCPUS ? vcpu_call(&d->vcpu[op->u.getvcpuinfo.vcpu], op) : -EINVAL;
    }
}
