// SPDX-License-Identifier: BSD-2-Clause
/*
 * Where a guest's console is: the terminal that xenconsoled serves and names in xenstore.
 *
 * Place: the verb console. The node may be written a moment after the domain starts, so this waits for it. Only names
 * below /dev are believed. Does not open or copy anything.
 */
#include <stdlib.h>
#include <string.h>

#include "libctl/internal.h"

static const char *const nodes[] = {"console/tty", "serial/0/tty"};

static char *tty_named(struct ctl *ctl, uint32_t domid)
{
    for (size_t i = 0; i < CTL_ARRAY(nodes); i++) {
        char *tty = ctl_store_read_domain(ctl, domid, nodes[i], NULL);

        if (tty && strncmp(tty, "/dev/", 5) == 0 && !strstr(tty, "..")) {
            return tty;
        }
        free(tty);
    }
    return NULL;
}

int ctl_console_tty(struct ctl *ctl, uint32_t domid, unsigned timeout_ms, char **path, struct ctl_error *err)
{
    uint64_t until = ctl_deadline(timeout_ms);
    char node[CTL_PATH_MAX];
    struct ctl_domain_info info;
    int rc = 0;

    ctl_path(node, "/local/domain/%u/console/tty", domid);
    if (!ctl_store_handle(ctl, err)) {
        return -ECONNREFUSED;
    }
    xs_watch(ctl->store, node, "console");
    while (!(*path = tty_named(ctl, domid)) && rc == 0) {
        rc = ctl_domain_info(ctl, domid, &info, err);
        rc = rc < 0 ? rc : ctl_store_answers(ctl, err);
        rc = rc < 0 ? rc : ctl_store_wait(ctl, until);
    }
    xs_unwatch(ctl->store, node, "console");
    if (*path) {
        return 0;
    }
    if (rc == -ETIMEDOUT) {
        struct ctl_error where = {0};

        ctl_fail_domain(ctl, &where, rc, CTL_AT("", domid), "%s", "");
        ctl_error_set(err, rc, "find the console", where.object, "see that xenconsoled is running",
                      "no terminal was named for it in time");
    }
    return rc;
}
