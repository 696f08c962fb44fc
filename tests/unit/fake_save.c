/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stand-in's guests asleep, saved and restored (fake_ctl.h): what is written is the header that libctl itself
 * writes, and one line.
 */
#include <stdio.h>
#include <string.h>

#include "libctl/stream.h"

#include "fake_ctl.h"

#define CONTENTS "contents"

static struct ctl_domain_info *domain(uint32_t domid)
{
    for (int i = 0; i < fake->n; i++) {
        if (fake->domains[i].domid == domid)
            return &fake->domains[i];
    }
    return NULL;
}

static bool asleep(const struct ctl_domain_info *d)
{
    return d && d->shutdown && d->shutdown_reason == SHUTDOWN_suspend;
}

int ctl_domain_suspend(struct ctl *ctl, uint32_t domid, unsigned timeout_ms, struct ctl_error *err)
{
    fake_count();
    fake->suspend_ms = timeout_ms;
    if (fake->suspend_fails)
        return ctl_error_set(err, fake->suspend_fails, "suspend", "domain", NULL, "it does not");
    fake_stop(domid, SHUTDOWN_suspend);
    fake_count();
    return 0;
}

int ctl_domain_go_on(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    struct ctl_domain_info *d = domain(domid);

    fake_count();
    if (asleep(d)) {
        d->shutdown = false;
        fake->woken++;
    }
    fake_count();
    return 0;
}

int ctl_console_tail(struct ctl *ctl, uint32_t domid, char *text, size_t size, unsigned lines)
{
    snprintf(text, size, "Freezing of tasks failed\n");
    return 0;
}

int ctl_domain_save(struct ctl *ctl, uint32_t domid, struct ctl_stream *s, struct ctl_error *err)
{
    fake_count();
    if (!asleep(domain(domid)))
        return ctl_error_set(err, -EBUSY, "save", "domain", NULL, "it is not suspended");
    if (fake->save_fails)
        return ctl_error_set(err, fake->save_fails, "write the stream", "file", NULL, "no");
    s->err = err;
    return ctl_stream_write(s, CONTENTS, sizeof(CONTENTS));
}

int ctl_restore_domain(struct ctl *ctl, const struct ctl_domain_config *config, struct ctl_stream *stream,
                       uint32_t *domid, struct ctl_error *err)
{
    char contents[sizeof(CONTENTS)];
    int rc;

    stream->err = err;
    rc = ctl_stream_read(stream, contents, sizeof(contents));
    return rc < 0 ? rc : ctl_build_domain(ctl, config, domid, err);
}
