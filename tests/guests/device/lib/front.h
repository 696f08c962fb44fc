/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The front half of any device: its directory, its state and that of its back end, its port, its grants. What is
 * proper about it is all that is here; guests spoil it. Sources: <xen/io/xenbus.h>, <xen/io/ring.h>.
 */
#ifndef DEVICE_FRONT_H
#define DEVICE_FRONT_H

#include "store.h"

#include <xen/io/xenbus.h>

#define xen_mb()  __sync_synchronize()
#define xen_rmb() __sync_synchronize()
#define xen_wmb() __sync_synchronize()

#define PATIENCE_MS 30000 /* for a back end on a slow machine */
#define NO_ANSWER   1000  /* in place of a status */

/* References: of rings, and then as guests like, up to the end of the table's first frame. */
#define RING_REF  8
#define FIRST_REF 16
#define REFS      512

struct front {
    const char *dir;
    char back[STORE_TEXT];
    evtchn_port_t port;
};

/* Finds the back end of the device whose directory is dir, which stays the caller's, and makes a port for it. */
void front_open(struct front *f, const char *dir);
bool front_set(const struct front *f, enum xenbus_state state);
enum xenbus_state back_state(const struct front *f);
/* Waits for the back end; false: it does not come to that state in time. */
bool back_reaches(const struct front *f, enum xenbus_state state, unsigned int ms);
/* To where a front end begins, whatever was before; false: the back end does not follow. */
bool front_reset(const struct front *f);
void front_notify(const struct front *f);

/* Domain 0 may use a frame by this reference: flags are GTF_*, besides permission. */
void lend(grant_ref_t ref, unsigned long frame, uint16_t flags);
/* The entry grants nothing any more; true: it was not in use. */
bool end_lending(grant_ref_t ref);
/* GTF_reading and GTF_writing as they are now. */
uint16_t lending_in_use(grant_ref_t ref);
/* Gives a frame of ours that we do not map to the hypervisor; false: it does not take it. */
bool give_back(unsigned long frame);
/* A frame from the hypervisor; 0: it gives none. */
unsigned long get_frame(void);

#endif
