// SPDX-License-Identifier: BSD-2-Clause
/*
 * A domain from a stream: the records, in which order they may come, and when enough has come.
 *
 * Place: a step of the builder (build.c), between the empty domain with its nodes, and its grants and introduction; the
 * builder's unwinding undoes everything. Flow: headers -> records, each checked as it comes: memory at once
 * (restore_pages.c), processors kept -> at the last one what needs all memory (restore_vcpu.c; of PVH guests
 * restore_hvm.c). Invariants: the stream
 * is as hostile as a guest; nothing that it says is used as size or index before it is checked.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "libctl/restore.h"

#define PER_FRAME  512
#define MAX_LEAVES 512
#define MAX_MSRS   64
#define MAX_XSAVE  (64u << 10)

int ctl_restore_domctl(struct ctl_restore *r, struct xen_domctl *op, const char *step)
{
    int rc;

    op->domain = (domid_t)r->b->domid;
    rc = ctl_call_domctl(r->b->ctl, op);
    if (rc < 0) {
        return ctl_fail_domain(r->b->ctl, r->b->err, rc, CTL_AT(step, r->b->domid),
                               "the hypervisor refused what %s has", r->s->name);
    }
    return rc;
}

int ctl_restore_clear(struct ctl_restore *r, uint64_t frame)
{
    void *page = ctl_foreign_map(r->b->ctl, r->b->domid, PROT_READ | PROT_WRITE, &frame, 1, r->b->err);

    if (!page) {
        return r->b->err->code;
    }
    memset(page, 0, CTL_PAGE_SIZE);
    ctl_foreign_unmap(r->b->ctl, page, 1);
    return 0;
}

uint64_t ctl_restore_frame(const struct ctl_restore *r, uint64_t pfn)
{
    return pfn < r->nr_pfns ? r->frame[pfn] : 0;
}

/* --- records before the memory --- */

static int on_pv_info(struct ctl_restore *r)
{
    struct pv_info info;
    int rc = ctl_record_exact(r->s, sizeof(info));

    if (rc < 0) {
        return rc;
    }
    memcpy(&info, r->s->rec.body, sizeof(info));
    if (r->has_info || info.width != 8 || info.levels != 4) {
        return ctl_stream_fail(r->s, -EOPNOTSUPP, "a second one, or not a 64-bit guest: width %u, %u levels",
                               info.width, info.levels);
    }
    r->has_info = true;
    return 0;
}

/* A policy record: entries of one size, handed to the hypervisor. */
static int on_policy(struct ctl_restore *r)
{
    bool msrs = r->s->rec.type == REC_MSR_POLICY;
    size_t each = msrs ? sizeof(xen_msr_entry_t) : sizeof(xen_cpuid_leaf_t), n = r->s->rec.length / each;
    struct xen_domctl op = {.cmd = XEN_DOMCTL_set_cpu_policy};
    void *list;
    int rc;

    if (r->s->rec.length % each || n > (msrs ? MAX_MSRS : MAX_LEAVES)) {
        return ctl_stream_fail(r->s, -EBADMSG, "%u bytes are no list of up to %d entries", r->s->rec.length,
                               msrs ? MAX_MSRS : MAX_LEAVES);
    }
    list = ctl_buffer_get(r->b->ctl, n ? n * each : 1);
    if (!list) {
        return ctl_stream_fail(r->s, -ENOMEM, "no locked memory for it");
    }
    memcpy(list, r->s->rec.body, n * each);
    if (msrs) {
        op.u.cpu_policy.nr_msrs = (uint32_t)n;
        set_xen_guest_handle(op.u.cpu_policy.msrs, (xen_msr_entry_t *)list);
    } else {
        op.u.cpu_policy.nr_leaves = (uint32_t)n;
        set_xen_guest_handle(op.u.cpu_policy.leaves, (xen_cpuid_leaf_t *)list);
    }
    rc = msrs ? 0 : ctl_features_check(r->b->ctl, r->b->domid, list, n, r->b->err);
    rc = rc < 0 ? rc : ctl_restore_domctl(r, &op, "set the CPU policy");
    ctl_buffer_put(r->b->ctl, list);
    return rc;
}

