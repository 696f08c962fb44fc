// SPDX-License-Identifier: BSD-2-Clause
/*
 * Calls from 32-bit code of translated domains. Layout of i386: pointers, frame numbers and what is as large as a
 * pointer have 32 bits, 64-bit members are aligned to 4 bytes. Three kinds:
 *
 *   - Arguments that look the same: the same call.
 *   - One structure that looks different (forms): it is copied in, laid out anew in the window (hv/guest_window.h), and
 *     the handler finds it there. What it stores there goes back. Lists of such elements are done one after the other.
 *   - Lists of calls, of extents, of what gets a frame, and of the frames of a table of grants.
 *
 * A pointer inside stays what it is, of 32 bits: what it names has to look the same. What is not here gives -ENOSYS.
 */
#include "dispatch.h"

#include <hv/grant.h>
#include <hv/guest_copy.h>
#include <hv/guest_window.h>
#include <hv/sched.h>
#include <hv/stretch.h>
#include <xen/event_channel.h>
#include <xen/memory.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define CMD_BITS 6 /* of memory_op's: above them is its progress */
#define SUB(cmd) (1ull << (cmd))
#define ALL_SUBS (~0ull)

/* ---- arguments that look the same ---- */

/* Sub-operations by number. Some of them are refused to a translated domain before more is looked at than whom they are
 * about. */
static const uint64_t same_layout[] = {
    [__HYPERVISOR_memory_op] =
        SUB(XENMEM_maximum_ram_page) | SUB(XENMEM_current_reservation) | SUB(XENMEM_maximum_reservation) |
        SUB(XENMEM_maximum_gpfn) | SUB(XENMEM_machphys_mapping) | SUB(XENMEM_machphys_mfn_list) |
        SUB(XENMEM_machphys_compat_mfn_list) | SUB(XENMEM_machine_memory_map) | SUB(XENMEM_set_pod_target) |
        SUB(XENMEM_get_pod_target) | SUB(XENMEM_get_sharing_freed_pages) | SUB(XENMEM_get_sharing_shared_pages) |
        SUB(XENMEM_get_vnumainfo) | SUB(XENMEM_acquire_resource),
    [__HYPERVISOR_xen_version] = ALL_SUBS & ~SUB(XENVER_platform_parameters),
    [__HYPERVISOR_console_io] = ALL_SUBS,
    [__HYPERVISOR_grant_table_op] = SUB(GNTTABOP_map_grant_ref) | SUB(GNTTABOP_unmap_grant_ref) |
                                    SUB(GNTTABOP_unmap_and_replace) | SUB(GNTTABOP_query_size) |
                                    SUB(GNTTABOP_set_version) | SUB(GNTTABOP_get_version) |
                                    SUB(GNTTABOP_swap_grant_ref) | SUB(GNTTABOP_cache_flush) | SUB(GNTTABOP_dump_table),
    [__HYPERVISOR_vm_assist] = ALL_SUBS,
    [__HYPERVISOR_vcpu_op] = SUB(VCPUOP_initialise) | SUB(VCPUOP_up) | SUB(VCPUOP_down) | SUB(VCPUOP_is_up) |
                             SUB(VCPUOP_set_periodic_timer) | SUB(VCPUOP_stop_periodic_timer) |
                             SUB(VCPUOP_stop_singleshot_timer) | SUB(VCPUOP_register_vcpu_info) | SUB(VCPUOP_send_nmi) |
                             SUB(VCPUOP_get_physid),
    [__HYPERVISOR_sched_op] = ALL_SUBS & ~SUB(SCHEDOP_poll),
    [__HYPERVISOR_event_channel_op] = ALL_SUBS,
    [__HYPERVISOR_hvm_op] = ALL_SUBS,
    [__HYPERVISOR_xenpmu_op] = ALL_SUBS,
    [__HYPERVISOR_dm_op] = ALL_SUBS,
};

static unsigned long command(const struct hcall *hc)
{
    return hc->op == __HYPERVISOR_memory_op ? hc->arg[0] & (SUB(CMD_BITS) - 1) : hc->arg[0];
}

