// SPDX-License-Identifier: BSD-2-Clause
/*
 * Names and ids of domains.
 *
 * Place: what every verb of the command line starts with, and how errors name a domain. A name wins over an id, so that
 * a domain named "7" can be reached.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libctl/internal.h"

int ctl_fail_domain(struct ctl *ctl, struct ctl_error *err, int code, struct ctl_at at, const char *fmt, ...)
{
    char object[CTL_OBJECT_MAX], message[CTL_TEXT_MAX];
    char *name;
    va_list args;

    if (!err) {
        return code;
    }
    name = ctl->store ? ctl_store_read_domain(ctl, at.domid, "name", NULL) : NULL;
    snprintf(object, sizeof(object), name ? "domain %u (%s)" : "domain %u", at.domid, name ? name : "");
    free(name);
    va_start(args, fmt);
    vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    return ctl_error_set(err, code, at.step, object, ctl_hint(code), "%s", message);
}

/* A whole decimal number up to CTL_DOMID_MAX, or -EINVAL. */
static int64_t parse_id(const char *text)
{
    int64_t value = 0;

    if (!*text) {
        return -EINVAL;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || value > CTL_DOMID_MAX) {
            return -EINVAL;
        }
        value = value * 10 + *text - '0';
    }
    return value > CTL_DOMID_MAX ? -EINVAL : value;
}

int ctl_domain_find(struct ctl *ctl, const char *name_or_id, uint32_t *domid, struct ctl_error *err)
{
    int64_t id = parse_id(name_or_id);
    struct ctl_domain_info *list;
    int count = ctl_domain_list(ctl, &list, err), found = -1, rc;

    if (count < 0) {
        return count;
    }
    for (int i = 0; i < count && found < 0; i++) {
        found = strcmp(list[i].name, name_or_id) == 0 ? i : -1;
    }
    for (int i = 0; i < count && found < 0 && id >= 0; i++) {
        found = list[i].domid == id ? i : -1;
    }
    if (found >= 0) {
        *domid = list[found].domid;
    }
    free(list);
    if (found >= 0) {
        return 0;
    }
    rc = ctl_store_answers(ctl, err);
    if (rc < 0) {
        return rc; /* which is why no name was known */
    }
    return ctl_error_set(err, -ESRCH, "find a domain", name_or_id, "list the domains to see those that exist",
                         "no domain has that name%s", id >= 0 ? " or id" : "");
}

int ctl_domain_name(struct ctl *ctl, uint32_t domid, char **name, struct ctl_error *err)
{
    int rc;

    *name = ctl_store_read_domain(ctl, domid, "name", NULL);
    if (*name) {
        return 0;
    }
    rc = ctl_store_answers(ctl, err);
    if (rc < 0) {
        return rc;
    }
    return ctl_fail_domain(ctl, err, -ENOENT, CTL_AT("find a domain's name", domid), "it has no name in xenstore");
}
