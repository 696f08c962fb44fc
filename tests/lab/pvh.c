// SPDX-License-Identifier: BSD-2-Clause
/*
 * A guest on hardware virtualisation, on shadows or nested paging, made by hand, on tables that it changes itself. It
 * ends with reason 0 (power-off) when everything was as on a processor of its own, and with another one where it was
 * not.
 *
 *   pvh MODE ROUNDS shadow|hap [COMMAND|save]
 *
 * creates it, runs it, prints "ended REASON", destroys it. COMMAND is run twice while it works; D is its number.
 * With "save" its state is saved and restored instead. Then a guest of 4 levels ends at once.
 *
 * MODE: 4 levels from the start, 64-bit code, ends by a hypercall; or 32-bit code that begins without paging and turns
 * on 3 levels (PAE) or 2, or goes on without (0). That powers off by stopping for good, or shuts down by a triple
 * fault. Or 64: two vCPUs that look at their interrupts, see pvh_irq.S.
 */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/hvm/save.h>

#include "calls.h"
#include "libctl/ctl.h"

#define SMALL 512u /* frames of 4 KiB, then 2 MiB */
#define TABLE 0x7ull
#define LARGE 0x87ull
#define CODE  16u
#define STACK 32u
#define DATA  40u
#define FIRST 256u /* two frames that the guest maps in turn at the place of the first */

/*
 * rbx: rounds; rsi, rdi: data. Step n of what it looks at ends it with reason n.
 */
extern const uint8_t guest_code[], guest_end[];
__asm__(".pushsection .rodata\n"
        "guest_code:\n"
        /* 1: memory holds what is stored */
        "movl $0x12345678, 0x28000\n"
        "movl $1, %ebp\n"
        "cmpl $0x12345678, 0x28000\n"
        "jne 9f\n"
        "movq %rbx, 0x200000\n" /* in the 2 MiB */
        "cmpq %rbx, 0x200000\n"
        "jne 9f\n"
        /* 2: a table that is changed is followed */
        "1: movl $2, %ebp\n"
        "movq $0x100067, 0x4800\n" /* entry 256 of the table in frame 4 */
        "invlpg 0x100000\n"
        "cmpq $0xa1, 0x100000\n"
        "jne 9f\n"
        "movq $0x101067, 0x4800\n"
        "invlpg 0x100000\n"
        "cmpq $0xb2, 0x100000\n"
        "jne 9f\n"
        /* 3: so it is by a locked instruction, and over a load of CR3 */
        "movl $3, %ebp\n"
        "lock btrq $12, 0x4800\n"
        "movq %cr3, %rax\n"
        "movq %rax, %cr3\n"
        "cmpq $0x1000, %rax\n"
        "jne 9f\n"
        "cmpq $0xa1, 0x100000\n"
        "jne 9f\n"
        "testq $0x20, 0x4800\n" /* accessed */
        "jz 9f\n"
        "decq %rbx\n"
        "jz 2f\n"
        "cmpl $0, 0x28018\n" /* it is to end */
        "je 1b\n"
        "2:\n"
        /* 4: the hypervisor is there */
        "movl $4, %ebp\n"
        "movl $0x40000000, %eax\n"
        "cpuid\n"
        "cmpl $0x566e6558, %ebx\n"
        "jne 9f\n"
        "xorl %ebp, %ebp\n"
        "9: movl %ebp, 0x28010\n"
        "movl $29, %eax\n" /* sched_op(SCHEDOP_shutdown, &reason) */
        "movl $2, %edi\n"
        "movl $0x28010, %esi\n"
        "vmmcall\n"
        "ud2\n"
        "guest_end:\n"
        ".popsection\n");

/*
 * 32-bit: ebx rounds, esi CR4, edi CR3 (0: no paging), ebp the entry that maps 1 MiB. At 0x28020 stands the address
 * where a large page shows the word of 0x28000 once more.
 */
