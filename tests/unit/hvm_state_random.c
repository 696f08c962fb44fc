// SPDX-License-Identifier: BSD-2-Clause
/* A vCPU on hardware virtualisation in any state that it may be saved in. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/x86.h>
#include "../../hypervisor/hvm/lapic.h"
#include "../../hypervisor/hvm/state.h"
#include "hvm_state_host.h"
#include "fake/fake.h"

static uint64_t address(void)
{
    return (uint64_t)((int64_t)(fake_rand() << 16) >> 16);
}

static void random_control(struct hvm_vcpu *h)
{
    static const struct {
        uint64_t cr0, cr4, efer;
    } modes[] = {{CR0_ET, 0, 0},
                 {CR0_ET | CR0_PE, 0, EFER_SCE},
                 {CR0_ET | CR0_PE | CR0_PG, CR4_PSE, 0},
                 {CR0_ET | CR0_PE | CR0_PG | CR0_WP, CR4_PAE | CR4_PGE, EFER_NXE},
                 {CR0_ET | CR0_PE | CR0_PG | CR0_WP, CR4_PAE | CR4_SMEP | CR4_OSXSAVE, EFER_LME | EFER_LMA | EFER_NXE}};
    unsigned int i = fake_below(ARRAY_SIZE(modes));

    h->cr0 = modes[i].cr0;
    h->cr4 = modes[i].cr4;
    h->efer = modes[i].efer;
    h->cr2 = fake_rand();
    h->cr3 = h->efer & EFER_LMA ? fake_rand() & ((1ull << 40) - 1)
             : i == 3           ? 0x20u * fake_below(8)
                                : (uint32_t)fake_rand();
}

static void random_segments(struct back_end *b, bool lma)
{
    for (unsigned int i = 0; i < HVM_SEGS; i++) {
        bool table = i == HVM_GDTR || i == HVM_IDTR;

        b->seg[i].base = address();
        b->seg[i].limit = table ? (uint16_t)fake_rand() : (uint32_t)fake_rand();
        b->seg[i].sel = table ? 0 : (uint16_t)fake_rand();
        b->seg[i].attr = table ? 0 : (uint16_t)(fake_rand() & 0xfff);
    }
    if (lma)
        b->seg[HVM_CS].attr &= (uint16_t)~SEG_ATTR_D;
}

static void random_msrs(struct vcpu *v)
{
    for (unsigned int i = 1; i < KEPT_MSRS; i++)
        *kept(v, kept_msrs[i]) = kept_msrs[i] == MSR_SYSCALL_MASK ? (uint32_t)fake_rand() : address();
    for (unsigned int i = 0; i < 4; i++)
        v->hvm->dr[i] = fake_rand();
    v->hvm->dr6 = (fake_rand() & HVM_DR6_WRITABLE) | HVM_DR6_RESET;
    v->hvm->tsc_aux = (uint32_t)fake_rand();
    v->hvm->tsc_adjust = fake_rand();
    v->hvm->tsc_offset = fake_rand();
    v->hvm->mcg_cap = fake_below(3);
    for (unsigned int i = 0; i < HVM_MTRR_VAR; i++) {
        v->hvm->mtrr.var[2 * i] = (fake_rand() & 0xfffffff000) | 6;
        v->hvm->mtrr.var[2 * i + 1] = fake_rand() & 0xfffffff800;
    }
    v->hvm->mtrr.fixed[fake_below(HVM_MTRR_FIXED)] = 0x0606060404010005;
}

static void random_event(struct back_end *b)
{
    static const uint64_t events[] = {0, 0x80000021, 0x80000202, 0x80000306, 0x1234ull << 32 | 0x80000b0e};

    b->event = events[fake_below(ARRAY_SIZE(events))];
}

static void random_lapic(struct vcpu *v)
{
    struct lapic *l = v->hvm->lapic;

    if (fake_chance(50))
        l->base |= LAPIC_BASE_EXTD;
    if (fake_chance(90)) {
        l->svr = 0x1ff;
        l->lvt[0] = (uint32_t)fake_rand() & 0x300ff;
        l->lvt[5] = (uint32_t)fake_rand() & 0x100ff;
    }
    l->irr[fake_below(4)] = fake_rand() & ~0xffffull;
    l->isr[fake_below(4)] = fake_rand() & ~0xffffull;
    l->tpr = (uint8_t)fake_rand();
    l->esr = 0x60;
    l->icr_high = (uint32_t)fake_rand() & 0xff000000;
    l->ldr = l->base & LAPIC_BASE_EXTD ? 0 : (uint32_t)fake_rand() & 0xff000000;
    l->divide = 0xb;
    l->initial = (uint32_t)fake_rand();
    l->expires = l->initial ? now + (s_time_t)fake_below(l->initial) * LAPIC_TIMER_NS + LAPIC_TIMER_NS : STIME_MAX;
}

static void random_xstate(struct vcpu *v)
{
    uint8_t *area = v->xsave_area;
    struct hvm_hw_cpu_xsave_hdr *h = (void *)(area + 512);

    v->xcr0_accum = fake_chance(50) ? 7 : 3;
    v->xcr0 = fake_chance(50) ? v->xcr0_accum : 1;
    for (unsigned int i = 32; i < 416; i++)
        area[i] = (uint8_t)fake_rand();
    h->xstate_bv = v->xcr0_accum;
    for (unsigned int i = 576; v->xcr0_accum == 7 && i < XSAVE_AVX; i++)
        area[i] = (uint8_t)fake_rand();
}

void random_vcpu(struct vcpu *v)
{
    uint64_t *r = (uint64_t *)&v->regs;

    for (unsigned int i = 0; i < 15; i++)
        r[i] = fake_rand();
    random_control(v->hvm);
    hvm_paging_changed(v);
    v->regs.rip = fake_rand();
    v->regs.rsp = fake_rand();
    v->regs.rflags = (fake_rand() & 0x3c0cd5) | EFLAGS_MBS;
    random_segments(v->hvm->vendor, v->hvm->efer & EFER_LMA);
    random_msrs(v);
    random_event(v->hvm->vendor);
    random_lapic(v);
    random_xstate(v);
    v->is_initialised = true;
    v->pause_flags = 0;
}
