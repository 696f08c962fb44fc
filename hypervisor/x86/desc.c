/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Descriptor tables of each CPU, and its SYSCALL stub.
 *
 * GDT: a guest's selectors below 0xe000 are its own; the page from 0xe000 on is the hypervisor's and per CPU. It is
 * reached in two ways: through the vCPU's window in the per-domain area while a guest's tables are loaded, and in place
 * while idle (the base then lies 0xe000 below the page; nothing uses the selectors in between). Both show the same
 * page, so that switching between them reloads no segment.
 *
 * Stack: interrupts and exceptions from ring 3 push onto cpu_info.guest_regs; double fault, NMI, machine check and
 * debug have stacks of their own, since they can hit between two instructions that have no usable stack.
 *
 * SYSCALL changes neither stack nor GS base. Each CPU has a page of code, mapped executable at STUBS_VIRT, that knows
 * its CPU's stack by constants: it parks RAX where the entry code will save it anyway, loads RSP and pushes the frame.
 */
#include <hv/x86.h>
#include <xen/xen.h>

#define GDT_RESERVED_BASE (FIRST_RESERVED_GDT_PAGE * PAGE_SIZE)
#define GDT_LIMIT         (GDT_RESERVED_BASE + PAGE_SIZE - 1)
#define HV_PERCPU_SEG     0xe078 /* limit: the CPU's number, for LSL */

#define DESC_CODE64_RING0 0x00af9b000000ffffull
#define DESC_DATA_RING0   0x00cf93000000ffffull
#define DESC_CODE32_RING0 0x00cf9b000000ffffull
#define DESC_CODE32_RING3 0x00cffb000000ffffull
#define DESC_DATA_RING3   0x00cff3000000ffffull
#define DESC_CODE64_RING3 0x00affb000000ffffull
#define DESC_TYPE_TSS     0x89ull
#define DESC_PERCPU       0x0040f10000000000ull /* ring 3, read-only data, byte limit */

#define GATE_INTERRUPT 0x8e00ull
#define GATE_DPL3      0x6000ull

struct gdt_page {
    uint64_t desc[PAGE_SIZE / 8];
} __attribute__((aligned(4096)));

struct tss {
    uint32_t reserved0;
    uint64_t rsp[3];
    uint64_t reserved1;
    uint64_t ist[7];
    uint64_t reserved2;
    uint16_t reserved3, io_bitmap;
} __attribute__((packed));
static_assert(sizeof(struct tss) == 104, "64-bit TSS");

struct gate {
    uint64_t low, high;
};

struct stub_page {
    uint8_t code[PAGE_SIZE];
} __attribute__((aligned(4096)));

static DEFINE_PER_CPU(struct gdt_page, gdt);
static DEFINE_PER_CPU(struct stub_page, stub);
static DEFINE_PER_CPU(struct tss, tss) __attribute__((aligned(128)));
static struct gate idt[256] __attribute__((aligned(4096)));

/* The CPU aligns the stack to 16 bytes before it pushes: the frame must end on such a boundary. */
static_assert((sizeof(struct cpu_info) - offsetof(struct cpu_info, guest_regs.es)) % 16 == 0, "place of guest_regs");

static struct cpu_info *cpu_info_of(unsigned int cpu)
{
    return (struct cpu_info *)(per_cpu(stack_base, cpu) + STACK_SIZE) - 1;
}

static void load_table(bool is_gdt, unsigned long base, uint16_t limit)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) p = {limit, base};

    if (is_gdt)
        __asm__ __volatile__("lgdt %0" ::"m"(p) : "memory");
    else
        __asm__ __volatile__("lidt %0" ::"m"(p) : "memory");
}

static void fill_gdt(unsigned int cpu)
{
    uint64_t *d = per_cpu(gdt, cpu).desc, t = (unsigned long)&per_cpu(tss, cpu);

    d[(HV_CS - GDT_RESERVED_BASE) / 8] = DESC_CODE64_RING0;
    d[(HV_DS - GDT_RESERVED_BASE) / 8] = DESC_DATA_RING0;
    d[((FLAT_RING3_CS32 & ~7) - GDT_RESERVED_BASE) / 8] = DESC_CODE32_RING3;
    d[((FLAT_RING3_SS64 & ~7) - GDT_RESERVED_BASE) / 8] = DESC_DATA_RING3;
    d[((FLAT_RING3_CS64 & ~7) - GDT_RESERVED_BASE) / 8] = DESC_CODE64_RING3;
    d[(HV_TSS - GDT_RESERVED_BASE) / 8] =
        (sizeof(struct tss) - 1) | (t & 0xffffff) << 16 | DESC_TYPE_TSS << 40 | (t >> 24 & 0xff) << 56;
    d[(HV_TSS - GDT_RESERVED_BASE) / 8 + 1] = t >> 32;
    d[(HV_PERCPU_SEG - GDT_RESERVED_BASE) / 8] = DESC_PERCPU | cpu;
}

