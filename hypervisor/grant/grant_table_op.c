/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Hypercall grant_table_op: walks the guest's array of elements, copies each in, hands it to its operation and copies
 * it back. Errors of an element go into its status and do not stop the rest; a bad array ends the call. Between
 * elements the call is restartable: the array and the count move past what is done.
 *
 * What depends on the table's version is in entry.c, table.c and version.c.
 */
#include <hv/frame.h>
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <hv/p2m.h>
#include <hv/sched.h>
#include <hv/stretch.h>
#include "internal.h"

#define CACHE_LINE 64u

/* The domain a guest names, with a reference: itself, or any for the control domain. GNTST_okay or why not. */
static int16_t named_domain(domid_t id, struct domain **out)
{
    struct domain *d = domain_get(id);

    if (!d)
        return GNTST_bad_domain;
    if (!d->grant || (d != current->domain && !current->domain->is_control)) {
        int16_t status = d->grant ? GNTST_permission_denied : GNTST_bad_domain;

        domain_put(d);
        return status;
    }
    *out = d;
    return GNTST_okay;
}

/* Element functions: 0, or -errno, which ends the call; -ERESTART repeats the element. */
static int do_map(void *arg)
{
    return grant_map_one(arg);
}

static int do_copy(void *arg)
{
    grant_copy_one(arg);
    return 0;
}

static int do_transfer(void *arg)
{
    struct gnttab_transfer *op = arg;

    op->status = GNTST_bad_page; /* the frame stays with the caller */
    return 0;
}

static int do_swap(void *arg)
{
    struct gnttab_swap_grant_ref *op = arg;

    op->status = grant_swap(current->domain, op->ref_a, op->ref_b);
    return 0;
}

/*
 * The numbers of the first nr frames of an array that only grows: as d names them, or ~0 where it has given the frame
 * none.
 */
static int write_frame_list(const struct domain *d, void *const *frames, unsigned int nr, xen_pfn_t *guest)
{
    stretch_work(nr);
    for (unsigned int i = 0; i < nr; i++) {
        mfn_t m = virt_to_mfn(frames[i]);
        xen_pfn_t frame = paging_mode_translate(d) ? get_gpfn_from_mfn(m) : mfn_x(m);

        if (guest_copy_to(guest + i, &frame, sizeof(frame)))
            return -EFAULT;
    }
    return 0;
}

static int do_setup_table(void *arg)
{
    struct gnttab_setup_table *op = arg;
    struct domain *d;
    int rc;

    op->status = named_domain(op->dom, &d);
    if (op->status != GNTST_okay)
        return 0;
    rc = grant_grow(d, op->nr_frames);
    if (!rc && preempt_before_work(op->nr_frames))
        rc = -ERESTART;
    if (rc && rc != -ERESTART)
        op->status = GNTST_general_error;
    else if (!rc && write_frame_list(d, d->grant->shared, op->nr_frames, op->frame_list.p))
        op->status = GNTST_bad_virt_addr;
    domain_put(d);
    return rc == -ERESTART ? rc : 0;
}

static int do_query_size(void *arg)
{
    struct gnttab_query_size *op = arg;
    struct domain *d;

    op->status = named_domain(op->dom, &d);
    if (op->status == GNTST_okay) {
        op->nr_frames = grant_nr_frames(d);
        op->max_nr_frames = d->grant->max_frames;
        domain_put(d);
    }
    return 0;
}

static int do_get_status_frames(void *arg)
{
    struct gnttab_get_status_frames *op = arg;
    struct domain *d;

    op->status = named_domain(op->dom, &d);
    if (op->status != GNTST_okay)
        return 0;
    if (op->nr_frames > grant_nr_status_frames(d))
        op->status = GNTST_general_error;
    else if (write_frame_list(d, (void *const *)d->grant->status, op->nr_frames, op->frame_list.p))
        op->status = GNTST_bad_virt_addr;
    domain_put(d);
    return 0;
}

static int do_dump_table(void *arg)
{
    struct gnttab_dump_table *op = arg;
    struct domain *d;

    if (!current->domain->is_control) {
        op->status = GNTST_permission_denied;
        return 0;
    }
    op->status = named_domain(op->dom, &d);
    if (op->status == GNTST_okay) {
        grant_dump_domain(d);
        domain_put(d);
    }
    return 0;
}

