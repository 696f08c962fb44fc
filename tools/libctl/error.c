// SPDX-License-Identifier: BSD-2-Clause
/*
 * The error object: which step failed, on what, why, and what to do.
 *
 * Place: every function of the library that fails ends here. Invariant: a filled object has code < 0 and terminated
 * strings. Does not print: that is the caller's business.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "libctl/internal.h"

int ctl_error_set(struct ctl_error *err, int code, const char *step, const char *object, const char *hint,
                  const char *fmt, ...)
{
    char from[CTL_OBJECT_MAX];
    va_list args;

    if (!err) {
        return code;
    }
    /* The object may be the one of the error that is replaced. */
    snprintf(from, sizeof(from), "%s", object ? object : "");
    memset(err, 0, sizeof(*err));
    err->code = code;
    snprintf(err->step, sizeof(err->step), "%s", step);
    snprintf(err->object, sizeof(err->object), "%s", from);
    snprintf(err->hint, sizeof(err->hint), "%s", hint ? hint : "");
    va_start(args, fmt);
    vsnprintf(err->message, sizeof(err->message), fmt, args);
    va_end(args);
    return code;
}

void ctl_error_field(struct ctl_error *err, const char *field)
{
    if (err) {
        snprintf(err->field, sizeof(err->field), "%s", field);
    }
}

size_t ctl_error_format(const struct ctl_error *err, char *buf, size_t size)
{
    const char *sep = err->object[0] ? ": " : "";
    int n;

    n = snprintf(buf, size, "%s: %s%s%s (%s)%s%s", err->step, err->object, sep, err->message, strerror(-err->code),
                 err->hint[0] ? "\n  " : "", err->hint);
    return n < 0 ? 0 : (size_t)n;
}

const char *ctl_hint(int code)
{
    switch (-code) {
    case EPERM:
    case EACCES:
        return "run it as root in the control domain";
    case ESRCH:
        return "no domain has that id now; list the domains to see those that exist";
    case ENOMEM:
        return "free memory on the host is short; see what the domains hold, or ask for less";
    case ENOSYS:
    case EOPNOTSUPP:
        return "this hypervisor does not offer the operation";
    case EBUSY:
        return "the domain is in use in another way; try again shortly";
    default:
        return NULL;
    }
}
