/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The control domain, built from the first two boot modules: a Linux kernel with Xen's notes, and its initrd. Layout,
 * by guest frame number:
 *
 *   0 .. kernel .. start_info, page tables, boot stack, room | P2M list and its tables | initrd | rest
 *   mapped at VIRT_BASE, rounded to 4 MiB                    | mapped at INIT_P2M      | not mapped
 *
 * as <xen/xen.h> describes for kernels with the notes INIT_P2M and MOD_START_PFN, which are required. Anything wrong
 * here ends in a panic that says what: there is no machine without a control domain.
 */
#include "control_p2m.h"
#include "elf.h"

#include <hv/boot.h>
#include <hv/console.h>
#include <hv/heap.h>
#include <hv/hypercall.h>
#include <hv/irq.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include <xen/elfnote.h>

#define DEFAULT_RESERVE (128ul << 20)
#define MAX_PIRQS       1024

static char opt_dom0_mem[64];
CMDLINE_PARAM("dom0_mem", PARAM_STRING, opt_dom0_mem);
static unsigned int opt_dom0_max_vcpus;
CMDLINE_PARAM("dom0_max_vcpus", PARAM_UINT, opt_dom0_max_vcpus);

struct layout {
    struct elf_image elf;
    struct kernel_image image;
    struct control_memory mem;
    uint64_t start_info_pfn, pt_pfn, pt_count, stack_pfn, region_pages; /* the region mapped at VIRT_BASE */
    uint64_t p2m_pfn, p2m_pages, p2m_tables;
    uint64_t initrd_pfn, initrd_size;
};

/* dom0_mem=<size>[,min:<size>][,max:<size>]: the plain size counts, clamped by the others; the default leaves a
 * sixteenth, at most 128 MiB. */
static uint64_t wanted_pages(uint64_t *max_pages)
{
    uint64_t avail = heap_free_pages() << PAGE_SHIFT, size = 0, min = 0, max = UINT64_MAX;

    for (const char *s = opt_dom0_mem; *s;) {
        if (!strncmp(s, "min:", 4))
            min = parse_size(s + 4, &s);
        else if (!strncmp(s, "max:", 4))
            max = parse_size(s + 4, &s);
        else
            size = parse_size(s, &s);
        if (*s && *s != ',')
            panic("dom0_mem=%s: not understood from \"%s\" on", opt_dom0_mem, s);
        if (*s)
            s++;
    }
    if (!size)
        size = avail - MIN(avail / 16, DEFAULT_RESERVE);
    size = MIN(MAX(size, min), max);
    *max_pages = (max == UINT64_MAX ? size : max) >> PAGE_SHIFT;
    return size >> PAGE_SHIFT;
}

static struct domain *create(uint64_t nr_pages, uint64_t max_pages)
{
    struct xen_domctl_createdomain config = {
        .max_vcpus = opt_dom0_max_vcpus ? MIN(opt_dom0_max_vcpus, MAX_VIRT_CPUS) : nr_cpus,
        .max_evtchn_port = ~0u,
        .max_grant_frames = 64,
        .max_maptrack_frames = 1024,
        .grant_opts = XEN_DOMCTL_GRANT_version(2),
    };
    struct domain *d;
    int rc = domain_create(0, &config, true, &d);

    if (rc)
        panic("cannot create the control domain: error %d", rc);
    control_domain = d;
    d->max_pages = MAX(nr_pages, max_pages);
    for (unsigned int i = 0; i < config.max_vcpus; i++) {
        rc = vcpu_create(d, i);
        if (rc)
            panic("cannot create vCPU %u of the control domain: error %d", i, rc);
    }
    return d;
}

static void must(int rc)
{
    if (rc)
        panic("control domain: permissions: error %d", rc);
}

static void deny_frame(struct domain *d, uint64_t address)
{
    if (address)
        must(rangeset_remove(d->iomem_caps, address >> PAGE_SHIFT, address >> PAGE_SHIFT));
}

/* Everything of the machine but what the hypervisor drives itself: interrupt controllers, the interval timer, its
 * serial port. */
static void grant_hardware(struct domain *d)
{
    static const struct {
        uint16_t first, last;
    } denied_ports[] = {{0x20, 0x21}, {0xa0, 0xa1}, {0x40, 0x43}};

    must(rangeset_add(d->iomem_caps, 0, (1ull << (cpu_features.phys_bits - PAGE_SHIFT)) - 1));
    deny_frame(d, acpi_info.lapic_address);
    for (unsigned int i = 0; i < acpi_info.ioapic_count; i++)
        deny_frame(d, acpi_info.ioapic[i].address);
    must(rangeset_remove(d->iomem_caps, 0xfee00, 0xfeeff));
    must(rangeset_add(d->ioport_caps, 0, 0xffff));
    for (unsigned int i = 0; i < ARRAY_SIZE(denied_ports); i++)
        must(rangeset_remove(d->ioport_caps, denied_ports[i].first, denied_ports[i].last));
    for (unsigned int i = 0, first, last; console_serial_ports(i, &first, &last); i++)
        must(rangeset_remove(d->ioport_caps, first, last));
    must(rangeset_add(d->irq_caps, 1, MAX_PIRQS - 1));
}

