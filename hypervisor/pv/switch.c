/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What of a vCPU lives in processor registers besides the entry frame: segment selectors and bases, descriptor tables,
 * debug registers, FPU, CR3. Called by the context switch with interrupts off; sched/switch.c moves the frame.
 *
 * Order on the way in: NMIs can come at any point and need a GDT, so the CPU's own one is loaded around the change of
 * CR3. Selectors come before bases, since loading one may change the base.
 */
#include <hv/fpu.h>
#include "internal.h"

void pv_switch_from(struct vcpu *v)
{
    struct pv_selectors sel;
    unsigned long gs = rdmsr(MSR_GS_BASE), shadow = rdmsr(MSR_KERNEL_GS_BASE);

    pv_read_selectors(&sel);
    v->pv.ds = sel.ds;
    v->pv.es = sel.es;
    v->pv.fs = sel.fs;
    v->pv.gs = sel.gs;
    v->pv.fs_base = rdmsr(MSR_FS_BASE);
    v->pv.gs_base_kernel = v->pv.kernel_mode ? gs : shadow;
    v->pv.gs_base_user = v->pv.kernel_mode ? shadow : gs;
    if (v->pv.dr7 & DR7_ACTIVE)
        pv_debug_unload();
    fpu_save(v);
}

/* Loads a data selector; false: it was bad, and null was loaded. */
#define LOAD_SELECTOR(reg)                                        \
    static bool load_##reg(uint16_t sel)                          \
    {                                                             \
        bool ok = true;                                           \
                                                                  \
        __asm__ __volatile__("1: movw %w1, %%" #reg "\n"          \
                             "2:\n"                               \
                             ".pushsection .text.fixup, \"ax\"\n" \
                             "3: xorl %k1, %k1\n"                 \
                             "movw %w1, %%" #reg "\n"             \
                             "movb $0, %0\n"                      \
                             "jmp 2b\n"                           \
                             ".popsection\n" EXTABLE(1b, 3b)      \
                             : "+r"(ok), "+r"(sel)::"memory");    \
        return ok;                                                \
    }
LOAD_SELECTOR(ds)
LOAD_SELECTOR(es)
LOAD_SELECTOR(fs)
LOAD_SELECTOR(gs)

static void load_descriptor_tables(struct vcpu *v)
{
    pte_t *window = v->domain->pv.gdt_ldt_l1[v->vcpu_id];
    uint64_t nx = cpu_features.nx ? PTE_NX : 0;

    window[FIRST_RESERVED_GDT_PAGE] = pte_make(cpu_gdt_mfn(smp_processor_id()), PTE_P | PTE_RW | PTE_A | PTE_D | nx);
    desc_load_idle_gdt();
    switch_cr3(pv_cr3(v));
    desc_load_gdt(GDT_VIRT(v->vcpu_id));
    pv_ldt_load(v);
}

/* False: a selector could not be loaded; the guest is told by its failsafe callback. */
static bool load_segments(struct vcpu *v)
{
    bool ok = load_ds(v->pv.ds);

    ok &= load_es(v->pv.es);
    ok &= load_fs(v->pv.fs);
    ok &= load_gs(v->pv.gs);
    wrmsr(MSR_FS_BASE, v->pv.fs_base);
    wrmsr(MSR_GS_BASE, v->pv.kernel_mode ? v->pv.gs_base_kernel : v->pv.gs_base_user);
    wrmsr(MSR_KERNEL_GS_BASE, v->pv.kernel_mode ? v->pv.gs_base_user : v->pv.gs_base_kernel);
    if (cpu_features.rdtscp)
        wrmsr(MSR_TSC_AUX, v->pv.tsc_aux);
    return ok;
}

void pv_load_tsd(const struct vcpu *v)
{
    unsigned long cr4 = read_cr4(), tsd = v->pv.kernel_mode ? 0 : v->pv.cr4_guest & CR4_TSD;

    if ((cr4 & CR4_TSD) != tsd)
        write_cr4(cr4 ^ CR4_TSD);
}

void pv_switch_to(struct vcpu *v)
{
    struct pv_selectors sel = {.ds = v->pv.ds, .es = v->pv.es, .fs = v->pv.fs, .gs = v->pv.gs};
    bool segments_ok;

    load_descriptor_tables(v);
    segments_ok = load_segments(v);
    pv_debug_load(v);
    fpu_restore(v);
    if (v->pv.cr0_guest & CR0_TS)
        write_cr0(read_cr0() | CR0_TS);
    pv_load_tsd(v);
    v->pv.areas_due = !v->pv.kernel_mode;
    if (!segments_ok)
        pv_failsafe(v, &sel);
}