extern const uint8_t guest32_code[], guest32_end[];
__asm__(".pushsection .rodata\n"
        ".code32\n"
        "guest32_code:\n"
        "movl $0x11223344, 0x28000\n"
        "cmpl $0x11223344, 0x28000\n"
        "jne 9f\n"
        "testl %edi, %edi\n"
        "jz 8f\n"
        "movl %esi, %cr4\n"
        "movl %edi, %cr3\n"
        "movl %cr0, %eax\n"
        "orl $0x80010000, %eax\n"
        "movl %eax, %cr0\n"
        "cmpl $0x11223344, 0x28000\n"
        "jne 9f\n"
        "1: movl $0x100067, (%ebp)\n"
        "invlpg 0x100000\n"
        "cmpl $0xa1, 0x100000\n"
        "jne 9f\n"
        "movl $0x101067, (%ebp)\n"
        "invlpg 0x100000\n"
        "cmpl $0xb2, 0x100000\n"
        "jne 9f\n"
        "movl %cr3, %eax\n"
        "cmpl %edi, %eax\n"
        "jne 9f\n"
        "movl %eax, %cr3\n"
        "cmpl $0xb2, 0x100000\n"
        "jne 9f\n"
        "decl %ebx\n"
        "jnz 1b\n"
        "movl 0x28020, %eax\n"
        "cmpl $0x11223344, (%eax)\n"
        "jne 9f\n"
        "8: cli\n"
        "hlt\n"
        "9: lidt 0x28030\n" /* an empty table: nothing can be delivered */
        "ud2\n"
        "guest32_end:\n"
        ".code64\n"
        ".popsection\n");

/* pvh_irq.S */
extern const uint8_t irq_code[], irq_end[], ap_code[], ap_end[];
extern const uint32_t irq_handlers[];
#define IDT         44u /* frames */
#define GDT         45u
#define FOURTH_GIB  46u
#define SECOND_IDT  47u
#define SECOND_VCPU 48u

static struct ctl *ctl;
static unsigned mode;
static bool hap;

static void domctl(struct xen_domctl *op, unsigned cmd, const char *what)
{
    op->cmd = cmd;
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    must(xencall1(calls, __HYPERVISOR_domctl, (uintptr_t)op) == 0, what);
}

static uint32_t create(unsigned vcpus)
{
    struct xen_domctl *op = buffer(sizeof(*op));
    uint32_t domid;

    op->u.createdomain.flags = XEN_DOMCTL_CDF_hvm | (hap ? XEN_DOMCTL_CDF_hap : 0);
    op->u.createdomain.arch.emulation_flags = XEN_X86_EMU_LAPIC;
    op->u.createdomain.max_vcpus = vcpus;
    op->u.createdomain.max_evtchn_port = 127;
    op->u.createdomain.max_grant_frames = 4;
    op->u.createdomain.max_maptrack_frames = 4;
    op->u.createdomain.grant_opts = 1;
    op->u.createdomain.handle[0] = 7;
    domctl(op, XEN_DOMCTL_createdomain, "create");
    domid = op->domain;
    xencall_free_buffer(calls, op);
    must(ctl_domain_set_vcpus(ctl, domid, vcpus, NULL) == 0, "vcpus");
    must(ctl_domain_set_maxmem(ctl, domid, 2 * SMALL * 4, NULL) == 0, "maxmem");
    return domid;
}

static void give_pool(uint32_t domid, uint32_t mib)
{
    struct xen_domctl *op = buffer(sizeof(*op));

    op->domain = (domid_t)domid;
    op->u.shadow_op.op = XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION;
    op->u.shadow_op.mb = mib;
    domctl(op, XEN_DOMCTL_shadow_op, "shadow memory");
    xencall_free_buffer(calls, op);
}