static int on_static_end(struct ctl_restore *r)
{
    int rc = ctl_record_exact(r->s, 0);

    if (rc == 0 && (!(r->has_info || ctl_restore_hvm(r)) || r->static_end)) {
        rc = ctl_stream_fail(r->s, -EBADMSG, "it comes twice, or before X86_PV_INFO");
    }
    r->static_end = true;
    return rc;
}

static int take_p2m(struct ctl_restore *r, uint64_t nr_pfns)
{
    r->nr_p2m = (nr_pfns + PER_FRAME - 1) / PER_FRAME;
    r->p2m_pfn = malloc(r->nr_p2m * sizeof(*r->p2m_pfn));
    r->frame = calloc(nr_pfns, sizeof(*r->frame));
    r->type = calloc(nr_pfns, 1);
    if (!r->p2m_pfn || !r->frame || !r->type) {
        return ctl_stream_fail(r->s, -ENOMEM, "no memory for a guest of %llu frames", (unsigned long long)nr_pfns);
    }
    r->nr_pfns = nr_pfns;
    memcpy(r->p2m_pfn, r->s->rec.body + sizeof(struct p2m_header), r->nr_p2m * sizeof(*r->p2m_pfn));
    for (uint64_t i = 0; i < r->nr_p2m; i++) {
        if (r->p2m_pfn[i] >= nr_pfns) {
            return ctl_stream_fail(r->s, -EBADMSG, "guest frame 0x%llx is beyond the last",
                                   (unsigned long long)r->p2m_pfn[i]);
        }
    }
    return 0;
}

static int on_p2m_frames(struct ctl_restore *r)
{
    struct p2m_header h;
    uint64_t frames;
    int rc = ctl_record_least(r->s, sizeof(h));

    if (rc < 0) {
        return rc;
    }
    memcpy(&h, r->s->rec.body, sizeof(h));
    frames = (uint64_t)h.last / PER_FRAME + 1;
    if (r->nr_pfns || h.first != 0) {
        return ctl_stream_fail(r->s, -EOPNOTSUPP, "a second one, or one that begins at 0x%x", h.first);
    }
    if (h.last >= ctl_restore_most_pfns(r)) {
        return ctl_stream_fail(r->s, -EBADMSG, "guest frames up to 0x%x, of a guest that has %llu KiB", h.last,
                               (unsigned long long)r->b->maxmem_kib);
    }
    rc = ctl_record_exact(r->s, sizeof(h) + frames * sizeof(*r->p2m_pfn));
    return rc == 0 ? take_p2m(r, (uint64_t)h.last + 1) : rc;
}

/* --- records besides the memory --- */

static int on_shared_info(struct ctl_restore *r)
{
    int rc = ctl_record_exact(r->s, CTL_PAGE_SIZE);

    if (rc == 0 && r->has_shared) {
        rc = ctl_stream_fail(r->s, -EBADMSG, "it comes twice");
    }
    if (rc == 0) {
        memcpy(r->shared, r->s->rec.body, CTL_PAGE_SIZE);
        r->has_shared = true;
    }
    return rc;
}

static int on_tsc_info(struct ctl_restore *r)
{
    int rc = ctl_record_exact(r->s, sizeof(r->tsc));

    if (rc == 0) {
        memcpy(&r->tsc, r->s->rec.body, sizeof(r->tsc));
        r->has_tsc = true;
    }
    return rc;
}

/* How large each may be: the XSAVE area is the processor's. */
static const size_t part_max[PARTS] = {[PART_BASIC] = sizeof(struct vcpu_guest_context),
                                       [PART_EXTENDED] = sizeof(struct xen_domctl_ext_vcpucontext),
                                       [PART_XSAVE] = MAX_XSAVE,
                                       [PART_MSRS] = MAX_MSRS * sizeof(xen_domctl_vcpu_msr_t)};

