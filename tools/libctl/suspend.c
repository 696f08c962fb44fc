// SPDX-License-Identifier: BSD-2-Clause
/*
 * Sending a guest to sleep and letting it go on, and what its console said last.
 *
 * Place: around a save. The guest's kernel takes the request, puts its devices away, and ends in a call that says
 * "suspended"; that call returns 0 in a domain made anew from a saved one, and 1 in one that simply goes on, whose
 * kernel then keeps its channels and grants.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "libctl/internal.h"

#include <xen/io/console.h>

#define REST_MS 10000

static bool suspended(const struct ctl_domain_info *info)
{
    return info->shutdown && !info->dying && info->shutdown_reason == SHUTDOWN_suspend;
}

/* It took the request; now it has to come to rest. One that has ended will not suspend any more. */
static int wait_suspended(struct ctl *ctl, uint32_t domid, const struct ctl_wait *w, bool *asked, struct ctl_error *err)
{
    struct ctl_domain_end end;
    int rc = ctl_wait_within(ctl, domid, w, &end, err);

    if (rc == -ETIMEDOUT) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("suspend", domid),
                               "the guest took the request and still runs; its kernel may have refused to freeze");
    }
    *asked = rc < 0 || (!end.gone && end.reason == SHUTDOWN_suspend);
    if (rc == 0 && end.gone) {
        return ctl_fail_domain(ctl, err, -ESRCH, CTL_AT("suspend", domid), "it went away instead");
    }
    if (rc == 0 && end.reason != SHUTDOWN_suspend) {
        return ctl_fail_domain(ctl, err, -ECANCELED, CTL_AT("suspend", domid),
                               "it shut down with reason %u instead (0 poweroff, 1 reboot, 3 crash)", end.reason);
    }
    return rc;
}

/*
 * One of its virtual CPUs has said so, and the others are on their way out of the guest: until they are, they may store
 * to its memory.
 */
static int wait_rest(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    const struct timespec breath = {.tv_nsec = 1000000};
    uint64_t until = ctl_deadline(REST_MS);
    struct ctl_domain_info info;
    int rc = ctl_domain_info(ctl, domid, &info, err);

    while (rc == 0 && info.running && ctl_now_ms() < until) {
        nanosleep(&breath, NULL);
        rc = ctl_domain_info(ctl, domid, &info, err);
    }
    if (rc == 0 && info.running) {
        return ctl_fail_domain(ctl, err, -EBUSY, CTL_AT("suspend", domid), "a virtual CPU does not come to rest");
    }
    return rc;
}

int ctl_domain_can_suspend(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = ctl_domain_info(ctl, domid, &info, err);

    return rc < 0 || suspended(&info) ? rc : ctl_domain_takes(ctl, domid, CTL_REQUEST_SUSPEND, err);
}

int ctl_domain_suspend(struct ctl *ctl, uint32_t domid, const struct ctl_wait *w, bool *asked, struct ctl_error *err)
{
    uint64_t until = ctl_deadline(w->timeout_ms), now;
    struct ctl_wait rest = *w;
    struct ctl_domain_info info;
    int rc = ctl_domain_info(ctl, domid, &info, err);

    *asked = rc == 0 && suspended(&info);
    if (rc < 0 || *asked) {
        return rc < 0 ? rc : wait_rest(ctl, domid, err);
    }
    rc = ctl_domain_takes(ctl, domid, CTL_REQUEST_SUSPEND, err);
    if (rc < 0) {
        return rc;
    }
    *asked = true; /* one that could not be withdrawn may be taken later */
    rc = ctl_request_within(ctl, domid, CTL_REQUEST_SUSPEND, w, err);
    if (rc < 0) {
        return rc;
    }
    now = ctl_now_ms();
    rest.timeout_ms = until > now ? (unsigned)(until - now) : 0;
    rc = wait_suspended(ctl, domid, &rest, asked, err);
    return rc < 0 ? rc : wait_rest(ctl, domid, err);
}

/* The result of the call that vCPU 0 sleeps in. */
static int set_result(struct ctl *ctl, uint32_t domid, uint64_t value, struct ctl_error *err)
{
    struct vcpu_guest_context *c = ctl_buffer_get(ctl, sizeof(*c));
    struct xen_domctl op = {.cmd = XEN_DOMCTL_getvcpucontext, .domain = (domid_t)domid};
    int rc = -ENOMEM;

    if (c) {
        op.u.vcpucontext.ctxt.p = (void *)c;
        rc = ctl_call_domctl(ctl, &op);
    }
    if (rc >= 0) {
        c->user_regs.rax = value;
        c->flags &= ~(unsigned long)VGCF_I387_VALID; /* the short image: with it the rest of the state would go */
        op.cmd = XEN_DOMCTL_setvcpucontext;
        rc = ctl_call_domctl(ctl, &op);
    }
    ctl_buffer_put(ctl, c);
    if (rc < 0) {
        return ctl_fail_domain(ctl, err, rc, CTL_AT("let it go on", domid), "its registers could not be set");
    }
    return 0;
}

/* xenstored has told everybody that it stopped; without the last step it would not tell them of its next stop. */
int ctl_domain_go_on(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    struct ctl_domain_info info;
    int rc = ctl_domain_info(ctl, domid, &info, err);

    if (rc < 0 || !suspended(&info)) {
        return rc;
    }
    rc = info.hvm ? ctl_hvm_set_result(ctl, domid, 1, err) : set_result(ctl, domid, 1, err);
    if (rc == 0) {
        rc = ctl_domain_resume(ctl, domid, err);
    }
    if (rc == 0 && ctl_store_handle(ctl, err)) {
        xs_resume_domain(ctl->store, domid);
    }
    return rc;
}

/* --- the last words --- */

static char printable(char c)
{
    return c == '\n' || (c >= ' ' && c <= '~') ? c : ' ';
}

/* The ring holds what was said last even when it was read. The guest may be writing: what is taken is any of it. */
static size_t copy_tail(const struct xencons_interface *ring, char *out, size_t size)
{
    XENCONS_RING_IDX end = *(const volatile XENCONS_RING_IDX *)&ring->out_prod;
    size_t n = end < sizeof(ring->out) ? end : sizeof(ring->out);

    if (n > size - 1) {
        n = size - 1;
    }
    for (size_t i = 0; i < n; i++) {
        out[i] = printable(ring->out[MASK_XENCONS_IDX(end - (XENCONS_RING_IDX)(n - i), ring->out)]);
    }
    out[n] = '\0';
    return n;
}

static void keep_lines(char *text, size_t n, unsigned lines)
{
    char *from = text + n;

    while (from > text && (from[-1] != '\n' || lines--)) {
        from--;
    }
    memmove(text, from, strlen(from) + 1);
}

int ctl_console_tail(struct ctl *ctl, uint32_t domid, char *text, size_t size, unsigned lines)
{
    char *ref = ctl_store_read_domain(ctl, domid, "console/ring-ref", NULL);
    uint64_t frame = ref ? strtoull(ref, NULL, 10) : 0;
    const struct xencons_interface *ring = ref ? ctl_foreign_map(ctl, domid, PROT_READ, &frame, 1, NULL) : NULL;

    free(ref);
    text[0] = '\0';
    if (!ring) {
        return -ENOENT;
    }
    keep_lines(text, copy_tail(ring, text, size), lines);
    ctl_foreign_unmap(ctl, (void *)(uintptr_t)ring, 1);
    return 0;
}
