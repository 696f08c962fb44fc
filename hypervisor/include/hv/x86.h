/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processor: instructions as inline functions, features, descriptor tables, TLB shoot-down, MSR access with fix-up.
 * Hypervisor only; host tests supply what they need in tests/unit/fake.
 */
#ifndef HV_X86_H
#define HV_X86_H

#include <hv/cpumask.h>
#include <hv/page.h>
#include <hv/percpu.h>

#define CR0_PE (1ul << 0)
#define CR0_MP (1ul << 1)
#define CR0_EM (1ul << 2)
#define CR0_TS (1ul << 3)
#define CR0_ET (1ul << 4)
#define CR0_NE (1ul << 5)
#define CR0_WP (1ul << 16)
#define CR0_AM (1ul << 18)
#define CR0_PG (1ul << 31)

#define CR4_VME        (1ul << 0)
#define CR4_PVI        (1ul << 1)
#define CR4_TSD        (1ul << 2)
#define CR4_DE         (1ul << 3)
#define CR4_PSE        (1ul << 4)
#define CR4_PAE        (1ul << 5)
#define CR4_MCE        (1ul << 6)
#define CR4_PGE        (1ul << 7)
#define CR4_PCE        (1ul << 8)
#define CR4_OSFXSR     (1ul << 9)
#define CR4_OSXMMEXCPT (1ul << 10)
#define CR4_FSGSBASE   (1ul << 16)
#define CR4_PCIDE      (1ul << 17)
#define CR4_OSXSAVE    (1ul << 18)
#define CR4_SMEP       (1ul << 20)
#define CR4_SMAP       (1ul << 21)

#define EFLAGS_CF   (1ul << 0)
#define EFLAGS_MBS  (1ul << 1)
#define EFLAGS_PF   (1ul << 2)
#define EFLAGS_AF   (1ul << 4)
#define EFLAGS_ZF   (1ul << 6)
#define EFLAGS_SF   (1ul << 7)
#define EFLAGS_TF   (1ul << 8)
#define EFLAGS_IF   (1ul << 9)
#define EFLAGS_DF   (1ul << 10)
#define EFLAGS_OF   (1ul << 11)
#define EFLAGS_IOPL (3ul << 12)
#define EFLAGS_NT   (1ul << 14)
#define EFLAGS_RF   (1ul << 16)
#define EFLAGS_VM   (1ul << 17)
#define EFLAGS_AC   (1ul << 18)
#define EFLAGS_VIF  (1ul << 19)
#define EFLAGS_VIP  (1ul << 20)
#define EFLAGS_ID   (1ul << 21)

#define MSR_APIC_BASE      0x1b
#define MSR_TSC_DEADLINE   0x6e0
#define MSR_EFER           0xc0000080
#define MSR_STAR           0xc0000081
#define MSR_LSTAR          0xc0000082
#define MSR_CSTAR          0xc0000083
#define MSR_SYSCALL_MASK   0xc0000084
#define MSR_FS_BASE        0xc0000100
#define MSR_GS_BASE        0xc0000101
#define MSR_KERNEL_GS_BASE 0xc0000102
#define MSR_TSC_AUX        0xc0000103
#define MSR_PAT            0x277
#define MSR_SYSENTER_CS    0x174
#define MSR_SYSENTER_ESP   0x175
#define MSR_SYSENTER_EIP   0x176
#define EFER_SCE           (1ul << 0)
#define EFER_LME           (1ul << 8)
#define EFER_LMA           (1ul << 10)
#define EFER_NXE           (1ul << 11)
#define EFER_SVME          (1ul << 12)

/* The PAT that the PV ABI fixes: WB WT UC- UC WC WP UC UC. */
#define HOST_PAT 0x050100070406ull

#define TRAP_DE      0
#define TRAP_DB      1
#define TRAP_NMI     2
#define TRAP_BP      3
#define TRAP_OF      4
#define TRAP_BR      5
#define TRAP_UD      6
#define TRAP_NM      7
#define TRAP_DF      8
#define TRAP_TS      10
#define TRAP_NP      11
#define TRAP_SS      12
#define TRAP_GP      13
#define TRAP_PF      14
#define TRAP_MF      16
#define TRAP_AC      17
#define TRAP_MC      18
#define TRAP_XM      19
#define TRAP_SYSCALL 256 /* entry_vector of a syscall */

