/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Interrupts of guests: x86/irq.c, x86/pirq.c, hypercall/physdev_op.c on fake hardware, which remembers and counts.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>
#include <hv/event.h>
#include <hv/guest_copy.h>
#include <hv/heap.h>
#include <hv/hypercall.h>
#include <hv/irq_desc.h>
#include <hv/sched.h>
#include <hv/boot.h>
#include <hv/x86.h>
#include <xen/physdev.h>

#define GSIS 24u
#define BAD  ((void *)16) /* a guest address that faults */

/* ---- the machine around the code under test ---- */

static struct cpu_info cpu;
static struct vcpu vcpus[4];
static struct domain domains[4];
static bool line_masked[GSIS], msi_masked[1024];
static unsigned int eois, events[4][1024], allocs, fail_alloc, internal_calls, msi_live, eoi_refs;
static unsigned long eoi_bits[PAGE_SIZE / 8] __attribute__((aligned(4096)));
struct acpi_info acpi_info;
unsigned int nr_cpus = 1;
DEFINE_PER_CPU(uint32_t, apicid);

struct cpu_info *get_cpu_info(void)
{
    return &cpu;
}

static unsigned int held[32], nr_held;

void spin_lock(spinlock_t *l)
{
    assert_int_equal(l->head, 0);
    assert_true(nr_held == 0 || held[nr_held - 1] < l->rank);
    held[nr_held++] = l->rank;
    l->head = 1;
}

void spin_unlock(spinlock_t *l)
{
    assert_int_equal(l->head, 1);
    assert_int_equal(held[--nr_held], l->rank);
    l->head = 0;
}

unsigned long spin_lock_irqsave(spinlock_t *l)
{
    spin_lock(l);
    return 0;
}

void spin_unlock_irqrestore(spinlock_t *l, unsigned long flags)
{
    spin_unlock(l);
}

void *hv_alloc(size_t size)
{
    if (fail_alloc && --fail_alloc == 0)
        return NULL;
    allocs++;
    return calloc(1, size);
}

void hv_free(void *p)
{
    if (p)
        allocs--;
    free(p);
}

void panic(const char *fmt, ...)
{
    fail_msg("panic: %s", fmt);
    abort();
}

void bug_at(const char *file, int line, const char *what)
{
    fail_msg("%s:%d: %s", file, line, what);
    abort();
}

void apic_eoi(void)
{
    eois++;
}

#define IGNORED(name, params) \
    void name params          \
    {                         \
    }
IGNORED(printk, (const char *fmt, ...))
IGNORED(tlb_ipi, (void))
IGNORED(call_function_ipi, (void))
IGNORED(raise_softirq, (enum softirq nr))
IGNORED(msi_write_message, (struct irq_desc * desc))

bool send_pirq(struct domain *d, unsigned int pirq)
{
    assert_int_equal(nr_held, 0);
    events[d->id][pirq]++;
    return true;
}

bool ioapic_gsi_exists(unsigned int gsi)
{
    return gsi < GSIS && gsi != 13;
}

void ioapic_program(const struct irq_desc *desc)
{
    line_masked[desc->irq] = desc->masked;
}

void ioapic_set_mask(unsigned int gsi, bool masked)
{
    line_masked[gsi] = masked;
}

int ioapic_setup_gsi(unsigned int gsi, bool level, bool active_low)
{
    struct irq_desc *desc = gsi < GSIS ? irq_to_desc(gsi) : NULL;

    if (!desc)
        return -EINVAL;
    if (desc->fn || desc->nr_guests)
        return -EEXIST;
    desc->kind = level ? IRQ_LEVEL : IRQ_EDGE;
    return 0;
}

int ioapic_guest_read(uint64_t base, unsigned int reg, uint32_t *value)
{
    *value = 0x170020;
    return base == 0xfec00000 ? 0 : -EINVAL;
}

int ioapic_guest_write(uint64_t base, unsigned int reg, uint32_t value)
{
    return base == 0xfec00000 ? 0 : -EINVAL;
}