static void populate(uint32_t domid)
{
    uint64_t list[SMALL], large = SMALL;

    for (uint64_t i = 0; i < SMALL; i++)
        list[i] = i;
    must(ctl_memory_populate(ctl, domid, 0, list, SMALL, NULL) == SMALL, "populate");
    must(ctl_memory_populate(ctl, domid, 9, &large, 1, NULL) == 1, "populate 2 MiB");
}

/* Of 4 levels in frames 1 to 4, of 3 in 7 to 9: the first 2 MiB as they are, the next as one page. */
static void write_tables(uint64_t *p)
{
    p[512] = 2 << 12 | TABLE;
    p[2 * 512] = 3 << 12 | TABLE;
    p[3 * 512] = 4 << 12 | TABLE;
    p[3 * 512 + 1] = SMALL << 12 | LARGE;
    p[7 * 512] = 8 << 12 | 1;
    p[8 * 512] = 9 << 12 | TABLE;
    p[8 * 512 + 1] = SMALL << 12 | LARGE;
    for (uint64_t i = 0; i < 512; i++)
        p[4 * 512 + i] = p[9 * 512 + i] = i << 12 | TABLE;
}

/* Of 2 levels in frames 5 and 6: the first 4 MiB as they are, and once more as one page. */
static void write_tables_2(uint32_t *p)
{
    p[5 * 1024] = 6 << 12 | TABLE;
    p[5 * 1024 + 1] = LARGE;
    for (uint32_t i = 0; i < 1024; i++)
        p[6 * 1024 + i] = i << 12 | TABLE;
}

/* Tables of interrupts and segments, the second vCPU's code, and the page of the APIC mapped with the one behind it. */
static void write_irq_guest(uint64_t *p)
{
    for (const uint32_t *h = irq_handlers; h[0]; h += 2) {
        uint64_t at = (CODE << 12) + h[1];

        p[IDT * 512 + 2 * h[0]] = (at & 0xffff) | 8 << 16 | 0x8e00ull << 32 | at >> 16 << 48;
    }
    memmove(p + SECOND_IDT * 512, p + IDT * 512, 4096);
    p[2 * 512 + 3] = FOURTH_GIB << 12 | TABLE;
    p[FOURTH_GIB * 512 + 503] = 0xfee00000 | LARGE;
    p[GDT * 512 + 1] = 0x00af9b000000ffff; /* 64-bit code, 32-bit code, data */
    p[GDT * 512 + 2] = 0x00cf9b000000ffff;
    p[GDT * 512 + 3] = 0x00cf93000000ffff;
    memcpy(p + SECOND_VCPU * 512, ap_code, (size_t)(ap_end - ap_code));
}

static void load(uint32_t domid)
{
    const uint8_t *code = mode == 64 ? irq_code : mode == 4 ? guest_code : guest32_code;
    const uint8_t *end = mode == 64 ? irq_end : mode == 4 ? guest_end : guest32_end;
    uint64_t list[SMALL], large = SMALL, *p;

    for (uint64_t i = 0; i < SMALL; i++)
        list[i] = i;
    p = ctl_foreign_map(ctl, domid, PROT_READ | PROT_WRITE, list, SMALL, NULL);
    must(p != NULL, "map");
    write_tables(p);
    write_tables_2((uint32_t *)p);
    p[DATA * 512 + 4] = mode == 2 ? 0x428000 : 0x200000;
    p[FIRST * 512] = 0xa1;
    p[(FIRST + 1) * 512] = 0xb2;
    if (mode == 64)
        write_irq_guest(p);
    memcpy(p + CODE * 512, code, (size_t)(end - code));
    ctl_foreign_unmap(ctl, p, SMALL);
    p = ctl_foreign_map(ctl, domid, PROT_READ | PROT_WRITE, &large, 1, NULL);
    must(p != NULL, "map");
    p[0] = 0x11223344;
    ctl_foreign_unmap(ctl, p, 1);
}

