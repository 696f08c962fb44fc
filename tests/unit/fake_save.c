/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stand-in's guests asleep, saved and restored (fake_ctl.h): what is written is the header that libctl itself
 * writes, and one line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libctl/stream.h"

#include "fake_ctl.h"

#define CONTENTS "contents"
#define BESIDE   "pages of connection 1"

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

int ctl_domain_can_suspend(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    const struct ctl_domain_info *d = domain(domid);

    if (d && d->paused)
        return ctl_error_set(err, -EBUSY, "suspend", "domain", "unpause it first", "it is paused");
    return fake->cannot_suspend ? ctl_error_set(err, fake->cannot_suspend, "suspend", "domain", NULL, "not announced")
                                : 0;
}

int ctl_domain_suspend(struct ctl *ctl, uint32_t domid, const struct ctl_wait *w, bool *asked, struct ctl_error *err)
{
    *asked = fake->suspend_fails != -EOPNOTSUPP;
    fake_count();
    fake->suspend_ms = w->timeout_ms;
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
    if (fake->go_on_fails)
        return ctl_error_set(err, fake->go_on_fails, "let it go on", "domain", NULL, "it cannot");
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

/* Each of the other connections has a word of its own, in the middle of which it may be cut. */
static int beside(struct ctl_stream *s, int (*move)(struct ctl_stream *s, void *data, size_t size))
{
    char text[sizeof(BESIDE)], want[sizeof(BESIDE)];
    int rc = 0;

    for (unsigned i = 0; i < s->nr_beside && rc == 0; i++) {
        snprintf(want, sizeof(want), "%s", BESIDE);
        want[sizeof(want) - 2] = (char)('2' + i);
        memcpy(text, want, sizeof(text));
        s->beside[i]->err = s->err;
        rc = move(s->beside[i], text, sizeof(text));
        if (rc == 0 && memcmp(text, want, sizeof(text)) != 0)
            rc = ctl_error_set(s->err, -EBADMSG, "read", s->beside[i]->name, NULL, "these are another one's");
    }
    return rc;
}

static int write_it(struct ctl_stream *s, void *data, size_t size)
{
    return ctl_stream_write(s, data, size);
}

int ctl_restore_domain(struct ctl *ctl, const struct ctl_domain_config *config, struct ctl_stream *stream,
                       uint32_t *domid, struct ctl_error *err)
{
    char contents[sizeof(CONTENTS)];
    int rc;

    stream->err = err;
    rc = ctl_stream_read(stream, contents, sizeof(contents));
    if (rc == 0)
        rc = beside(stream, ctl_stream_read);
    return rc < 0 ? rc : ctl_build_domain(ctl, config, domid, err);
}

/* --- sent while it runs --- */

int ctl_log_off(struct ctl *ctl, uint32_t domid, struct ctl_error *err)
{
    fake_count();
    fake->logging = 0;
    return 0;
}

static int send_stage(struct ctl_send_state *state, enum ctl_send_stage stage, const struct ctl_send *how,
                      struct ctl_error *err)
{
    int rc;

    state->stage = stage;
    usleep(fake->stage_ms * 1000);
    rc = how->tick ? how->tick(how->ctx, state, err) : 0;
    if (rc == 0 && fake->send_fails && fake->send_stage == (int)stage)
        rc = ctl_error_set(err, fake->send_fails, "copy its memory", "domain", NULL, "no");
    fake_count();
    return rc;
}

static int send_contents(struct ctl *ctl, uint32_t domid, struct ctl_stream *s, const struct ctl_send *how,
                         struct ctl_send_state *state, struct ctl_error *err)
{
    int rc;

    state->rounds = 2;
    state->round_pages = 1000;
    state->round_at = 500;
    state->rate = 12 << 20;
    state->dirty_rate = 1234;
    state->estimate_ms = 250;
    rc = send_stage(state, CTL_SEND_LIVE, how, err);
    fake->logging = how->live;
    s->err = err;
    state->sent[0] = 900;
    state->sent[1] = 100;
    state->pages = 1000;
    if (rc == 0)
        rc = send_stage(state, CTL_SEND_SUSPEND, how, err);
    state->asked_ms = 1000;
    if (rc == 0)
        rc = ctl_domain_suspend(ctl, domid, &(struct ctl_wait){.timeout_ms = how->suspend_ms}, &state->asked, err);
    state->asleep_ms = 1500;
    if (rc == 0)
        rc = send_stage(state, CTL_SEND_REST, how, err);
    if (rc == 0)
        rc = beside(s, write_it);
    return rc == 0 ? ctl_stream_write(s, CONTENTS, sizeof(CONTENTS)) : rc;
}

int ctl_domain_send(struct ctl *ctl, uint32_t domid, struct ctl_stream *s, const struct ctl_send *how,
                    struct ctl_send_state *state, struct ctl_error *err)
{
    int rc;

    fake->how = *how;
    rc = send_contents(ctl, domid, s, how, state, err);
    if (rc < 0) {
        ctl_log_off(ctl, domid, NULL);
        ctl_domain_go_on(ctl, domid, NULL);
        return rc;
    }
    state->stage = CTL_SEND_DONE;
    return 0;
}

/* --- would it be taken --- */

int ctl_policy_get(struct ctl *ctl, uint32_t domid, struct ctl_policy *policy, struct ctl_error *err)
{
    *policy = (struct ctl_policy){.leaves = strdup("leaves"), .leaves_size = 7, .msrs = strdup("msrs"), .msrs_size = 5};
    return 0;
}

void ctl_policy_free(struct ctl_policy *policy)
{
    free(policy->leaves);
    free(policy->msrs);
}

int ctl_build_trial(struct ctl *ctl, const struct ctl_domain_config *config, const struct ctl_policy *policy,
                    struct ctl_error *err)
{
    if (policy->leaves_size != 7 || memcmp(policy->leaves, "leaves", 7) != 0 || policy->msrs_size != 5 ||
        memcmp(policy->msrs, "msrs", 5) != 0)
        return ctl_error_set(err, -EINVAL, "try", config->name, NULL, "other processors");
    if (config->domid && domain(config->domid))
        return ctl_error_set(err, -EEXIST, "create a domain", NULL, NULL, "its number is taken");
    return fake->build_fails ? ctl_error_set(err, fake->build_fails, "try", config->name, "free some", "too large") : 0;
}