/* A device 00:03.0 with 8 messages; allocation is the real one. */
int msi_setup(struct pci_addr a, unsigned int nvec, int *first)
{
    struct msi_desc *m;
    unsigned int count = nvec > 4 ? 8 : nvec > 2 ? 4 : nvec;
    int irq, rc;

    if (a.seg || a.bus || a.devfn != 24)
        return -ENODEV;
    irq = irq_alloc_msi(count);
    if (irq < 0)
        return irq;
    rc = irq_assign_vectors((unsigned int)irq, count);
    if (rc) {
        irq_free_msi((unsigned int)irq, count);
        return rc;
    }
    m = calloc(count, sizeof(*m));
    for (unsigned int i = 0; i < count; i++) {
        m[i] = (struct msi_desc){.addr = a, .entry = (uint16_t)i, .count = (uint16_t)count};
        irq_to_desc((unsigned int)irq + i)->msi = &m[i];
    }
    msi_live += count;
    *first = irq;
    return 0;
}

int msix_setup(struct pci_addr a, unsigned int entry, int *first)
{
    int rc = msi_setup(a, 1, first);

    if (!rc)
        irq_to_desc((unsigned int)*first)->msi->is_msix = true;
    return rc;
}

void msi_teardown(unsigned int irq)
{
    struct msi_desc *m = irq_to_desc(irq)->msi;
    unsigned int count = m->count;

    for (unsigned int i = irq; i < irq + count; i++)
        irq_to_desc(i)->msi = NULL;
    irq_release_vectors(irq, count);
    irq_free_msi(irq, count);
    msi_live -= count;
    free(m);
}

bool msi_is_of(unsigned int irq, struct pci_addr a)
{
    const struct msi_desc *m = irq_to_desc(irq)->msi;

    return m && m->addr.devfn == a.devfn && m->addr.bus == a.bus;
}

void msi_set_mask(struct irq_desc *desc, bool masked)
{
    msi_masked[desc->irq] = masked;
}

int msi_restore(struct pci_addr a)
{
    return a.devfn == 24 ? 0 : -ENODEV;
}

unsigned int pci_find_cap(struct pci_addr a, uint8_t id)
{
    return a.devfn == 24 ? 0x40 : 0;
}

struct page_info *frame_table;
uint64_t max_page = 6;

bool mfn_valid(mfn_t m)
{
    return m.n == 5;
}

int get_page_and_type(struct page_info *pg, struct domain *d, enum page_type type)
{
    assert_ptr_equal(pg, &frame_table[5]);
    assert_int_equal(type, PT_WRITABLE);
    eoi_refs++;
    return 0;
}

void put_page_and_type(struct page_info *pg)
{
    eoi_refs--;
}

void *mfn_to_virt(mfn_t m)
{
    return m.n == 5 ? eoi_bits : NULL;
}

struct domain *domain_get(domid_t id)
{
    struct domain *d = id == DOMID_SELF ? current->domain : id < 4 ? &domains[id] : NULL;

    if (d)
        d->refcount++;
    return d;
}

void domain_put(struct domain *d)
{
    d->refcount--;
}

bool irq_permitted(const struct domain *d, unsigned int pirq)
{
    return d->is_control;
}

int guest_copy_from(void *dst, const void *src, size_t n)
{
    if (src == BAD)
        return -EFAULT;
    memcpy(dst, src, n);
    return 0;
}

int guest_copy_to(void *dst, const void *src, size_t n)
{
    if (dst == BAD)
        return -EFAULT;
    memcpy(dst, src, n);
    return 0;
}

/* ---- helpers ---- */

static int machine(void **state)
{
    static struct page_info frames[8];

    nr_irqs_gsi = nr_irqs = 0;
    memset(events, 0, sizeof(events));
    memset(eoi_bits, 0, sizeof(eoi_bits));
    memset(msi_masked, 1, sizeof(msi_masked));
    eois = fail_alloc = internal_calls = 0;
    frame_table = frames;
    irq_init();
    irq_alloc_descs(GSIS);
    for (unsigned int i = 0; i < GSIS; i++) {
        line_masked[i] = true;
        if (ioapic_gsi_exists(i))
            ioapic_setup_gsi(i, i >= 16, i >= 16);
    }
    for (unsigned int i = 0; i < 4; i++) {
        domains[i] = (struct domain){.id = (domid_t)i, .is_control = i == 0, .refcount = 1};
        vcpus[i] = (struct vcpu){.domain = &domains[i]};
        assert_int_equal(irq_domain_init(&domains[i]), 0);
    }
    cpu.cur_vcpu = &vcpus[0];
    return 0;
}