static void fill_tss(unsigned int cpu)
{
    struct tss *t = &per_cpu(tss, cpu);
    unsigned int i;

    t->rsp[0] = (unsigned long)&cpu_info_of(cpu)->guest_regs.es;
    for (i = 0; i < 4; i++)
        t->ist[i] = per_cpu(stack_base, cpu) + (i + 1) * IST_SIZE;
    t->io_bitmap = sizeof(*t); /* none: every port access from ring 3 faults and is emulated */
}

static void set_gate(unsigned int vector, unsigned int ist, bool user)
{
    uint64_t entry = idt_stubs[vector];

    idt[vector].low = (entry & 0xffff) | (uint64_t)HV_CS << 16 | (uint64_t)ist << 32 |
                      (GATE_INTERRUPT | (user ? GATE_DPL3 : 0)) << 32 | (entry >> 16 & 0xffff) << 48;
    idt[vector].high = entry >> 32;
}

/* Ring 3 may raise breakpoint and overflow; every other INT of a guest arrives as #GP and is completed there. */
static void fill_idt(void)
{
    unsigned int i;

    for (i = 0; i < 256; i++)
        set_gate(i, 0, i == TRAP_BP || i == TRAP_OF);
    set_gate(TRAP_DF, IST_DF, false);
    set_gate(TRAP_NMI, IST_NMI, false);
    set_gate(TRAP_MC, IST_MCE, false);
    set_gate(TRAP_DB, IST_DB, false);
}

void desc_load_gdt(unsigned long base)
{
    load_table(true, base, GDT_LIMIT);
}

void desc_load_idle_gdt(void)
{
    desc_load_gdt((unsigned long)&this_cpu(gdt) - GDT_RESERVED_BASE);
}

mfn_t cpu_gdt_mfn(unsigned int cpu)
{
    return virt_to_mfn(&per_cpu(gdt, cpu));
}

static void load_segments(void)
{
    __asm__ __volatile__("pushq %0\n\t"
                         "leaq 1f(%%rip), %%rax\n\t"
                         "pushq %%rax\n\t"
                         "lretq\n"
                         "1:\tmovl %1, %%ss\n\t"
                         "movl %2, %%ds\n\t"
                         "movl %2, %%es\n\t"
                         "movl %2, %%fs\n\t"
                         "movl %2, %%gs" ::"i"(HV_CS),
                         "r"(HV_DS), "r"(0)
                         : "rax", "memory");
    __asm__ __volatile__("ltr %w0" ::"r"(HV_TSS));
    __asm__ __volatile__("lldt %w0" ::"r"(0));
}

void desc_init_cpu(unsigned int cpu)
{
    if (cpu == 0)
        fill_idt();
    fill_gdt(cpu);
    fill_tss(cpu);
    desc_load_idle_gdt();
    load_segments();
    load_table(false, (unsigned long)idt, sizeof(idt) - 1);
}

/* ---- SYSCALL stubs ---- */

static uint8_t *put(uint8_t *p, uint64_t bytes, unsigned int n)
{
    memcpy(p, &bytes, n);
    return p + n;
}

/*
 *   movabs %rax, guest_regs.rax      movabs $guest_regs.es, %rsp    push $0
 *   mov    %rsp, %rax                push $ss                       movl $TRAP_SYSCALL, 4(%rsp)
 *                                    push %rax                      movabs guest_regs.rax, %rax
 *                                    push %r11                      jmp  target
 *                                    push $cs
 *                                    push %rcx
 */
static void write_stub(uint8_t *p, unsigned long linear, unsigned int cpu, unsigned int cs, void (*target)(void))
{
    struct cpu_user_regs *regs = &cpu_info_of(cpu)->guest_regs;
    uint8_t *start = p;

    p = put(put(p, 0xa348, 2), (unsigned long)&regs->rax, 8);
    p = put(p, 0xe08948, 3);
    p = put(put(p, 0xbc48, 2), (unsigned long)&regs->es, 8);
    p = put(put(p, 0x68, 1), FLAT_RING3_SS64, 4);
    p = put(p, 0x50, 1);
    p = put(p, 0x5341, 2);
    p = put(put(p, 0x68, 1), cs, 4);
    p = put(p, 0x51, 1);
    p = put(p, 0x006a, 2);
    p = put(put(p, 0x042444c7, 4), TRAP_SYSCALL, 4);
    p = put(put(p, 0xa148, 2), (unsigned long)&regs->rax, 8);
    linear += (unsigned long)(p - start) + 5;
    p = put(put(p, 0xe9, 1), (unsigned long)target - linear, 4);
    ASSERT(p - start <= SYSCALL32_STUB);
}

unsigned long desc_init_syscall_stub(unsigned int cpu)
{
    unsigned long linear = STUBS_VIRT + cpu * PAGE_SIZE;
    uint8_t *code = per_cpu(stub, cpu).code;

    memset(code, 0xcc, PAGE_SIZE);
    write_stub(code, linear, cpu, FLAT_RING3_CS64, syscall_entry);
    write_stub(code + SYSCALL32_STUB, linear + SYSCALL32_STUB, cpu, FLAT_RING3_CS32, syscall32_entry);
    if (map_pages(linear, virt_to_mfn(code), 1, PTE_P | PTE_A))
        panic("no memory for the SYSCALL stub of CPU %u\n", cpu);
    return linear;
}
