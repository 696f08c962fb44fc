// SPDX-License-Identifier: BSD-2-Clause
/* See fake_host.h. Frames that are mapped are memory of their own each time: what is written to them is lost. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "libctl/internal.h"
#include "fake_host.h"
#include "fake_xs.h"

#include <xentoollog.h>

#define GUEST      1
#define PAGE       4096
#define FREE_PAGES (1u << 20)

struct fake_host host;

static uint64_t next_frame;
static unsigned next_port;

static bool fails(const char *name)
{
    if (++host.calls != host.fails_at)
        return false;
    host.fails = name;
    errno = ENOMEM;
    return true;
}

void host_reset(long n)
{
    xs_fake_reset();
    xs_fake_fails = fails;
    host = (struct fake_host){.fails_at = n, .physcaps = XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_shadow};
    next_frame = 0x1000;
    next_port = 1;
}

/* The errors of calls are negative here, and -1 with errno where the libraries tell them. */
static int answer(int rc)
{
    errno = rc < 0 ? -rc : errno;
    return rc < 0 ? -1 : rc;
}

/* --- the hypervisor --- */

/* With its claim. */
static void end_guest(void)
{
    host.guest = false;
    host.left = host.claimed;
    host.claimed = 0;
}

static int domctl(struct xen_domctl *op)
{
    if (op->cmd == XEN_DOMCTL_createdomain) {
        if (op->domain && op->domain == host.taken)
            return -EEXIST;
        host.guest = true;
        host.flags = op->u.createdomain.flags;
        op->domain = GUEST;
        return 0;
    }
    if (op->domain && !host.guest)
        return -ESRCH;
    if (op->cmd == XEN_DOMCTL_destroydomain)
        end_guest();
    if (op->cmd == XEN_DOMCTL_max_mem)
        host.max_kib = op->u.max_mem.max_memkb;
    if (op->cmd == XEN_DOMCTL_getnodeaffinity)
        op->u.nodeaffinity.nodemap.bitmap.p[0] = 2;
    if (op->cmd == XEN_DOMCTL_getdomaininfo)
        op->u.getdomaininfo = (struct xen_domctl_getdomaininfo){.domain = op->domain, .shared_info_frame = 0x77};
    return 0;
}

/* Three nodes, of which the second is not there. */
static void numainfo(struct xen_sysctl_numainfo *n)
{
    for (uint32_t i = 0; i < 3 && i < n->num_nodes; i++) {
        n->meminfo.p[i].memsize = i == 1 ? XEN_INVALID_MEM_SZ : (i + 1ull) << 30;
        n->meminfo.p[i].memfree = i == 1 ? 0 : (i + 1ull) << 20;
        for (uint32_t j = 0; j < 3; j++)
            n->distance.p[i * 3 + j] = i == j ? 10 : 20 + i + j;
    }
    n->num_nodes = 3;
}

static int sysctl(struct xen_sysctl *op)
{
    if (op->cmd == XEN_SYSCTL_numainfo)
        numainfo(&op->u.numainfo);
    if (op->cmd == XEN_SYSCTL_getdomaininfolist) {
        op->u.getdomaininfolist.num_domains = 1; /* the control domain */
        memset(op->u.getdomaininfolist.buffer.p, 0, sizeof(struct xen_domctl_getdomaininfo));
    }
    if (op->cmd == XEN_SYSCTL_physinfo) {
        op->u.physinfo.free_pages = op->u.physinfo.total_pages = FREE_PAGES;
        op->u.physinfo.capabilities = host.physcaps;
    }
    return 0;
}

static void count_pages(uint64_t n)
{
    uint64_t of_claim = n < host.claimed ? n : host.claimed;

    host.came += n;
    host.claimed -= of_claim;
    host.strays += n - of_claim;
}

static long memory_op(unsigned cmd, void *arg)
{
    struct xen_memory_reservation *r = arg;

    if (cmd == XENMEM_claim_pages)
        host.claimed = r->nr_extents;
    if (cmd != XENMEM_populate_physmap)
        return 0;
    count_pages(r->nr_extents << r->extent_order);
    for (uint64_t i = 0; i < r->nr_extents; i++, next_frame += 1ul << r->extent_order)
        r->extent_start.p[i] = next_frame;
    return (long)r->nr_extents;
}

static void event_channel_op(unsigned cmd, void *arg)
{
    if (cmd == EVTCHNOP_alloc_unbound)
        ((struct evtchn_alloc_unbound *)arg)->port = next_port++;
}

static void grant_table_op(unsigned cmd, void *arg)
{
    struct gnttab_setup_table *setup = arg;

    if (cmd != GNTTABOP_setup_table)
        return;
    setup->status = GNTST_okay;
    setup->frame_list.p[0] = 0x78;
}

