// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: two vCPUs send each other events, each from within the handler of the last one too, so that there is always
 * one to deliver, and mask and unmask as fast as they can. For a second, and until both have got a hundred. Events go
 * on being delivered to both, and the machine to everybody else.
 */
#include "guest.h"

#define SECOND 1000000000ul
#define ENOUGH 100u

static evtchn_port_t port[2];
static volatile unsigned int received[2];

static void send(unsigned int to)
{
    struct evtchn_send s = {.port = port[to]};

    CHECK_IS(evtchn_op(EVTCHNOP_send, &s), 0);
}

static void clear_pending(unsigned int who)
{
    __atomic_fetch_and(&shared_info->evtchn_pending[port[who] / 64], ~(1ul << port[who] % 64), __ATOMIC_SEQ_CST);
}

static void handler(struct regs *r)
{
    unsigned int me = this_vcpu();

    if (r->vector != VEC_EVENT)
        fail_now(__FILE__, __LINE__, "another entry than events");
    received[me]++;
    clear_pending(me);
    if (!stop)
        send(!me);
}

static void work(void)
{
    unsigned int me = this_vcpu();

    unmask_events();
    while (!stop) {
        send(!me);
        WRITE_ONCE(shared_info->vcpu_info[me].evtchn_upcall_mask, 1);
        send(me);
        WRITE_ONCE(shared_info->vcpu_info[me].evtchn_upcall_mask, 0);
        HYPERCALL2(__HYPERVISOR_xen_version, XENVER_version, 0);
    }
    WRITE_ONCE(shared_info->vcpu_info[me].evtchn_upcall_mask, 1);
}

static void bind(unsigned int vcpu)
{
    struct evtchn_bind_ipi b = {.vcpu = vcpu};
    struct evtchn_unmask u;

    REQUIRE(evtchn_op(EVTCHNOP_bind_ipi, &b) == 0);
    u.port = port[vcpu] = b.port;
    REQUIRE(evtchn_op(EVTCHNOP_unmask, &u) == 0);
}

static void timed(void)
{
    uint64_t start = now(), t;

    while ((t = now() - start) < SECOND || (t < 20 * SECOND && (received[0] <= ENOUGH || received[1] <= ENOUGH)))
        HYPERCALL2(__HYPERVISOR_sched_op, SCHEDOP_yield, 0);
    stop = true;
}

void guest_main(void)
{
    bind(0);
    bind(1);
    on_entry = handler;
    start_vcpu(1, work);
    start_vcpu(2, timed);
    work();
    wait_vcpu(1);
    wait_vcpu(2);
    CHECK(received[0] > ENOUGH);
    CHECK(received[1] > ENOUGH);
    say("received %u and %u", received[0], received[1]);
}