static void set_mode(struct hvm_hw_cpu *c)
{
    if (mode == 4 || mode == 64) {
        c->cr0 = 0x80010011; /* PG WP ET PE */
        c->cr3 = 0x1000;
        c->cr4 = 0x20; /* PAE */
        c->msr_efer = 0xd00;
        c->cs_arbytes = 0xa9b;
        c->cs_sel = 8;
        c->gdtr_base = GDT << 12;
        c->gdtr_limit = 31;
        c->idtr_base = IDT << 12;
        c->idtr_limit = 4095;
        return;
    }
    c->cr0 = 0x11;
    c->cs_arbytes = 0xc9b;
    c->rsi = mode == 3 ? 0x20 : 0x10; /* PAE, PSE */
    c->rdi = mode == 3 ? 7 << 12 : mode == 2 ? 5 << 12 : 0;
    c->rbp = mode == 3 ? (9 << 12) + FIRST * 8 : (6 << 12) + FIRST * 4;
}

static void set_context(uint32_t domid, uint64_t rounds)
{
    struct {
        struct hvm_save_descriptor head_desc;
        HVM_SAVE_TYPE(HEADER) head;
        struct hvm_save_descriptor cpu_desc;
        HVM_SAVE_TYPE(CPU) cpu;
        struct hvm_save_descriptor end_desc;
    } __attribute__((packed)) *c = buffer(sizeof(*c));
    struct xen_domctl *op = buffer(sizeof(*op));
    struct hvm_hw_cpu cpu = {0};

    c->head_desc = (struct hvm_save_descriptor){HVM_SAVE_CODE(HEADER), 0, HVM_SAVE_LENGTH(HEADER)};
    c->cpu_desc = (struct hvm_save_descriptor){HVM_SAVE_CODE(CPU), 0, HVM_SAVE_LENGTH(CPU)};
    c->end_desc = (struct hvm_save_descriptor){HVM_SAVE_CODE(END), 0, 0};
    c->head = (struct hvm_save_header){.magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION};
    set_mode(&cpu);
    cpu.rip = CODE << 12;
    cpu.rsp = STACK << 12;
    cpu.rbx = rounds;
    cpu.rflags = 2;
    cpu.ss_arbytes = cpu.ds_arbytes = cpu.es_arbytes = 0xc93;
    cpu.fs_arbytes = cpu.gs_arbytes = 0xc93;
    cpu.tr_arbytes = 0x8b;
    cpu.ldtr_arbytes = 0x82;
    cpu.cs_limit = cpu.ss_limit = cpu.ds_limit = cpu.es_limit = cpu.fs_limit = cpu.gs_limit = ~0u;
    cpu.tr_limit = 0x67;
    c->cpu = cpu;
    op->domain = (domid_t)domid;
    op->u.hvmcontext.size = sizeof(*c);
    op->u.hvmcontext.buffer.p = (uint8_t *)c;
    domctl(op, XEN_DOMCTL_sethvmcontext, "context");
    xencall_free_buffer(calls, op);
    xencall_free_buffer(calls, c);
}

/* What an interrupt test counted; the step is the last. */
static void show_counters(uint32_t domid)
{
    uint64_t frame = DATA, *p = ctl_foreign_map(ctl, domid, PROT_READ, &frame, 1, NULL);

    must(p != NULL, "map");
    for (unsigned i = 0; i < 13; i++)
        printf("%u ", (unsigned)p[0x100 / 8 + i]);
    printf("\n");
    ctl_foreign_unmap(ctl, p, 1);
}

static void tell_to_end(uint32_t domid)
{
    uint64_t frame = DATA, *p = ctl_foreign_map(ctl, domid, PROT_READ | PROT_WRITE, &frame, 1, NULL);

    must(p != NULL, "map");
    p[3] = 1;
    ctl_foreign_unmap(ctl, p, 1);
}

