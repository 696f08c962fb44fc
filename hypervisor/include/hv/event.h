/* SPDX-License-Identifier: BSD-2-Clause */
/* Event channels: 2-level and FIFO ABIs, interdomain, IPIs, VIRQs and physical interrupts. Source:
 * <xen/event_channel.h>. */
#ifndef HV_EVENT_H
#define HV_EVENT_H

#include <hv/domain.h>
#include <xen/event_channel.h>

int evtchn_domain_init(struct domain *d, unsigned int max_port);
int evtchn_vcpu_init(struct vcpu *v);
/* Teardown: closes channels, bounded slices: -ERESTART or 0. Afterwards peers see them closed. */
int evtchn_relinquish(struct domain *d);
/* At the domain's end, in bounded slices: -ERESTART or 0. */
int evtchn_domain_free(struct domain *d);
void evtchn_vcpu_free(struct vcpu *v);

/* Marks VIRQ pending on v (per-vCPU VIRQs) or on the vCPU to which d bound it (global ones). Any context. */
void send_vcpu_virq(struct vcpu *v, unsigned int virq);
void send_domain_virq(struct domain *d, unsigned int virq);
/* Global VIRQs go to the domain that handles them: the control domain unless set_virq_handler moved it. */
void send_global_virq(unsigned int virq);
int set_global_virq_handler(struct domain *d, unsigned int virq);
/* A physical interrupt for d: false when no channel is bound to the pirq. Any context. */
bool send_pirq(struct domain *d, unsigned int pirq);
/* Sends on a port of d, as its own EVTCHNOP_send. 0 or -EINVAL. */
int evtchn_send(struct domain *d, evtchn_port_t port);
/* Tells d's vCPU of the port; used by tools-independent code (console of the control domain). */
void evtchn_send_port(struct domain *d, unsigned int port);
/* v would be interrupted if it ran: an event waits and is not masked (upcall pending and not upcall mask), or an NMI
 * may be delivered; on hardware virtualisation: an interrupt, and interrupts are on. */
bool vcpu_event_pending(const struct vcpu *v);
/* Is the port pending (unmasked state ignored)? For SCHEDOP_poll; false for ports out of range. */
bool evtchn_port_pending(struct vcpu *v, unsigned int port);
/* Is it a port d may name? */
bool evtchn_port_valid(const struct domain *d, unsigned int port);
/* Sets the upcall pending flag and wakes v. */
void vcpu_mark_events_pending(struct vcpu *v);
/* Makes v look at what is pending: wakes it, or interrupts it where it runs. Any context. */
void vcpu_kick(struct vcpu *v);
/* Moves pending state when v's vcpu_info moves (VCPUOP_register_vcpu_info). */
void evtchn_vcpu_info_moved(struct vcpu *v);
/* has_32bit_shinfo of v's domain has changed: what the other selector says is announced anew, by that which counts now.
 * life_lock is held. */
void evtchn_width_changed(struct vcpu *v);
/* v->self_timer: an IPI of the vCPU to itself has waited (event/self.c). */
void evtchn_self_expired(void *vcpu);
/* Lists for debug key 'e'. */
void evtchn_dump(void);

#endif
