/* SPDX-License-Identifier: BSD-2-Clause */
/* Grants in use, on the console: debug key 'g' and GNTTABOP_dump_table. A guest can have very many: the lines end. */
#include "internal.h"

static void print_grant(unsigned int ref, const struct active *a)
{
    if (a->what.kind == GRANT_TRANSITIVE)
        printk("  %5u grant %u of domain %u", ref, a->what.trans_ref, a->what.trans_domid);
    else
        printk("  %5u frame %lx", ref, a->what.frame);
    printk(" to domain %u: host r%u w%u device r%u w%u\n", a->what.domid, a->pin[0], a->pin[1], a->pin[2], a->pin[3]);
}

void grant_dump_domain(struct domain *d)
{
    struct grant_table *t = d->grant;
    unsigned int lines = 0;

    printk("Grants of domain %u: version %u, %u of %u frames, %u status frames, %u mappings of others' frames (limit "
           "%u), in a list of %u frames\n",
           d->id, t->version, t->nr_frames, t->max_frames, t->nr_status, t->in_use, t->max_handles,
           t->nr_handles / MAPPINGS_PER_CHUNK);
    for (unsigned int ref = 0; ref < t->nr_frames * V1_PER_FRAME; ref++) {
        const struct active *a = &t->active[ref / V1_PER_FRAME][ref % V1_PER_FRAME];

        if (!grant_pins(a, ~0u))
            continue;
        if (lines++ == LINES_PER_DOMAIN) {
            printk("  and more\n");
            break;
        }
        print_grant(ref, a);
    }
}

static void print_audit(struct domain *d)
{
    int broken = grant_audit(d);

    if (broken >= 0)
        printk("  audit: %d disagreements\n", broken);
    else
        printk("  not audited: in use\n");
}

void grant_dump(void)
{
    struct domain *d = domain_get_next(0);

    while (d) {
        domid_t next = (domid_t)(d->id + 1);

        if (d->grant) {
            grant_dump_domain(d);
            print_audit(d);
        }
        domain_put(d);
        d = domain_get_next(next);
    }
}
