// SPDX-License-Identifier: BSD-2-Clause
/* test_pv_random: the calls that change page tables, and the guest's own loads and stores. */
#include <sys/mman.h>
#include "pv_log.h"

static bool settled(const struct domain *a, const struct domain *b)
{
    return !model_unsettled(a) && (a == b || !model_unsettled(b));
}

static bool is_live(const struct page_info *pg)
{
    return page_type(pg) >= PT_L1 && page_type(pg) <= PT_L4 && (pg->type_info & PGT_validated);
}

/* ---- mmu_update ---- */

/* P10: nothing dead is left behind by a call that is done. */
static void after_updates(struct flight *f, long rc, bool ended)
{
    if (!ended || rc == GIVEN_UP)
        return;
    if (rc == 0 && !f->intruded && f->on->pv.dead_tables)
        panic("P10: %s leaves dead tables behind\n", f->what);
    if (f->done > f->n || (rc == 0 && f->done != f->n) || (rc && f->done == f->n && !f->intruded))
        panic("%s of %u: success count %u, result %ld\n", f->what, f->n, f->done, rc);
    if (rc == 0 && f->told && f->slot && ((f->slot->n ^ f->want.n) & ~(PTE_A | PTE_D)))
        panic("%s stored %lx instead of %lx\n", f->what, f->slot->n, f->want.n);
}

struct update {
    struct domain *pt, *pg;
    struct page_info *table;
    unsigned int index;
};

/* The control domain changes others' tables and maps others' frames; whoever else tries is refused. */
static struct update random_update(void)
{
    struct update u = {.pt = self(), .pg = self()};

    if (fake_chance(self()->is_control ? 40 : 2)) {
        u.pg = random_domain();
        u.pt = fake_chance(50) ? self() : u.pg;
    } else if (fake_chance(2))
        u.pg = fake_chance(50) ? dom_io : dom_xen;
    u.table = frame_leaning_to(u.pt, 1 + fake_below(4));
    u.index = random_index();
    return u;
}

static bool may_name(const struct domain *d)
{
    return d == self() || d == dom_io || self()->is_control;
}

static bool expect_update(const struct update *u, uint64_t value, unsigned int level)
{
    const struct page_info *pg = u->table;

    if (!may_name(u->pt) || !may_name(u->pg) || pg->owner != u->pt || !(pg->count_info & PGC_allocated))
        return false;
    if (!level)
        return model_accepts_type(u->pt, page_to_mfn(pg), PT_WRITABLE);
    return !(level == 4 && u->index >= 256 && u->index < 272) &&
           model_accepts_update(u->pt, u->pg, level, ((pte_t *)page_to_virt(pg))[u->index], _pte(value));
}

static void op_mmu_update(void)
{
    struct update u = random_update();
    struct flight *f = flight_new(do_mmu_update, "mmu_update");
    uint64_t value = fake_chance(92) ? random_entry(u.pg, 1 + fake_below(4)).n : random_descriptor();

    f->on = u.pt;
    f->n = 1;
    f->level = is_live(u.table) ? page_type(u.table) : 0;
    if (f->level && fake_chance(80))
        value = random_entry(u.pg, f->level).n;
    f->u.mmu[0].ptr = mfn_to_maddr(page_to_mfn(u.table)).n + u.index * 8;
    f->u.mmu[0].ptr |= fake_chance(30) ? MMU_PT_UPDATE_PRESERVE_AD : fake_chance(5) ? MMU_PT_UPDATE_NO_TRANSLATE : 0;
    f->u.mmu[0].val = value;
    f->slot = (pte_t *)page_to_virt(u.table) + u.index;
    f->want = f->level ? model_adjust(f->level, _pte(value)) : _pte(value);
    f->after = after_updates;
    flight_tell(f, settled(u.pt, u.pg), expect_update(&u, value, f->level));
    flight_args(f, (unsigned long)f->u.mmu, 1, (unsigned long)&f->done,
                (u.pt == self() ? 0 : (u.pt->id + 1u) << 16) | name_of(u.pg));
    flight_go(f);
}

/* The guest frame number of a machine frame. */
static void after_machphys(struct flight *f, long rc, bool ended)
{
    after_updates(f, rc, ended);
    if (ended && rc == 0 && f->told && get_gpfn_from_mfn(f->frame) != f->u.mmu[0].val)
        panic("the number of frame %lx is %lx instead of %lx\n", f->frame.n, get_gpfn_from_mfn(f->frame),
              f->u.mmu[0].val);
}

