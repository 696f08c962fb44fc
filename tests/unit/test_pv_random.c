// SPDX-License-Identifier: BSD-2-Clause
/*
 * Random walks through every route that changes page tables and frame types, against pv_model. Three domains: a guest
 * with two vCPUs, the control domain, a granter. Replay with UMBRA_SEED; UMBRA_OPS sets the length.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <sys/mman.h>
#include <hv/grant.h>
#include <hv/hypercall.h>
#include "pv_model.h"

#define EPISODE    3000
#define GUEST      1
#define MAX_MAPPED 24
#define MAX_HELD   12

static struct domain *dom[3]; /* control, guest, granter */
static struct domain *d;      /* of the acting vCPU */
static struct vcpu *v;
static bool abandon; /* preempted operations may be given up */
static unsigned long accepted, refused, restarts, foretold;

static struct mapping {
    struct domain *d;
    struct vcpu *v;
    uint64_t addr;
    bool contains_pte, readonly;
    mfn_t frame;
} mapped[MAX_MAPPED];
static unsigned int nr_mapped;

static struct held {
    struct page_info *pg;
    enum page_type type;
} held[MAX_HELD];
static unsigned int nr_held;

static unsigned int frame_no(const struct page_info *pg)
{
    return (unsigned int)(page_to_mfn(pg).n - FAKE_RAM_START);
}

/* ---- choices ---- */

static struct page_info *random_frame(const struct domain *of)
{
    unsigned int n = of->tot_pages ? fake_below((unsigned int)of->tot_pages) : 0;
    struct page_info *pg;

    list_for_each (pg, &of->page_list, list)
        if (n-- == 0)
            return pg;
    return mfn_to_page(_mfn(FAKE_RAM_START));
}

/* Frames have leanings, so that whole trees come about. */
static struct page_info *frame_leaning_to(const struct domain *of, unsigned int level)
{
    for (unsigned int i = 0; i < 24; i++) {
        struct page_info *pg = random_frame(of);

        if (page_type(pg) == level || (i > 12 && frame_no(pg) % 6 == level))
            return pg;
    }
    return random_frame(of);
}

static unsigned int random_index(void)
{
    return model_index[fake_chance(80) ? fake_below(6) : fake_below(model_indices)];
}

static unsigned long random_linear(void)
{
    static const uint16_t l4[] = {0, 0, 0, 1, 255, 256, 260, 272, 511};
    unsigned long a = l4[fake_below(ARRAY_SIZE(l4))];

    for (unsigned int i = 0; i < 3; i++)
        a = a << 9 | (fake_chance(60) ? 0 : random_index());
    return (unsigned long)((long)(a << (16 + 12)) >> 16);
}

static mfn_t random_target(const struct domain *of, unsigned int level)
{
    unsigned int r = fake_below(100);

    if (r < 80)
        return page_to_mfn(level > 1 ? frame_leaning_to(of, level - 1) : random_frame(of));
    if (r < 90)
        return page_to_mfn(random_frame(dom[fake_below(3)]));
    if (r < 95)
        return _mfn(FAKE_MMIO_OK + fake_below(FAKE_MMIO_NR * 2));
    return _mfn(fake_rand() & ((1ull << 40) - 1));
}

static pte_t random_entry(const struct domain *of, unsigned int level)
{
    uint64_t f = PTE_A;

    if (fake_chance(15))
        return fake_chance(60) ? _pte(0) : _pte(fake_rand() & ~PTE_P);
    f |= fake_chance(97) ? PTE_P : 0;
    f |= fake_chance(60) ? PTE_RW : 0;
    f |= fake_chance(50) ? PTE_US : 0;
    f |= fake_chance(5) ? PTE_NX : 0;
    f |= fake_chance(1) ? PTE_PCD : 0;
    f |= fake_chance(1) ? PTE_PSE : 0;
    f |= fake_chance(2) ? PTE_G : 0;
    f |= fake_chance(10) ? fake_rand() & (PTE_AVAIL | PTE_AVAIL_HI) : 0;
    return pte_make(random_target(of, level), f);
}

/* ---- calls, restarted until done ---- */