/* Records of the whole domain; their size. cmd: get or set. */
static uint32_t whole_context(uint32_t domid, uint32_t cmd, uint8_t *buf, uint32_t size)
{
    struct xen_domctl *op = buffer(sizeof(*op));

    op->domain = (domid_t)domid;
    op->u.hvmcontext.size = size;
    op->u.hvmcontext.buffer.p = buf;
    domctl(op, cmd, "whole context");
    size = op->u.hvmcontext.size;
    xencall_free_buffer(calls, op);
    return size;
}

/* The counter goes on. Behind the header is the first vCPU's record. */
static void forget_counter(uint8_t *buf)
{
    size_t at = 2 * sizeof(struct hvm_save_descriptor) + HVM_SAVE_LENGTH(HEADER) + offsetof(struct hvm_hw_cpu, tsc);

    memset(buf + at, 0, sizeof(uint64_t));
}

static bool has_ended(uint32_t domid, int *reason)
{
    struct ctl_domain_info info;

    must(ctl_domain_info(ctl, domid, &info, NULL) == 0, "info");
    *reason = info.shutdown ? (int)info.shutdown_reason : -1;
    return info.shutdown;
}

/* While it works, its state is read, spoilt, written, and read again; more than once. */
static void save_and_restore(uint32_t domid)
{
    uint32_t size = whole_context(domid, XEN_DOMCTL_gethvmcontext, NULL, 0), first, second;
    uint8_t *a = buffer(size), *b = buffer(size);
    unsigned times = 0;
    int reason;

    for (; times < 50 && !has_ended(domid, &reason); times++) {
        usleep(5000);
        must(ctl_domain_pause(ctl, domid, NULL) == 0, "pause");
        first = whole_context(domid, XEN_DOMCTL_gethvmcontext, a, size);
        set_context(domid, 1);
        whole_context(domid, XEN_DOMCTL_sethvmcontext, a, first);
        second = whole_context(domid, XEN_DOMCTL_gethvmcontext, b, size);
        forget_counter(a);
        forget_counter(b);
        must(first == second && !memcmp(a, b, first), "the same state");
        must(ctl_domain_unpause(ctl, domid, NULL) == 0, "unpause");
    }
    must(times > 2, "restored while it works");
    xencall_free_buffer(calls, a);
    xencall_free_buffer(calls, b);
    tell_to_end(domid);
}

/* While it works. */
static void meddle(uint32_t domid, const char *command)
{
    char number[12];

    snprintf(number, sizeof(number), "%u", domid);
    setenv("D", number, 1);
    for (int i = 0; i < 2; i++)
        must(system(command) == 0, command);
    tell_to_end(domid);
}

/* The reason, or -1 when it still runs after a minute. */
static int wait_end(uint32_t domid)
{
    int reason;

    for (int i = 0; i < 600 && !has_ended(domid, &reason); i++)
        usleep(100000);
    return reason;
}

int main(int argc, char **argv)
{
    uint32_t domid;
    int reason;

    if (argc < 4)
        return 2;
    hap = !strcmp(argv[3], "hap");
    calls = xencall_open(NULL, 0);
    must(calls != NULL, "open");
    ctl = ctl_open(NULL);
    must(ctl != NULL, "open");
    mode = (unsigned)atoi(argv[1]);
    domid = create(mode == 64 ? 2 : 1);
    give_pool(domid, 2);
    populate(domid);
    load(domid);
    set_context(domid, strtoull(argv[2], NULL, 0));
    must(ctl_domain_unpause(ctl, domid, NULL) == 0, "unpause");
    if (argc > 4 && !strcmp(argv[4], "save"))
        save_and_restore(domid);
    else if (argc > 4)
        meddle(domid, argv[4]);
    reason = wait_end(domid);
    printf("ended %d\n", reason);
    if (reason && mode == 64)
        show_counters(domid);
    must(ctl_domain_destroy(ctl, domid, NULL) == 0, "destroy");
    return 0;
}