bool preempt_needed(void)
{
    return true;
}

static void relinquish(struct domain *d)
{
    for (d->teardown_next = 0; irq_relinquish(d) == -ERESTART;)
        ;
}

/* Nothing is left behind but the descriptors. */
static int machine_gone(void **state)
{
    for (unsigned int i = 0; i < 4; i++) {
        relinquish(&domains[i]);
        assert_non_null(domains[i].irq);
        assert_int_equal(domains[i].refcount, 1);
        irq_domain_free(&domains[i]);
        assert_null(domains[i].irq);
    }
    assert_int_equal(allocs, 1);
    assert_int_equal(msi_live, 0);
    assert_int_equal(eoi_refs, 0);
    assert_int_equal(nr_held, 0);
    free(irq_to_desc(0));
    allocs = 0;
    return 0;
}

static long call(unsigned int dom, unsigned int cmd, void *arg)
{
    struct hcall hc = {.arg = {cmd, (unsigned long)arg}};
    long rc;

    cpu.cur_vcpu = &vcpus[dom];
    rc = do_physdev_op(&hc);
    assert_false(hc.restart);
    assert_int_equal(nr_held, 0);
    return rc;
}

static long map_gsi(domid_t target, int gsi, int pirq, int *got)
{
    struct physdev_map_pirq m = {.domid = target, .type = MAP_PIRQ_TYPE_GSI, .index = gsi, .pirq = pirq};
    long rc = call(0, PHYSDEVOP_map_pirq, &m);

    if (got)
        *got = m.pirq;
    return rc;
}

static long map_msi(int count, uint64_t table, int *got)
{
    struct physdev_map_pirq m = {.domid = DOMID_SELF,
                                 .type = count > 1 ? MAP_PIRQ_TYPE_MULTI_MSI : MAP_PIRQ_TYPE_MSI_SEG,
                                 .index = -1,
                                 .pirq = -1,
                                 .devfn = 24,
                                 .entry_nr = count > 1 ? count : 0,
                                 .table_base = table};
    long rc = call(0, PHYSDEVOP_map_pirq, &m);

    *got = m.pirq;
    return rc;
}

static void interrupt(unsigned int irq)
{
    struct cpu_user_regs regs = {.entry_vector = irq_to_desc(irq)->vector};
    unsigned int before = eois;

    assert_int_not_equal(regs.entry_vector, 0);
    do_irq(&regs);
    assert_int_equal(eois, before + 1);
}

static long eoi(unsigned int dom, unsigned int pirq)
{
    struct physdev_eoi e = {pirq};

    return call(dom, PHYSDEVOP_eoi, &e);
}

/* ---- tests ---- */

static void level_is_masked_until_eoi(void **state)
{
    assert_int_equal(map_gsi(DOMID_SELF, 17, 17, NULL), 0);
    assert_int_equal(pirq_guest_bind(&vcpus[0], 17, true), 0);
    assert_false(line_masked[17]);
    interrupt(17);
    assert_true(line_masked[17]);
    assert_int_equal(events[0][17], 1);
    assert_int_equal(eoi(0, 17), 0);
    assert_false(line_masked[17]);
    assert_int_equal(eoi(0, 17), 0); /* once too often: nothing */
    assert_false(line_masked[17]);
    pirq_guest_unbind(&domains[0], 17);
    assert_true(line_masked[17]);
}

