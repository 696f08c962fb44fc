/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Calls of UEFI's runtime services. The firmware was never told of other addresses (SetVirtualAddressMap), so its code
 * and data are used at their machine addresses: in the lower half of a set of tables of its own, in which the regions
 * that the firmware's map marks for use at run time are mapped, and nothing else. The upper half has the hypervisor's
 * slots, those of the tables in use when the call is made: stack, descriptor tables and arguments stay where they are.
 *
 * One call at a time on the whole machine, with interrupts off: a handler sees no guest's tables missing, and the
 * firmware none of its registers changed. How long it takes is the firmware's to say; only the control domain may ask.
 *
 * Code is mapped writable too, because firmware has both in one image; data and devices are never executable. What
 * faults all the same ends the call, and with it the services (efi_fault).
 */
#include <hv/domain.h>
#include <hv/efi.h>
#include <hv/fpu.h>
#include <hv/heap.h>
#include <hv/x86.h>

#define TABLE_FLAGS   (PTE_P | PTE_RW | PTE_A)
#define REGION_FLAGS  (PTE_P | PTE_RW | PTE_A | PTE_D)
#define PAGE_2M       (1ul << 21)
#define LOWER_HALF    (1ull << 47)
#define FCW_DEFAULT   0x037f
#define MXCSR_DEFAULT 0x1f80u

/* efi_enter.S */
unsigned long efi_enter(unsigned long service, const unsigned long args[6]);
extern const char efi_enter_failed[];
unsigned long efi_stack; /* not 0: the firmware runs, on CPU running_on */

static pte_t *efi_l4;
static bool busy;
static unsigned int running_on;
static struct {
    bool happened;
    unsigned int vector;
    unsigned long rip, cr2;
} fault;

/* ---- tables ---- */

/* Of a region whose descriptor allows several kinds of caching the fastest. PAT: entry 0 WB, 1 WT, 3 UC. */
static uint64_t region_flags(const struct efi_region *r)
{
    uint64_t flags = REGION_FLAGS | (r->type == EFI_RUNTIME_CODE ? 0 : PTE_NX);

    if (r->attr & EFI_MEMORY_WB)
        return flags;
    return flags | (r->attr & EFI_MEMORY_WT ? PTE_PWT : PTE_PWT | PTE_PCD);
}

/* One page of level 1 or 2. What is mapped stays: of regions that overlap the first one counts. */
static int map_page(uint64_t address, unsigned int level, uint64_t flags)
{
    pte_t *table = efi_l4, *e;

    for (unsigned int l = 4; e = &table[pt_index(address, l)], l > level; l--) {
        if (e->n & PTE_PSE)
            return 0;
        if (!(e->n & PTE_P)) {
            table = alloc_hv_mem(0);
            if (!table)
                return -ENOMEM;
            memset(table, 0, PAGE_SIZE);
            *e = pte_make(virt_to_mfn(table), TABLE_FLAGS);
        }
        table = mfn_to_virt(pte_mfn(*e));
    }
    if (!(e->n & PTE_P))
        *e = pte_make(maddr_to_mfn(_maddr(address)), level > 1 ? flags | PTE_PSE : flags);
    return 0;
}

static int map_region(const struct efi_region *r)
{
    uint64_t at = r->start, end = r->start + (r->pages << PAGE_SHIFT), flags = region_flags(r);

    if (end > LOWER_HALF)
        return -EINVAL;
    while (at < end) {
        unsigned int level = !(at & (PAGE_2M - 1)) && end - at >= PAGE_2M ? 2 : 1;
        int rc = map_page(at, level, flags);

        if (rc)
            return rc;
        at += level == 2 ? PAGE_2M : PAGE_SIZE;
    }
    return 0;
}

int efi_map_services(void)
{
    efi_l4 = alloc_hv_mem(0);
    if (!efi_l4)
        return -ENOMEM;
    memset(efi_l4, 0, PAGE_SIZE);
    for (unsigned int i = 0; i < efi.region_count; i++) {
        int rc = efi.region[i].attr & EFI_MEMORY_RUNTIME ? map_region(&efi.region[i]) : 0;

        if (rc)
            return rc;
    }
    return 0;
}

/* ---- calls ---- */

static void default_fpu(void)
{
    static const uint16_t fcw = FCW_DEFAULT;
    static const uint32_t mxcsr = MXCSR_DEFAULT;

    __asm__ __volatile__("fninit; fldcw %0; ldmxcsr %1" ::"m"(fcw), "m"(mxcsr));
}

/* The processor as section 8.1 of the specification wants it, and as it was afterwards. Interrupts are off. */
static unsigned long enter(enum efi_service service, const unsigned long args[6])
{
    unsigned long cr0 = read_cr0(), cr3 = read_cr3(), status;
    struct vcpu *v = current && !is_idle_vcpu(current) ? current : NULL;
    const pte_t *in_use = mfn_to_virt(maddr_to_mfn(_maddr(cr3)));

    for (unsigned int i = HYPERVISOR_L4_FIRST; i <= HYPERVISOR_L4_LAST; i++)
        efi_l4[i] = in_use[i];
    running_on = smp_processor_id();
    write_cr0(cr0 & ~CR0_TS);
    if (v)
        fpu_save(v);
    default_fpu();
    switch_cr3(virt_to_maddr(efi_l4).n);
    status = efi_enter(efi.service[service], args);
    irq_disable();
    switch_cr3(cr3);
    if (v)
        fpu_restore(v);
    write_cr0(cr0);
    return status;
}

/* True once: the firmware has faulted. */
static bool report_fault(void)
{
    if (!fault.happened)
        return false;
    fault.happened = false;
    efi.runtime = false;
    printk(XLOG_ERR "EFI: exception %u in the firmware at %lx, cr2 %lx: its services are not called again\n",
           fault.vector, fault.rip, fault.cr2);
    return true;
}

int efi_call(enum efi_service service, const unsigned long args[6], unsigned long *status)
{
    unsigned long flags;
    int rc = -EBUSY;

    if (!READ_ONCE(efi.runtime) || !efi.service[service])
        return -EOPNOTSUPP;
    flags = irq_save();
    if (!__atomic_exchange_n(&busy, true, __ATOMIC_SEQ_CST)) {
        *status = enter(service, args);
        report_fault();
        __atomic_store_n(&busy, false, __ATOMIC_SEQ_CST);
        rc = 0;
    }
    irq_restore(flags);
    return rc;
}

void efi_reset(bool power_off)
{
    const unsigned long args[6] = {power_off ? 2 : 0}; /* EfiResetShutdown, EfiResetCold; no data */
    unsigned long status;

    (void)efi_call(EFI_RESET_SYSTEM, args, &status);
}

bool efi_fault(struct cpu_user_regs *regs)
{
    unsigned int vector = regs->entry_vector;

    if (!efi_stack || running_on != smp_processor_id() || vector >= 32 || vector == TRAP_NMI || vector == TRAP_DB ||
        vector == TRAP_MC || vector == TRAP_DF)
        return false;
    fault.happened = true;
    fault.vector = vector;
    fault.rip = regs->rip;
    fault.cr2 = vector == TRAP_PF ? read_cr2() : 0;
    regs->rip = (unsigned long)efi_enter_failed;
    regs->rflags = EFLAGS_MBS;
    return true;
}
