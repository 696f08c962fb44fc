/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The processor's features, and the control registers as the hypervisor wants them on each CPU. They stay so: what a PV
 * guest writes to its CR0 and CR4 is kept in software. Global pages are off (CR4.PGE): a write to CR3 flushes
 * everything, which is what the TLB clock counts.
 */
#include <hv/boot.h>
#include <hv/domain.h>
#include <hv/guest_copy.h>
#include <hv/hvm.h>
#include <hv/x86.h>
#include <xen/xen.h>

#define CR0_HOST (CR0_PG | CR0_AM | CR0_WP | CR0_NE | CR0_ET | CR0_MP | CR0_PE)

struct cpu_features cpu_features;

/* Supervisor protection, as Xen spells it: a switch, or "hvm" for guests with hardware virtualisation only. */
static bool opt_smep = true, opt_smap = true;
CMDLINE_PARAM("smep", PARAM_BOOL, opt_smep);
CMDLINE_PARAM("smap", PARAM_BOOL, opt_smap);

static int hvm_only(const char *value, bool *opt)
{
    if (strcmp(value, "hvm"))
        return -EINVAL;
    *opt = false;
    return 0;
}

static int parse_smep(const char *value)
{
    return hvm_only(value, &opt_smep);
}
CMDLINE_CUSTOM("smep", parse_smep);

static int parse_smap(const char *value)
{
    return hvm_only(value, &opt_smap);
}
CMDLINE_CUSTOM("smap", parse_smap);

struct extable_entry {
    unsigned long from, to;
};
extern const struct extable_entry extable_start[], extable_end[];

unsigned long extable_find(unsigned long rip)
{
    const struct extable_entry *e;

    for (e = extable_start; e < extable_end; e++)
        if (e->from == rip)
            return e->to;
    return 0;
}

int rdmsr_safe(uint32_t msr, uint64_t *v)
{
    uint32_t lo = 0, hi = 0;
    int rc = -EFAULT;

    __asm__ __volatile__("1: rdmsr\n\t"
                         "xor %0, %0\n"
                         "2:\n" EXTABLE(1b, 2b)
                         : "+r"(rc), "+a"(lo), "+d"(hi)
                         : "c"(msr));
    *v = rc ? 0 : ((uint64_t)hi << 32) | lo;
    return rc;
}

int wrmsr_safe(uint32_t msr, uint64_t v)
{
    int rc = -EFAULT;

    __asm__ __volatile__("1: wrmsr\n\t"
                         "xor %0, %0\n"
                         "2:\n" EXTABLE(1b, 2b)
                         : "+r"(rc)
                         : "c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32))
                         : "memory");
    return rc;
}

static void identify_model(struct cpu_features *f, uint32_t eax)
{
    f->stepping = eax & 15;
    f->model = eax >> 4 & 15;
    f->family = eax >> 8 & 15;
    if (f->family == 15 || f->family == 6)
        f->model |= (eax >> 16 & 15) << 4;
    if (f->family == 15)
        f->family += eax >> 20 & 255;
}

static void identify_basic(struct cpu_features *f)
{
    uint32_t r[4];

    cpuid(0, 0, r);
    f->max_leaf = r[0];
    memcpy(f->vendor, &r[1], 4);
    memcpy(f->vendor + 4, &r[3], 4);
    memcpy(f->vendor + 8, &r[2], 4);

    cpuid(1, 0, r);
    identify_model(f, r[0]);
    f->pge = r[3] >> 13 & 1;
    f->vmx = r[2] >> 5 & 1;
    f->x2apic = r[2] >> 21 & 1;
    f->tsc_deadline = r[2] >> 24 & 1;
    f->xsave = r[2] >> 26 & 1;
    f->virtualised = r[2] >> 31 & 1;
    if (f->virtualised) {
        cpuid(0x40000000, 0, r);
        f->tcg = !memcmp(&r[1], "TCGTCGTCGTCG", 12);
    }

    if (f->max_leaf >= 7) {
        cpuid(7, 0, r);
        f->fsgsbase = r[1] & 1;
        f->smep = (r[1] >> 7 & 1) && opt_smep;
        f->smap = (r[1] >> 20 & 1) && opt_smap;
    }
}

static void identify_extended(struct cpu_features *f)
{
    uint32_t r[4];

    cpuid(0x80000000, 0, r);
    f->max_ext_leaf = r[0];
    cpuid(0x80000001, 0, r);
    f->nx = r[3] >> 20 & 1;
    f->page1gb = r[3] >> 26 & 1;
    f->rdtscp = r[3] >> 27 & 1;
    f->svm = r[2] >> 2 & 1;
    f->syscall32 = !strcmp(f->vendor, "AuthenticAMD") || !strcmp(f->vendor, "HygonGenuine");
    if (f->max_ext_leaf >= 0x80000007) {
        cpuid(0x80000007, 0, r);
        f->invariant_tsc = r[3] >> 8 & 1;
    }
    f->phys_bits = 36;
    if (f->max_ext_leaf >= 0x80000008) {
        cpuid(0x80000008, 0, r);
        f->phys_bits = MIN(r[0] & 255, 52u);
    }
}