static void shared_level_waits_for_all(void **state)
{
    for (domid_t i = 0; i < 3; i++) {
        assert_int_equal(map_gsi(i, 18, 18, NULL), 0);
        assert_int_equal(pirq_guest_bind(&vcpus[i], 18, true), 0);
    }
    assert_int_equal(map_gsi(3, 18, 18, NULL), 0);
    assert_int_equal(pirq_guest_bind(&vcpus[3], 18, false), -EBUSY);
    interrupt(18);
    eoi(0, 18);
    eoi(2, 18);
    assert_true(line_masked[18]);
    eoi(2, 18);
    assert_true(line_masked[18]);
    /* The one that has not finished goes away. */
    relinquish(&domains[1]);
    assert_false(line_masked[18]);
    interrupt(18);
    assert_int_equal(events[0][18], 2);
    assert_int_equal(events[1][18], 1);
    pirq_guest_unbind(&domains[0], 18);
    assert_true(line_masked[18]);
    eoi(2, 18);
    assert_false(line_masked[18]);
}

static void edge_is_not_masked(void **state)
{
    assert_int_equal(map_gsi(DOMID_SELF, 1, 1, NULL), 0);
    assert_int_equal(pirq_guest_bind(&vcpus[0], 1, false), 0);
    for (unsigned int i = 0; i < 5; i++)
        interrupt(1);
    assert_false(line_masked[1]);
    assert_int_equal(events[0][1], 5);
}

static void count_internal(void *data)
{
    assert_int_equal(nr_held, 0);
    internal_calls++;
}

static void own_interrupts_are_kept(void **state)
{
    assert_int_equal(irq_request_internal(4, count_internal, NULL), 0);
    assert_int_equal(irq_request_internal(4, count_internal, NULL), -EBUSY);
    assert_int_equal(irq_request_internal(13, count_internal, NULL), -ENODEV);
    assert_int_equal(irq_request_internal(2000, count_internal, NULL), -ENODEV);
    assert_int_equal(irq_request_internal(20, count_internal, NULL), 0);
    interrupt(4);
    interrupt(20);
    assert_int_equal(internal_calls, 2);
    assert_false(line_masked[20]);
    assert_int_equal(map_gsi(DOMID_SELF, 4, 4, NULL), 0);
    assert_int_equal(pirq_guest_bind(&vcpus[0], 4, true), -EBUSY);
}

static void map_arguments(void **state)
{
    struct physdev_map_pirq m = {.domid = DOMID_SELF, .type = 77};
    int got = 0;

    assert_int_equal(map_gsi(DOMID_SELF, 16, 16, &got), 0);
    assert_int_equal(got, 16);
    assert_int_equal(map_gsi(DOMID_SELF, 16, 16, &got), 0);
    assert_int_equal(map_gsi(DOMID_SELF, 16, -1, &got), 0);
    assert_int_equal(got, 16);
    assert_int_equal(map_gsi(DOMID_SELF, 16, 17, NULL), -EEXIST);
    assert_int_equal(map_gsi(DOMID_SELF, 18, 16, NULL), -EBUSY);
    assert_int_equal(map_gsi(DOMID_SELF, 18, 1 << 30, NULL), -EINVAL);
    assert_int_equal(map_gsi(DOMID_SELF, 13, 13, NULL), -EINVAL);
    assert_int_equal(map_gsi(DOMID_SELF, -1, 1, NULL), -EINVAL);
    assert_int_equal(map_gsi(DOMID_SELF, 0x7fffffff, 1, NULL), -EINVAL);
    assert_int_equal(map_gsi(9, 16, 16, NULL), -ESRCH);
    assert_int_equal(call(0, PHYSDEVOP_map_pirq, &m), -EINVAL);
    assert_int_equal(call(1, PHYSDEVOP_map_pirq, &m), -EPERM);
    assert_int_equal(call(0, PHYSDEVOP_map_pirq, BAD), -EFAULT);
    assert_int_equal(pirq_guest_bind(&vcpus[0], 5, true), -EINVAL);
    assert_int_equal(pirq_guest_bind(&vcpus[0], 0xffffffff, true), -EINVAL);
    assert_int_equal(pirq_guest_bind(&vcpus[1], 16, true), -EINVAL);
}

