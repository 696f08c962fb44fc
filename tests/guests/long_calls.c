// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: hypercalls as long as they can be made: hundreds of flushes of everything in one batch, pins and unpins of
 * tables with 512 entries. On both vCPUs for a second. They are interrupted between their parts, so that a timer that
 * expires during a batch is delivered before the batch ends, and the neighbour goes on.
 */
#include "guest.h"

#define OPS    1000
#define SECOND 1000000000ul

static struct mmuext_op flushes[OPS], pins[2][OPS];
static volatile unsigned int rounds[2], inside[2], done[2];
static evtchn_port_t port[2];

/* A timer's event. A call to be taken up again has its syscall instruction before it still, and says what is done. */
static void handler(struct regs *r)
{
    unsigned int me = this_vcpu();

    CHECK_IS(r->vector, VEC_EVENT);
    __atomic_fetch_and(&shared_info->evtchn_pending[0], ~(1ul << port[me]), __ATOMIC_SEQ_CST);
    inside[me] += *(const uint16_t *)r->rip == 0x050f && done[me] > 0 && done[me] < OPS;
}

static void prepare(unsigned int me)
{
    unsigned long *table = new_page(), mfn = mfn_of(table), other = make_pte(mfn_of(new_page()), PTE_P | PTE_US);
    struct evtchn_bind_virq b = {.virq = VIRQ_TIMER, .vcpu = me};
    struct evtchn_unmask u;

    for (unsigned int i = 0; i < 512; i++)
        table[i] = other;
    REQUIRE(set_readonly(table) == 0);
    for (unsigned int i = 0; i < OPS; i++) {
        flushes[i] = (struct mmuext_op){.cmd = MMUEXT_TLB_FLUSH_ALL};
        pins[me][i] = (struct mmuext_op){.cmd = i & 1 ? MMUEXT_UNPIN_TABLE : MMUEXT_PIN_L1_TABLE, .arg1.mfn = mfn};
    }
    REQUIRE(evtchn_op(EVTCHNOP_bind_virq, &b) == 0);
    u.port = port[me] = b.port;
    REQUIRE(evtchn_op(EVTCHNOP_unmask, &u) == 0);
}

static void work(void)
{
    unsigned int me = this_vcpu();
    uint64_t start = now(), takes = 0, end = start + SECOND;

    unmask_events();
    while (start < end || (!inside[me] && start < end + 19 * SECOND)) {
        /* In the middle of a batch that takes as long as the last one. */
        CHECK_IS(HYPERCALL2(__HYPERVISOR_set_timer_op, start + takes / 2, 0), 0);
        CHECK_IS(hypercall(__HYPERVISOR_mmuext_op, P(pins[me]), OPS, P(&done[me]), DOMID_SELF, 0), 0);
        CHECK_IS(done[me], OPS);
        takes = now() - start;
        CHECK_IS(hypercall(__HYPERVISOR_mmuext_op, P(flushes), OPS / 10, P(&done[me]), DOMID_SELF, 0), 0);
        CHECK_IS(done[me], OPS / 10);
        rounds[me]++;
        start = now();
    }
    CHECK(inside[me] > 0);
}

void guest_main(void)
{
    prepare(0);
    prepare(1);
    on_entry = handler;
    start_vcpu(1, work);
    work();
    wait_vcpu(1);
    CHECK(rounds[0] > 0);
    CHECK(rounds[1] > 0);
    say("%u and %u rounds, %u and %u of them interrupted", rounds[0], rounds[1], inside[0], inside[1]);
}