static bool looks_the_same(const struct hcall *hc)
{
    unsigned int op = (unsigned int)array_index_nospec(hc->op, ARRAY_SIZE(same_layout));
    unsigned long cmd = command(hc);

    if (hc->op >= ARRAY_SIZE(same_layout))
        return false;
    return cmd < 64 ? same_layout[op] >> cmd & 1 : same_layout[op] == ALL_SUBS;
}

/* Element i of a list of words; the address has 32 bits. */
static void *word_at(uint32_t list, unsigned long i)
{
    return (void *)(uintptr_t)(uint32_t)(list + 4 * i);
}

/* ---- one structure ---- */

/* A member, or some that follow each other: where it stands for 32-bit code and for the handler. Numbers are
 * zero-extended to where they stand. */
struct member {
    uint8_t from, to, bytes;
};

/* The structure that argument arg of a command points to. */
struct form {
    uint8_t op, cmd, arg;
    uint8_t size; /* for 32-bit code */
    bool out;     /* the handler stores to it */
    bool list;    /* the next argument is the number of them */
    struct member member[9];
};

/* Pointers and frame numbers: 4 bytes, 8 there. */
static const struct form forms[] = {
    {__HYPERVISOR_memory_op, XENMEM_add_to_physmap, 1, 16, .member = {{0, 0, 8}, {8, 8, 4}, {12, 16, 4}}},
    {__HYPERVISOR_memory_op, XENMEM_remove_from_physmap, 1, 8, .member = {{0, 0, 2}, {4, 8, 4}}},
    {__HYPERVISOR_memory_op, XENMEM_memory_map, 1, 8, .out = true, .member = {{0, 0, 4}, {4, 8, 4}}},
    {__HYPERVISOR_memory_op, XENMEM_set_memory_map, 1, 12, .member = {{0, 0, 2}, {4, 8, 4}, {8, 16, 4}}},
    {__HYPERVISOR_memory_op, XENMEM_claim_pages, 1, 20, .member = {{0, 0, 4}, {4, 8, 4}, {8, 16, 8}, {16, 24, 2}}},
    {__HYPERVISOR_memory_op, XENMEM_reserved_device_memory_map, 1, 16, .out = true,
     .member = {{0, 0, 8}, {8, 8, 4}, {12, 16, 4}}},
    {__HYPERVISOR_memory_op, XENMEM_exchange, 1, 44,
     .member = {{0, 0, 4},
                {4, 8, 4},
                {8, 16, 8},
                {16, 24, 2},
                {20, 32, 4},
                {24, 40, 4},
                {28, 48, 8},
                {36, 56, 2},
                {40, 64, 4}}},
    {__HYPERVISOR_xen_version, XENVER_platform_parameters, 1, 4, .out = true, .member = {{0, 0, 4}}},
    {__HYPERVISOR_sched_op, SCHEDOP_poll, 1, 16, .member = {{0, 0, 4}, {4, 8, 4}, {8, 16, 8}}},
    {__HYPERVISOR_vcpu_op, VCPUOP_set_singleshot_timer, 2, 12, .member = {{0, 0, 12}}},
    {__HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area, 2, 8, .member = {{0, 0, 4}}},
    {__HYPERVISOR_vcpu_op, VCPUOP_register_vcpu_time_memory_area, 2, 8, .member = {{0, 0, 4}}},
    {__HYPERVISOR_vcpu_op, VCPUOP_get_runstate_info, 2, 44, .out = true, .member = {{0, 0, 4}, {4, 8, 40}}},
    {__HYPERVISOR_grant_table_op, GNTTABOP_get_status_frames, 1, 12, .out = true, .member = {{0, 0, 8}, {8, 8, 4}}},
    {__HYPERVISOR_grant_table_op, GNTTABOP_copy, 1, 24, .out = true, .list = true,
     .member = {{0, 0, 4}, {4, 8, 4}, {8, 16, 4}, {12, 24, 4}, {16, 32, 6}}},
    {__HYPERVISOR_grant_table_op, GNTTABOP_transfer, 1, 16, .out = true, .list = true,
     .member = {{0, 0, 4}, {4, 8, 2}, {8, 12, 4}, {12, 16, 2}}},
};
#define FORM_MAX  44u
#define FORM_ROOM 72u
static_assert(sizeof(struct xen_memory_exchange) == FORM_ROOM, "the largest");
static_assert(sizeof(struct gnttab_copy) == 40 && sizeof(struct vcpu_runstate_info) == 48, "what is in the window");