static void msi_comes_and_goes(void **state)
{
    struct physdev_unmap_pirq u = {.domid = DOMID_SELF};
    int pirq;

    assert_int_equal(map_msi(1, 0, &pirq), 0);
    assert_true(pirq >= (int)GSIS);
    assert_int_equal(pirq_guest_bind(&vcpus[0], (unsigned int)pirq, false), 0);
    interrupt((unsigned int)pirq);
    assert_int_equal(events[0][pirq], 1);
    u.pirq = pirq;
    assert_int_equal(call(0, PHYSDEVOP_unmap_pirq, &u), 0);
    assert_int_equal(msi_live, 0);
    assert_int_equal(call(0, PHYSDEVOP_unmap_pirq, &u), -EINVAL);
    pirq_guest_unbind(&domains[0], (unsigned int)pirq); /* the channel is closed later */
    u.pirq = -1;
    assert_int_equal(call(0, PHYSDEVOP_unmap_pirq, &u), -EINVAL);
}

static void multi_message_is_one(void **state)
{
    struct physdev_unmap_pirq u = {.domid = DOMID_SELF};
    int pirq, other;

    assert_int_equal(map_msi(3, 0, &pirq), 0);
    assert_int_equal(msi_live, 4);
    assert_int_equal(irq_to_desc((unsigned int)pirq)->vector & 3, 0);
    for (unsigned int i = 0; i < 3; i++)
        assert_int_equal(pirq_guest_bind(&vcpus[0], (unsigned int)pirq + i, false), 0);
    interrupt((unsigned int)pirq + 2);
    assert_int_equal(events[0][pirq + 2], 1);
    u.pirq = pirq + 1; /* only the first stands for the group */
    assert_int_equal(call(0, PHYSDEVOP_unmap_pirq, &u), -EINVAL);
    u.pirq = pirq;
    assert_int_equal(call(0, PHYSDEVOP_unmap_pirq, &u), 0);
    assert_int_equal(msi_live, 0);
    assert_int_equal(map_msi(33, 0, &other), -EINVAL);
    assert_int_equal(map_msi(4, 0x1000, &other), -EINVAL);
}

static void vectors_run_out(void **state)
{
    unsigned int n = 0;
    int pirq;

    while (map_msi(1, 0xf0000000, &pirq) == 0)
        n++;
    assert_int_equal(n, LAST_DYNAMIC_VECTOR - FIRST_DYNAMIC_VECTOR + 1 - 2);
    assert_int_equal(map_msi(1, 0xf0000000, &pirq), -ENOSPC);
    assert_int_equal(map_gsi(DOMID_SELF, 1, 1, NULL), 0);
    assert_int_equal(pirq_guest_bind(&vcpus[0], 1, false), -ENOSPC);
    assert_int_equal(msi_live, n);
}

static void failed_map_leaves_nothing(void **state)
{
    int pirq;

    fail_alloc = 1; /* the table of pirqs */
    assert_int_equal(map_msi(1, 0, &pirq), -ENOMEM);
    assert_int_equal(msi_live, 0);
}

static void device_removal_unmaps(void **state)
{
    struct physdev_pci_device dev = {.devfn = 24};
    int a, b;

    assert_int_equal(map_msi(4, 0, &a), 0);
    assert_int_equal(map_gsi(DOMID_SELF, 16, 16, &b), 0);
    assert_int_equal(call(0, PHYSDEVOP_pci_device_remove, &dev), 0);
    assert_int_equal(msi_live, 0);
    assert_true(pirq_to_irq(&domains[0], 16) == 16);
}

