/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration in a saved guest's file: libxl's, as xl reads it, with umbra's own as one more member.
 */
#ifndef CLI_SAVED_CONFIG_H
#define CLI_SAVED_CONFIG_H

#include "cli/guest.h"

/* What is told beside the configuration. */
struct saved_more {
    char move[GUEST_MOVE_TEXT]; /* which move it comes by; empty: a file, or one that was not named */
    struct guest_asked asked;
    bool keep_domid; /* the guest is to have its number again */
};

/* 0 or -errno: of a guest that is there, all but the move. */
int saved_more_get(struct ctl *ctl, const struct ctl_domain_info *info, struct saved_more *more, struct ctl_error *err);

/* ours: the configuration as umbra keeps it. The text is freed by the caller; NULL: no memory, or ours is no JSON. */
char *saved_config_write(struct ctl *ctl, const struct ctl_domain_info *info, const char *ours,
                         const struct saved_more *more);
/*
 * 0 or -errno; *c is to be freed in every case. A file of xl's own has libxl's part only. c->domid is set. more: NULL,
 * if of no use; but for keep_domid, which c->domid says.
 */
int saved_config_read(const char *text, const char *file, struct config *c, struct saved_more *more,
                      struct ctl_error *err);

#endif