#define GIVEN_UP (-512L)

static long call(hypercall_fn *fn, unsigned long a0, unsigned long a1, unsigned long a2, unsigned long a3)
{
    struct hcall hc = {.arg = {a0, a1, a2, a3}};

    for (unsigned int tries = 0;; tries++) {
        long rc;

        hc.restart = false;
        rc = fn(&hc);
        if (!hc.restart)
            return rc;
        restarts++;
        if (tries > 20000)
            panic("no progress in a restarted call\n");
        if (abandon && fake_chance(5))
            return GIVEN_UP;
    }
}

static void tell(bool expected, long rc, const char *what)
{
    if (rc == GIVEN_UP)
        return;
    foretold++;
    if (expected != (rc == 0))
        panic("%s: the model says %s, the result is %ld\n", what, expected ? "accepted" : "refused", rc);
}

/* ---- operations ---- */

static void op_mmu_update(void)
{
    struct domain *pt = d, *pg = d;
    unsigned int level = 1 + fake_below(4), i = random_index();
    struct page_info *table;
    unsigned int domains;
    struct mmu_update u;
    unsigned int done = 0;
    bool settled, expected, live;
    pte_t *slot, old, want;
    long rc;

    if (d == dom[0] && fake_chance(40)) {
        pg = dom[1 + fake_below(2)];
        pt = fake_chance(50) ? d : pg;
    }
    domains = (pt == d ? 0 : (pt->id + 1u) << 16) | (pg == d ? DOMID_SELF : pg->id);
    table = frame_leaning_to(pt, level);
    slot = (pte_t *)page_to_virt(table) + i;
    u.val = random_entry(pg, level).n;
    u.ptr = mfn_to_maddr(page_to_mfn(table)).n + i * 8;
    if (fake_chance(30))
        u.ptr |= MMU_PT_UPDATE_PRESERVE_AD;

    settled = !model_unsettled(pt) && !model_unsettled(pg);
    live = page_type(table) >= PT_L1 && page_type(table) <= PT_L4 && (table->type_info & PGT_validated);
    level = live ? page_type(table) : 0;
    old = *slot;
    want = live ? model_adjust(level, _pte(u.val)) : _pte(u.val);
    if (!(table->count_info & PGC_allocated))
        expected = false;
    else if (!live)
        expected = model_accepts_type(pt, page_to_mfn(table), PT_WRITABLE);
    else
        expected = !(level == 4 && i >= 256 && i < 272) && model_accepts_update(pt, pg, level, old, _pte(u.val));

    rc = call(do_mmu_update, (unsigned long)&u, 1, (unsigned long)&done, domains);
    if (settled) {
        tell(expected, rc, "mmu_update");
        if (rc == 0 && ((slot->n ^ want.n) & ~(PTE_A | PTE_D)) && page_type(table) == level)
            panic("mmu_update stored %lx instead of %lx\n", slot->n, want.n);
    }
    if (rc == 0 && !list_empty(&pt->pv.dead_tables))
        panic("mmu_update leaves dead tables behind\n");
    if (rc != GIVEN_UP && done != (rc == 0))
        panic("success count %u with result %ld\n", done, rc);
    rc ? refused++ : accepted++;
}

static void op_mmu_batch(void)
{
    struct mmu_update u[70];
    unsigned int n = 1 + fake_below(70), done = 0;
    long rc;

    for (unsigned int i = 0; i < n; i++) {
        unsigned int level = 1 + fake_below(3);

        u[i].ptr = mfn_to_maddr(page_to_mfn(frame_leaning_to(d, level))).n + random_index() * 8ul;
        u[i].val = fake_chance(50) ? 0 : random_entry(d, level).n;
        if (fake_chance(5))
            u[i].ptr |= MMU_MACHPHYS_UPDATE;
    }
    rc = call(do_mmu_update, (unsigned long)u, n, (unsigned long)&done, DOMID_SELF);
    if (rc != GIVEN_UP && (done > n || (rc == 0) != (done == n)))
        panic("batch of %u: success count %u, result %ld\n", n, done, rc);
    rc ? refused++ : accepted++;
}