/* One without contents is what some savers make of nothing. */
static int on_vcpu(struct ctl_restore *r)
{
    static const unsigned part_of[] = {[REC_PV_VCPU_BASIC] = PART_BASIC,
                                       [REC_PV_VCPU_EXTENDED] = PART_EXTENDED,
                                       [REC_PV_VCPU_XSAVE] = PART_XSAVE,
                                       [REC_PV_VCPU_MSRS] = PART_MSRS};
    struct vcpu_header h;
    struct ctl_part *part;
    int rc = ctl_record_least(r->s, sizeof(h));

    if (rc < 0) {
        return rc;
    }
    memcpy(&h, r->s->rec.body, sizeof(h));
    if (h.vcpu >= r->b->maxvcpus) {
        return ctl_stream_fail(r->s, -EBADMSG, "vCPU %u, of a guest that has %u", h.vcpu, r->b->maxvcpus);
    }
    part = &r->vcpu[h.vcpu][part_of[r->s->rec.type]];
    if (part->data) {
        return ctl_stream_fail(r->s, -EBADMSG, "it comes twice for vCPU %u", h.vcpu);
    }
    part->size = r->s->rec.length - sizeof(h);
    if (part->size > part_max[part_of[r->s->rec.type]]) {
        return ctl_stream_fail(r->s, -EBADMSG, "%zu bytes of vCPU %u are more than it can have", part->size, h.vcpu);
    }
    part->data = malloc(part->size + 1);
    if (!part->data) {
        return ctl_stream_fail(r->s, -ENOMEM, "no memory for it");
    }
    memcpy(part->data, r->s->rec.body + sizeof(h), part->size);
    return 0;
}

static int on_end(struct ctl_restore *r)
{
    int rc = ctl_record_exact(r->s, 0);

    if (rc == 0) {
        rc = ctl_restore_lanes_end(r);
    }
    if (rc == 0 && ctl_restore_hvm(r)) {
        return ctl_restore_hvm_end(r);
    }
    if (rc == 0 && (!r->has_shared || !r->vcpu[0][PART_BASIC].size)) {
        rc = ctl_stream_fail(r->s, -EBADMSG, "%s is missing", r->has_shared ? "vCPU 0" : "SHARED_INFO");
    }
    return rc;
}

/* --- their order --- */

enum when { ANY_TIME, BEFORE_STATIC_END, AFTER_STATIC_END, AFTER_P2M };

struct handler {
    int (*fn)(struct ctl_restore *r);
    enum when when;
};

static const struct handler pv_handlers[] = {
    [REC_END] = {on_end, AFTER_P2M},
    [REC_PAGE_DATA] = {ctl_restore_pages, AFTER_P2M},
    [REC_PV_INFO] = {on_pv_info, BEFORE_STATIC_END},
    [REC_PV_P2M_FRAMES] = {on_p2m_frames, AFTER_STATIC_END},
    [REC_PV_VCPU_BASIC] = {on_vcpu, AFTER_P2M},
    [REC_PV_VCPU_EXTENDED] = {on_vcpu, AFTER_P2M},
    [REC_PV_VCPU_XSAVE] = {on_vcpu, AFTER_P2M},
    [REC_SHARED_INFO] = {on_shared_info, AFTER_STATIC_END},
    [REC_TSC_INFO] = {on_tsc_info, ANY_TIME},
    [REC_PV_VCPU_MSRS] = {on_vcpu, AFTER_P2M},
    [REC_STATIC_DATA_END] = {on_static_end, BEFORE_STATIC_END},
    [REC_CPUID_POLICY] = {on_policy, BEFORE_STATIC_END},
    [REC_MSR_POLICY] = {on_policy, BEFORE_STATIC_END},
};

static const struct handler hvm_handlers[CTL_ARRAY(pv_handlers)] = {
    [REC_END] = {on_end, AFTER_STATIC_END},
    [REC_PAGE_DATA] = {ctl_restore_pages, AFTER_STATIC_END},
    [REC_TSC_INFO] = {on_tsc_info, ANY_TIME},
    [REC_HVM_CONTEXT] = {ctl_restore_hvm_context, AFTER_STATIC_END},
    [REC_HVM_PARAMS] = {ctl_restore_hvm_params, AFTER_STATIC_END},
    [REC_STATIC_DATA_END] = {on_static_end, BEFORE_STATIC_END},
    [REC_CPUID_POLICY] = {on_policy, BEFORE_STATIC_END},
    [REC_MSR_POLICY] = {on_policy, BEFORE_STATIC_END},
};