static void eoi_page(void **state)
{
    struct physdev_pirq_eoi_gmfn g = {.gmfn = 5};
    struct physdev_irq_status_query q = {.irq = 17};

    assert_int_equal(map_gsi(DOMID_SELF, 17, 17, NULL), 0);
    assert_int_equal(map_gsi(DOMID_SELF, 1, 1, NULL), 0);
    assert_int_equal(call(0, PHYSDEVOP_irq_status_query, &q), 0);
    assert_int_equal(q.flags, XENIRQSTAT_needs_eoi);
    assert_int_equal(call(1, PHYSDEVOP_pirq_eoi_gmfn_v2, &g), -ENOSYS);
    assert_int_equal(call(0, PHYSDEVOP_pirq_eoi_gmfn_v2, &g), 0);
    assert_int_equal(call(0, PHYSDEVOP_pirq_eoi_gmfn_v2, &g), -EBUSY);
    assert_int_equal(eoi_refs, 1);
    g.gmfn = ~0ull;
    assert_int_equal(call(0, PHYSDEVOP_pirq_eoi_gmfn_v2, &g), -EINVAL);
    assert_int_equal(pirq_guest_bind(&vcpus[0], 17, true), 0);
    assert_int_equal(pirq_guest_bind(&vcpus[0], 1, false), 0);
    assert_true(test_bit(17, eoi_bits));
    assert_false(test_bit(1, eoi_bits));
    q.irq = 1;
    assert_int_equal(call(0, PHYSDEVOP_irq_status_query, &q), 0);
    assert_int_equal(q.flags, 0);
    q.irq = 0x80000000;
    assert_int_equal(call(0, PHYSDEVOP_irq_status_query, &q), -EINVAL);
}

static void port_rights(void **state)
{
    struct physdev_set_iopl iopl = {1};
    struct physdev_set_iobitmap map = {.nr_ports = 65536};

    assert_int_equal(call(1, PHYSDEVOP_set_iopl, &iopl), 0);
    assert_int_equal(vcpus[1].pv.iopl, 1);
    iopl.iopl = 4;
    assert_int_equal(call(1, PHYSDEVOP_set_iopl, &iopl), -EINVAL);
    map.bitmap.p = (uint8_t *)0x1000;
    assert_int_equal(call(1, PHYSDEVOP_set_iobitmap, &map), 0);
    assert_int_equal(vcpus[1].pv.iobmp_limit, 65536);
    map.nr_ports = 65537;
    assert_int_equal(call(1, PHYSDEVOP_set_iobitmap, &map), -EINVAL);
    map.nr_ports = 8;
    map.bitmap.p = (uint8_t *)HYPERVISOR_BASE;
    assert_int_equal(call(1, PHYSDEVOP_set_iobitmap, &map), -EINVAL);
    assert_int_equal(vcpus[1].pv.iobmp, 0x1000);
}

static void who_may_call(void **state)
{
    static const unsigned int control[] = {
        PHYSDEVOP_apic_read,   PHYSDEVOP_apic_write,         PHYSDEVOP_map_pirq,       PHYSDEVOP_unmap_pirq,
        PHYSDEVOP_setup_gsi,   PHYSDEVOP_get_free_pirq,      PHYSDEVOP_manage_pci_add, PHYSDEVOP_pci_device_add,
        PHYSDEVOP_restore_msi, PHYSDEVOP_pci_mmcfg_reserved, PHYSDEVOP_dbgp_op,        PHYSDEVOP_prepare_msix};
    static const unsigned int refused[] = {0,  1,  2,  3,  4, PHYSDEVOP_free_irq_vector, PHYSDEVOP_pirq_eoi_gmfn_v1,
                                           18, 22, 32, 500};
    static const unsigned int checked[] = {PHYSDEVOP_apic_read, PHYSDEVOP_apic_write, PHYSDEVOP_manage_pci_add_ext,
                                           PHYSDEVOP_pci_device_add, PHYSDEVOP_alloc_irq_vector};
    union {
        struct physdev_irq irq;
        uint8_t bytes[64];
    } arg = {.irq = {.irq = 9}};

    for (unsigned int i = 0; i < ARRAY_SIZE(control); i++) {
        assert_int_equal(call(1, control[i], &arg), -EPERM);
        assert_int_equal(call(1, control[i], BAD), i == 9 || i == 10 ? -EPERM : -EFAULT); /* mmcfg, dbgp ask first */
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++)
        assert_int_equal(call(0, refused[i], &arg), -ENOSYS);
    assert_int_equal(call(1, PHYSDEVOP_alloc_irq_vector, &arg), -EPERM);
    assert_int_equal(call(0, PHYSDEVOP_alloc_irq_vector, &arg), 0);
    assert_int_equal(arg.irq.vector, 9);
    memset(&arg, 0xff, sizeof(arg));
    for (unsigned int i = 0; i < ARRAY_SIZE(checked); i++)
        assert_int_equal(call(0, checked[i], &arg), -EINVAL);
    assert_int_equal(call(0, PHYSDEVOP_alloc_irq_vector, BAD), -EFAULT);
}

