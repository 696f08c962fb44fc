/* SPDX-License-Identifier: BSD-2-Clause */
/* The verb audit: are the invariants of a guest's page tables and grants kept? Exit code 1 when one is broken, or the
 * grants could not be looked at. */
#include <inttypes.h>

#include "cli/cli.h"
#include "cli/diag.h"

static void print_audit(const char *name, const struct ctl_audit *a)
{
    put_clean(stdout, name);
    printf(": %" PRIu32 " invariants broken\n", a->broken);
    if (a->only_grants) {
        printf("looked at: its grants; `umbra shadow audit` looks at its page tables\n");
    } else {
        printf("looked at: %" PRIu64 " frames, %" PRIu64 " tables, %" PRIu64 " entries, %" PRIu64 " descriptor pages\n",
               a->frames, a->tables, a->entries, a->descriptor_pages);
        printf("shared with others: %" PRIu64 " frames\n", a->shared);
    }
    if (a->grants_in_use) {
        printf("grants: not audited: in use\n");
    } else {
        printf("grants: %" PRIu32 " entries, %" PRIu32 " handles of others\n", a->grants, a->handles);
    }
    for (unsigned i = 0; i < a->n; i++) {
        const struct ctl_audit_finding *f = &a->finding[i];

        if (f->is_grant) {
            printf("%s: %s: %" PRIu32 "\n", f->rule, f->what, f->number);
        } else {
            printf("%s: %s: frame %" PRIx64 " count %" PRIx64 " type %" PRIx64 "\n", f->rule, f->what, f->frame,
                   f->count_info, f->type_info);
        }
    }
    if (a->broken > a->n)
        printf("and %" PRIu32 " more\n", a->broken - a->n);
}

static void json_finding(struct json_out *o, const struct ctl_audit_finding *f)
{
    json_out_object(o, NULL);
    json_out_str(o, "rule", f->rule);
    json_out_str(o, "what", f->what);
    if (f->is_grant) {
        json_out_uint(o, "number", f->number);
    } else {
        json_out_uint(o, "frame", f->frame);
        json_out_uint(o, "count_info", f->count_info);
        json_out_uint(o, "type_info", f->type_info);
    }
    json_out_close(o);
}

static int json_audit(struct cli *cli, uint32_t domid, const struct ctl_audit *a)
{
    struct json_out *o = json_out_new(true);

    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.audit/1");
    json_out_uint(o, "domid", domid);
    json_out_uint(o, "broken", a->broken);
    json_out_bool(o, "tables_audited", !a->only_grants);
    json_out_uint(o, "frames", a->frames);
    json_out_uint(o, "tables", a->tables);
    json_out_uint(o, "entries", a->entries);
    json_out_uint(o, "descriptor_pages", a->descriptor_pages);
    json_out_uint(o, "shared_frames", a->shared);
    json_out_bool(o, "grants_audited", !a->grants_in_use);
    json_out_uint(o, "grant_entries", a->grants);
    json_out_uint(o, "grant_handles", a->handles);
    json_out_array(o, "findings");
    for (unsigned i = 0; i < a->n; i++)
        json_finding(o, &a->finding[i]);
    json_out_close(o);
    json_out_close(o);
    return cli_json(cli, o);
}

int cmd_audit(struct cli *cli, const struct cli_args *args)
{
    struct ctl_error err = {0};
    struct ctl_audit a;
    uint32_t domid;

    if (cli_domain(cli, args->operand[0], &domid))
        return EXIT_FAILED;
    if (ctl_domain_audit(cli->ctl, domid, &a, &err) < 0)
        return cli_fail(cli, args->operand[0], &err, domid);
    if (!cli->json)
        print_audit(args->operand[0], &a);
    else if (json_audit(cli, domid, &a))
        return EXIT_FAILED;
    return a.broken || a.grants_in_use ? EXIT_FAILED : EXIT_OK;
}