/* Own walk, by the book. */
static pte_t *l1_slot(unsigned long linear)
{
    mfn_t m = v->pv.l4_kernel;
    pte_t *slot = NULL;

    if (linear >= HYPERVISOR_BASE && linear < HYPERVISOR_LIMIT)
        return NULL;
    for (unsigned int level = 4; level > 0; level--) {
        if (slot && !(slot->n & PTE_P))
            return NULL;
        m = slot ? pte_mfn(*slot) : m;
        slot = (pte_t *)mfn_to_virt(m) + pt_index(linear, level);
    }
    return slot;
}

static void op_va_mapping(void)
{
    static const unsigned long flags[] = {0, UVMF_INVLPG, UVMF_TLB_FLUSH, UVMF_TLB_FLUSH | UVMF_ALL,
                                          UVMF_INVLPG | UVMF_ALL};
    unsigned long linear = random_linear();
    struct domain *pg = d == dom[0] && fake_chance(20) ? dom[1 + fake_below(2)] : d;
    pte_t e = random_entry(pg, 1), *slot = l1_slot(linear);
    bool settled = !model_unsettled(d) && !model_unsettled(pg);
    bool expected = slot && model_accepts_update(d, pg, 1, *slot, e);
    unsigned long f = flags[fake_below(ARRAY_SIZE(flags))];
    long rc;

    if (pg == d)
        rc = call(do_update_va_mapping, linear, e.n, f, 0);
    else
        rc = call(do_update_va_mapping_otherdomain, linear, e.n, f, pg->id);
    if (settled)
        tell(expected, rc, "update_va_mapping");
    rc ? refused++ : accepted++;
}

static long mmuext(unsigned int cmd, uint64_t arg1, uint64_t arg2, domid_t who)
{
    struct mmuext_op op = {.cmd = cmd};
    unsigned int done = 0;

    op.arg1.mfn = arg1;
    op.arg2.src_mfn = arg2;
    return call(do_mmuext_op, (unsigned long)&op, 1, (unsigned long)&done, who);
}

static void op_pin(void)
{
    struct domain *t = d == dom[0] && fake_chance(30) ? dom[1] : d;
    unsigned int level = 1 + fake_below(4);
    struct page_info *pg = frame_leaning_to(t, level);
    bool settled = !model_unsettled(t), expected;
    long rc;

    expected = (pg->count_info & PGC_allocated) && !(pg->type_info & PGT_pinned) &&
               model_accepts_type(t, page_to_mfn(pg), (enum page_type)level);
    rc = mmuext(MMUEXT_PIN_L1_TABLE + level - 1, page_to_mfn(pg).n, 0, t == d ? (domid_t)DOMID_SELF : t->id);
    if (settled)
        tell(expected, rc, "pin");
    rc ? refused++ : accepted++;
}

static void op_unpin(void)
{
    struct page_info *pg = frame_leaning_to(d, 1 + fake_below(4));
    bool expected = pg->type_info & PGT_pinned;

    tell(expected, mmuext(MMUEXT_UNPIN_TABLE, page_to_mfn(pg).n, 0, DOMID_SELF), "unpin");
}

static void op_base(void)
{
    struct page_info *pg = frame_leaning_to(d, 4);
    bool user = fake_chance(40), settled = !model_unsettled(d);
    bool expected = (pg->count_info & PGC_allocated) && model_accepts_type(d, page_to_mfn(pg), PT_L4);
    long rc;

    /* What is in place already needs no new reference. */
    expected = expected || mfn_eq(user ? v->pv.l4_user : v->pv.l4_kernel, page_to_mfn(pg));
    if (user && fake_chance(20)) {
        mmuext(MMUEXT_NEW_USER_BASEPTR, 0, 0, DOMID_SELF);
        return;
    }
    rc = mmuext(user ? MMUEXT_NEW_USER_BASEPTR : MMUEXT_NEW_BASEPTR, page_to_mfn(pg).n, 0, DOMID_SELF);
    if (settled)
        tell(expected, rc, "base pointer");
    rc ? refused++ : accepted++;
}

