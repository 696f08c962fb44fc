// SPDX-License-Identifier: BSD-2-Clause
/* See pv_log.h. */
#include <hv/boot.h>
#include <hv/logdirty.h>
#include <hv/paging_pool.h>
#include <hv/sched.h>
#include <hv/shadow.h>
#include "../../hypervisor/mm/shadow/spte.h"
#include "pv_log.h"

#define TOOL_CPU  (FAKE_CPUS - 1)
#define THIEVES   24u
#define HOLDERS   3u
#define MAX_TRIES 40u

static struct domain *d;
static bool on, copied, inside;
static uint8_t copy[FAKE_FRAMES][PAGE_SIZE], bitmap[FAKE_FRAMES / 8];
static bool known[FAKE_FRAMES]; /* the copy has what one frame had */
static struct logdirty_read reading;
static struct page_info *stolen[THIEVES]; /* frames of the pool */
static unsigned int nr_stolen;
static struct page_info *held[HOLDERS]; /* a queue of events, say */
static unsigned long rounds, reported, same, faults, reflected, no_memory, starts, refusals, audits, stores;

static uint64_t pfn_of(unsigned int f)
{
    return get_gpfn_from_mfn(_mfn(FAKE_RAM_START + f));
}

static bool is_memory(unsigned int f)
{
    const struct page_info *pg = mfn_to_page(_mfn(FAKE_RAM_START + f));

    return pg->owner == d && (pg->count_info & PGC_allocated) && !(pg->count_info & PGC_hv_page);
}

static const void *memory(unsigned int f)
{
    return mfn_to_virt(_mfn(FAKE_RAM_START + f));
}

/* The only frame that the guest gives this number to, or FAKE_FRAMES. */
static unsigned int frame_of(uint64_t pfn)
{
    unsigned int found = FAKE_FRAMES;

    for (unsigned int f = 0; f < FAKE_FRAMES; f++)
        if (is_memory(f) && pfn_of(f) == pfn) {
            if (found != FAKE_FRAMES)
                return FAKE_FRAMES;
            found = f;
        }
    return found;
}

static bool reports(uint64_t pfn)
{
    return bitmap[pfn / 8] >> pfn % 8 & 1;
}

/* ---- the guest's accesses ---- */

enum answer { DENIED, TO_DEVICE, TO_RAM };

/* By the book: what do the guest's own tables say? */
static enum answer answer(const struct vcpu *v, unsigned long linear, bool write)
{
    mfn_t m = v->pv.kernel_mode ? v->pv.l4_kernel : v->pv.l4_user;

    if (linear >= HYPERVISOR_BASE && linear < HYPERVISOR_LIMIT)
        return DENIED;
    for (unsigned int level = 4; level > 0; level--) {
        pte_t e = ((const pte_t *)mfn_to_virt(m))[pt_index(linear, level)];

        if (!(e.n & PTE_P) || (write && !(e.n & PTE_RW)))
            return DENIED;
        m = pte_mfn(e);
    }
    return mfn_is_ram(m) ? TO_RAM : TO_DEVICE;
}

/* The error code of a fault of the guest's own: of its tables, or, in the hypervisor's slots, of what is there. */
static uint32_t error_by_the_book(const struct vcpu *v, unsigned long linear, uint32_t error)
{
    mfn_t m = v->pv.kernel_mode ? v->pv.l4_kernel : v->pv.l4_user;

    if (linear >= HYPERVISOR_BASE && linear < HYPERVISOR_LIMIT)
        return error;
    for (unsigned int level = 4; level > 0; level--) {
        pte_t e = ((const pte_t *)mfn_to_virt(m))[pt_index(linear, level)];

        if (!(e.n & PTE_P))
            return error & ~PFEC_P;
        m = pte_mfn(e);
    }
    return error | PFEC_P;
}

/* Where the guest may not be at all. */
static void touch_hypervisor(struct vcpu *v)
{
    unsigned long linear = HYPERVISOR_BASE + fake_rand() % (HYPERVISOR_LIMIT - HYPERVISOR_BASE);
    uint32_t given = PFEC_U | PFEC_W | (fake_chance(50) ? PFEC_P : 0), error = given;

    if (pv_on_shadows(&v->pv) && (shadow_pv_fault(v, linear, &error) != SHADOW_REFLECT || error != given))
        panic("a fault at %lx, in the hypervisor's slots: error code %x, of %x\n", linear, error, given);
}

struct fake_access guest_mmu(struct vcpu *v, unsigned long linear, bool write)
{
    struct fake_access a = fake_mmu(v->processor, linear, write);