static const struct form *form_of(const struct hcall *hc)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(forms); i++)
        if (forms[i].op == hc->op && forms[i].cmd == command(hc))
            return &forms[i];
    return NULL;
}

static void lay_out(const struct form *f, uint8_t *to, const uint8_t *from)
{
    for (const struct member *m = f->member; m < f->member + ARRAY_SIZE(f->member); m++)
        memcpy(to + m->to, from + m->from, m->bytes);
}

static void take_back(const struct form *f, uint8_t *to, const uint8_t *from)
{
    for (const struct member *m = f->member; m < f->member + ARRAY_SIZE(f->member); m++)
        memcpy(to + m->from, from + m->to, m->bytes);
}

/* The call, with what argument arg points to laid out anew. */
static long run_form(struct hcall *hc, const struct form *f)
{
    void *guest = guest_ptr(void, hc->arg[f->arg]);
    uint8_t here[FORM_MAX], *there;
    long rc;

    if (guest_copy_from(here, guest, f->size))
        return -EFAULT;
    there = guest_window_open(FORM_ROOM);
    lay_out(f, there, here);
    hc->arg[f->arg] = GUEST_WINDOW;
    rc = hypercall_run(hc);
    hc->arg[f->arg] = (unsigned long)guest;
    take_back(f, here, there);
    guest_window_close();
    if (f->out && !hc->restart && guest_copy_to(guest, here, f->size))
        return -EFAULT;
    return rc;
}

/* Each element by itself. */
static long run_list(struct hcall *hc, const struct form *f)
{
    unsigned int count = (unsigned int)hc->arg[2];
    long rc = 0;

    if ((int)count < 0)
        return -EINVAL;
    for (; count && !rc; count--, hc->arg[1] += f->size) {
        struct hcall one = {.op = hc->op, .arg = {hc->arg[0], hc->arg[1], 1}};

        hc->arg[2] = count;
        rc = run_form(&one, f);
        if (one.restart)
            return hypercall_restart(hc);
        if (!rc && count > 1 && preempt_needed()) {
            hc->arg[1] += f->size;
            hc->arg[2] = count - 1;
            return hypercall_restart(hc);
        }
    }
    return rc;
}

/* ---- extents: lists of frame numbers ---- */

struct reservation_32 {
    uint32_t extent_start, nr_extents, extent_order, mem_flags;
    uint16_t domid, pad;
};

/* One of them: what the handler says, 1 if it was done. */
static long run_extent(struct hcall *one, const struct reservation_32 *r, uint32_t frame)
{
    struct {
        struct xen_memory_reservation r;
        xen_pfn_t frame;
    } *there = guest_window_open(sizeof(*there));
    long rc;

    there->r = (struct xen_memory_reservation){
        .nr_extents = 1, .extent_order = r->extent_order, .mem_flags = r->mem_flags, .domid = r->domid};
    there->r.extent_start.p = (xen_pfn_t *)(GUEST_WINDOW + sizeof(there->r));
    there->frame = frame;
    rc = hypercall_run(one);
    guest_window_close();
    return rc;
}

/* Says how many were done, as the handler does, whatever ends it. */
static long run_extents(struct hcall *hc)
{
    unsigned long cmd = command(hc), i = hc->arg[0] >> CMD_BITS;
    struct reservation_32 r;

    if (guest_copy_from(&r, guest_ptr(void, hc->arg[1]), sizeof(r)) || r.nr_extents > (~0u >> CMD_BITS))
        return (long)i;
    for (; i < r.nr_extents; i++) {
        struct hcall one = {.op = hc->op, .arg = {cmd, GUEST_WINDOW}};
        uint32_t frame;
        long rc;

        if (guest_copy_from(&frame, word_at(r.extent_start, i), sizeof(frame)))
            break;
        rc = run_extent(&one, &r, frame);
        if (!one.restart && rc != 1)
            break;
        if (one.restart || (i + 1 < r.nr_extents && preempt_needed())) {
            hc->arg[0] = cmd | (one.restart ? i : i + 1) << CMD_BITS;
            return hypercall_restart(hc);
        }
    }
    return (long)i;
}

