// SPDX-License-Identifier: BSD-2-Clause
/* What back ends of all kinds have in common. */
#include "back.h"

#define STEP_MS 10

void back_open(struct back *b)
{
    for (unsigned int waited = 0; !store_read("data", "back", b->dir, sizeof(b->dir)); waited += STEP_MS) {
        REQUIRE(waited < PATIENCE_MS);
        pause_ms(STEP_MS);
    }
    REQUIRE(store_read(b->dir, "frontend", b->front, sizeof(b->front)));
    b->domid = (domid_t)store_number(b->dir, "frontend-id");
}

bool back_set(const struct back *b, enum xenbus_state state)
{
    return store_write_number(b->dir, "state", (unsigned long)state);
}

enum xenbus_state front_state(const struct back *b)
{
    long state = store_number(b->front, "state");

    return state < 0 ? XenbusStateUnknown : (enum xenbus_state)state;
}

bool front_reaches(const struct back *b, enum xenbus_state state, unsigned int ms)
{
    for (unsigned int waited = 0; waited <= ms; waited += STEP_MS) {
        if (front_state(b) == state)
            return true;
        pause_ms(STEP_MS);
    }
    return false;
}

int back_map(const struct back *b, void *at, grant_ref_t ref, uint32_t flags)
{
    struct gnttab_map_grant_ref op = {
        .host_addr = P(at), .flags = GNTMAP_host_map | flags, .ref = ref, .dom = b->domid};

    return map_grant(&op, &op);
}

bool back_bind(struct back *b)
{
    struct evtchn_bind_interdomain bind = {.remote_dom = b->domid};

    bind.remote_port = (evtchn_port_t)store_number(b->front, "event-channel");
    if (evtchn_op(EVTCHNOP_bind_interdomain, &bind))
        return false;
    b->port = bind.local_port;
    return true;
}

void back_notify(const struct back *b)
{
    struct evtchn_send send = {.port = b->port};

    evtchn_op(EVTCHNOP_send, &send);
}