static int handle(struct ctl_restore *r)
{
    const struct handler *h = ctl_restore_hvm(r) ? hvm_handlers : pv_handlers;

    if (r->s->rec.type == REC_ROUND && r->s->nr_beside) {
        return ctl_restore_round(r);
    }
    if (r->s->rec.type & REC_OPTIONAL) {
        return 0;
    }
    h += r->s->rec.type < CTL_ARRAY(pv_handlers) ? r->s->rec.type : REC_VERIFY;
    if (!h->fn) {
        return ctl_stream_fail(r->s, -EOPNOTSUPP, "it does not belong in the image of a %s guest that was saved whole",
                               ctl_restore_hvm(r) ? "PVH" : "PV");
    }
    if ((h->when == BEFORE_STATIC_END && r->static_end) || (h->when == AFTER_STATIC_END && !r->static_end) ||
        (h->when == AFTER_P2M && !r->nr_pfns)) {
        return ctl_stream_fail(r->s, -EBADMSG, "it comes %s",
                               h->when == BEFORE_STATIC_END  ? "after STATIC_DATA_END"
                               : h->when == AFTER_STATIC_END ? "before STATIC_DATA_END"
                                                             : "before X86_PV_P2M_FRAMES");
    }
    return h->fn(r);
}

/* The configuration has decided already how the domain was made. */
static int check_type(struct ctl_restore *r, uint32_t type)
{
    uint32_t want = ctl_restore_hvm(r) ? STREAM_TYPE_HVM : STREAM_TYPE_PV;

    if (type == want) {
        return 0;
    }
    return ctl_stream_fail(r->s, -EBADMSG, "the domain is of type %u, by its configuration a %s guest (%u)", type,
                           ctl_restore_hvm(r) ? "PVH" : "PV", want);
}

static int read_records(struct ctl_restore *r)
{
    uint32_t type;
    int rc = ctl_stream_expect(r->s, &type);

    rc = rc < 0 ? rc : check_type(r, type);
    do {
        rc = rc < 0 ? rc : ctl_restore_next(r);
        rc = rc < 0 ? rc : handle(r);
    } while (rc >= 0 && r->s->rec.type != REC_END);
    return rc < 0 ? rc : ctl_stream_expect_end(r->s);
}

static void release(struct ctl_restore *r)
{
    for (uint32_t i = 0; r->vcpu && i < r->b->maxvcpus; i++) {
        for (unsigned part = 0; part < PARTS; part++) {
            free(r->vcpu[i][part].data);
        }
    }
    free(r->vcpu);
    free(r->shared);
    free(r->type);
    free(r->frame);
    free(r->p2m_pfn);
    free(r->there);
    free(r->context.data);
}

static int begin(struct ctl_restore *r)
{
    if (ctl_restore_hvm(r)) {
        return ctl_restore_hvm_begin(r);
    }
    r->shared = malloc(CTL_PAGE_SIZE);
    r->vcpu = calloc(r->b->maxvcpus, sizeof(*r->vcpu));
    return r->shared && r->vcpu ? 0 : ctl_stream_fail(r->s, -ENOMEM, "no memory");
}

int ctl_build_restore(struct ctl_build *b)
{
    struct ctl_restore r = {.b = b, .s = b->stream};
    int rc;

    r.s->err = b->err;
    r.s->names = NULL;
    ctl_restore_lanes_begin(&r);
    rc = begin(&r);
    if (rc == 0) {
        rc = read_records(&r);
    }
    if (rc == 0) {
        rc = ctl_restore_hvm(&r) ? ctl_restore_hvm_state(&r) : ctl_restore_state(&r);
    }
    release(&r);
    return rc;
}
