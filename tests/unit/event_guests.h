/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two guests and a control domain that use event channels, for host tests: one call per operation, made as the domain
 * given. A call that yields a port returns it, or the error.
 */
#ifndef EVENT_GUESTS_H
#define EVENT_GUESTS_H

#include "fake/machine.h"

extern struct domain *ctl, *a, *b;

/* max_port: the largest port the domain may have. */
struct domain *new_domain(domid_t id, unsigned int vcpus, bool control, unsigned int max_port);
/* What teardown does for events, as slowly as it may; the domain is dying then. */
void finish_domain(struct domain *d);

/* Around each test: ctl, a and b live, a's first vCPU current; nothing of them left at the end. */
int event_setup(void **state);
int event_teardown(void **state);

long op(unsigned int cmd, const void *arg);
long op_as(struct domain *d, unsigned int cmd, const void *arg);
long alloc_unbound(struct domain *caller, domid_t dom, domid_t remote);
long bind_interdomain(struct domain *caller, domid_t remote, evtchn_port_t port);
long bind_virq(struct domain *caller, uint32_t virq, uint32_t vcpu);
long bind_ipi(struct domain *caller, uint32_t vcpu);
long bind_pirq(struct domain *caller, uint32_t pirq, uint32_t flags);
long close_port(struct domain *caller, evtchn_port_t port);
long send_port(struct domain *caller, evtchn_port_t port);
long unmask(struct domain *caller, evtchn_port_t port);
long bind_vcpu(struct domain *caller, evtchn_port_t port, uint32_t vcpu);
long reset(struct domain *caller, domid_t dom);

/* Of d's own port, which exists. */
struct evtchn_status status(struct domain *d, evtchn_port_t port);
/* By the 2-level ABI. */
bool pending(struct domain *d, unsigned int port);
/* The guest takes a 2-level event. */
void consume(struct domain *d, unsigned int port);
/* A channel between x and y, quiet; *px and *py are its ports. */
void connect_guests(struct domain *x, struct domain *y, long *px, long *py);

#endif