static void gsi_setup(void **state)
{
    struct physdev_setup_gsi s = {.gsi = 10, .triggering = 1, .polarity = 1};

    assert_int_equal(call(0, PHYSDEVOP_setup_gsi, &s), 0);
    assert_int_equal(irq_to_desc(10)->kind, IRQ_LEVEL);
    assert_int_equal(map_gsi(DOMID_SELF, 10, 10, NULL), 0);
    assert_int_equal(pirq_guest_bind(&vcpus[0], 10, true), 0);
    assert_int_equal(call(0, PHYSDEVOP_setup_gsi, &s), -EEXIST);
    s.triggering = 2;
    assert_int_equal(call(0, PHYSDEVOP_setup_gsi, &s), -EINVAL);
    s.triggering = 1;
    s.gsi = -5;
    assert_int_equal(call(0, PHYSDEVOP_setup_gsi, &s), -EINVAL);
    s.gsi = 100000;
    assert_int_equal(call(0, PHYSDEVOP_setup_gsi, &s), -EINVAL);
}

/* A stray vector, as from a device that was just unmapped, is acknowledged and forgotten. */
static void stray_interrupts(void **state)
{
    struct cpu_user_regs regs = {0};

    for (unsigned int v = FIRST_DYNAMIC_VECTOR; v <= LAST_DYNAMIC_VECTOR; v++) {
        regs.entry_vector = v;
        do_irq(&regs);
    }
    assert_int_equal(eois, LAST_DYNAMIC_VECTOR - FIRST_DYNAMIC_VECTOR + 1);
    regs.entry_vector = VECTOR_SPURIOUS;
    do_irq(&regs);
    assert_int_equal(eois, LAST_DYNAMIC_VECTOR - FIRST_DYNAMIC_VECTOR + 1);
}

static void reserved_pirqs(void **state)
{
    struct physdev_get_free_pirq f = {.type = MAP_PIRQ_TYPE_MSI};
    struct physdev_unmap_pirq u = {.domid = DOMID_SELF};
    uint32_t first;

    assert_int_equal(call(0, PHYSDEVOP_get_free_pirq, &f), 0);
    first = f.pirq;
    assert_int_equal(call(0, PHYSDEVOP_get_free_pirq, &f), 0);
    assert_int_not_equal(f.pirq, first);
    assert_int_equal(pirq_guest_bind(&vcpus[0], first, true), -EINVAL);
    assert_int_equal(map_gsi(DOMID_SELF, 3, (int)first, NULL), 0);
    u.pirq = (int)f.pirq;
    assert_int_equal(call(0, PHYSDEVOP_unmap_pirq, &u), 0);
    f.type = 9;
    assert_int_equal(call(0, PHYSDEVOP_get_free_pirq, &f), -EINVAL);
}

/* The window that ACPI names is in segment 1, which is what makes a second segment known. */
static void mmcfg_window(void **state)
{
    struct physdev_pci_mmcfg_reserved w = {.address = 0xe0000000, .segment = 1, .end_bus = 255};

    acpi_info.mcfg_address = 0xe0000000;
    acpi_info.mcfg_segment = 1;
    assert_int_equal(call(0, PHYSDEVOP_pci_mmcfg_reserved, &w), 0);
    assert_int_equal(call(1, PHYSDEVOP_pci_mmcfg_reserved, &w), -EPERM);
    assert_int_equal(call(0, PHYSDEVOP_pci_mmcfg_reserved, BAD), -EFAULT);
    assert_int_equal(call(0, PHYSDEVOP_pci_device_add, &(struct physdev_pci_device_add){.seg = 2}), -ENODEV);
    w.segment = 2;
    assert_int_equal(call(0, PHYSDEVOP_pci_mmcfg_reserved, &w), -ENODEV);
    w.segment = 1;
    w.address = 0xd0000000;
    assert_int_equal(call(0, PHYSDEVOP_pci_mmcfg_reserved, &w), -ENODEV);
    w.address = 0xe0000000;
    w.start_bus = 255;
    assert_int_equal(call(0, PHYSDEVOP_pci_mmcfg_reserved, &w), 0);
    w.end_bus = 254;
    assert_int_equal(call(0, PHYSDEVOP_pci_mmcfg_reserved, &w), -EINVAL);
    memset(&acpi_info, 0, sizeof(acpi_info));
}

