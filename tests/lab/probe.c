// SPDX-License-Identifier: BSD-2-Clause
/*
 * probe: what does the hypervisor answer to each call of the ABI? Runs in the control domain, issues every command that
 * has arguments which change nothing - a null pointer, a structure of zeros, a frame that does not exist - and prints
 * "NAME answer" for each: the error's name, or ok. tests/lab/test_abi_probe.py compares the answers with those that
 * Xen 4.17 gave (tests/lab/abi_xen.txt). Commands about a domain are asked of one that is made for it and never runs.
 *
 * Not here: commands that act whatever their arguments are (iret, stack_switch, block, vCPU down).
 */
#define _GNU_SOURCE
#define __XEN_TOOLS__ 1
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <xen/xen.h>
#include <xen/argo.h>
#include <xen/arch-x86/xen-mca.h>
#include <xen/callback.h>
#include <xen/domctl.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hvm/dm_op.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hypfs.h>
#include <xen/kexec.h>
#include <xen/memory.h>
#include <xen/nmi.h>
#include <xen/physdev.h>
#include <xen/platform.h>
#include <xen/pmu.h>
#include <xen/sched.h>
#include <xen/sys/privcmd.h>
#include <xen/sysctl.h>
#include <xen/tmem.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/xenoprof.h>
#include <xen/xsm/flask_op.h>

/* Commands that the headers name for the hypervisor itself or for older interfaces only. */
#define EVTCHNOP_reset_cont        14
#define XEN_DOMCTL_soft_reset_cont 23
#define HVMOP_set_pci_intx_level   2
#define HVMOP_set_isa_irq_level    3
#define HVMOP_set_pci_link_route   4
#define TMEM_NEW_PAGE              3
#define TMEM_READ                  8
#define TMEM_WRITE                 9
#define TMEM_XCHG                  10

#define NO_FRAME   0xfffffffffful
#define NO_ADDRESS 0x8000000000000000ul /* not canonical */
#define NO_VCPU    4000

/* The page of arguments: locked, zeroed before each call. */
static union {
    struct xen_domctl domctl;
    struct xen_sysctl sysctl;
    struct xen_platform_op platform;
    struct mmu_update update;
    struct mmuext_op ext;
    struct xen_mc mca;
    struct xen_memory_reservation reservation;
    struct xen_flask_op flask;
    uint64_t word[512];
} * page;
static int privcmd;
static domid_t subject; /* the domain made for the probe */

static long call(unsigned long op, unsigned long a0, unsigned long a1, unsigned long a2, unsigned long a3)
{
    privcmd_hypercall_t h = {.op = op, .arg = {a0, a1, a2, a3}};
    int rc = ioctl(privcmd, IOCTL_PRIVCMD_HYPERCALL, &h);

    return rc < 0 ? -errno : rc;
}

enum kind {
    PLAIN,    /* arguments as they stand */
    ZERO,     /* like PLAIN, the argument PAGE is the page of zeros, which begins with the subject's id */
    DOMCTL,   /* command, place of a nested command, nested command */
    SYSCTL,   /* likewise */
    PLATFORM, /* likewise */
    MEMORY,   /* a reservation of nothing for the subject */
    MMU,      /* an update of a frame that does not exist */
    EXT,      /* likewise */
    DM,       /* the command in the first buffer, for the subject */
    MCA,
    FLASK,
};

struct row {
    const char *name;
    enum kind kind;
    unsigned long op, arg[4];
};

#define PAGE ((unsigned long)-1)

#define ROW(name, kind, op, ...) \
    {                            \
        name, kind, op,          \
        {                        \
            __VA_ARGS__          \
        }                        \
    }