    for (unsigned int tries = 0; !a.ok && pv_on_shadows(&v->pv); tries++) {
        uint32_t error = PFEC_U | (write ? PFEC_W : 0) | (fake_chance(50) ? PFEC_P : 0);
        uint32_t expected = error_by_the_book(v, linear, error);
        enum shadow_result r;

        if (tries > MAX_TRIES)
            panic("a fault at %lx finds no end\n", linear);
        /* A fault takes what the CPU knows about the address along: Intel SDM volume 3, section 4.10.4.1. */
        tlb_flush_one_mask(cpumask_of(v->processor), linear);
        stretch_begin(STRETCH_TRAP, 14);
        r = shadow_pv_fault(v, linear, &error);
        if (this_cpu(stretch_now).work > STRETCH_BOUND + 64)
            panic("a fault works too long\n");
        stretch_end();
        faults++;
        reflected += r == SHADOW_REFLECT;
        no_memory += r == SHADOW_NOMEM;
        if ((r == SHADOW_REFLECT) != (answer(v, linear, write) == DENIED))
            panic("a fault at %lx, of the guest's making or not: %u\n", linear, r);
        if (r == SHADOW_REFLECT && error != expected)
            panic("a fault at %lx with error code %x, which should be %x\n", linear, error, expected);
        if (r != SHADOW_FIXED || answer(v, linear, write) == TO_DEVICE)
            break;
        a = fake_mmu(v->processor, linear, write);
    }
    return a;
}

/* An address that the guest's tables lead somewhere; 0: there is none on the way that was tried. */
static unsigned long mapped_address(const struct vcpu *v)
{
    uint64_t wanted = PTE_P | (fake_chance(85) ? PTE_RW : 0);
    mfn_t m = v->pv.l4_kernel;
    unsigned long a = 0;

    for (unsigned int level = 4; level > 0; level--) {
        unsigned int start = fake_below(model_indices), i = 0;
        pte_t e = _pte(0);

        for (; i < model_indices; i++) {
            unsigned int index = model_index[(start + i) % model_indices];

            e = ((const pte_t *)mfn_to_virt(m))[index];
            if ((e.n & wanted) == wanted && (level < 4 || index < 256 || index >= 272)) {
                a = a << 9 | index;
                break;
            }
        }
        if (i == model_indices)
            return 0;
        m = pte_mfn(e);
    }
    return (unsigned long)((long)(a << (PAGE_SHIFT + 16)) >> 16);
}

/* A process at work in its own memory. */
static void guest_works(const struct domain *of)
{
    struct vcpu *v = of->vcpu[fake_below(of->max_vcpus)], *running = current;
    unsigned int cpu = smp_processor_id();

    if (!may_act(v) || of->dying)
        return;
    moment_passes();
    fake_run_on(v->processor, v);
    touch_hypervisor(v);
    for (unsigned int i = 0; i < 4; i++) {
        unsigned long linear = mapped_address(v);
        struct fake_access a = linear ? guest_mmu(v, linear, true) : (struct fake_access){.ok = false};

        if (!a.ok)
            continue;
        if (mfn_to_page(a.frame)->owner && page_type(mfn_to_page(a.frame)) != PT_WRITABLE)
            panic("S4: a guest stores to frame %u of type %lx\n", frame_no(mfn_to_page(a.frame)),
                  mfn_to_page(a.frame)->type_info);
        ((uint64_t *)mfn_to_virt(a.frame))[random_index()] = random_word(of);
        stores++;
    }
    fake_run_on(cpu, running);
}

/* ---- pausing ---- */

static uint64_t paused;

void domain_pause(struct domain *which)
{
    paused = 0;
    for (unsigned int i = 0; i < which->max_vcpus; i++)
        if (which->vcpu[i]->is_running) {
            take_off(which->vcpu[i]);
            paused |= 1ull << i;
        }
}

void domain_unpause(struct domain *which)
{
    for (unsigned int i = 0; i < which->max_vcpus; i++)
        if (paused & 1ull << i)
            put_on(which->vcpu[i]);
    fake_run_on(TOOL_CPU, NULL);
}

/* ---- reading ---- */

static int slice(int (*op)(struct domain *domain))
{
    int rc;

    stretch_begin(STRETCH_TEARDOWN, 0);
    rc = op(d);
    if (this_cpu(stretch_now).work > STRETCH_BOUND + 64)
        panic("the log works too long: %u\n", this_cpu(stretch_now).work);
    stretch_end();
    return rc;
}

static int read_on(struct domain *domain)
{
    return logdirty_read(domain, &reading);
}

