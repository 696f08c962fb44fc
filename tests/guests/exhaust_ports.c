// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: a guest takes event channels until there are no more: unbound ones, interdomain ones to itself, and IPIs. The
 * limit is its own, the error is ENOSPC, what it closes it can have again, and the ports that it never had cannot be
 * closed or sent to.
 */
#include "guest.h"

static unsigned int take(unsigned int (*one)(void), evtchn_port_t *ports, unsigned int n)
{
    unsigned int count = 0;

    while (count < n && (ports[count] = one()) != 0)
        count++;
    return count;
}

static unsigned int unbound(void)
{
    struct evtchn_alloc_unbound a = {.dom = DOMID_SELF, .remote_dom = DOMID_SELF};
    long rc = evtchn_op(EVTCHNOP_alloc_unbound, &a);

    CHECK(rc == 0 || rc == -XEN_ENOSPC);
    return rc ? 0 : a.port;
}

static unsigned int ipi(void)
{
    struct evtchn_bind_ipi a = {.vcpu = 0};
    long rc = evtchn_op(EVTCHNOP_bind_ipi, &a);

    CHECK(rc == 0 || rc == -XEN_ENOSPC);
    return rc ? 0 : a.port;
}

static void give(const evtchn_port_t *ports, unsigned int n)
{
    for (unsigned int i = 0; i < n; i++) {
        struct evtchn_close c = {.port = ports[i]};

        CHECK_IS(evtchn_op(EVTCHNOP_close, &c), 0);
        CHECK(evtchn_op(EVTCHNOP_close, &c) < 0);
    }
}

void guest_main(void)
{
    static evtchn_port_t ports[5000];
    unsigned int first = take(unbound, ports, ARRAY_SIZE(ports)), again;
    struct evtchn_bind_interdomain bind = {.remote_dom = DOMID_SELF, .remote_port = ports[0]};

    CHECK(first > 100 && first < 4096);
    CHECK_IS(evtchn_op(EVTCHNOP_bind_interdomain, &bind), -XEN_ENOSPC);
    give(ports, first);
    again = take(ipi, ports, ARRAY_SIZE(ports));
    CHECK_IS(again, first);
    give(ports, again);
    for (unsigned int bit = 12; bit < 32; bit++) {
        struct evtchn_close c = {.port = 1u << bit};
        struct evtchn_send s = {.port = (1u << bit) + 1};
        struct evtchn_unmask u = {.port = ~(1u << bit)};

        CHECK(evtchn_op(EVTCHNOP_close, &c) < 0);
        CHECK(evtchn_op(EVTCHNOP_send, &s) < 0);
        CHECK(evtchn_op(EVTCHNOP_unmask, &u) < 0);
    }
}
