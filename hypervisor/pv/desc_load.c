/* SPDX-License-Identifier: BSD-2-Clause */
/* The processor's side of GDT and LDT: loading the LDT register, reading descriptors through the window. */
#include "internal.h"

/* Loads the LDT register with v's window; the descriptor lies in this CPU's own page of the GDT. */
void pv_ldt_load(struct vcpu *v)
{
    unsigned long base = LDT_VIRT(v->vcpu_id), limit = v->pv.ldt_ents * 8ul - 1;
    uint64_t *desc = (uint64_t *)mfn_to_virt(cpu_gdt_mfn(smp_processor_id())) + ((HV_LDT & 0xfff) >> 3);
    uint16_t sel = v->pv.ldt_ents ? HV_LDT : 0;

    if (sel) {
        desc[0] = (limit & 0xffff) | ((base & 0xffffff) << 16) | (0x82ull << 40) | ((limit & 0xf0000) << 32) |
                  ((base >> 24 & 0xff) << 56);
        desc[1] = base >> 32;
    }
    __asm__ __volatile__("lldt %0" ::"r"(sel) : "memory");
}

static bool read_window(uint64_t *value, unsigned long linear)
{
    int rc = -EFAULT;

    __asm__ __volatile__("1: movq (%2), %0\n"
                         "movl $0, %1\n"
                         "2:\n" EXTABLE(1b, 2b)
                         : "+r"(*value), "+r"(rc)
                         : "r"(linear)
                         : "memory");
    return rc == 0;
}

bool pv_read_descriptor(struct vcpu *v, uint16_t sel, uint64_t *desc)
{
    bool ldt = sel & 4;
    unsigned long index = sel >> 3;

    *desc = 0;
    if (ldt)
        return index < v->pv.ldt_ents && read_window(desc, LDT_VIRT(v->vcpu_id) + index * 8);
    if (index < v->pv.gdt_ents)
        return read_window(desc, GDT_VIRT(v->vcpu_id) + array_index_nospec(index, FIRST_RESERVED_GDT_ENTRY) * 8);
    return index >= FIRST_RESERVED_GDT_ENTRY && index < FIRST_RESERVED_GDT_ENTRY + 512 &&
           read_window(desc, GDT_VIRT(v->vcpu_id) + index * 8);
}