static bool has_extents(const struct hcall *hc)
{
    unsigned long cmd = command(hc);

    return hc->op == __HYPERVISOR_memory_op &&
           (cmd == XENMEM_increase_reservation || cmd == XENMEM_decrease_reservation || cmd == XENMEM_populate_physmap);
}

/* ---- lists of what gets a guest frame ---- */

struct batch_32 {
    uint16_t domid, space, size, extra;
    uint32_t idxs, gpfns, errs;
};

/* Element i; of a list that has none so high only the rest is looked at. *err: what became of it. */
static long run_addition(struct hcall *one, const struct batch_32 *b, unsigned long i, int *err)
{
    uint32_t idx = 0, gpfn = 0;
    bool any = i < b->size;
    struct {
        struct xen_add_to_physmap_batch b;
        xen_ulong_t idx;
        xen_pfn_t gpfn;
        int err;
    } * there;
    long rc;

    if (any && (guest_copy_from(&idx, word_at(b->idxs, i), sizeof(idx)) ||
                guest_copy_from(&gpfn, word_at(b->gpfns, i), sizeof(gpfn))))
        return -EFAULT;
    there = guest_window_open(sizeof(*there));
    there->b = (struct xen_add_to_physmap_batch){.domid = b->domid, .space = b->space, .size = any};
    there->b.u.foreign_domid = b->extra;
    there->b.idxs.p = (xen_ulong_t *)(GUEST_WINDOW + offsetof(__typeof__(*there), idx));
    there->b.gpfns.p = (xen_pfn_t *)(GUEST_WINDOW + offsetof(__typeof__(*there), gpfn));
    there->b.errs.p = (int *)(GUEST_WINDOW + offsetof(__typeof__(*there), err));
    there->idx = idx;
    there->gpfn = gpfn;
    rc = hypercall_run(one);
    *err = there->err;
    guest_window_close();
    return rc;
}

/* 0: it is done, and the guest knows how it went. */
static long run_batch_element(struct hcall *one, const struct batch_32 *b, unsigned long i)
{
    int err = 0;
    long rc = run_addition(one, b, i, &err);

    if (rc || one->restart || i >= b->size)
        return rc;
    return guest_copy_to(word_at(b->errs, i), &err, sizeof(err)) ? -EFAULT : 0;
}

static long run_batch(struct hcall *hc)
{
    unsigned long cmd = command(hc), i = hc->arg[0] >> CMD_BITS;
    struct batch_32 b;
    long rc;

    if (guest_copy_from(&b, guest_ptr(void, hc->arg[1]), sizeof(b)))
        return -EFAULT;
    if (i > b.size)
        return -EILSEQ;
    do {
        struct hcall one = {.op = hc->op, .arg = {cmd, GUEST_WINDOW}};

        rc = run_batch_element(&one, &b, i);
        if (!one.restart && !rc)
            i++;
        if (one.restart || (!rc && i < b.size && preempt_needed())) {
            hc->arg[0] = cmd | i << CMD_BITS;
            return hypercall_restart(hc);
        }
    } while (!rc && i < b.size);
    return rc;
}

static bool is_batch(const struct hcall *hc)
{
    return hc->op == __HYPERVISOR_memory_op && command(hc) == XENMEM_add_to_physmap_batch;
}

/* ---- the frames of a table of grants ---- */

struct setup_table_32 {
    uint16_t dom;
    uint32_t nr_frames;
    int16_t status;
    uint32_t frame_list;
};

