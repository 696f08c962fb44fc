// SPDX-License-Identifier: BSD-2-Clause
/* The calls of calls.def are made, and their answers looked up in it. */
#define __XEN_TOOLS__ 1
#include "calls.h"

#include <xen/arch-x86/xen-mca.h>
#include <xen/hvm/hvm_op.h>
#include <xen/nmi.h>
#include <xen/xenoprof.h>

#define E(name) ((unsigned __int128)1 << XEN_##name)

#define MMU_ERRORS (E(EINVAL) | E(EBUSY) | E(EPERM) | E(ESRCH) | E(ENOSYS))
#define EXT_ERRORS (E(EINVAL) | E(EPERM) | E(EACCES) | E(EOPNOTSUPP) | E(ENOSYS))
#define PORT_ERRORS                                                                                           \
    (E(ESRCH) | E(EPERM) | E(EINVAL) | E(ENOSPC) | E(ENOMEM) | E(EBUSY) | E(ENOENT) | E(EEXIST) | E(EAGAIN) | \
     E(EOPNOTSUPP) | E(ENOSYS))
#define IRQ_ERRORS  (E(EINVAL) | E(EPERM) | E(ESRCH) | E(ENOSYS))
#define VCPU_ERRORS (E(ENOENT) | E(EEXIST) | E(ENOMEM) | E(EINVAL) | E(ETIME))
#define CONTROL     (E(EACCES) | E(EPERM))
#define COUNT       (~0ul >> 1)
#define XEN_NOTHING 0

#define MANY(call, first, last, place, flags, bad, other, most) \
    {__HYPERVISOR_##call, first, last, place, flags, XEN_##bad, other, most},
#define ONE(call, sub, place, flags, bad, other, most) MANY(call, sub, sub, place, flags, bad, other, most)
const struct pointer_call pointer_calls[] = {
#include "calls.def"
};
const unsigned int nr_pointer_calls = ARRAY_SIZE(pointer_calls);

/* The page keeps its own entry: what is wrong is who is to be told. */
static long flush_with(unsigned int nr, unsigned long p)
{
    static char page[PAGE_SIZE] __attribute__((aligned(4096)));

    return hypercall(nr, P(page), *entry_of(page, 1), (p & ~UVMF_FLUSHTYPE_MASK) | UVMF_TLB_FLUSH, DOMID_SELF, 0);
}

static long ext_with(unsigned int cmd, unsigned long p)
{
    struct mmuext_op op = {.cmd = cmd, .arg1.linear_addr = VIRT_BASE};

    set_xen_guest_handle(op.arg2.vcpumask, (void *)p);
    return hypercall(__HYPERVISOR_mmuext_op, P(&op), 1, 0, DOMID_SELF, 0);
}

/* The time is over when it begins. */
static long poll_with(unsigned long p)
{
    struct sched_poll poll = {.nr_ports = 1, .timeout = 1};

    set_xen_guest_handle(poll.ports, (evtchn_port_t *)p);
    return HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll);
}

long call_with_pointer(const struct pointer_call *c, unsigned int sub, unsigned long p)
{
    switch (c->place) {
    case FIRST:
        return raw_hypercall(c->nr, p, 1, 0, DOMID_SELF, 0);
    case SECOND:
        return raw_hypercall(c->nr, sub, p, 1, 0, 0);
    case THIRD:
        return raw_hypercall(c->nr, sub, 1, p, 0, 0);
    case OWN:
        return raw_hypercall(c->nr, sub, 0, p, 0, 0);
    case NONE:
        return raw_hypercall(c->nr, sub, ~0u, p, 0, 0);
    case DONE:
        return raw_hypercall(c->nr, 0, 0, p, DOMID_SELF, 0);
    case FLUSH:
        return flush_with(c->nr, p);
    case BITMAP:
        return ext_with(sub, p);
    default:
        return poll_with(p);
    }
}

static void check(bool ok, const struct pointer_call *c, unsigned int sub, unsigned long p, long answer)
{
    if (!ok)
        say("call %u, sub-operation %u, pointer %lx: %ld", c->nr, sub, p, answer);
    CHECK(ok);
}

void check_documented(const struct pointer_call *c, unsigned int sub, unsigned long p, long answer)
{
    bool ok = answer >= 0 ? (unsigned long)answer <= c->most
                          : answer > -128 && (answer == -c->bad || (c->other >> -answer & 1) || !on_umbra());

    check(ok, c, sub, p, answer);
}

void check_refused(const struct pointer_call *c, unsigned int sub, unsigned long p, long answer)
{
    if ((c->flags & XEN_DIFFERS) && !on_umbra())
        return;
    check(answer == -c->bad, c, sub, p, answer);
}