/*
 * x87, SSE and AVX are offered, and the states that came later in the standard format when the CPU has them; PKRU and
 * lightweight profiling are not.
 */
static void identify_xsave(struct cpu_features *f)
{
    uint64_t known = 0xe7; /* x87, SSE, AVX, AVX-512 */
    uint32_t r[4];

    f->xsave_size = 512 + 64;
    f->xcr0_mask = 3;
    if (!f->xsave || f->max_leaf < 13) {
        f->xsave = false;
        return;
    }
    cpuid(13, 0, r);
    f->xcr0_mask = (((uint64_t)r[3] << 32) | r[0]) & known;
    cpuid(13, 1, r);
    f->xsaveopt = r[0] & 1;
}

/* The end of the state that lies last. */
unsigned int xstate_size(uint64_t mask)
{
    unsigned int end = 512 + 64, i;
    uint32_t r[4];

    for (i = 2; i < 63; i++) {
        if (!(mask >> i & 1))
            continue;
        cpuid(13, i, r);
        end = MAX(end, r[1] + r[0]);
    }
    return end;
}

void cpu_identify(void)
{
    struct cpu_features *f = &cpu_features;

    identify_basic(f);
    identify_extended(f);
    identify_xsave(f);
    if (f->xsave)
        f->xsave_size = xstate_size(f->xcr0_mask);
    printk(XLOG_INFO "CPU: %s family %u model %u stepping %u, %u physical address bits%s%s%s%s%s\n", f->vendor,
           f->family, f->model, f->stepping, f->phys_bits, f->smep ? ", SMEP" : "", f->smap ? ", SMAP" : "",
           f->xsave ? ", XSAVE" : "", f->page1gb ? ", 1 GiB pages" : "",
           f->svm   ? ", SVM"
           : f->vmx ? ", VMX"
                    : "");
}

/* UMIP stays off, as on Xen: user programs of PV guests may store descriptor registers, and none of it is a secret. */
static unsigned long host_cr4(void)
{
    const struct cpu_features *f = &cpu_features;
    unsigned long cr4 = CR4_PAE | CR4_DE | CR4_MCE | CR4_OSFXSR | CR4_OSXMMEXCPT;

    cr4 |= f->xsave ? CR4_OSXSAVE : 0;
    cr4 |= f->fsgsbase ? CR4_FSGSBASE : 0;
    cr4 |= f->smep ? CR4_SMEP : 0;
    cr4 |= f->smap ? CR4_SMAP : 0;
    return cr4;
}

/* A read of guest memory that is none of the guest copies: 0, or -EFAULT when the processor stopped it. */
static int stray_read(unsigned long linear)
{
    uint8_t byte;
    int rc = -EFAULT;

    __asm__ __volatile__("1: movb (%2), %1\n\t"
                         "xor %0, %0\n"
                         "2:\n" EXTABLE(1b, 2b)
                         : "+r"(rc), "=&q"(byte)
                         : "r"(linear));
    return rc;
}

void cpu_protection_dump(void)
{
    unsigned long cr4 = read_cr4(), linear = guest_cpu_user_regs()->rip;
    uint8_t byte;

    printk("CR0: %016lx   CR4: %016lx%s%s\n", read_cr0(), cr4, cr4 & CR4_SMEP ? " SMEP" : "",
           cr4 & CR4_SMAP ? " SMAP" : "");
    if (is_idle_vcpu(current) || is_hvm_vcpu(current) || guest_copy_from(&byte, (void *)linear, 1))
        printk("No guest memory is mapped here\n");
    else
        printk("A stray read of the guest's memory at %016lx %s\n", linear,
               stray_read(linear) ? "is stopped" : "goes through");
}

void cpu_set_syscall_stack(void)
{
    unsigned long stub = desc_init_syscall_stub(smp_processor_id());

    wrmsr(MSR_STAR, (uint64_t)FLAT_RING3_CS32 << 48 | (uint64_t)HV_CS << 32);
    wrmsr(MSR_LSTAR, stub);
    wrmsr(MSR_CSTAR, stub + SYSCALL32_STUB);
    wrmsr(MSR_SYSCALL_MASK,
          EFLAGS_IF | EFLAGS_TF | EFLAGS_DF | EFLAGS_NT | EFLAGS_AC | EFLAGS_IOPL | EFLAGS_RF | EFLAGS_VM);
    /* SYSENTER is refused to guests: it raises #GP with a null code selector. */
    wrmsr_safe(MSR_SYSENTER_CS, 0);
}

void cpu_init(void)
{
    write_cr0(CR0_HOST);
    write_cr4(host_cr4());
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE | EFER_NXE);
    wrmsr(MSR_PAT, HOST_PAT);
    wrmsr(MSR_FS_BASE, 0);
    wrmsr(MSR_GS_BASE, 0);
    wrmsr(MSR_KERNEL_GS_BASE, 0);
    if (cpu_features.xsave)
        __asm__ __volatile__("xsetbv" ::"c"(0), "a"((uint32_t)cpu_features.xcr0_mask),
                             "d"((uint32_t)(cpu_features.xcr0_mask >> 32)));
    cpu_set_syscall_stack();
    tlb_flush_local();
}
