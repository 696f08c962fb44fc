// SPDX-License-Identifier: BSD-2-Clause
/* test_pv_random: GDT, LDT, descriptors, and vCPU contexts. */
#include <hv/boot.h>
#include <xen/vcpu.h>
#include "pv_random.h"
#include "../../hypervisor/hypercall/domctl.h"
#include "../../hypervisor/pv/internal.h"

static bool may_be_descriptors(const struct domain *of, mfn_t m)
{
    const struct page_info *pg = mfn_valid(m) ? mfn_to_page(m) : NULL;

    return pg && pg->owner == of && (pg->count_info & PGC_allocated) &&
           model_accepts_type(actor->domain, m, PT_SEGDESC);
}

/* Frames for n descriptor pages; may they all be? */
static bool random_frames(unsigned long *frame, unsigned int n)
{
    bool fine = true;

    for (unsigned int i = 0; i < n; i++) {
        const struct domain *of = fake_chance(97) ? self() : dom[fake_below(3)];

        frame[i] = fake_chance(98) ? page_to_mfn(frame_leaning_to(of, PT_SEGDESC)).n : fake_rand();
        fine = fine && may_be_descriptors(self(), _mfn(frame[i]));
    }
    return fine;
}

static void op_set_gdt(void)
{
    struct flight *f = flight_new(do_set_gdt, "set_gdt");
    unsigned int n = fake_below(4), entries = n * 512;
    bool fine = random_frames(f->u.frames, n);

    if (fake_chance(3))
        entries = FIRST_RESERVED_GDT_ENTRY + 1 + fake_below(1000);
    else if (n)
        entries -= fake_below(512);
    flight_tell(f, !model_unsettled(self()), fine && entries <= FIRST_RESERVED_GDT_ENTRY);
    flight_args(f, (unsigned long)f->u.frames, entries, 0, 0);
    flight_go(f);
}

static void op_update_descriptor(void)
{
    struct flight *f = flight_new(do_update_descriptor, "update_descriptor");
    struct page_info *pg = frame_leaning_to(fake_chance(97) ? self() : dom[fake_below(3)], PT_SEGDESC);
    uint64_t addr = mfn_to_maddr(page_to_mfn(pg)).n + random_index() * 8ul, desc = random_descriptor();
    bool fine = pg->owner == self() && (pg->count_info & PGC_allocated) && model_descriptor_ok(desc) &&
                model_accepts_type(self(), page_to_mfn(pg), page_type(pg) == PT_SEGDESC ? PT_SEGDESC : PT_WRITABLE);

    if (fake_chance(3)) {
        addr += 1 + fake_below(7);
        fine = false;
    }
    flight_tell(f, !model_unsettled(self()), fine);
    flight_args(f, addr, desc, 0, 0);
    flight_go(f);
}

/* What the kernel's tables say about a page of the LDT; whether the mode is the kernel's does not matter. */
static bool expect_ldt_page(unsigned long linear)
{
    mfn_t m = actor->pv.l4_kernel;

    for (unsigned int level = 4; level > 0; level--) {
        pte_t e;

        if (!mfn_is_ram(m))
            return false;
        e = ((pte_t *)mfn_to_virt(m))[pt_index(linear, level)];
        if (!(e.n & PTE_P))
            return false;
        m = pte_mfn(e);
    }
    return may_be_descriptors(self(), m);
}

static void op_set_ldt(void)
{
    struct flight *f = flight_new(do_mmuext_op, "set_ldt");
    unsigned long base = random_linear() + (fake_chance(5) ? fake_below(4096) : 0), ents = fake_below(1536);

    for (unsigned int i = 0; i < 6 && !expect_ldt_page(base & PAGE_MASK); i++)
        base = random_linear();
    if (fake_chance(5))
        ents = fake_rand() % 20000;
    f->n = 1;
    f->u.ext[0] = (struct mmuext_op){.cmd = MMUEXT_SET_LDT, .arg1.linear_addr = base, .arg2.nr_ents = ents};
    flight_tell(f, !model_unsettled(self()),
                ents <= 8192 && !(base & 0xfff) && (!ents || base < HYPERVISOR_BASE || base >= HYPERVISOR_LIMIT));
    flight_args(f, (unsigned long)f->u.ext, 1, (unsigned long)&f->done, DOMID_SELF);
    flight_go(f);
}

