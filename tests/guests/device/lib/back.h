/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A back end of another guest's device: this guest is a driver domain. Who makes the nodes in the control domain names
 * the back end's directory in data/back, last.
 */
#ifndef DEVICE_BACK_H
#define DEVICE_BACK_H

#include "front.h"

struct back {
    char dir[STORE_TEXT], front[STORE_TEXT];
    domid_t domid;
    evtchn_port_t port;
};

/* Waits for the nodes. */
void back_open(struct back *b);
bool back_set(const struct back *b, enum xenbus_state state);
enum xenbus_state front_state(const struct back *b);
/* Waits for the front end; false: it does not come to that state in time. */
bool front_reaches(const struct back *b, enum xenbus_state state, unsigned int ms);
/* The frame that the front end grants by ref, at an address of ours: flags are GNTMAP_*, besides host_map. */
int back_map(const struct back *b, void *at, grant_ref_t ref, uint32_t flags);
/* By the front end's event-channel; false: there is no such port. */
bool back_bind(struct back *b);
void back_notify(const struct back *b);

#endif
