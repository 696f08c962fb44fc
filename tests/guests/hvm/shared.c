// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: what a guest shares with the hypervisor is laid out as its own compiler does, in 32-bit and in 64-bit code:
 * events with their masks and selectors, the wall clock, the runstate area. Without a hypervisor nothing is shared.
 */
#include "call.h"

#define SHARED  0x40002000ul /* a physical address without memory */
#define BITS    (8 * sizeof(long))
#define MASKS   (2048 + BITS * sizeof(long)) /* behind the pending bits, as many */
#define CLOCK   (MASKS + BITS * sizeof(long))
#define IN_2017 1500000000u

enum { EVTCHN_CLOSE = 3, EVTCHN_SEND, EVTCHN_BIND_IPI = 7, EVTCHN_UNMASK = 9 };

static volatile unsigned long *word(unsigned long offset)
{
    return (volatile unsigned long *)(TEST_AREA + offset);
}

static volatile uint8_t *announced(void)
{
    return (volatile uint8_t *)TEST_AREA;
}

static bool pending(uint32_t port)
{
    return *word(2048) >> port & 1; /* others may be, too: the guest has ports of the tools' */
}

static void see_nothing(void)
{
    *announced() = 0;
    *word(sizeof(long)) = 0; /* the selector */
    *word(2048) = 0;
}

static void look_at_clock(void)
{
    volatile uint32_t *clock = at(TEST_AREA + CLOCK);

    CHECK(clock[0] && !(clock[0] & 1) && clock[1] > IN_2017);
    CHECK(clock[2] < 1000000000);
}

static void take_events(void)
{
    volatile uint32_t bind[2] = {0, 0}; /* vCPU, and the port */

    CHECK_IS(hypercall(EVENT_OP, EVTCHN_BIND_IPI, bind, 0), 0);
    REQUIRE(bind[1] && bind[1] < BITS);
    for (unsigned long masked = 0; masked < 2; masked++) {
        see_nothing();
        *word(MASKS) = -masked;
        CHECK_IS(hypercall(EVENT_OP, EVTCHN_SEND, &bind[1], 0), 0);
        CHECK(pending(bind[1]));
        CHECK_IS(*word(sizeof(long)), !masked);
        CHECK_IS(*announced(), !masked);
    }
    CHECK_IS(hypercall(EVENT_OP, EVTCHN_UNMASK, &bind[1], 0), 0);
    CHECK_IS(*word(MASKS), ~(1ul << bind[1]));
    CHECK_IS(*word(sizeof(long)), 1);
    CHECK_IS(*announced(), 1);
    CHECK_IS(hypercall(EVENT_OP, EVTCHN_CLOSE, &bind[1], 0), 0);
    CHECK(!pending(bind[1]));
    *word(MASKS) = 0;
}

static void find_runstate(void)
{
    struct {
        int state;
        uint64_t entered, time[4];
        uint32_t behind;
    } *area = new_page();
    uint64_t where = (unsigned long)area, nowhere = 0;

    area->state = area->behind = 99;
    CHECK_IS(hypercall(VCPU_OP, 5, NULL, (unsigned long)&where), 0);
    CHECK_IS(area->state, 0); /* running */
    CHECK(area->entered && area->entered < 1ull << 50 && area->time[0] && area->time[0] < 1ull << 50);
    CHECK_IS(area->behind, 99);
    CHECK_IS(hypercall(VCPU_OP, 5, NULL, (unsigned long)&nowhere), 0);
}

void guest_main(void)
{
    volatile uint32_t param[4] = {SELF, 0, 0, 0}; /* CALLBACK_IRQ: by no vector */

    use_tables();
    CHECK(!on_xen || cpuid(0x40000000).b == 0x566e6558); /* "XenV" */
    if (!on_xen)
        return;
    CHECK_IS(hypercall(HVM_OP, 0, param, 0), 0); /* which says what kind of code this is, as add_to_physmap does */
    REQUIRE(add_to_physmap(0, 0, SHARED) == 0);
    map(TEST_AREA, (void *)SHARED, PTE_ALL);
    look_at_clock();
    take_events();
    find_runstate();
}
