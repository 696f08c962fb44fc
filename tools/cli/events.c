/* SPDX-License-Identifier: BSD-2-Clause */
/* See events.h. A domain is known by its number, a guest, which has one domain after the other, by its uuid. */
#include <string.h>

#include "cli/events.h"

struct teller {
    event_fn *tell;
    void *ctx;
};

static void say(const struct teller *t, const char *what, const struct event_domain *d, const char *detail)
{
    t->tell(t->ctx,
            &(struct event){.what = what, .domid = d->domid, .name = d->name, .uuid = d->uuid, .detail = detail});
}

static const struct event_domain *find(const struct event_view *v, uint32_t domid)
{
    for (int i = 0; i < v->n; i++) {
        if (v->domains[i].domid == domid)
            return &v->domains[i];
    }
    return NULL;
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static void changes_of(const struct teller *t, const struct event_domain *a, const struct event_domain *b)
{
    if (!same_text(a->name, b->name) && *b->name && !b->dying)
        say(t, *a->name ? "renamed" : "named", b, *a->name ? a->name : NULL);
    if (!a->paused && b->paused)
        say(t, "paused", b, NULL);
    if (!same_text(a->reason, b->reason))
        say(t, b->reason ? "shutdown" : "resumed", b, b->reason);
    if (a->paused && !b->paused)
        say(t, "unpaused", b, NULL);
    if (!a->dying && b->dying)
        say(t, "dying", b, NULL);
}

/* One that is seen for the first time may have gone some way already. */
static void begin_of(const struct teller *t, const struct event_domain *d)
{
    const struct event_domain fresh = {.domid = d->domid, .paused = true};
    struct event_domain before = fresh;

    say(t, "created", d, NULL);
    memcpy(before.name, d->name, sizeof(before.name));
    changes_of(t, &before, d);
}

static const struct event_guest *find_guest(const struct event_view *v, const uint8_t uuid[16])
{
    for (int i = 0; i < v->n_guests; i++) {
        if (memcmp(v->guests[i].uuid, uuid, 16) == 0)
            return &v->guests[i];
    }
    return NULL;
}

void events_guests(const struct event_view *before, const struct event_view *now, event_fn *tell, void *ctx)
{
    struct event e = {.domid = EVENT_NO_DOMAIN};

    for (int i = 0; i < now->n_guests; i++) {
        const struct event_guest *b = &now->guests[i], *a = find_guest(before, b->uuid);

        e.what = "guest";
        e.name = b->name;
        e.uuid = b->uuid;
        e.detail = guest_phase_name(b->phase);
        if (!a || a->phase != b->phase)
            tell(ctx, &e);
    }
    for (int i = 0; i < before->n_guests; i++) {
        const struct event_guest *a = &before->guests[i];

        e.what = "guest";
        e.name = a->name;
        e.uuid = a->uuid;
        e.detail = "gone";
        if (!find_guest(now, a->uuid))
            tell(ctx, &e);
    }
}

void events_domains(const struct event_view *before, const struct event_view *now, event_fn *tell, void *ctx)
{
    const struct teller t = {tell, ctx};

    for (int i = 0; i < before->n; i++) {
        if (!find(now, before->domains[i].domid))
            say(&t, "destroyed", &before->domains[i], NULL);
    }
    for (int i = 0; i < now->n; i++) {
        const struct event_domain *a = find(before, now->domains[i].domid);

        if (a)
            changes_of(&t, a, &now->domains[i]);
        else
            begin_of(&t, &now->domains[i]);
    }
}