/* Never a missed frame. */
static void check_copy(void)
{
    struct logdirty_read peek = {.bitmap = bitmap, .pages = FAKE_FRAMES};
    void (*hook)(void) = fake_copy_hook;

    fake_copy_hook = NULL;
    stretch_point();
    while (logdirty_read(d, &peek) == -ERESTART)
        stretch_point();
    fake_copy_hook = hook;
    for (unsigned int f = 0; f < FAKE_FRAMES; f++) {
        uint64_t pfn = pfn_of(f);

        if (!is_memory(f) || pfn >= FAKE_FRAMES || !known[pfn] || frame_of(pfn) != f || reports(pfn))
            continue;
        if (memcmp(copy[pfn], memory(f), PAGE_SIZE))
            panic("L1: frame %u, guest frame %lu, of type %lx differs from the copy, and is clean\n", f, pfn,
                  mfn_to_page(_mfn(FAKE_RAM_START + f))->type_info);
    }
}

static void take_copy(uint64_t pfn)
{
    unsigned int f = frame_of(pfn);

    known[pfn] = f != FAKE_FRAMES;
    if (!known[pfn])
        return;
    same += !memcmp(copy[pfn], memory(f), PAGE_SIZE);
    memcpy(copy[pfn], memory(f), PAGE_SIZE);
}

static void go_on_reading(void)
{
    int rc;

    if (!reading.token) {
        check_copy();
        reading = (struct logdirty_read){.clean = true, .bitmap = bitmap, .pages = FAKE_FRAMES};
        memset(bitmap, 0x5a, sizeof(bitmap));
    }
    rc = slice(read_on);
    if (rc == -ERESTART)
        return;
    if (rc)
        panic("reading the log: %d\n", rc);
    reading.token = 0;
    rounds++;
    for (uint64_t pfn = 0; pfn < FAKE_FRAMES; pfn++)
        if (reports(pfn)) {
            reported++;
            take_copy(pfn);
        }
    check_copy();
}

/* ---- on and off ---- */

static void go_on_starting(void)
{
    int rc = slice(logdirty_enable);

    if (rc == -ERESTART)
        return;
    if (rc == -ENOMEM) {
        refusals++;
        return;
    }
    if (rc)
        panic("the log is not turned on: %d\n", rc);
    starts++;
    copied = true;
    for (uint64_t pfn = 0; pfn < FAKE_FRAMES; pfn++)
        take_copy(pfn);
    check_copy();
}

static void go_on_ending(void)
{
    copied = false;
    reading.token = 0;
    if (slice(logdirty_disable) == -ERESTART)
        return;
    if (d->shadow || d->logdirty.state != LOGDIRTY_OFF || (d->paging_pool && d->paging_pool->used[PAGING_SHADOW]))
        panic("the log is not off\n");
    for (unsigned int f = 0; f < FAKE_FRAMES; f++) {
        const struct page_info *pg = mfn_to_page(_mfn(FAKE_RAM_START + f));

        if (pg->owner == d && (pg->shadow.rmap || pg->shadow.tables))
            panic("frame %u knows shadows that have gone\n", f);
    }
}

static void steal_or_return(void)
{
    bool more = d->paging_pool && d->shadow && fake_chance(50);

    while (more && nr_stolen < THIEVES && (stolen[nr_stolen] = paging_pool_alloc(d, PAGING_LOGDIRTY, false)))
        nr_stolen++;
    while (!more && nr_stolen)
        paging_pool_free(d, PAGING_LOGDIRTY, stolen[--nr_stolen]);
}

static void take_or_drop(unsigned int i)
{
    struct page_info *pg = held[i];
    bool drop = pg;

    if (drop)
        put_page_and_type(pg);
    else
        pg = get_writable_page(d, _gfn(page_to_mfn(random_frame(d)).n));
    held[i] = drop ? NULL : pg;
    if (!pg)
        return;
    held_general[frame_no(pg)] += drop ? -1u : 1u;
    held_typed[frame_no(pg)] += drop ? -1u : 1u;
}

static void store_held(unsigned int i)
{
    if (held[i])
        ((uint64_t *)page_to_virt(held[i]))[random_index()] = random_word(d);
    stores += held[i] != NULL;
}

static void blow(void)
{
    stretch_begin(STRETCH_TEARDOWN, 0);
    (void)shadow_blow(d);
    stretch_end();
}

static void audit(void)
{
    struct shadow_audit a = {0};
    int rc;

    do {
        stretch_begin(STRETCH_TEARDOWN, 0);
        rc = shadow_audit(d, &a);
        stretch_end();
    } while (rc == -ERESTART);
    if (a.broken.count)
        panic("%s: %s\n", a.broken.found[0].rule, a.broken.found[0].what);
    audits += !rc;
}

/* Nobody is inside a call of the guest's. */
static bool guest_is_outside(void)
{
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        if (d->vcpu[i]->is_running && !may_act(d->vcpu[i]))
            return false;
    return true;
}