#define PFEC_P    1u
#define PFEC_W    2u
#define PFEC_U    4u
#define PFEC_RSVD 8u
#define PFEC_I    16u

/* Features as CPUID reported them on the boot CPU; the few that code branches on. */
struct cpu_features {
    char vendor[13];
    unsigned int family, model, stepping;
    uint32_t max_leaf, max_ext_leaf;
    bool nx, pge, page1gb, smep, smap, xsave, xsaveopt, fsgsbase, tsc_deadline, invariant_tsc, rdtscp, x2apic, svm, vmx,
        syscall32, virtualised; /* virtualised: an emulator or another hypervisor runs this one */
    bool tcg;                   /* QEMU does, and translates its instructions */
    unsigned int phys_bits;
    uint64_t xcr0_mask;      /* features the host's XCR0 may have */
    unsigned int xsave_size; /* bytes for xcr0_mask */
};
extern struct cpu_features cpu_features;
/* Bytes of the standard-format XSAVE area for a set of states. */
unsigned int xstate_size(uint64_t mask);

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t r[4])
{
    __asm__ __volatile__("cpuid" : "=a"(r[0]), "=b"(r[1]), "=c"(r[2]), "=d"(r[3]) : "a"(leaf), "c"(sub));
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t lo, hi;

    __asm__ __volatile__("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
    return ((uint64_t)hi << 32) | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
    __asm__ __volatile__("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

/* 0, or -EFAULT when the MSR does not exist. */
int rdmsr_safe(uint32_t msr, uint64_t *v);
int wrmsr_safe(uint32_t msr, uint64_t v);

static inline uint64_t rdtsc(void)
{
    uint32_t lo, hi;

    __asm__ __volatile__("rdtsc" : "=a"(lo), "=d"(hi));
    return ((uint64_t)hi << 32) | lo;
}

static inline uint64_t rdtsc_ordered(void)
{
    __asm__ __volatile__("lfence" ::: "memory");
    return rdtsc();
}

#define DEFINE_CR(n)                                                 \
    static inline unsigned long read_cr##n(void)                     \
    {                                                                \
        unsigned long v;                                             \
        __asm__ __volatile__("mov %%cr" #n ", %0" : "=r"(v));        \
        return v;                                                    \
    }                                                                \
    static inline void write_cr##n(unsigned long v)                  \
    {                                                                \
        __asm__ __volatile__("mov %0, %%cr" #n ::"r"(v) : "memory"); \
    }
DEFINE_CR(0)
DEFINE_CR(2)
DEFINE_CR(3)
DEFINE_CR(4)
DEFINE_CR(8) /* the local APIC's TPR */

static inline unsigned long read_flags(void)
{
    unsigned long f;

    __asm__ __volatile__("pushfq; popq %0" : "=r"(f));
    return f;
}

#ifndef UMBRA_HOST
static inline void irq_disable(void)
{
    __asm__ __volatile__("cli" ::: "memory");
}

static inline void irq_enable(void)
{
    __asm__ __volatile__("sti" ::: "memory");
}
#else /* a host test is one thread without interrupts */
static inline void irq_disable(void)
{
}

static inline void irq_enable(void)
{
}
#endif

static inline bool irqs_enabled(void)
{
    return read_flags() & EFLAGS_IF;
}

static inline unsigned long irq_save(void)
{
    unsigned long f = read_flags();

    irq_disable();
    return f;
}

static inline void irq_restore(unsigned long f)
{
    if (f & EFLAGS_IF)
        irq_enable();
}

static inline void invlpg(unsigned long linear)
{
    __asm__ __volatile__("invlpg (%0)" ::"r"(linear) : "memory");
}

static inline uint8_t inb(uint16_t port)
{
    uint8_t v;

    __asm__ __volatile__("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint16_t inw(uint16_t port)
{
    uint16_t v;

    __asm__ __volatile__("inw %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline uint32_t inl(uint16_t port)
{
    uint32_t v;

    __asm__ __volatile__("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

static inline void outb(uint16_t port, uint8_t v)
{
    __asm__ __volatile__("outb %0, %1" ::"a"(v), "Nd"(port));
}

static inline void outw(uint16_t port, uint16_t v)
{
    __asm__ __volatile__("outw %0, %1" ::"a"(v), "Nd"(port));
}

static inline void outl(uint16_t port, uint32_t v)
{
    __asm__ __volatile__("outl %0, %1" ::"a"(v), "Nd"(port));
}

/* x86/desc.c, x86/cpu.c, boot/smp.c */
void cpu_identify(void); /* fills cpu_features (boot CPU) */
void cpu_init(void);     /* this CPU: CR0, CR4, EFER, PAT, syscall MSRs, XCR0 */
void desc_init_cpu(
    unsigned int cpu); /* allocates and loads GDT, TSS, IDT of this CPU; stack is per_cpu(stack_base, cpu) */
mfn_t cpu_gdt_mfn(unsigned int cpu);    /* the reserved GDT page (page 14 of a vCPU's window) */
void desc_load_gdt(unsigned long base); /* LGDT with the vCPU window or the CPU's own base, limit over the reserved
                                           entries; reloads no segment */
void desc_load_idle_gdt(void);
void cpu_set_syscall_stack(void);
void cpu_protection_dump(void); /* control registers; does SMAP stop what is no guest copy? */
/*
 * pv/entry.S gives the addresses of the 256 entry stubs, and the two targets of SYSCALL. These are reached from a small
 * stub of each CPU (x86/desc.c), which has moved to this CPU's stack and pushed ss, rsp, rflags, cs, rip, error code 0
 * and entry vector TRAP_SYSCALL: rsp = &guest_regs.error_code. Every other register is the guest's; interrupts are off.
 */
extern const unsigned long idt_stubs[256];
void syscall_entry(void);
void syscall32_entry(void);
/* Writes the stub of a CPU and returns the value for LSTAR; the one for CSTAR lies SYSCALL32_STUB bytes behind it. */
unsigned long desc_init_syscall_stub(unsigned int cpu);
#define SYSCALL32_STUB 128
void percpu_init_boot_cpu(void);
void smp_prepare(void); /* after acpi_init: nr_cpus, APIC ids, stacks and per-CPU data of all CPUs */
void smp_boot(void);    /* starts all other CPUs */
DECLARE_PER_CPU(unsigned long, stack_base);
DECLARE_PER_CPU(uint32_t, apicid);
DECLARE_PER_CPU(uint32_t, acpi_id); /* what firmware calls it */

/*
 * TLB (x86/tlb.c). A clock counts flushes; a frame stamped at time t needs no flush on a CPU whose last full flush is
 * later than t. Shoot-downs wait until every target has flushed; interrupts are on or the caller holds no lock that a
 * target may wait for with interrupts off.
 */
void tlb_flush_local(void);
void tlb_flush_mask(cpumask_t mask);
void tlb_flush_one_mask(cpumask_t mask, unsigned long linear);
uint32_t tlb_now(void);
cpumask_t tlb_filter(cpumask_t mask, uint32_t stamp);
uint64_t tlb_flush_time(void);           /* of this CPU's last flush; no other flush has the same, and none has 0 */
void switch_cr3(unsigned long cr3);      /* loads CR3 and records the flush */
unsigned long cpu_cr3(unsigned int cpu); /* what a CPU loaded last */
/* Runs fn(data) on every CPU of mask, in interrupt context, and waits. Includes this CPU if it is in the mask. */
void call_on_cpus(cpumask_t mask, void (*fn)(void *), void *data);
void tlb_ipi(void); /* VECTOR_INVALIDATE */
void call_function_ipi(void);
/* Answers a pending shoot-down or cross call for this CPU; for loops that spin with interrupts off. */
void tlb_poll(void);

/* mm/map.c: the hypervisor's own mappings. */
void map_init_early(
    void); /* direct map of all RAM, frame table, M2P, final permissions; gives the rest of the RAM to the heap */
void *ioremap(maddr_t start, size_t size); /* uncached; NULL: no space */
void iounmap(void *p);
extern pte_t *idle_l4; /* L4 without any guest: slots 256-271 are copied into each guest's L4 */
int map_pages(unsigned long linear, mfn_t m, size_t count, uint64_t flags); /* 0 or -ENOMEM */
void unmap_pages(unsigned long linear, size_t count);

/* Exception table: a fault at an instruction registered by EXTABLE continues at its fix-up. 0: none. */
unsigned long extable_find(unsigned long rip);
#define EXTABLE(from, to) ".pushsection .ex_table,\"a\"\n.quad " #from ", " #to "\n.popsection\n"

/* x86/power.c */
void machine_restart(void) __attribute__((noreturn));
void machine_power_off(void) __attribute__((noreturn));
void machine_halt(void) __attribute__((noreturn));

#endif
