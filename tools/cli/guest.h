/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What is done with a guest across its domains: built, started, restarted, ended. Every function but guest_lock() is
 * called with the guest's lock held, and may be ended by SIGKILL at any moment: the record (guest_state.h), written
 * before each step, then says what is left to do, and guest_settle() does it.
 */
#ifndef CLI_GUEST_H
#define CLI_GUEST_H

#include "cli/guest_state.h"

/* 0, or -EAGAIN when another process is at work on the guest longer than that. */
int guest_lock(const uint8_t uuid[16], unsigned timeout_ms, struct ctl_error *err);
void guest_unlock(const uint8_t uuid[16]);
/* 0, or why a guest of this record cannot be saved or moved now, as far as that can be known before. */
int guest_can_sleep(struct ctl *ctl, const char *verb, const struct guest_state *gs, uint32_t domid,
                    struct ctl_error *err);
/*
 * Locks the guest of a domain, for a verb that saves or moves it: 0, -ENOENT it has no record, -EBUSY not now, or why
 * it could not be put to sleep. It may have restarted while the lock was another's: *domid and *info are of the domain
 * that it has then.
 */
int guest_take(struct ctl *ctl, const char *verb, uint32_t *domid, struct ctl_domain_info *info, struct guest_state *gs,
               struct ctl_error *err);
/* What it said last, on standard error. */
void guest_show_console(struct ctl *ctl, uint32_t domid);
/* What a guest was asked or given to have since it was built. */
struct guest_asked {
    uint64_t target_kib;    /* memory; 0: as configured */
    uint32_t vcpus;         /* that are to be online; 0: as configured */
    struct ctl_sched share; /* weight 0: as configured */
};

/* What a domain is made from. */
struct guest_origin {
    struct ctl_stream *stream; /* NULL: its kernel */
    int64_t twin;              /* the domain on this host that it takes over from, or CTL_NO_TWIN */
    struct guest_asked asked;  /* of a stream */
};

/* The configuration, with what the guest was asked to have, as far as the configuration lets it have that. */
struct ctl_domain_config guest_build_config(const struct config *c, const struct guest_asked *asked);
/*
 * A paused domain by the configuration, its contents, its vCPUs where it wants them, and its devices. A failure leaves
 * nothing.
 */
int guest_build(struct ctl *ctl, const struct config *c, const struct guest_origin *from, uint32_t *domid,
                struct ctl_error *err);
/* The domain is complete: from here on the guest is created. Lets it run, or leaves it paused; one that runs is
 * started, even if that could not be written down. */
int guest_start(struct ctl *ctl, struct guest_state *gs, bool paused, struct ctl_error *err);
/*
 * Removes whatever is left of the guest, then its record. -EBUSY: others hold some of a domain's memory; the record
 * stays (GUEST_DYING) until they let go. Of one that is on its way here (GUEST_INCOMING) it is forgotten that it came.
 */
int guest_end(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err);
/* The same with one that never ran here, whatever its record says: if it was on its way here it is so still. */
int guest_give_up(struct ctl *ctl, struct guest_state *gs, struct ctl_error *err);
/*
 * The configuration, read back from the record. The name is the record's: the guest may have been renamed. -EINVAL: it
 * never can be read; other errors may pass. *c is to be freed in every case.
 */
int guest_config(struct ctl *ctl, const struct guest_state *gs, struct config *c, struct ctl_error *err);
/* Waits, for a bounded time, until the console daemon has taken what a guest that stands still has said. */
void guest_drain_console(struct ctl *ctl, const struct guest_state *gs, uint32_t domid);
/* Brings a guest to where nothing is left to do: half-built and half-removed ones go, stopped ones go the way that
 * their configuration says. */
int guest_settle(struct ctl *ctl, const uint8_t uuid[16], struct ctl_error *err);

/* --- guest_log.c: what the supervisor and its workers write ---------------------------------------------------- */

/* Tests point them elsewhere. */
extern const char *guest_log_dir, *guest_log_journal;

/* From here on, what is said goes to the log, and to standard error or the journal; before, nowhere. */
void guest_log_on(void);
/* The log as standard error; the old one is moved aside when it is large. */
int guest_log_open(void);
/* In a child that has closed what it inherited. */
void guest_log_again(void);
/* Moves it aside when it has grown large: guests decide how often something is said. */
void guest_log_trim(void);
void guest_say(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void guest_say_error(const char *name, const struct ctl_error *err);

#endif