static void tool_acts(void)
{
    unsigned int percent = fake_below(100);

    if (percent < 4 && nr_stolen == 0)
        go_on_ending();
    else if (percent < 8)
        steal_or_return();
    else if (percent < 14)
        blow();
    else if (percent < 24)
        audit();
    else if (percent < 28)
        take_or_drop(fake_below(HOLDERS));
    else if (percent < 48)
        store_held(fake_below(HOLDERS));
    else
        copied ? go_on_reading() : go_on_starting();
}

void log_step(void)
{
    struct vcpu *before = actor, *running = current;
    unsigned int cpu = smp_processor_id();

    if (on && fake_chance(25))
        guest_works(fake_chance(80) ? d : dom[0]);
    if (!on || inside || d->dying || !fake_chance(15) || !guest_is_outside())
        return;
    inside = true;
    moment_passes();
    fake_run_on(TOOL_CPU, NULL);
    tool_acts();
    actor = before;
    fake_run_on(cpu, running);
    inside = false;
}

/* ---- shadows against the guest's tables, without a word of the hypervisor's own ---- */

static void compare(mfn_t shadow, mfn_t table, unsigned int level)
{
    for (unsigned int i = 0; i < model_indices; i++) {
        unsigned int index = model_index[i];
        uint64_t e = ((const uint64_t *)mfn_to_virt(shadow))[index];
        uint64_t g = ((const uint64_t *)mfn_to_virt(table))[index];

        if (!(e & PTE_P) || (level == 4 && index >= 256 && index < 272))
            continue;
        if (!(g & PTE_P) || !(g & PTE_A) || (e & ~g & PTE_RW) || (g & ~e & PTE_NX))
            panic("H1: level %u: %lx is made from %lx\n", level, e, g);
        if (level == 1 && ((e ^ g) & PTE_ADDR || ((e & PTE_RW) && !(g & PTE_D))))
            panic("H1: leaf %lx is made from %lx\n", e, g);
        if (level > 1)
            compare(pte_mfn(_pte(e)), pte_mfn(_pte(g)), level - 1);
    }
}

static void check_vcpu(const struct vcpu *v, unsigned int mode)
{
    mfn_t base = mode ? v->pv.l4_kernel : v->pv.l4_user, root = maddr_to_mfn(_maddr(v->pv.root[mode].cr3));
    const pte_t *e;

    if (!v->pv.root[mode].cr3)
        return;
    e = mfn_to_virt(root);
    if (mfn_eq(base, INVALID_MFN)) {
        for (unsigned int i = 0; i < PT_ENTRIES; i++)
            if ((i < 256 || i >= 272) && (e[i].n & PTE_P))
                panic("H1: a root without a base has an entry\n");
        return;
    }
    for (unsigned int i = 256; i < 272; i++)
        if ((e[i].n ^ ((const pte_t *)mfn_to_virt(base))[i].n) & ~PTE_AVAIL)
            panic("P6: slot %u of a root is not as in its base\n", i);
    compare(root, base, 4);
}

static void check_free(const struct list_head *list)
{
    const struct page_info *pg;

    list_for_each (pg, list, list)
        if (fake_tlb_any(page_to_mfn(pg)))
            panic("a CPU knows a free frame of the pool\n");
}

void log_check(void)
{
    if (!on || inside || fake_locks_held)
        return;
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        for (unsigned int mode = 0; mode < 2; mode++)
            check_vcpu(d->vcpu[i], mode);
    if (d->paging_pool) {
        check_free(&d->paging_pool->low);
        check_free(&d->paging_pool->high);
    }
}

/* ---- episodes ---- */

void log_begin(bool wanted)
{
    d = dom[1];
    on = wanted;
    copied = inside = false;
    reading.token = 0;
    nr_stolen = 0;
    for (unsigned int f = 0; f < FAKE_FRAMES; f++)
        set_gpfn_from_mfn(_mfn(FAKE_RAM_START + f), is_memory(f) ? f : INVALID_M2P_ENTRY);
}

void log_end(void)
{
    if (!on)
        return;
    fake_run_on(TOOL_CPU, NULL);
    if (copied && !reading.token)
        check_copy();
    while (nr_stolen)
        paging_pool_free(d, PAGING_LOGDIRTY, stolen[--nr_stolen]);
    for (unsigned int i = 0; i < HOLDERS; i++)
        if (held[i])
            take_or_drop(i);
    on = false;
}

void log_tell(unsigned long ops)
{
    printf("log of stores: %lu times on, %lu times refused, %lu rounds, %lu frames reported, %lu of them the same; "
           "%lu stores, %lu faults, %lu of the guest's own, %lu without memory; %lu audits\n",
           starts, refusals, rounds, reported, same, stores, faults, reflected, no_memory, audits);
    if (ops >= 100000)
        assert_true(starts > 20 && rounds > ops / 1000 && same < reported && faults > ops / 100 && stores > ops / 50 &&
                    audits > ops / 1000);
}