/* Their numbers, ~0 for one that has none of 32 bits. */
static int put_frames(const struct setup_table_32 *s, const xen_pfn_t *frame)
{
    for (uint32_t i = 0; i < s->nr_frames; i++) {
        uint32_t number = frame[i] >> 32 ? ~0u : (uint32_t)frame[i];

        if (guest_copy_to(word_at(s->frame_list, i), &number, sizeof(number)))
            return -EFAULT;
    }
    return 0;
}

/* The handler refuses more of them than there is room for. */
static long run_setup_table(struct hcall *hc)
{
    struct {
        struct gnttab_setup_table op;
        xen_pfn_t frame[MAX_GRANT_FRAMES];
    } * there;
    struct hcall one = {.op = hc->op, .arg = {hc->arg[0], GUEST_WINDOW, hc->arg[2]}};
    struct setup_table_32 s, *guest = guest_ptr(struct setup_table_32, hc->arg[1]);
    long rc;

    if (copy_from_guest(&s, guest, 1))
        return -EFAULT;
    there = guest_window_open(sizeof(*there));
    there->op = (struct gnttab_setup_table){.dom = s.dom, .nr_frames = s.nr_frames};
    there->op.frame_list.p = (void *)(GUEST_WINDOW + offsetof(__typeof__(*there), frame));
    rc = hypercall_run(&one);
    s.status = there->op.status;
    if (!rc && !one.restart && s.status == GNTST_okay && put_frames(&s, there->frame))
        s.status = GNTST_bad_virt_addr;
    guest_window_close();
    if (one.restart)
        return hypercall_restart(hc);
    return rc ? rc : copy_field_to_guest(guest, &s, status);
}

static bool is_setup_table(const struct hcall *hc)
{
    return hc->op == __HYPERVISOR_grant_table_op && command(hc) == GNTTABOP_setup_table;
}

/* ---- lists of calls ---- */

struct call_32 {
    uint32_t op, result, args[6];
};

/* 0: done, go on; -ERESTART: progress is stored in the guest's entry; -EFAULT. */
static int run_entry(struct call_32 *g)
{
    struct call_32 e;
    struct hcall sub = {0};

    if (copy_from_guest(&e, g, 1))
        return -EFAULT;
    sub.op = e.op;
    for (unsigned int i = 0; i < ARRAY_SIZE(e.args); i++)
        sub.arg[i] = e.args[i];
    e.result = (uint32_t)(e.op == __HYPERVISOR_multicall ? -EINVAL : hypercall_run_32(&sub));
    if (!sub.restart)
        return copy_field_to_guest(g, &e, result);
    for (unsigned int i = 0; i < ARRAY_SIZE(e.args); i++)
        e.args[i] = (uint32_t)sub.arg[i];
    return copy_field_to_guest(g, &e, args) ? -EFAULT : -ERESTART;
}

static long run_calls(struct hcall *hc)
{
    for (uint32_t n = (uint32_t)hc->arg[1]; n; n--) {
        uint32_t before = stretch_request();
        int rc = run_entry(guest_ptr(struct call_32, hc->arg[0]));

        hc->arg[1] = n;
        if (rc == -ERESTART)
            return hypercall_restart(hc);
        if (rc)
            return rc;
        if (current->domain->is_shutting_down)
            return 0;
        stretch_request_done(before);
        hc->arg[0] = (uint32_t)(hc->arg[0] + sizeof(struct call_32));
        hc->arg[1] = n - 1;
        if (n > 1 && preempt_needed())
            return hypercall_restart(hc);
    }
    return 0;
}

long hypercall_run_32(struct hcall *hc)
{
    const struct form *f;

    if (hc->op == __HYPERVISOR_set_timer_op) { /* its argument has two registers */
        hc->arg[0] |= hc->arg[1] << 32;
        return hypercall_run(hc);
    }
    if (looks_the_same(hc))
        return hypercall_run(hc);
    if (hc->op == __HYPERVISOR_multicall)
        return run_calls(hc);
    if (has_extents(hc))
        return run_extents(hc);
    if (is_batch(hc))
        return run_batch(hc);
    if (is_setup_table(hc))
        return run_setup_table(hc);
    f = form_of(hc);
    if (!f)
        return -ENOSYS;
    return f->list ? run_list(hc, f) : run_form(hc, f);
}