static int do_set_version(void *arg)
{
    struct gnttab_set_version *op = arg;
    int rc = grant_set_version(current->domain, op->version);

    if (rc != -ERESTART)
        op->version = grant_version(current->domain);
    return rc;
}

static int do_get_version(void *arg)
{
    struct gnttab_get_version *op = arg;
    struct domain *d;
    int16_t status = named_domain(op->dom, &d);

    if (status != GNTST_okay)
        return status == GNTST_bad_domain ? -ESRCH : -EPERM;
    op->version = grant_version(d);
    domain_put(d);
    return 0;
}

static void flush_lines(const char *p, size_t len)
{
    const char *end = p + len;

    smp_mb();
    for (p = (const char *)((uintptr_t)p & ~(uintptr_t)(CACHE_LINE - 1)); p < end; p += CACHE_LINE)
        __asm__ __volatile__("clflush %0" ::"m"(*p));
    smp_mb();
}

/* Frames of the caller only; x86 guests have no use for it on granted frames. */
static int do_cache_flush(void *arg)
{
    const struct gnttab_cache_flush *op = arg;
    enum p2m_type type;
    struct page_info *pg;

    if (op->offset >= PAGE_SIZE || op->length > PAGE_SIZE || op->offset + op->length > PAGE_SIZE)
        return -EINVAL;
    if (op->length == 0 || op->op == 0)
        return 0;
    if (op->op & GNTTAB_CACHE_SOURCE_GREF)
        return -EOPNOTSUPP;
    if (op->op & ~(GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL))
        return -EINVAL;
    if (!(op->op & GNTTAB_CACHE_CLEAN))
        return -EOPNOTSUPP; /* dropping lines unwritten could undo writes of others */
    pg = get_page_from_gfn(current->domain, _gfn(op->a.dev_bus_addr >> PAGE_SHIFT), &type);
    if (!pg)
        return -EPERM;
    flush_lines((const char *)page_to_virt(pg) + op->offset, op->length);
    stretch_work(STRETCH_FRAME);
    put_page(pg);
    return 0;
}

union element {
    struct gnttab_map_grant_ref map;
    struct gnttab_unmap_grant_ref unmap;
    struct gnttab_unmap_and_replace replace;
    struct gnttab_copy copy;
    struct gnttab_transfer transfer;
    struct gnttab_swap_grant_ref swap;
    struct gnttab_setup_table setup_table;
    struct gnttab_query_size query_size;
    struct gnttab_get_status_frames get_status_frames;
    struct gnttab_dump_table dump_table;
    struct gnttab_set_version set_version;
    struct gnttab_get_version get_version;
    struct gnttab_cache_flush cache_flush;
};

struct grant_op {
    int (*fn)(void *element);
    uint16_t size;
    bool single;        /* the count must be 1 */
    bool count_ignored; /* exactly one element, whatever the count */
};

#define OP(nr, func, type) [nr] = {.fn = (func), .size = sizeof(struct type)}
static const struct grant_op ops[] = {
    OP(GNTTABOP_map_grant_ref, do_map, gnttab_map_grant_ref),
    OP(GNTTABOP_transfer, do_transfer, gnttab_transfer),
    OP(GNTTABOP_copy, do_copy, gnttab_copy),
    OP(GNTTABOP_swap_grant_ref, do_swap, gnttab_swap_grant_ref),
    OP(GNTTABOP_cache_flush, do_cache_flush, gnttab_cache_flush),
    [GNTTABOP_setup_table] = {.fn = do_setup_table, .size = sizeof(struct gnttab_setup_table), .single = true},
    [GNTTABOP_query_size] = {.fn = do_query_size, .size = sizeof(struct gnttab_query_size), .single = true},
    [GNTTABOP_get_status_frames] = {.fn = do_get_status_frames,
                                    .size = sizeof(struct gnttab_get_status_frames),
                                    .single = true},
    [GNTTABOP_dump_table] = {.fn = do_dump_table, .size = sizeof(struct gnttab_dump_table), .single = true},
    [GNTTABOP_set_version] = {.fn = do_set_version, .size = sizeof(struct gnttab_set_version), .count_ignored = true},
    [GNTTABOP_get_version] = {.fn = do_get_version, .size = sizeof(struct gnttab_get_version), .count_ignored = true},
};

