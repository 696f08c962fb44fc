// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: the FIFO event ABI keeps its queues in the guest's memory. A control block and an event array at frames that
 * are page tables or not the guest's are refused; then the links between queued events are made into loops and pointed
 * beyond the array while events are sent. The hypervisor follows no link without end, and the pages stay the guest's.
 */
#include "guest.h"

#define PORTS 64

static uint32_t *array;
static char *control;
static evtchn_port_t ports[PORTS];

static long init(unsigned long mfn, unsigned int offset)
{
    struct evtchn_init_control op = {.control_gfn = mfn, .offset = offset, .vcpu = 0};

    return evtchn_op(EVTCHNOP_init_control, &op);
}

static long expand(unsigned long mfn)
{
    struct evtchn_expand_array op = {.array_gfn = mfn};

    return evtchn_op(EVTCHNOP_expand_array, &op);
}

static void send(evtchn_port_t port)
{
    struct evtchn_send s = {.port = port};

    CHECK_IS(evtchn_op(EVTCHNOP_send, &s), 0);
}

static void corrupt(unsigned int round)
{
    for (unsigned int i = 0; i < PORTS; i++) {
        uint32_t link = round % 4 == 0 ? ports[i] : round % 4 == 1 ? ports[0] : round % 4 == 2 ? 0x1ffff : i * 977;
        uint32_t flags = round & 1 ? 1u << EVTCHN_FIFO_LINKED : 0;

        WRITE_ONCE(array[ports[i]], flags | (round & 2 ? 1u << EVTCHN_FIFO_BUSY : 0) | (link & 0x1ffff));
    }
    for (unsigned int i = 0; i < 16; i++)
        WRITE_ONCE(((uint32_t *)control)[2 + i], round * 31 + i);
}

void guest_main(void)
{
    const unsigned long *table = entry_of(new_page(), 1);

    control = new_page();
    array = new_page();
    for (unsigned int i = 0; i < PORTS; i++) {
        struct evtchn_bind_ipi b = {.vcpu = 0};

        REQUIRE(evtchn_op(EVTCHNOP_bind_ipi, &b) == 0);
        ports[i] = b.port;
    }
    CHECK(expand(mfn_of(array)) < 0);
    CHECK(init(mfn_of(table), 0) < 0);
    CHECK(init(0x200, 0) < 0);
    CHECK(init(mfn_of(control), 4) < 0);
    CHECK(init(mfn_of(control), PAGE_SIZE - 64) < 0);
    CHECK(init(~0ul, 0) < 0);
    CHECK_IS(init(mfn_of(control), 0), 0);
    CHECK(expand(mfn_of(table)) < 0);
    CHECK(expand(0x200) < 0);
    CHECK_IS(expand(mfn_of(array)), 0);
    CHECK_IS(mmuext(MMUEXT_CLEAR_PAGE, mfn_of(array), 0), 0);
    for (unsigned int round = 0; round < 64; round++) {
        for (unsigned int i = 0; i < PORTS; i++) {
            struct evtchn_unmask u = {.port = ports[i]};

            send(ports[i]);
            (void)evtchn_op(EVTCHNOP_unmask, &u);
        }
        corrupt(round);
    }
    REQUIRE(set_readonly(control) == 0 && set_readonly(array) == 0);
    CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(control), 0), -XEN_EINVAL);
    CHECK_IS(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(array), 0), -XEN_EINVAL);
}
