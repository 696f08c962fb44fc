/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the guests of tests/guests/device see, for one of them in one program of the host: memory and grants with a
 * hypervisor's rules, xenstored on its ring, and the other halves of their devices, which answer as those of the stock
 * kernel do.
 */
#ifndef DEVICE_WORLD_H
#define DEVICE_WORLD_H

#include "../guests/device/lib/front.h"

#define FRAMES 512u
#define BASE   0x10000ul /* number of the first frame */

extern uint8_t ram[FRAMES][PAGE_SIZE];
extern unsigned int nr_checks, nr_failures;
extern unsigned int chance; /* a number that changes */

/* Domain 0 maps a grant: its frame's address, or NULL. */
uint8_t *world_map(grant_ref_t ref, bool write);
/* The frame is let go. */
void world_unmap(const uint8_t *frame);

/* xenstore: absolute paths; those of the guest begin with its directory. NULL: there is none. */
#define HOME "/local/domain/7/"
const char *store_get(const char *dir, const char *node);
void store_put(const char *dir, const char *node, const char *value);
long store_get_number(const char *dir, const char *node);
void store_put_number(const char *dir, const char *node, long value);
/* Serves what is on the ring; true: a state of the guest's was written since the last call. */
bool store_serve(void);

/* Once around the other domains. */
void world_work(void);
/* The other halves: each looks whether there is anything of its kind. */
void blkback_work(bool changed);
void netback_work(bool changed);
void front_work(void);
/* The guest maps what a front end may have granted to it; GNTST_*. */
int front_grant(const struct gnttab_map_grant_ref *op);
/* The guest's end of the device's channel. */
extern evtchn_port_t world_port;
/* What a guest finds when it begins. */
void world_begin(void);
/* Until the guest's end; true: it has checked something, and all that it has checked held. */
bool world_run(void (*guest)(void));

#endif