static void op_machphys(void)
{
    struct update u = random_update();
    struct flight *f = flight_new(do_mmu_update, "mmu_update of the M2P");
    struct page_info *pg = random_frame(fake_chance(90) ? u.pg : random_domain());

    f->on = u.pt;
    f->n = 1;
    f->frame = page_to_mfn(pg);
    f->u.mmu[0].ptr = mfn_to_maddr(f->frame).n + fake_below(512) * 8ul;
    f->u.mmu[0].ptr |= MMU_MACHPHYS_UPDATE;
    f->u.mmu[0].val = fake_below(256);
    f->after = after_machphys;
    flight_tell(f, settled(u.pt, u.pt),
                may_name(u.pt) && may_name(u.pg) && pg->owner == u.pg && (pg->count_info & PGC_allocated));
    flight_args(f, (unsigned long)f->u.mmu, 1, (unsigned long)&f->done,
                (u.pt == self() ? 0 : (u.pt->id + 1u) << 16) | name_of(u.pg));
    flight_go(f);
}

static void op_mmu_batch(void)
{
    struct flight *f = flight_new(do_mmu_update, "batch of mmu_update");

    f->on = self();
    f->n = 1 + fake_below(fake_chance(80) ? 8 : MAX_BATCH);
    for (unsigned int i = 0; i < f->n; i++) {
        unsigned int level = 1 + fake_below(4);

        f->u.mmu[i].ptr = mfn_to_maddr(page_to_mfn(frame_leaning_to(self(), level))).n + random_index() * 8ul;
        f->u.mmu[i].val = fake_chance(40) ? 0 : random_entry(self(), level).n;
        if (fake_chance(5))
            f->u.mmu[i].ptr |= fake_chance(90) ? 1 + fake_below(3) : 4 + fake_below(4);
    }
    f->after = after_updates;
    flight_args(f, (unsigned long)f->u.mmu, f->n, (unsigned long)&f->done, DOMID_SELF);
    flight_go(f);
}

/* ---- update_va_mapping ---- */

/* Own walk, by the book. */
static pte_t *l1_slot(unsigned long linear)
{
    mfn_t m = actor->pv.kernel_mode ? actor->pv.l4_kernel : actor->pv.l4_user;
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
    unsigned long linear = random_linear(), how = flags[fake_below(ARRAY_SIZE(flags))];
    struct domain *pg = fake_chance(self()->is_control ? 20 : 3) ? dom[fake_below(3)] : self();
    pte_t e = random_entry(pg, 1), *slot = l1_slot(linear);
    struct flight *f;

    f = flight_new(pg == self() ? do_update_va_mapping : do_update_va_mapping_otherdomain, "update_va_mapping");
    flight_tell(f, settled(self(), pg), slot && may_name(pg) && model_accepts_update(self(), pg, 1, *slot, e));
    flight_args(f, linear, e.n, how, name_of(pg));
    flight_go(f);
}

/* ---- mmuext_op ---- */

static void go_mmuext(struct flight *f, domid_t who)
{
    f->after = after_updates;
    flight_args(f, (unsigned long)f->u.ext, f->n, (unsigned long)&f->done, who);
    flight_go(f);
}

static struct flight *new_mmuext(const char *what, unsigned int cmd, uint64_t mfn)
{
    struct flight *f = flight_new(do_mmuext_op, what);

    f->on = self();
    f->n = 1;
    f->u.ext[0] = (struct mmuext_op){.cmd = cmd, .arg1.mfn = mfn};
    return f;
}

static void op_pin(void)
{
    struct domain *t = fake_chance(self()->is_control ? 30 : 2) ? random_domain() : self();
    unsigned int level = 1 + fake_below(4);
    struct page_info *pg = frame_leaning_to(t, level);
    struct flight *f = new_mmuext("pin", MMUEXT_PIN_L1_TABLE + level - 1, page_to_mfn(pg).n);

    f->on = t;
    flight_tell(f, settled(t, t),
                may_name(t) && pg->owner == t && (pg->count_info & PGC_allocated) && !(pg->type_info & PGT_pinned) &&
                    model_accepts_type(t, page_to_mfn(pg), (enum page_type)level));
    go_mmuext(f, name_of(t));
}

static void op_unpin(void)
{
    struct page_info *pg = frame_leaning_to(self(), 1 + fake_below(4));
    struct flight *f = new_mmuext("unpin", MMUEXT_UNPIN_TABLE, page_to_mfn(pg).n);

    flight_tell(f, settled(self(), self()), pg->owner == self() && (pg->type_info & PGT_pinned));
    go_mmuext(f, DOMID_SELF);
}