static void msi_restoring(void **state)
{
    struct physdev_restore_msi old = {.devfn = 24};
    struct physdev_pci_device dev = {.devfn = 24};

    assert_int_equal(call(0, PHYSDEVOP_restore_msi, &old), 0);
    assert_int_equal(call(0, PHYSDEVOP_restore_msi_ext, &dev), 0);
    assert_int_equal(call(1, PHYSDEVOP_restore_msi, &old), -EPERM);
    assert_int_equal(call(1, PHYSDEVOP_restore_msi_ext, &dev), -EPERM);
    assert_int_equal(call(0, PHYSDEVOP_restore_msi, BAD), -EFAULT);
    assert_int_equal(call(0, PHYSDEVOP_restore_msi_ext, BAD), -EFAULT);
    /* What the MSI code answers is handed on. */
    old.devfn = dev.devfn = 25;
    assert_int_equal(call(0, PHYSDEVOP_restore_msi, &old), -ENODEV);
    assert_int_equal(call(0, PHYSDEVOP_restore_msi_ext, &dev), -ENODEV);
}

static void msix_handover(void **state)
{
    static const unsigned int cmds[] = {PHYSDEVOP_prepare_msix, PHYSDEVOP_release_msix};

    for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
        struct physdev_pci_device dev = {.devfn = 24};

        assert_int_equal(call(0, cmds[i], &dev), 0);
        assert_int_equal(call(1, cmds[i], &dev), -EPERM);
        assert_int_equal(call(0, cmds[i], BAD), -EFAULT);
        dev.devfn = 25;
        assert_int_equal(call(0, cmds[i], &dev), -ENODEV);
    }
}

static void debug_port(void **state)
{
    struct physdev_dbgp_op op = {.op = PHYSDEVOP_DBGP_RESET_PREPARE};

    assert_int_equal(call(0, PHYSDEVOP_dbgp_op, &op), 0);
    assert_int_equal(call(1, PHYSDEVOP_dbgp_op, &op), -EPERM);
    assert_int_equal(call(0, PHYSDEVOP_dbgp_op, BAD), -EFAULT);
    op.op = PHYSDEVOP_DBGP_RESET_DONE;
    assert_int_equal(call(0, PHYSDEVOP_dbgp_op, &op), 0);
    op.op = 0;
    assert_int_equal(call(0, PHYSDEVOP_dbgp_op, &op), -EINVAL);
    op.op = PHYSDEVOP_DBGP_RESET_DONE + 1;
    assert_int_equal(call(0, PHYSDEVOP_dbgp_op, &op), -EINVAL);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, machine, machine_gone)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(level_is_masked_until_eoi),
        TEST(shared_level_waits_for_all),
        TEST(edge_is_not_masked),
        TEST(own_interrupts_are_kept),
        TEST(map_arguments),
        TEST(msi_comes_and_goes),
        TEST(multi_message_is_one),
        TEST(vectors_run_out),
        TEST(failed_map_leaves_nothing),
        TEST(device_removal_unmaps),
        TEST(eoi_page),
        TEST(port_rights),
        TEST(who_may_call),
        TEST(gsi_setup),
        TEST(stray_interrupts),
        TEST(reserved_pirqs),
        TEST(mmcfg_window),
        TEST(msi_restoring),
        TEST(msix_handover),
        TEST(debug_port),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