/* The rest of the call, after done elements. */
static long restart_after(struct hcall *hc, unsigned int done, size_t size)
{
    hc->arg[1] += done * size;
    hc->arg[2] -= done;
    return hypercall_restart(hc);
}

static long run_elements(struct hcall *hc, const struct grant_op *op, unsigned int count)
{
    char *guest = guest_ptr(char, hc->arg[1]);
    union element e;

    for (unsigned int i = 0; i < count; i++, guest += op->size) {
        uint32_t before;
        int rc;

        if (i && preempt_needed())
            return restart_after(hc, i, op->size);
        before = stretch_request();
        if (guest_copy_from(&e, guest, op->size))
            return -EFAULT;
        rc = op->fn(&e);
        if (rc == -ERESTART)
            return restart_after(hc, i, op->size);
        if (guest_copy_to(guest, &e, op->size))
            return -EFAULT;
        if (rc)
            return rc;
        stretch_request_done(before);
    }
    return 0;
}

/* Reads a batch of either unmap operation; the number read, 0 on a fault at the first. */
static unsigned int read_unmaps(const char *guest, bool replace, unsigned int n, struct unmap *u)
{
    size_t size = replace ? sizeof(struct gnttab_unmap_and_replace) : sizeof(struct gnttab_unmap_grant_ref);
    union element e;

    for (unsigned int i = 0; i < n; i++, guest += size) {
        if (guest_copy_from(&e, guest, size))
            return i;
        u[i].replace = replace;
        u[i].host_addr = replace ? e.replace.host_addr : e.unmap.host_addr;
        u[i].dev_bus_addr = replace ? 0 : e.unmap.dev_bus_addr;
        u[i].new_addr = replace ? e.replace.new_addr : 0;
        u[i].handle = replace ? e.replace.handle : e.unmap.handle;
    }
    return n;
}

static int write_statuses(char *guest, bool replace, unsigned int n, const struct unmap *u)
{
    size_t size = replace ? sizeof(struct gnttab_unmap_and_replace) : sizeof(struct gnttab_unmap_grant_ref);
    size_t at =
        replace ? offsetof(struct gnttab_unmap_and_replace, status) : offsetof(struct gnttab_unmap_grant_ref, status);

    for (unsigned int i = 0; i < n; i++, guest += size)
        if (guest_copy_to(guest + at, &u[i].status, sizeof(u[i].status)))
            return -EFAULT;
    return 0;
}

static long run_unmaps(struct hcall *hc, bool replace, unsigned int count)
{
    size_t size = replace ? sizeof(struct gnttab_unmap_and_replace) : sizeof(struct gnttab_unmap_grant_ref);
    char *guest = guest_ptr(char, hc->arg[1]);
    struct unmap u[UNMAP_BATCH];
    unsigned int done = 0;

    while (done < count) {
        unsigned int want = MIN(count - done, UNMAP_BATCH), read, n;

        if (done && preempt_needed())
            return restart_after(hc, done, size);
        read = read_unmaps(guest, replace, want, u);
        n = grant_unmap_batch(u, read);
        stretch_work(n);
        if (write_statuses(guest, replace, n, u))
            return -EFAULT;
        guest += n * size;
        done += n;
        if (n < read)
            return restart_after(hc, done, size);
        if (read < want)
            return -EFAULT;
    }
    return 0;
}

long do_grant_table_op(struct hcall *hc)
{
    unsigned int cmd = (unsigned int)hc->arg[0], count = (unsigned int)hc->arg[2];
    const struct grant_op *op;

    if ((int)count < 0)
        return -EINVAL;
    if (!current->domain->grant)
        return -ENOSYS;
    if (cmd == GNTTABOP_unmap_grant_ref || cmd == GNTTABOP_unmap_and_replace)
        return run_unmaps(hc, cmd == GNTTABOP_unmap_and_replace, count);
    if (cmd >= ARRAY_SIZE(ops))
        return -ENOSYS;
    op = &ops[array_index_nospec(cmd, ARRAY_SIZE(ops))];
    if (!op->fn)
        return -ENOSYS;
    if (op->single && count != 1)
        return -EINVAL;
    return run_elements(hc, op, op->count_ignored ? 1 : count);
}