static void op_base(void)
{
    struct page_info *pg = frame_leaning_to(self(), 4);
    bool user = fake_chance(40), none = user && fake_chance(20);
    struct flight *f =
        new_mmuext("base pointer", user ? MMUEXT_NEW_USER_BASEPTR : MMUEXT_NEW_BASEPTR, none ? 0 : page_to_mfn(pg).n);

    /* What is in place already needs no new reference. */
    flight_tell(f, !none && settled(self(), self()),
                (pg->owner == self() && (pg->count_info & PGC_allocated) &&
                 model_accepts_type(self(), page_to_mfn(pg), PT_L4)) ||
                    mfn_eq(user ? actor->pv.l4_user : actor->pv.l4_kernel, page_to_mfn(pg)));
    go_mmuext(f, DOMID_SELF);
}

static void random_mmuext(struct mmuext_op *op)
{
    static const uint8_t cmd[] = {MMUEXT_PIN_L1_TABLE,     MMUEXT_PIN_L2_TABLE,  MMUEXT_PIN_L3_TABLE,
                                  MMUEXT_PIN_L4_TABLE,     MMUEXT_UNPIN_TABLE,   MMUEXT_NEW_BASEPTR,
                                  MMUEXT_TLB_FLUSH_LOCAL,  MMUEXT_INVLPG_LOCAL,  MMUEXT_TLB_FLUSH_MULTI,
                                  MMUEXT_INVLPG_MULTI,     MMUEXT_TLB_FLUSH_ALL, MMUEXT_INVLPG_ALL,
                                  MMUEXT_NEW_USER_BASEPTR, MMUEXT_CLEAR_PAGE,    MMUEXT_COPY_PAGE,
                                  MMUEXT_SET_LDT,          MMUEXT_CLEAR_PAGE,    MMUEXT_COPY_PAGE,
                                  MMUEXT_MARK_SUPER,       MMUEXT_UNMARK_SUPER};
    static uint64_t vcpus;

    vcpus = fake_rand();
    op->cmd = cmd[fake_below(ARRAY_SIZE(cmd))];
    op->arg1.mfn = page_to_mfn(frame_leaning_to(self(), 1 + fake_below(4))).n;
    op->arg2.src_mfn = page_to_mfn(random_frame(self())).n;
    if (op->cmd == MMUEXT_SET_LDT) {
        op->arg1.linear_addr = random_linear();
        op->arg2.nr_ents = fake_below(1500);
    } else if (op->cmd >= MMUEXT_TLB_FLUSH_LOCAL && op->cmd <= MMUEXT_INVLPG_ALL) {
        op->arg1.linear_addr = random_linear();
        op->arg2.vcpumask.p = fake_chance(95) ? (void *)&vcpus : NULL;
    }
    /* Writing back the caches is the control domain's right, and privileged on the host. */
    if (!self()->is_control && fake_chance(2))
        op->cmd = fake_chance(50) ? MMUEXT_FLUSH_CACHE : MMUEXT_FLUSH_CACHE_GLOBAL;
    else if (fake_chance(2))
        op->cmd = (unsigned int)fake_rand() | 64;
}

static void op_mmuext_batch(void)
{
    struct flight *f = flight_new(do_mmuext_op, "batch of mmuext_op");

    f->on = self();
    f->n = 1 + fake_below(MAX_ELEMS);
    for (unsigned int i = 0; i < f->n; i++)
        random_mmuext(&f->u.ext[i]);
    go_mmuext(f, DOMID_SELF);
}

/* ---- the guest itself: loads and stores through the MMU, stale translations included ---- */

static void store(struct page_info *pg)
{
    if (pg->owner && page_type(pg) != PT_WRITABLE)
        panic("S4: a guest stores to frame %u of type %lx\n", frame_no(pg), pg->type_info);
    ((uint64_t *)page_to_virt(pg))[random_index()] = random_word(self());
}

static void set_mode(bool kernel)
{
    actor->pv.kernel_mode = kernel;
    switch_cr3(pv_cr3(actor));
}

static void op_access(void)
{
    bool user = !mfn_eq(actor->pv.l4_user, INVALID_MFN) && fake_chance(20);

    moment_passes();
    if (user)
        set_mode(false);
    for (unsigned int i = 0; i < 2; i++) {
        bool write = fake_chance(70);
        struct fake_access a = guest_mmu(actor, random_linear(), write);

        tally.accesses++;
        if (a.ok && write)
            store(mfn_to_page(a.frame));
    }
    if (user)
        set_mode(true);
}

/*
 * What a kernel does to make a table: writes to a frame through a mapping - its own or another domain's - takes the
 * mapping away without a flush, and pins it. This is where a forgotten flush shows.
 */