static void op_frame_contents(void)
{
    struct page_info *to = random_frame(d), *from = random_frame(d);

    if (fake_chance(50))
        mmuext(MMUEXT_CLEAR_PAGE, page_to_mfn(to).n, 0, DOMID_SELF);
    else
        mmuext(MMUEXT_COPY_PAGE, page_to_mfn(to).n, page_to_mfn(from).n, DOMID_SELF);
}

static void op_flush(void)
{
    static const unsigned int cmd[] = {MMUEXT_TLB_FLUSH_LOCAL, MMUEXT_INVLPG_LOCAL, MMUEXT_INVLPG_ALL,
                                       MMUEXT_TLB_FLUSH_ALL};

    mmuext(cmd[fake_below(ARRAY_SIZE(cmd))], random_linear(), 0, DOMID_SELF);
}

/* The guest itself: loads and stores through the MMU, stale translations included. */
static void op_access(void)
{
    bool write = fake_chance(70);
    struct fake_access a = fake_mmu(v->processor, random_linear(), write);
    struct page_info *pg;

    if (!a.ok || !write)
        return;
    pg = mfn_to_page(a.frame);
    if (pg->owner && page_type(pg) != PT_WRITABLE)
        panic("S4: a guest stores to frame %u of type %lx\n", frame_no(pg), pg->type_info);
    ((pte_t *)page_to_virt(pg))[random_index()] = random_entry(d, 1 + fake_below(4));
}

/*
 * What a kernel does to make a table: writes to a frame through a mapping - its own or another domain's - takes the
 * mapping away without a flush, and pins it. This is where a forgotten flush shows.
 */
static void op_build_table(void)
{
    struct vcpu *writer = fake_chance(50) ? v : dom[0]->vcpu[0], *builder = v;
    struct page_info *pg = random_frame(d);
    unsigned long linear = random_linear();
    pte_t e = pte_make(page_to_mfn(pg), PTE_P | PTE_RW), none = _pte(0);
    domid_t owner = d->id;
    long rc;

    v = writer;
    fake_run_on(v->processor, v);
    if (v->domain == d)
        rc = call(do_update_va_mapping, linear, e.n, 0, 0);
    else
        rc = call(do_update_va_mapping_otherdomain, linear, e.n, 0, owner);
    if (rc == 0) {
        struct fake_access a = fake_mmu(v->processor, linear, true);

        if (a.ok && mfn_eq(a.frame, page_to_mfn(pg)))
            memset(page_to_virt(pg), 0, PAGE_SIZE);
        call(do_update_va_mapping, linear, none.n, 0, 0);
    }
    v = builder;
    fake_run_on(v->processor, v);
    mmuext(MMUEXT_PIN_L1_TABLE, page_to_mfn(pg).n, 0, DOMID_SELF);
}

/* ---- emulated stores, against the processor that runs this test ---- */

static const struct {
    uint8_t len, code[8];
} stores[] = {
    {3, {0x48, 0x89, 0x07}},                   /* mov %rax,(%rdi) */
    {3, {0x48, 0x87, 0x37}},                   /* xchg %rsi,(%rdi) */
    {5, {0xf0, 0x48, 0x0f, 0xb1, 0x37}},       /* lock cmpxchg %rsi,(%rdi) */
    {6, {0xf0, 0x48, 0x0f, 0xba, 0x37, 0x01}}, /* lock btr $1,(%rdi) */
    {6, {0xf0, 0x48, 0x0f, 0xba, 0x2f, 0x05}}, /* lock bts $5,(%rdi) */
    {5, {0x48, 0x0f, 0xba, 0x3f, 0x06}},       /* btc $6,(%rdi) */
    {4, {0xf0, 0x80, 0x27, 0xfd}},             /* lock andb $~2,(%rdi) */
    {4, {0xf0, 0x80, 0x0f, 0x02}},             /* lock orb $2,(%rdi) */
    {2, {0x89, 0x07}},                         /* mov %eax,(%rdi) */
    {5, {0xf0, 0x48, 0x0f, 0xc1, 0x37}},       /* lock xadd %rsi,(%rdi) */
    {3, {0x48, 0x01, 0x07}},                   /* add %rax,(%rdi) */
    {3, {0x48, 0x29, 0x37}},                   /* sub %rsi,(%rdi) */
    {4, {0x48, 0x83, 0x37, 0x20}},             /* xorq $0x20,(%rdi) */
    {7, {0x48, 0xc7, 0x07, 0x00, 0, 0, 0}},    /* movq $0,(%rdi) */
};