/* The processor looks at a descriptor: of the GDT, or of the LDT, whose page may have to be fetched first. */
static void op_use_selector(void)
{
    unsigned long window = GDT_VIRT(actor->vcpu_id), page = fake_chance(60) ? 0 : fake_below(4);
    const pte_t *slot = &self()->pv.gdt_ldt_l1[actor->vcpu_id][page];

    if (fake_chance(70)) {
        unsigned long linear = LDT_VIRT(actor->vcpu_id) + page * PAGE_SIZE + fake_below(4096);
        bool told = !model_unsettled(self()), present, expected, done;

        slot += GDT_PAGES;
        window = LDT_VIRT(actor->vcpu_id);
        present = slot->n & PTE_P;
        expected =
            !present && page * 512 < actor->pv.ldt_ents && expect_ldt_page(actor->pv.ldt_base + page * PAGE_SIZE);
        moment_passes();
        tally.calls++;
        done = pv_ldt_fault(actor, linear);
        if (told)
            tell(expected, done ? 0 : -EINVAL, "fault on the LDT");
        done ? tally.accepted++ : tally.refused++;
    }
    if (slot->n & PTE_P)
        fake_tlb_window(actor->processor, window + page * PAGE_SIZE, pte_mfn(*slot));
}

/* What a kernel does: takes a page read-only, makes it its LDT, uses it, and drops the LDT. */
static void op_ldt_page(void)
{
    unsigned long linear = random_linear() & PAGE_MASK;
    pte_t e = pte_make(page_to_mfn(random_frame(self())), PTE_P);

    if (call_now(do_update_va_mapping, (unsigned long[4]){linear, e.n, 0, 0}) ||
        mmuext_now(MMUEXT_SET_LDT, linear, 512))
        return;
    if (pv_ldt_fault(actor, LDT_VIRT(actor->vcpu_id))) {
        e = self()->pv.gdt_ldt_l1[actor->vcpu_id][GDT_PAGES];
        fake_tlb_window(actor->processor, LDT_VIRT(actor->vcpu_id), pte_mfn(e));
    }
    if (fake_chance(50))
        mmuext_now(MMUEXT_SET_LDT, 0, 0);
    check_all();
}

/* ---- contexts: of a vCPU that does not run, by a vCPU of its domain or by the control domain ---- */

/* What do_domctl does with the command. */
long set_context_by_domctl(struct hcall *hc)
{
    struct vcpu *v = (struct vcpu *)hc->arg[0];
    struct xen_domctl op = {.u.vcpucontext = {.vcpu = v->vcpu_id, .ctxt.p = (struct vcpu_guest_context *)hc->arg[1]}};
    bool copyback;
    long rc = domctl_setcontext(v->domain, &op, &copyback);

    return rc == -ERESTART ? hypercall_restart(hc) : rc;
}

/* The vCPU that is to get it has never run, for all that its domain's kernel knows. */
static void context_args(struct flight *f)
{
    if (f->fn == do_vcpu_op) {
        f->target->is_initialised = false;
        flight_args(f, VCPUOP_initialise, f->target->vcpu_id, (unsigned long)&f->u.context, 0);
    } else
        flight_args(f, (unsigned long)f->target, (unsigned long)&f->u.context, 0, 0);
}

static void after_context(struct flight *f, long rc, bool ended)
{
    const struct vcpu_guest_context *c = &f->u.context;

    if (!ended)
        return;
    if (rc == 0 &&
        (f->target->pv.l4_kernel.n != xen_cr3_to_pfn(c->ctrlreg[3]) || f->target->pv.gdt_ents != c->gdt_ents))
        panic("a context was accepted, but not taken over\n");
    f->target->pv.kernel_mode = true;
    if (!f->target->domain->dying)
        put_on(f->target);
}

static void op_context(void)
{
    struct domain *t = self()->is_control ? dom[1 + fake_below(2)] : self();
    struct vcpu *target = t->vcpu[t->max_vcpus - 1];
    struct flight *f;
    struct vcpu_guest_context *c;

    if (target == actor || !may_act(target) || t->dying)
        return;
    take_off(target);
    act_as(actor);
    f = flight_new(t == self() ? do_vcpu_op : set_context_by_domctl, "vCPU context");
    f->target = target;
    c = &f->u.context;
    memset(c, 0, sizeof(*c));
    c->flags = fake_chance(70) ? VGCF_in_kernel : 0;
    c->ctrlreg[3] = fake_chance(98) ? xen_pfn_to_cr3(page_to_mfn(frame_leaning_to(t, 4)).n) : 0;
    c->ctrlreg[1] = fake_chance(50) ? xen_pfn_to_cr3(page_to_mfn(frame_leaning_to(t, 4)).n) : 0;
    c->gdt_ents = fake_below(1025);
    for (unsigned int i = 0; i < 2; i++)
        c->gdt_frames[i] = page_to_mfn(frame_leaning_to(t, PT_SEGDESC)).n;
    c->ldt_base = random_linear();
    c->ldt_ents = fake_below(1025);
    if (fake_chance(3))
        c->trap_ctxt[fake_below(256)].address = 1ul << 50;
    f->after = after_context;
    context_args(f);
    flight_go(f);
}

const struct pv_operation desc_ops[] = {{op_set_gdt, 2},      {op_update_descriptor, 3}, {op_set_ldt, 1},
                                        {op_use_selector, 3}, {op_ldt_page, 2},          {op_context, 1}};
const unsigned int nr_desc_ops = ARRAY_SIZE(desc_ops);