/* C: command and null pointer. Z: command and zeros. V: of a vCPU. N: arguments as given. */
#define N(label, call, ...) ROW(label, PLAIN, __HYPERVISOR_##call, __VA_ARGS__)
#define C(call, cmd)        ROW(#cmd, PLAIN, __HYPERVISOR_##call, cmd)
#define Z(call, cmd)        ROW(#cmd " zeros", ZERO, __HYPERVISOR_##call, cmd, PAGE)
#define CZ(call, cmd) \
    ROW(#cmd, PLAIN, __HYPERVISOR_##call, cmd), ROW(#cmd " zeros", ZERO, __HYPERVISOR_##call, cmd, PAGE)
#define V(cmd, vcpu)        ROW(#cmd, PLAIN, __HYPERVISOR_vcpu_op, cmd, vcpu)
#define G(cmd)              ROW(#cmd, PLAIN, __HYPERVISOR_grant_table_op, cmd, 0, 1)
#define D(cmd)              ROW(#cmd, DOMCTL, 0, cmd)
#define DN(cmd, place, sub) ROW(#cmd " " #sub, DOMCTL, 0, cmd, offsetof(struct xen_domctl, u.place), sub)
#define S(cmd)              ROW(#cmd, SYSCTL, 0, cmd)
#define SN(cmd, place, sub) ROW(#cmd " " #sub, SYSCTL, 0, cmd, offsetof(struct xen_sysctl, u.place), sub)
#define P(cmd)              ROW(#cmd, PLATFORM, 0, cmd)
#define PN(cmd, place, sub) ROW(#cmd " " #sub, PLATFORM, 0, cmd, offsetof(struct xen_platform_op, u.place), sub)
#define M(cmd)              ROW(#cmd, MEMORY, 0, cmd)
#define U(cmd)              ROW(#cmd, MMU, 0, cmd)
#define E(cmd)              ROW(#cmd, EXT, 0, cmd)
#define DMOP(cmd)           ROW(#cmd, DM, 0, cmd)
#define MC(cmd)             ROW(#cmd, MCA, 0, cmd)
#define F(cmd)              ROW(#cmd, FLASK, 0, cmd)

static const struct row rows[] = {
#include "probe_rows.def"
};

static unsigned long at_page(unsigned long arg)
{
    return arg == PAGE ? (unsigned long)page : arg;
}

static void put_nested(const unsigned long *arg)
{
    uint32_t sub = (uint32_t)arg[2];

    if (arg[1])
        memcpy((char *)page + arg[1], &sub, sizeof(sub));
}

static long ask_control(const struct row *r)
{
    const unsigned long *arg = r->arg;

    put_nested(arg);
    switch (r->kind) {
    case DOMCTL:
        page->domctl.cmd = (uint32_t)arg[0];
        page->domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
        page->domctl.domain = subject;
        return call(__HYPERVISOR_domctl, (unsigned long)page, 0, 0, 0);
    case SYSCTL:
        page->sysctl.cmd = (uint32_t)arg[0];
        page->sysctl.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
        return call(__HYPERVISOR_sysctl, (unsigned long)page, 0, 0, 0);
    default:
        page->platform.cmd = (uint32_t)arg[0];
        page->platform.interface_version = XENPF_INTERFACE_VERSION;
        return call(__HYPERVISOR_platform_op, (unsigned long)page, 0, 0, 0);
    }
}

static long ask_memory(const struct row *r)
{
    switch (r->kind) {
    case MEMORY:
        page->reservation.domid = subject;
        return call(__HYPERVISOR_memory_op, r->arg[0], (unsigned long)page, 0, 0);
    case MMU:
        page->update.ptr = NO_FRAME << 12 | r->arg[0];
        return call(__HYPERVISOR_mmu_update, (unsigned long)page, 1, 0, DOMID_SELF);
    default:
        page->ext.cmd = (unsigned int)r->arg[0];
        page->ext.arg1.mfn = NO_FRAME;
        page->ext.arg2.src_mfn = NO_FRAME;
        return call(__HYPERVISOR_mmuext_op, (unsigned long)page, 1, 0, DOMID_SELF);
    }
}

static long ask_dm(uint32_t cmd)
{
    struct xen_dm_op_buf *buf = (struct xen_dm_op_buf *)(page->word + 256);

    memcpy(page, &cmd, sizeof(cmd));
    buf->h.p = page;
    buf->size = sizeof(struct xen_dm_op);
    return call(__HYPERVISOR_dm_op, subject, 1, (unsigned long)buf, 0);
}

static long ask(const struct row *r)
{
    memset(page, 0, sizeof(*page));
    switch (r->kind) {
    case PLAIN:
        return call(r->op, r->arg[0], r->arg[1], r->arg[2], r->arg[3]);
    case ZERO:
        memcpy(page, &subject, sizeof(subject));
        return call(r->op, at_page(r->arg[0]), at_page(r->arg[1]), at_page(r->arg[2]), at_page(r->arg[3]));
    case DOMCTL:
    case SYSCTL:
    case PLATFORM:
        return ask_control(r);
    case MEMORY:
    case MMU:
    case EXT:
        return ask_memory(r);
    case DM:
        return ask_dm((uint32_t)r->arg[0]);
    case MCA:
        page->mca.cmd = (uint32_t)r->arg[0];
        page->mca.interface_version = XEN_MCA_INTERFACE_VERSION;
        return call(__HYPERVISOR_mca, (unsigned long)page, 0, 0, 0);
    default:
        page->flask.cmd = (uint32_t)r->arg[0];
        page->flask.interface_version = XEN_FLASK_INTERFACE_VERSION;
        return call(__HYPERVISOR_xsm_op, (unsigned long)page, 0, 0, 0);
    }
}

static long make_subject(void)
{
    struct xen_domctl_createdomain *c = &page->domctl.u.createdomain;
    long rc;

    memset(page, 0, sizeof(*page));
    page->domctl.cmd = XEN_DOMCTL_createdomain;
    page->domctl.interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    c->max_vcpus = 1;
    c->max_evtchn_port = 1023;
    c->max_grant_frames = 4;
    c->max_maptrack_frames = 4;
    c->grant_opts = XEN_DOMCTL_GRANT_version(1);
    rc = call(__HYPERVISOR_domctl, (unsigned long)page, 0, 0, 0);
    if (rc < 0)
        return rc;
    subject = page->domctl.domain;
    page->domctl.cmd = XEN_DOMCTL_max_vcpus;
    page->domctl.u.max_vcpus.max = 1;
    return call(__HYPERVISOR_domctl, (unsigned long)page, 0, 0, 0);
}

static void print(const char *name, long rc)
{
    printf("%s %s\n", name, rc < 0 ? strerrorname_np((int)-rc) : "ok");
    fflush(stdout);
}

int main(void)
{
    cpu_set_t first;
    long rc;

    CPU_ZERO(&first);
    CPU_SET(0, &first); /* what is said of vCPU 0 is said by it */
    if (sched_setaffinity(0, sizeof(first), &first))
        perror("probe");
    privcmd = open("/dev/xen/privcmd", O_RDWR);
    page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
    if (privcmd < 0 || page == MAP_FAILED) {
        perror("probe");
        return 1;
    }
    rc = make_subject();
    print("subject", rc);
    if (rc < 0)
        return 1;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        print(rows[i].name, ask(&rows[i]));
    return 0;
}
