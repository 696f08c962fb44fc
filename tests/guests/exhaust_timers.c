// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: timers set as fast as the guest can, into the past, to the end of time, and as a period that is too short to
 * be served. Each vCPU has one of each kind, so that setting is replacing; a period below a millisecond, or beyond all
 * reason, is refused, and a timeout of the past comes at once.
 */
#include "guest.h"

static const uint64_t times[] = {0, 1, 1000, 1ul << 40, 1ul << 62, 1ul << 63, ~0ul, ~0ul - 1000000};
static volatile unsigned int events;

static void count(struct regs *r)
{
    events += r->vector == VEC_EVENT;
}

static long vcpu_timer(unsigned int cmd, void *arg)
{
    return HYPERCALL3(__HYPERVISOR_vcpu_op, cmd, this_vcpu(), arg);
}

static void flood(void)
{
    for (unsigned int i = 0; i < 4000 && !stop; i++) {
        struct vcpu_set_singleshot_timer single = {.timeout_abs_ns = times[i % ARRAY_SIZE(times)]};
        struct vcpu_set_periodic_timer periodic = {.period_ns = 1000000};

        CHECK_IS(vcpu_timer(VCPUOP_set_singleshot_timer, &single), 0);
        CHECK_IS(vcpu_timer(VCPUOP_set_periodic_timer, &periodic), 0);
        CHECK_IS(HYPERCALL2(__HYPERVISOR_set_timer_op, now() + i % 3 * 1000, 0), 0);
    }
    CHECK_IS(vcpu_timer(VCPUOP_stop_periodic_timer, NULL), 0);
    CHECK_IS(vcpu_timer(VCPUOP_stop_singleshot_timer, NULL), 0);
}

void guest_main(void)
{
    struct evtchn_bind_virq virq = {.virq = VIRQ_TIMER, .vcpu = 0};
    struct vcpu_set_singleshot_timer late = {.timeout_abs_ns = 1, .flags = VCPU_SSHOTTMR_future};
    static const uint64_t refused[] = {0, 1, 999999, 1ul << 63, ~0ul};
    struct sched_poll poll = {.nr_ports = 1};

    CHECK_IS(evtchn_op(EVTCHNOP_bind_virq, &virq), 0);
    set_xen_guest_handle(poll.ports, &virq.port);
    /* A hypervisor may ignore the flag, says the header; Xen 4.17 does. */
    CHECK_IS(vcpu_timer(VCPUOP_set_singleshot_timer, &late), on_umbra() ? -XEN_ETIME : 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
        struct vcpu_set_periodic_timer periodic = {.period_ns = refused[i]};

        CHECK_IS(vcpu_timer(VCPUOP_set_periodic_timer, &periodic), -XEN_EINVAL);
    }
    on_entry = count;
    start_vcpu(1, flood);
    flood();
    wait_vcpu(1);
    /* The past comes at once; a poll that could wait for ever is ended by it, one of the past by itself. */
    REQUIRE(HYPERCALL2(__HYPERVISOR_set_timer_op, 1, 0) == 0);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll), 0);
    poll.nr_ports = 0;
    poll.timeout = 1;
    CHECK_IS(HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll), 0);
    poll.nr_ports = 1000;
    CHECK_IS(HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_poll, &poll), -XEN_EINVAL);
    unmask_events();
    HYPERCALL2(__HYPERVISOR_xen_version, XENVER_version, 0);
    CHECK(events > 0);
}