static unsigned long region_address(const struct layout *l, uint64_t pfn)
{
    return l->elf.virt_base + (pfn << PAGE_SHIFT);
}

/* Tables depend on the region's size, which includes them: grows until both fit. */
static void plan(struct layout *l, uint64_t nr_pages)
{
    uint64_t kernel_end = (l->elf.paddr_end - l->elf.paddr_offset + PAGE_SIZE - 1) >> PAGE_SHIFT, need;
    unsigned long p2m_bytes = nr_pages * sizeof(xen_pfn_t);

    l->start_info_pfn = kernel_end;
    l->pt_pfn = kernel_end + 1;
    l->pt_count = 1;
    do {
        l->stack_pfn = l->pt_pfn + l->pt_count;
        l->region_pages = ROUND_UP(l->stack_pfn + 1 + (512ul << 10 >> PAGE_SHIFT), 1024ul);
        need = 1 + control_tables_for(l->elf.virt_base, region_address(l, l->region_pages));
        if (need <= l->pt_count)
            break;
        l->pt_count = need;
    } while (true);
    l->p2m_pfn = l->region_pages;
    l->p2m_pages = (p2m_bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;
    l->p2m_tables = control_tables_for(l->elf.init_p2m, l->elf.init_p2m + (l->p2m_pages << PAGE_SHIFT));
    l->initrd_pfn = l->p2m_pfn + l->p2m_pages + l->p2m_tables;
}

static void check_notes(const struct elf_image *elf)
{
    static const uint32_t needed = 1u << XEN_ELFNOTE_ENTRY | 1u << XEN_ELFNOTE_VIRT_BASE | 1u << XEN_ELFNOTE_INIT_P2M |
                                   1u << XEN_ELFNOTE_MOD_START_PFN;

    if ((elf->have & needed) != needed)
        panic("the control domain's kernel lacks a Xen note (has %#x, needs %#x)", elf->have, needed);
    if (elf->paddr_start < elf->paddr_offset || elf->paddr_end - elf->paddr_offset > 1ul << 31)
        panic("the control domain's kernel wants to lie at %#lx", elf->paddr_start);
}

static void open_kernel(struct layout *l)
{
    const struct boot_module *mod = &boot_info.module[0];
    const char *err;

    if (boot_info.module_count == 0)
        panic("no kernel module: the first module2 line of the boot entry must name the control domain's kernel");
    err = kernel_image_open(&l->image, maddr_to_virt(_maddr(mod->start)), mod->size);
    if (!err)
        err = elf_parse(&l->elf, l->image.elf, l->image.size);
    if (err)
        panic("the control domain's kernel cannot be used: %s", err);
    check_notes(&l->elf);
}

static void load_kernel(struct layout *l)
{
    for (unsigned int i = 0; i < l->elf.segment_count; i++) {
        const struct elf_segment *s = &l->elf.segment[i];

        control_write(&l->mem, s->paddr - l->elf.paddr_offset, l->elf.base + s->offset, s->filesz);
    }
    if (l->elf.have & (1u << XEN_ELFNOTE_HYPERCALL_PAGE))
        hypercall_page_init(control_page(&l->mem, (l->elf.hypercall_page - l->elf.virt_base) >> PAGE_SHIFT));
}

static void load_initrd(struct layout *l)
{
    const struct boot_module *mod = &boot_info.module[1];

    if (boot_info.module_count < 2)
        return;
    l->initrd_size = mod->size;
    control_write(&l->mem, l->initrd_pfn << PAGE_SHIFT, maddr_to_virt(_maddr(mod->start)), mod->size);
}

static void build_tables(struct layout *l)
{
    struct control_memory *m = &l->mem;

    m->l4_pfn = l->pt_pfn;
    m->ro_start[0] = l->pt_pfn;
    m->ro_end[0] = l->pt_pfn + l->pt_count;
    m->ro_start[1] = l->p2m_pfn + l->p2m_pages;
    m->ro_end[1] = l->initrd_pfn;
    m->pt_next = l->pt_pfn + 1;
    m->pt_end = m->ro_end[0];
    control_map(m, l->elf.virt_base, region_address(l, l->region_pages), 0);
    m->pt_next = m->ro_start[1];
    m->pt_end = m->ro_end[1];
    control_map(m, l->elf.init_p2m, l->elf.init_p2m + (l->p2m_pages << PAGE_SHIFT), l->p2m_pfn);
    control_write(m, l->p2m_pfn << PAGE_SHIFT, m->p2m, m->nr_pages * sizeof(xen_pfn_t));
}

static void write_start_info(struct layout *l)
{
    struct start_info *si = control_page(&l->mem, l->start_info_pfn);
    struct dom0_vga_console_info *vga = (void *)(si + 1);

    strlcpy(si->magic, "xen-3.0-x86_64", sizeof(si->magic));
    si->nr_pages = l->mem.nr_pages;
    si->shared_info = virt_to_maddr(l->mem.d->shared_info).n;
    si->flags = SIF_PRIVILEGED | SIF_INITDOMAIN | SIF_MOD_START_PFN;
    si->pt_base = region_address(l, l->pt_pfn);
    si->nr_pt_frames = l->pt_count;
    si->mfn_list = l->elf.init_p2m;
    si->first_p2m_pfn = l->p2m_pfn;
    si->nr_p2m_frames = l->p2m_pages + l->p2m_tables;
    if (l->initrd_size) {
        si->mod_start = l->initrd_pfn;
        si->mod_len = l->initrd_size;
    }
    strlcpy((char *)si->cmd_line, boot_info.module[0].cmdline, sizeof(si->cmd_line));
    if (boot_info.has_vga_text) {
        si->console.dom0.info_off = sizeof(*si);
        si->console.dom0.info_size = sizeof(*vga);
        vga->video_type = XEN_VGATYPE_TEXT_MODE_3;
        vga->u.text_mode_3.font_height = 16;
        vga->u.text_mode_3.rows = 25;
        vga->u.text_mode_3.columns = 80;
    }
}

static void start_vcpu(struct layout *l)
{
    struct vcpu *v = l->mem.d->vcpu[0];
    struct vcpu_guest_context *ctx = hv_new(struct vcpu_guest_context);
    mfn_t l4 = _mfn(l->mem.p2m[l->pt_pfn]);
    int rc;

    if (!ctx)
        panic("no memory for the control domain's context");
    ctx->flags = VGCF_in_kernel | VGCF_online;
    ctx->user_regs.rip = l->elf.entry;
    ctx->user_regs.rsp = region_address(l, l->stack_pfn + 1);
    ctx->user_regs.rsi = region_address(l, l->start_info_pfn);
    ctx->user_regs.rflags = EFLAGS_IF | EFLAGS_MBS;
    ctx->user_regs.cs = FLAT_KERNEL_CS;
    ctx->user_regs.ss = FLAT_KERNEL_SS; /* the data segments are null */
    ctx->user_regs.ds = ctx->user_regs.es = FLAT_KERNEL_DS;
    ctx->kernel_ss = FLAT_KERNEL_SS;
    ctx->kernel_sp = ctx->user_regs.rsp;
    ctx->ctrlreg[3] = xen_pfn_to_cr3(l4.n);
    do
        rc = pv_pin_l4(l->mem.d, l4);
    while (rc == -ERESTART);
    if (!rc)
        do
            rc = pv_set_context(v, ctx);
        while (rc == -ERESTART);
    if (rc)
        panic("the control domain's first vCPU cannot be set up: error %d", rc);
    clear_bit(VPF_down, &v->pause_flags);
    hv_free(ctx);
}

static void release_modules(void)
{
    for (unsigned int i = 0; i < boot_info.module_count; i++) {
        const struct boot_module *m = &boot_info.module[i];

        heap_add(_mfn((m->start + PAGE_SIZE - 1) >> PAGE_SHIFT), _mfn((m->start + m->size) >> PAGE_SHIFT));
    }
}

void build_control_domain(void)
{
    static struct layout l;
    uint64_t max_pages, nr_pages;
    struct domain *d;

    open_kernel(&l);
    nr_pages = wanted_pages(&max_pages);
    plan(&l, nr_pages);
    d = create(nr_pages, max_pages);
    grant_hardware(d);
    control_memory_init(&l.mem, d, nr_pages);
    load_kernel(&l);
    load_initrd(&l);
    build_tables(&l);
    write_start_info(&l);
    start_vcpu(&l);
    printk("Control domain: %u vCPUs, %lu MiB, kernel entry %#lx, initrd %lu KiB\n", d->max_vcpus, nr_pages >> 8,
           l.elf.entry, l.initrd_size >> 10);
    control_memory_free(&l.mem);
    kernel_image_free(&l.image);
    release_modules();
}