#define STATUS_FLAGS 0x8d5ul /* CF PF AF ZF SF OF */

static void run_native(const uint8_t *code, uint64_t *mem, struct cpu_user_regs *r)
{
    unsigned long flags = (r->rflags & STATUS_FLAGS) | 2, rax = r->rax, rsi = r->rsi;

    __asm__ __volatile__(
        "lea -256(%%rsp), %%rsp\n\tpush %0\n\tpopfq\n\tcall *%4\n\tpushfq\n\tpop %0\n\tlea 256(%%rsp), %%rsp"
        : "+r"(flags), "+a"(rax), "+S"(rsi), "+D"(mem)
        : "r"(code)
        : "memory", "cc");
    r->rflags = flags & STATUS_FLAGS;
    r->rax = rax;
    r->rsi = rsi;
}

static void op_ptwrite(void)
{
    static uint8_t *page;
    unsigned int k = fake_below(ARRAY_SIZE(stores)), i = random_index();
    unsigned long linear = random_linear();
    struct cpu_user_regs regs = {0}, native;
    pte_t *map = l1_slot(linear), *slot, old;
    uint64_t result;
    bool expected, settled = !model_unsettled(d);

    if (!page)
        page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (!map || (map->n & (PTE_P | PTE_RW)) != PTE_P || !mfn_valid(pte_mfn(*map)))
        return;
    memcpy(page, stores[k].code, stores[k].len);
    page[stores[k].len] = 0xc3;
    slot = (pte_t *)mfn_to_virt(pte_mfn(*map)) + i;
    old = *slot;
    regs.rip = (unsigned long)page;
    regs.rdi = linear + i * 8;
    regs.rax = fake_chance(50) ? old.n : random_entry(d, 1).n;
    regs.rsi = fake_chance(50) ? random_entry(d, 1).n : 1 + fake_below(0xfff);
    regs.rflags = fake_rand() & STATUS_FLAGS;
    native = regs;
    result = old.n;
    run_native(page, &result, &native);
    expected = mfn_to_page(pte_mfn(*map))->owner == d && page_type(mfn_to_page(pte_mfn(*map))) == PT_L1 &&
               (mfn_to_page(pte_mfn(*map))->type_info & PGT_validated) &&
               model_accepts_update(d, d, 1, old, _pte(result));
    if (!pv_ptwrite_fault(v, linear + i * 8, &regs)) {
        if (settled)
            tell(expected, -EINVAL, "emulated store");
        refused++;
        return;
    }
    if (settled)
        tell(expected, 0, "emulated store");
    accepted++;
    if (slot->n != model_adjust(1, _pte(result)).n || regs.rax != native.rax || regs.rsi != native.rsi ||
        (regs.rflags & STATUS_FLAGS) != native.rflags || regs.rip != (unsigned long)page + stores[k].len)
        panic("store %u of %lx: entry %lx, processor %lx; flags %lx, %lx; rsi %lx, %lx\n", k, old.n, slot->n, result,
              regs.rflags, native.rflags, regs.rsi, native.rsi);
}

/* ---- grants, other holders, frames that come and go ---- */

static void op_grant_map(void)
{
    struct domain *from = dom[fake_chance(70) ? 2 : fake_below(3)];
    struct page_info *pg = random_frame(from), *table = frame_leaning_to(d, 1);
    bool readonly = fake_chance(40), contains_pte = fake_chance(40);
    uint64_t addr = contains_pte ? mfn_to_maddr(page_to_mfn(table)).n + random_index() * 8ul : random_linear();

    if (nr_mapped == MAX_MAPPED || !get_page(pg, from))
        return;
    if (!readonly && get_page_type(pg, PT_WRITABLE)) {
        put_page(pg);
        return;
    }
    granted[d->id][frame_no(pg)] = true;
    if (pv_grant_map_pte(d, addr, contains_pte, pte_make(page_to_mfn(pg), PTE_P | (readonly ? 0 : PTE_RW)))) {
        readonly ? put_page(pg) : put_page_and_type(pg);
        refused++;
        return;
    }
    if (!contains_pte)
        fake_mmu(v->processor, addr, !readonly);
    mapped[nr_mapped++] = (struct mapping){d, v, addr, contains_pte, readonly, page_to_mfn(pg)};
    accepted++;
}