/* --- libxencall --- */

xencall_handle *xencall_open(struct xentoollog_logger *logger, unsigned flags)
{
    host.held++;
    return (xencall_handle *)&host;
}

int xencall_close(xencall_handle *x)
{
    host.held--;
    return 0;
}

int xencall1(xencall_handle *x, unsigned op, uint64_t a)
{
    if (fails("xencall1"))
        return -1;
    if (op == __HYPERVISOR_domctl)
        return answer(domctl((void *)a));
    return op == __HYPERVISOR_sysctl ? answer(sysctl((void *)a)) : 0;
}

int xencall2(xencall_handle *x, unsigned op, uint64_t a, uint64_t b)
{
    if (fails("xencall2"))
        return -1;
    if (op == __HYPERVISOR_event_channel_op)
        event_channel_op((unsigned)a, (void *)b);
    return op == __HYPERVISOR_xen_version && a == XENVER_version ? 4 << 16 | 17 : 0;
}

long xencall2L(xencall_handle *x, unsigned op, uint64_t a, uint64_t b)
{
    return fails("xencall2L") ? -1 : memory_op((unsigned)a, (void *)b);
}

int xencall3(xencall_handle *x, unsigned op, uint64_t a, uint64_t b, uint64_t c)
{
    if (fails("xencall3"))
        return -1;
    if (op == __HYPERVISOR_grant_table_op)
        grant_table_op((unsigned)a, (void *)b);
    return 0;
}

int xencall4(xencall_handle *x, unsigned op, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    return fails("xencall4") ? -1 : 0;
}

int xencall5(xencall_handle *x, unsigned op, uint64_t a, uint64_t b, uint64_t c, uint64_t d, uint64_t e)
{
    return fails("xencall5") ? -1 : 0;
}

void *xencall_alloc_buffer(xencall_handle *x, size_t size)
{
    if (fails("xencall_alloc_buffer"))
        return NULL;
    host.held++;
    return calloc(1, size);
}

void xencall_free_buffer(xencall_handle *x, void *buffer)
{
    host.held--;
    free(buffer);
}

void *xencall_alloc_buffer_pages(xencall_handle *x, size_t pages)
{
    return xencall_alloc_buffer(x, pages * PAGE);
}

void xencall_free_buffer_pages(xencall_handle *x, void *buffer, size_t pages)
{
    xencall_free_buffer(x, buffer);
}

/* --- libxenforeignmemory, libxentoollog, the connection to xenstored --- */

xenforeignmemory_handle *xenforeignmemory_open(struct xentoollog_logger *logger, unsigned flags)
{
    if (fails("xenforeignmemory_open"))
        return NULL;
    host.held++;
    return (xenforeignmemory_handle *)&host;
}

int xenforeignmemory_close(xenforeignmemory_handle *m)
{
    host.held--;
    return 0;
}

void *xenforeignmemory_map(xenforeignmemory_handle *m, uint32_t dom, int prot, size_t pages, const xen_pfn_t *frames,
                           int *errors)
{
    if (fails("xenforeignmemory_map"))
        return NULL;
    host.held++;
    return aligned_alloc(PAGE, pages * PAGE);
}

int xenforeignmemory_unmap(xenforeignmemory_handle *m, void *address, size_t pages)
{
    host.held--;
    free(address);
    return 0;
}

xenforeignmemory_resource_handle *xenforeignmemory_map_resource(xenforeignmemory_handle *m, domid_t dom, unsigned type,
                                                                unsigned id, unsigned long frame, unsigned long count,
                                                                void **address, int prot, int flags)
{
    *address = fails("xenforeignmemory_map_resource") ? NULL : aligned_alloc(PAGE, count * PAGE);
    host.held += *address != NULL;
    return *address;
}

int xenforeignmemory_unmap_resource(xenforeignmemory_handle *m, xenforeignmemory_resource_handle *resource)
{
    host.held--;
    free(resource);
    return 0;
}

xentoollog_logger_stdiostream *xtl_createlogger_stdiostream(FILE *f, xentoollog_level least, unsigned flags)
{
    host.held++;
    return (xentoollog_logger_stdiostream *)&host;
}

void xtl_logger_destroy(struct xentoollog_logger *logger)
{
    host.held--;
}

const char *xs_daemon_socket(void)
{
    return "/run/xenstored/socket";
}

struct xs_handle *xs_open(unsigned long flags)
{
    if (fails("xs_open"))
        return NULL;
    host.held++;
    return (struct xs_handle *)&host;
}

bool xs_resume_domain(struct xs_handle *store, unsigned domid)
{
    return true;
}

void xs_close(struct xs_handle *store)
{
    host.held--;
}
