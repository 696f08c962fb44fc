/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The configuration in a saved guest's file: libxl's, as xl reads it, with umbra's own as one more member.
 */
#ifndef CLI_SAVED_CONFIG_H
#define CLI_SAVED_CONFIG_H

#include "cli/config.h"

/*
 * ours: the configuration as umbra keeps it. keep_domid: the guest is to have its number again. The text is freed by
 * the caller; NULL: no memory, or ours is no JSON.
 */
char *saved_config_write(struct ctl *ctl, const struct ctl_domain_info *info, const char *ours, bool keep_domid);
/* 0 or -errno; *c is to be freed in every case. A file of xl's own has libxl's part only. c->domid is set. */
int saved_config_read(const char *text, const char *file, struct config *c, struct ctl_error *err);

#endif