static void op_grant_unmap(void)
{
    unsigned int k = nr_mapped ? fake_below(nr_mapped) : 0;
    struct mapping *m = &mapped[k];
    struct page_info *pg = mfn_to_page(m->frame);
    int rc;

    if (!nr_mapped || m->d != d)
        return;
    if (m->contains_pte || fake_chance(70))
        rc = pv_grant_unmap_pte(d, m->addr, m->contains_pte, m->frame, m->readonly, _pte(0));
    else
        rc = pv_grant_replace_pte(d, m->addr, m->frame, m->readonly, random_linear());
    if (!rc)
        m->readonly ? put_page(pg) : put_page_and_type(pg);
    /* The granter makes a table of it at once. */
    if (!rc && pg->owner) {
        d = pg->owner;
        v = d->vcpu[0];
        fake_run_on(v->processor, v);
        mmuext(MMUEXT_PIN_L1_TABLE, m->frame.n, 0, DOMID_SELF);
    }
    if (!rc || fake_chance(30))
        *m = mapped[--nr_mapped];
}

static void op_hold(void)
{
    struct page_info *pg = random_frame(d);
    enum page_type type = fake_chance(50) ? PT_SEGDESC : PT_WRITABLE;
    bool settled = !model_unsettled(d), expected;
    int rc;

    if (nr_held == MAX_HELD || (nr_held && fake_chance(50))) {
        struct held h = held[fake_below(nr_held)];

        for (unsigned int i = 0; i < nr_held; i++)
            if (held[i].pg == h.pg && held[i].type == h.type) {
                held[i] = held[--nr_held];
                break;
            }
        held_general[frame_no(h.pg)]--;
        held_typed[frame_no(h.pg)]--;
        put_page_and_type(h.pg);
        return;
    }
    expected = (pg->count_info & PGC_allocated) && model_accepts_type(d, page_to_mfn(pg), type);
    rc = get_page_and_type(pg, d, type);
    if (settled)
        tell(expected, rc, "descriptor or writable page");
    if (rc)
        return;
    held[nr_held++] = (struct held){pg, type};
    held_general[frame_no(pg)]++;
    held_typed[frame_no(pg)]++;
}

static void give_up_frame(struct page_info *pg)
{
    if (__atomic_fetch_and(&pg->count_info, ~PGC_allocated, __ATOMIC_SEQ_CST) & PGC_allocated)
        put_page(pg);
}

static void op_frames(void)
{
    if (fake_chance(50))
        give_up_frame(random_frame(d));
    else if (d->tot_pages < 40)
        alloc_domain_pages(d, 0, 0);
}

/* ---- episodes ---- */

static void write_tables(struct domain *of, struct vcpu *vcpu, unsigned int cpu)
{
    struct page_info *t[5];
    pte_t *l1;

    fake_run_on(cpu, vcpu);
    for (unsigned int level = 1; level <= 4; level++)
        t[level] = alloc_domain_pages(of, 0, 0);
    for (unsigned int level = 2; level <= 4; level++)
        *(pte_t *)page_to_virt(t[level]) = pte_make(page_to_mfn(t[level - 1]), PTE_P | PTE_RW);
    l1 = page_to_virt(t[1]);
    for (unsigned int i = 0; i < 3; i++)
        l1[i] = pte_make(page_to_mfn(alloc_domain_pages(of, 0, 0)), PTE_P | PTE_RW);
    l1[3] = pte_make(page_to_mfn(t[1]), PTE_P);
    l1[4] = pte_make(page_to_mfn(t[2]), PTE_P);
    for (;;) {
        int rc = pv_set_base(vcpu, page_to_mfn(t[4]), INVALID_MFN);

        if (rc != -ERESTART) {
            assert_int_equal(rc, 0);
            return;
        }
    }
}