static void op_build_table(void)
{
    struct vcpu *builder = actor, *writer = fake_chance(50) ? actor : dom[0]->vcpu[0];
    struct page_info *pg = random_frame(self());
    unsigned long linear = random_linear();
    pte_t e = pte_make(page_to_mfn(pg), PTE_P | PTE_RW);
    domid_t owner = self()->id;

    if (!may_act(writer))
        return;
    act_as(writer);
    if (call_now(owner == self()->id ? do_update_va_mapping : do_update_va_mapping_otherdomain,
                 (unsigned long[4]){linear, e.n, 0, owner}) == 0) {
        struct fake_access a = guest_mmu(actor, linear, true);

        if (a.ok && mfn_eq(a.frame, page_to_mfn(pg)))
            memset(page_to_virt(pg), 0, PAGE_SIZE);
        call_now(do_update_va_mapping, (unsigned long[4]){linear, 0, 0, 0});
    }
    act_as(builder);
    mmuext_now(MMUEXT_PIN_L1_TABLE, page_to_mfn(pg).n, 0);
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
    {3, {0x48, 0x11, 0x37}},                   /* adc %rsi,(%rdi) */
    {3, {0x48, 0x19, 0x37}},                   /* sbb %rsi,(%rdi) */
    {3, {0x48, 0xff, 0x07}},                   /* incq (%rdi) */
    {3, {0xf0, 0xfe, 0x0f}},                   /* lock decb (%rdi) */
    {3, {0x48, 0xf7, 0x1f}},                   /* negq (%rdi) */
    {3, {0x66, 0xf7, 0x17}},                   /* notw (%rdi) */
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

/* Each store's code lies in a slot of its own, written once: a processor that must watch for changed code is slow. */
static uint8_t *code_of(unsigned int k)
{
    static uint8_t *page;

    if (!page) {
        page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        for (unsigned int i = 0; i < ARRAY_SIZE(stores); i++) {
            memcpy(page + i * 32, stores[i].code, stores[i].len);
            page[i * 32 + stores[i].len] = 0xc3;
        }
    }
    return page + k * 32;
}

static void check_store(unsigned int k, pte_t stored, uint64_t result, const struct cpu_user_regs *regs,
                        const struct cpu_user_regs *native)
{
    if (stored.n != model_adjust(1, _pte(result)).n || regs->rax != native->rax || regs->rsi != native->rsi ||
        (regs->rflags & STATUS_FLAGS) != native->rflags || regs->rip != (unsigned long)code_of(k) + stores[k].len)
        panic("store %u: entry %lx, processor %lx; flags %lx, %lx; rsi %lx, %lx\n", k, stored.n, result, regs->rflags,
              native->rflags, regs->rsi, native->rsi);
}

static void op_ptwrite(void)
{
    unsigned int k = fake_below(ARRAY_SIZE(stores)), i = random_index();
    unsigned long linear = random_linear();
    struct cpu_user_regs regs = {.rip = (unsigned long)code_of(k), .rdi = linear + i * 8}, native;
    pte_t *map = l1_slot(linear), *slot;
    struct page_info *table;
    uint64_t result;
    bool assisted = fake_chance(95), expected, told = settled(self(), self()), done;
    unsigned long moment;

    if (!map || (map->n & (PTE_P | PTE_RW)) != PTE_P || !mfn_valid(pte_mfn(*map)))
        return;
    moment_passes();
    moment = moment_now();
    tally.calls++;
    table = mfn_to_page(pte_mfn(*map));
    slot = (pte_t *)page_to_virt(table) + i;
    result = slot->n;
    regs.rax = fake_chance(50) ? result : random_entry(self(), 1).n;
    regs.rsi = fake_chance(50) ? random_entry(self(), 1).n : 1 + fake_below(0xfff);
    regs.rflags = fake_rand() & STATUS_FLAGS;
    native = regs;
    run_native(code_of(k), &result, &native);
    self()->vm_assist &= ~(1ul << VMASST_TYPE_writable_pagetables);
    self()->vm_assist |= assisted ? 1ul << VMASST_TYPE_writable_pagetables : 0;
    expected = assisted && table->owner == self() && page_type(table) == PT_L1 && (table->type_info & PGT_validated) &&
               model_accepts_update(self(), self(), 1, *slot, _pte(result));
    done = pv_ptwrite_fault(actor, linear + i * 8, &regs);
    if (told && moment == moment_now())
        tell(expected, done ? 0 : -EINVAL, "emulated store");
    if (done && moment == moment_now())
        check_store(k, *slot, result, &regs, &native);
    done ? tally.accepted++ : tally.refused++;
}

const struct pv_operation table_ops[] = {{op_mmu_update, 25}, {op_machphys, 2},   {op_mmu_batch, 3},
                                         {op_va_mapping, 12}, {op_pin, 7},        {op_unpin, 5},
                                         {op_base, 2},        {op_access, 10},    {op_mmuext_batch, 4},
                                         {op_ptwrite, 8},     {op_build_table, 2}};
const unsigned int nr_table_ops = ARRAY_SIZE(table_ops);
