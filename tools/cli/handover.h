/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words with which a guest changes hosts: those of `xl migrate` and `xl migrate-receive`, one way the guest's
 * stream, the other way the answers (docs/migration-stream.md, "Hand-over").
 */
#ifndef CLI_HANDOVER_H
#define CLI_HANDOVER_H

#include <signal.h>

#include "libctl/ctl.h"

enum handover {
    HANDOVER_BANNER, /* there -> here: send */
    HANDOVER_READY,  /* there -> here: it is complete */
    HANDOVER_GO,     /* here -> there: it is yours; there -> here, after a report of failure: it is yours again */
    HANDOVER_REPORT, /* there -> here: it runs, or does not; a byte follows, 0 if it runs */
};

/*
 * How long the stream may stand still before either takes the other for lost: the sender, when nothing is taken; the
 * receiver, when nothing comes. That has to be longer: a sender flushes disks for half a minute and then gives the
 * guest up to 100 seconds to suspend, and at the end flushes what it wrote last.
 */
extern unsigned handover_stuck_ms, handover_silence_ms;

/* Set by a signal: whatever waits gives up, unless the guest has been given away: then an answer is all that counts. */
extern volatile sig_atomic_t handover_cancelled, handover_done;

/* Called several times a second while something is waited for here; it has no say in that. NULL: nobody. */
void handover_meanwhile(void (*tell)(void *ctx), void *ctx);
/*
 * All of it, or -errno, in which case the other side cannot have had all of it. -ETIMEDOUT: not all of it was
 * taken within handover_stuck_ms, of an fd that does not block.
 */
int handover_say(int fd, enum handover what, struct ctl_error *err);
/* The next bytes must be these. -ETIMEDOUT, -EINTR: cancelled, -EPIPE: the other side ended, -EPROTO: others came. */
int handover_expect(int fd, enum handover what, unsigned timeout_ms, struct ctl_error *err);
int handover_status(int fd, uint8_t *status, unsigned timeout_ms, struct ctl_error *err);
/* A line, without its end. -EPROTO: the other side ended without one, or it is longer than that. */
int handover_line(int fd, char *line, size_t size, unsigned timeout_ms, struct ctl_error *err);
int handover_write(int fd, const void *data, size_t size, struct ctl_error *err);

#endif