static void begin(void)
{
    fake_memory_init();
    model_reset();
    nr_mapped = nr_held = 0;
    dom[0] = fake_domain(0, true, 1, 2);
    dom[1] = fake_domain(GUEST, false, 2, 0);
    dom[2] = fake_domain(2, false, 1, 3);
    for (unsigned int i = 0; i < 3; i++)
        pv_pt_domain_init(dom[i]);
    write_tables(dom[0], dom[0]->vcpu[0], 2);
    write_tables(dom[1], dom[1]->vcpu[0], 0);
    write_tables(dom[1], dom[1]->vcpu[1], 1);
    write_tables(dom[2], dom[2]->vcpu[0], 3);
    for (unsigned int i = 0; i < 36; i++)
        alloc_domain_pages(dom[i % 3], 0, 0);
}

static void act(void)
{
    static const struct {
        void (*fn)(void);
        uint8_t weight;
    } ops[] = {{op_mmu_update, 22}, {op_mmu_batch, 2},      {op_va_mapping, 11}, {op_pin, 6},         {op_unpin, 4},
               {op_base, 2},        {op_frame_contents, 1}, {op_flush, 1},       {op_access, 20},     {op_ptwrite, 14},
               {op_grant_map, 4},   {op_grant_unmap, 4},    {op_hold, 3},        {op_build_table, 3}, {op_frames, 3}};
    unsigned int r = fake_below(100);

    for (unsigned int i = 0;; i = (i + 1) % ARRAY_SIZE(ops)) {
        if (r < ops[i].weight) {
            ops[i].fn();
            return;
        }
        r -= ops[i].weight;
    }
}

static void drop_bases(struct domain *x)
{
    for (unsigned int i = 0; i < x->max_vcpus; i++)
        while (pv_drop_base(x->vcpu[i]) == -ERESTART)
            restarts++;
}

/* Everything goes, in teardown's order: afterwards every frame is free. */
static void end(void)
{
    struct page_info *pg, *next;

    for (unsigned int cpu = 0; cpu < FAKE_CPUS; cpu++) {
        fake_run_on(cpu, NULL);
        switch_cr3(0);
    }
    while (nr_held--)
        put_page_and_type(held[nr_held].pg);
    for (unsigned int i = 0; i < 3; i++) {
        dom[i]->dying = DOM_DYING;
        drop_bases(dom[i]);
        while (pv_relinquish_tables(dom[i]) == -ERESTART)
            restarts++;
    }
    for (unsigned int i = 0; i < 3; i++)
        list_for_each_safe (pg, next, &dom[i]->page_list, list)
            give_up_frame(pg);
    assert_int_equal(fake_frames_free(), FAKE_FRAMES);
    for (unsigned int i = 0; i < 3; i++) {
        assert_int_equal(dom[i]->refcount, 1);
        fake_domain_free(dom[i]);
    }
}

static void episode(unsigned long n)
{
    begin();
    for (unsigned long i = 0; i < n; i++) {
        d = dom[fake_below(3)];
        d = fake_chance(60) ? dom[1] : d;
        v = d->vcpu[fake_below(d->max_vcpus)];
        fake_run_on(v->processor, v);
        act();
        if (i % 8 == 0)
            model_check(dom, 3);
        if (i % 512 == 0)
            for (unsigned int k = 0; k < 3; k++)
                assert_int_equal(pv_audit(dom[k]), 0);
    }
    model_check(dom, 3);
    end();
}

static void test_random(void **state)
{
    unsigned long ops = fake_ops(300000);

    (void)state;
    fake_seed("pv_random");
    for (unsigned long n = 0, e = 0; n < ops; n += EPISODE, e++) {
        fake_preempt_percent = e % 3 == 0 ? 0 : e % 3 == 1 ? 30 : 90;
        abandon = e % 4 == 3;
        episode(MIN(EPISODE, ops - n));
    }
    printf("accepted %lu, refused %lu, foretold %lu, restarts %lu\n", accepted, refused, foretold, restarts);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
