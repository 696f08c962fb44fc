/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is remembered about a guest, from the first step of its creation until nothing of it is left: a record in
 * xenstore, named by its uuid, which is also the handle that the hypervisor keeps of its domains.
 *
 *   /umbra/guest/UUID           the record, one line of JSON: written as a whole, so it is the old one or the new one
 *   /umbra/guest/UUID/config/N  the configuration as JSON, in pieces that fit a message; there before the record
 *   /umbra/guest/UUID/move      while it is moved to another host: where to, and how far, one line of JSON
 *   /umbra/name/NAME            the UUID: made, renamed and removed in one transaction with the record, so that whether
 *                               a name is free takes as long with many guests as with none. A guest that was handed
 *                               over keeps that of its real name
 *
 * Written only by the process that holds the guest's lock (lock.h). A state together with a free lock says what is left
 * to do; guest_settle() does it.
 */
#ifndef CLI_GUEST_STATE_H
#define CLI_GUEST_STATE_H

#include "cli/config.h"

#define GUEST_MOVE_BYTES 16
#define GUEST_MOVE_TEXT  (2 * GUEST_MOVE_BYTES + 1)

enum guest_phase {
    GUEST_PARTIAL,     /* the record itself was never finished: it is empty, and there never was a domain */
    GUEST_UNKNOWN,     /* not understood, as a newer version's: left alone, but its name and uuid are taken */
    GUEST_BUILDING,    /* being created for the first time; whatever has its handle is half-built */
    GUEST_STARTING,    /* complete, about to run */
    GUEST_RUNNING,     /* created; its domain may have stopped since */
    GUEST_RENAMING,    /* its stopped domain is to become another guest, `kept` */
    GUEST_REBOOTING,   /* whatever has its handle goes, then it is built again */
    GUEST_PRESERVED,   /* stopped, kept for inspection */
    GUEST_SAVING,      /* as running, but if it suspends and nobody is at work on it, it goes on */
    GUEST_MIGRATING,   /* as running; its memory is logged, which ends, and then as saving */
    GUEST_INCOMING,    /* arriving from another host; whatever has its handle is half-built, and may not run */
    GUEST_HANDED_OVER, /* asleep; whether it runs on the other host is for `migrate`, or `migrate-resolve`, to say */
    GUEST_DYING,       /* whatever has its handle goes, then the record */
    GUEST_PHASES
};

struct guest_state {
    uint8_t uuid[16];
    enum guest_phase phase;
    char name[CTL_NAME_MAX];
    int64_t domid;                /* the last one; -1: none yet */
    bool watched;                 /* does the supervisor act when it ends? */
    int64_t started, short_lives; /* seconds since the host's start; short lives in a row */
    uint8_t kept[16];             /* GUEST_RENAMING */
    char
        real[CTL_NAME_MAX]; /* GUEST_INCOMING, GUEST_HANDED_OVER, GUEST_DYING after these: its name when that is over */
    char move[GUEST_MOVE_TEXT]; /* while it is moved, which move it is: random, in hex; empty: not known */
    int64_t deaf;               /* its domain that outlived a xenstored (spare.h): it takes no request; 0: none */
};

const char *guest_phase_name(enum guest_phase phase);
/* 0 or -errno. The record as a whole; the configuration stays. */
int guest_state_put(struct ctl *ctl, const struct guest_state *gs, struct ctl_error *err);
/* The same with another name, with the names locked. */
int guest_state_rename(struct ctl *ctl, struct guest_state *gs, const char *name, struct ctl_error *err);
/* The same, and the configuration has that name as well: in one transaction. */
int guest_state_rename_all(struct ctl *ctl, struct guest_state *gs, const char *name, struct ctl_error *err);
/*
 * 0; -ENOENT: there is none, which is not told in *err; or another -errno: it could not be read, so there may be one.
 * *gs is written on success only.
 */
int guest_state_get(struct ctl *ctl, const uint8_t uuid[16], struct guest_state *gs, struct ctl_error *err);
/* All of them; *list is freed by the caller. Returns their number or -errno. */
int guest_state_list(struct ctl *ctl, struct guest_state **list, struct ctl_error *err);
/* The record as one line of JSON, freed by the caller (NULL: no memory); and back, all but the uuid. */
char *guest_state_text(const struct guest_state *gs);
void guest_state_parse(const char *text, struct guest_state *gs);
/* 0, or -ENOTCONN: the domain outlived its xenstored and takes no request, whose verb that is. */
int guest_hears(const struct guest_state *gs, uint32_t domid, const char *verb, struct ctl_error *err);
/* The domain of these that is the guest's and not dying; NULL: it has none. */
const struct ctl_domain_info *guest_domain(const struct ctl_domain_info *list, int n, const uint8_t uuid[16]);
/*
 * Takes name and uuid, and writes configuration and record. -EEXIST: *other (may be NULL) is the guest that has one of
 * them; it is not written if a domain without a record has the uuid.
 */
int guest_state_add(struct ctl *ctl, const struct guest_state *gs, const char *config, struct guest_state *other,
                    struct ctl_error *err);
/* With the names locked: would that be so now? *other is not asked for. */
int guest_state_may_add(struct ctl *ctl, const struct guest_state *gs, struct ctl_error *err);
int guest_state_remove(struct ctl *ctl, const uint8_t uuid[16], struct ctl_error *err);
/* Held from when a name is looked for until it is taken. */
int guest_names_lock(struct ctl_error *err);
void guest_names_unlock(void);
/* With the names locked: 0, or -EEXIST: a guest or domain has the name, or it is kept for one that was handed over. */
int guest_name_free(struct ctl *ctl, const char *name, struct ctl_error *err);
/* The same for a guest that comes or is taken back: names are kept for these. */
int guest_name_free_moved(struct ctl *ctl, const char *name, struct ctl_error *err);
/* The configuration as text, freed by the caller; NULL if there is none. 0 or -errno: it could not be read. */
int guest_state_config(struct ctl *ctl, const uint8_t uuid[16], char **config, struct ctl_error *err);
/* Another one instead; all of it or nothing. */
int guest_state_put_config(struct ctl *ctl, const uint8_t uuid[16], const char *config, struct ctl_error *err);
/* A configuration for another guest: freed by the caller; NULL: it is no JSON object, or no memory. */
char *guest_config_as(const char *config, const char *name, const uint8_t uuid[16]);
/* How a move goes on, as text; NULL removes it, and is read where there is none. */
int guest_state_put_move(struct ctl *ctl, const uint8_t uuid[16], const char *text, struct ctl_error *err);
int guest_state_move(struct ctl *ctl, const uint8_t uuid[16], char **text, struct ctl_error *err);
/* By name, or by the number of its last domain; a name goes first. As guest_state_get(). */
int guest_state_find(struct ctl *ctl, const char *name_or_id, struct guest_state *gs, struct ctl_error *err);

#endif
