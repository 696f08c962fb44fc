/* SPDX-License-Identifier: BSD-2-Clause */
/* The records of guests (see guest_state.h). */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/guest_state.h"
#include "cli/lock.h"

#define ROOT             "/umbra/guest"
#define NAMES            "/umbra/name"
#define PATH_SIZE        96
#define NAME_SIZE        (sizeof(NAMES) + 1 + 3 * CTL_NAME_MAX)
#define PIECE            2048 /* bytes of a piece of the configuration: path and piece fit xenstore's 4096 */
#define NAMES_MS         10000
#define RENAMING_CHANGES 3

static const char *const phases[GUEST_PHASES] = {"partial",  "unknown",     "building",  "starting", "running",
                                                 "renaming", "rebooting",   "preserved", "saving",   "migrating",
                                                 "incoming", "handed-over", "dying"};

const char *guest_phase_name(enum guest_phase phase)
{
    return phases[phase];
}

static void path_of(char path[PATH_SIZE], const uint8_t uuid[16], const char *below)
{
    char id[CTL_UUID_TEXT];

    ctl_uuid_format(uuid, id);
    snprintf(path, PATH_SIZE, "%s/%s%s", ROOT, id, below);
}

/* xenstore does not take all characters that a name may have. */
static void path_of_name(char path[NAME_SIZE], const char *name)
{
    char *at = stpcpy(path, NAMES "/");

    for (; *name; name++)
        at += sprintf(at, isalnum((unsigned char)*name) || *name == '-' ? "%c" : "_%02x", (unsigned char)*name);
}

/* --- the record -----------------------------------------------------------------------------------------------------
 */

static bool is_moved(enum guest_phase phase)
{
    return phase == GUEST_MIGRATING || phase == GUEST_INCOMING || phase == GUEST_HANDED_OVER;
}

static bool has_real(enum guest_phase phase)
{
    return phase == GUEST_INCOMING || phase == GUEST_HANDED_OVER || phase == GUEST_DYING;
}

char *guest_state_text(const struct guest_state *gs)
{
    struct json_out *o = json_out_new(false);
    char kept[CTL_UUID_TEXT];

    json_out_object(o, NULL);
    json_out_str(o, "state", phases[gs->phase]);
    json_out_str(o, "name", gs->name);
    json_out_int(o, "domid", gs->domid);
    json_out_bool(o, "watched", gs->watched);
    json_out_int(o, "started", gs->started);
    json_out_int(o, "short_lives", gs->short_lives);
    if (gs->phase == GUEST_RENAMING) {
        ctl_uuid_format(gs->kept, kept);
        json_out_str(o, "kept", kept);
    }
    if (has_real(gs->phase))
        json_out_str(o, "real", gs->real);
    if (is_moved(gs->phase) && *gs->move)
        json_out_str(o, "move", gs->move);
    if (gs->deaf > 0)
        json_out_int(o, "deaf", gs->deaf);
    json_out_close(o);
    return json_out_end(o);
}

static const char *member_text(const struct json_value *record, const char *key)
{
    const struct json_value *v = json_member(record, key);

    return v && v->type == JSON_STRING ? v->text : "";
}

static int64_t member_int(const struct json_value *record, const char *key)
{
    const struct json_value *v = json_member(record, key);
    int64_t n;

    return v && json_int(v, &n) == 0 ? n : -1;
}

/* Memory may be short while it is parsed: that, too, is no reason to do anything with the guest. */
void guest_state_parse(const char *text, struct guest_state *gs)
{
    struct json_value *record = json_parse(text, strlen(text), NULL, NULL);
    const struct json_value *watched = json_member(record, "watched");
    const char *state = member_text(record, "state");

    gs->phase = *text ? GUEST_UNKNOWN : GUEST_PARTIAL;
    gs->domid = member_int(record, "domid");
    gs->watched = watched && watched->type == JSON_BOOL && watched->boolean;
    gs->started = member_int(record, "started");
    gs->short_lives = member_int(record, "short_lives");
    gs->deaf = member_int(record, "deaf");
    gs->deaf = gs->deaf < 0 ? 0 : gs->deaf;
    snprintf(gs->name, sizeof(gs->name), "%s", member_text(record, "name"));
    for (int i = GUEST_BUILDING; i < GUEST_PHASES; i++) {
        if (strcmp(phases[i], state) == 0 && *gs->name)
            gs->phase = (enum guest_phase)i;
    }
    if (gs->phase == GUEST_RENAMING && ctl_uuid_parse(member_text(record, "kept"), gs->kept))
        gs->phase = GUEST_RUNNING; /* to be decided again */
    if (has_real(gs->phase))
        snprintf(gs->real, sizeof(gs->real), "%s", member_text(record, "real"));
    if (is_moved(gs->phase))
        snprintf(gs->move, sizeof(gs->move), "%s", member_text(record, "move"));
    json_free(record);
}

int guest_hears(const struct guest_state *gs, uint32_t domid, const char *verb, struct ctl_error *err)
{
    if (gs->deaf <= 0 || gs->deaf != domid)
        return 0;
    return ctl_error_set(err, -ENOTCONN, verb, gs->name,
                         "shut it down from inside, at its console, or destroy it; its next domain will hear",
                         "it ran when xenstored was started again, and takes no request any more");
}

int guest_state_put(struct ctl *ctl, const struct guest_state *gs, struct ctl_error *err)
{
    char path[PATH_SIZE], *text = guest_state_text(gs);
    int rc;

    if (!text)
        return ctl_error_set(err, -ENOMEM, "write the guest's record", gs->name, NULL, "out of memory");
    path_of(path, gs->uuid, "");
    rc = ctl_store_write(ctl, path, text, err);
    free(text);
    return rc;
}

/* A node's value. *text is NULL, and it is no error, if there is no such node. */
static int read_node(struct ctl *ctl, const char *path, char **text, struct ctl_error *err)
{
    struct ctl_error why = {0};

    *text = ctl_store_read(ctl, path, &why);
    if (*text || why.code == -ENOENT)
        return 0;
    if (err)
        *err = why;
    return why.code;
}

int guest_state_get(struct ctl *ctl, const uint8_t uuid[16], struct guest_state *gs, struct ctl_error *err)
{
    struct guest_state fresh = {0};
    char path[PATH_SIZE], *text;
    int rc;

    path_of(path, uuid, "");
    rc = read_node(ctl, path, &text, err);
    if (!text)
        return rc ? rc : -ENOENT;
    memcpy(fresh.uuid, uuid, sizeof(fresh.uuid)); /* which may be the one in *gs */
    guest_state_parse(text, &fresh);
    *gs = fresh;
    free(text);
    return 0;
}

int guest_state_list(struct ctl *ctl, struct guest_state **list, struct ctl_error *err)
{
    char **names;
    int n = ctl_store_list(ctl, ROOT, &names, err), found = 0, rc = 0;

    *list = NULL;
    if (n < 0)
        return n;
    *list = calloc((size_t)n + 1, sizeof(**list));
    if (!*list)
        rc = ctl_error_set(err, -ENOMEM, "list the guests", NULL, NULL, "out of memory");
    for (int i = 0; i < n && !rc; i++) {
        uint8_t uuid[16];

        if (ctl_uuid_parse(names[i], uuid))
            continue;
        rc = guest_state_get(ctl, uuid, &(*list)[found], err);
        found += rc == 0;
        rc = rc == -ENOENT ? 0 : rc; /* it went meanwhile */
    }
    free(names);
    if (!rc)
        return found;
    free(*list);
    *list = NULL;
    return rc;
}

/* What a rename writes: the name's node moves, and the record has the new name. */
struct renaming {
    char path[PATH_SIZE], old[NAME_SIZE], new[NAME_SIZE], uuid[CTL_UUID_TEXT];
    char *text;
    struct ctl_store_change changes[RENAMING_CHANGES];
};

/* *gs has the new name then. r->text is freed by the caller. */
static int make_renaming(struct renaming *r, struct guest_state *gs, const char *name, struct ctl_error *err)
{
    path_of(r->path, gs->uuid, "");
    path_of_name(r->old, gs->name);
    path_of_name(r->new, name);
    ctl_uuid_format(gs->uuid, r->uuid);
    snprintf(gs->name, sizeof(gs->name), "%s", name);
    r->text = guest_state_text(gs);
    r->changes[0] = (struct ctl_store_change){r->old, NULL, r->uuid};
    r->changes[1] = (struct ctl_store_change){r->new, r->uuid, NULL};
    r->changes[2] = (struct ctl_store_change){r->path, r->text, NULL};
    return r->text ? 0 : ctl_error_set(err, -ENOMEM, "write the guest's record", gs->name, NULL, "out of memory");
}

int guest_state_rename(struct ctl *ctl, struct guest_state *gs, const char *name, struct ctl_error *err)
{
    bool unresolved = gs->phase == GUEST_HANDED_OVER && strcmp(gs->real, gs->name) == 0;
    struct renaming r;
    int rc = make_renaming(&r, gs, name, err);

    if (unresolved)
        r.changes[0].value = r.uuid; /* nobody else gets the name before it is known where the guest is */
    if (rc == 0)
        rc = ctl_store_change(ctl, r.changes, RENAMING_CHANGES, err);
    free(r.text);
    return rc;
}

int guest_state_remove(struct ctl *ctl, const uint8_t uuid[16], struct ctl_error *err)
{
    char path[PATH_SIZE], name[NAME_SIZE], real[NAME_SIZE], id[CTL_UUID_TEXT];
    const struct ctl_store_change changes[] = {{path, NULL, NULL}, {name, NULL, id}, {real, NULL, id}};
    struct guest_state gs;
    int rc = guest_state_get(ctl, uuid, &gs, err);

    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    path_of(path, uuid, "");
    path_of_name(name, gs.name);
    path_of_name(real, gs.real);
    ctl_uuid_format(uuid, id);
    return ctl_store_change(ctl, changes, *gs.real ? 3 : *gs.name ? 2 : 1, err);
}

int guest_state_find(struct ctl *ctl, const char *name_or_id, struct guest_state *gs, struct ctl_error *err)
{
    struct guest_state *list;
    int n = guest_state_list(ctl, &list, err), found = -1;

    if (n < 0)
        return n;
    for (int i = 0; i < n && found < 0; i++)
        found = list[i].phase != GUEST_PARTIAL && strcmp(list[i].name, name_or_id) == 0 ? i : -1;
    for (int i = 0; i < n && found < 0; i++) {
        char id[24];

        snprintf(id, sizeof(id), "%lld", (long long)list[i].domid);
        found = list[i].domid >= 0 && strcmp(id, name_or_id) == 0 ? i : -1;
    }
    if (found >= 0)
        *gs = list[found];
    free(list);
    return found < 0 ? -ENOENT : 0;
}

/* --- the configuration ----------------------------------------------------------------------------------------------
 */

/* What writes a configuration: the old one goes, which may have had more pieces, then each piece comes. */
struct pieces {
    struct {
        char path[PATH_SIZE], text[PIECE + 1];
    } * piece;
    struct ctl_store_change *changes; /* with room for a renaming's behind them */
    unsigned n;
};

static void free_pieces(struct pieces *p)
{
    free(p->piece);
    free(p->changes);
}

static int make_pieces(struct pieces *p, const uint8_t uuid[16], const char *config, struct ctl_error *err)
{
    size_t n = (strlen(config) + PIECE - 1) / PIECE;

    p->piece = calloc(n + 1, sizeof(*p->piece));
    p->changes = calloc(n + 1 + RENAMING_CHANGES, sizeof(*p->changes));
    p->n = (unsigned)n + 1;
    if (!p->piece || !p->changes)
        return ctl_error_set(err, -ENOMEM, "write the configuration", NULL, NULL, "out of memory");
    path_of(p->piece[n].path, uuid, "/config");
    p->changes[0] = (struct ctl_store_change){.path = p->piece[n].path};
    for (size_t i = 0; i < n; i++) {
        char below[40];

        snprintf(below, sizeof(below), "/config/%zu", i);
        path_of(p->piece[i].path, uuid, below);
        snprintf(p->piece[i].text, sizeof(p->piece[i].text), "%s", config + i * PIECE);
        p->changes[i + 1] = (struct ctl_store_change){.path = p->piece[i].path, .value = p->piece[i].text};
    }
    return 0;
}

int guest_state_put_config(struct ctl *ctl, const uint8_t uuid[16], const char *config, struct ctl_error *err)
{
    struct pieces p;
    int rc = make_pieces(&p, uuid, config, err);

    if (rc == 0)
        rc = ctl_store_change(ctl, p.changes, p.n, err);
    free_pieces(&p);
    return rc;
}

char *guest_config_as(const char *config, const char *name, const uint8_t uuid[16])
{
    struct json_value *tree = json_parse(config, strlen(config), NULL, NULL);
    struct json_out *o = json_out_new(false);
    char id[CTL_UUID_TEXT], *text;

    ctl_uuid_format(uuid, id);
    json_out_object(o, NULL);
    for (size_t i = 0; tree && i < tree->n_items; i++) {
        const struct json_value *v = tree->item[i];

        if (v->key && strcmp(v->key, "name") == 0)
            json_out_str(o, "name", name);
        else if (v->key && strcmp(v->key, "uuid") == 0)
            json_out_str(o, "uuid", id);
        else
            json_out_copy(o, v->key, v);
    }
    json_out_close(o);
    text = json_out_end(o);
    if (!tree || tree->type != JSON_OBJECT) {
        free(text);
        text = NULL;
    }
    json_free(tree);
    return text;
}

/* Takes the piece over. */
static int append(char **config, char *piece, struct ctl_error *err)
{
    char *longer = NULL;

    if (asprintf(&longer, "%s%s", *config ? *config : "", piece) < 0)
        longer = NULL;
    free(piece);
    free(*config);
    *config = longer;
    return longer ? 0 : ctl_error_set(err, -ENOMEM, "read the configuration", NULL, NULL, "out of memory");
}

int guest_state_config(struct ctl *ctl, const uint8_t uuid[16], char **config, struct ctl_error *err)
{
    int rc = 0;

    *config = NULL;
    for (int i = 0; rc == 0; i++) {
        char path[PATH_SIZE], below[40], *piece;

        snprintf(below, sizeof(below), "/config/%d", i);
        path_of(path, uuid, below);
        rc = read_node(ctl, path, &piece, err);
        if (rc == 0 && !piece)
            return 0;
        if (rc == 0)
            rc = append(config, piece, err);
    }
    free(*config);
    *config = NULL;
    return rc;
}

/* The configuration under the new name; NULL: there is none, or it is not understood, and it stays as it is. */
static int renamed_config(struct ctl *ctl, const struct guest_state *gs, const char *name, char **config,
                          struct ctl_error *err)
{
    char *before;
    int rc = guest_state_config(ctl, gs->uuid, &before, err);

    *config = rc == 0 && before ? guest_config_as(before, name, gs->uuid) : NULL;
    free(before);
    return rc;
}

int guest_state_rename_all(struct ctl *ctl, struct guest_state *gs, const char *name, struct ctl_error *err)
{
    struct pieces p;
    struct renaming r;
    char *config;
    int rc = *gs->real ? 0 : renamed_config(ctl, gs, name, &config, err);

    if (rc < 0)
        return rc;
    if (*gs->real || !config) /* on its way to another host its configuration has the name that it will have there */
        return guest_state_rename(ctl, gs, name, err);
    rc = make_pieces(&p, gs->uuid, config, err);
    if (rc == 0) {
        rc = make_renaming(&r, gs, name, err);
        memcpy(p.changes + p.n, r.changes, sizeof(r.changes));
        if (rc == 0)
            rc = ctl_store_change(ctl, p.changes, p.n + RENAMING_CHANGES, err);
        free(r.text);
    }
    free_pieces(&p);
    free(config);
    return rc;
}

int guest_state_put_move(struct ctl *ctl, const uint8_t uuid[16], const char *text, struct ctl_error *err)
{
    char path[PATH_SIZE];

    path_of(path, uuid, "/move");
    return text ? ctl_store_write(ctl, path, text, err) : ctl_store_remove(ctl, path, err);
}

int guest_state_move(struct ctl *ctl, const uint8_t uuid[16], char **text, struct ctl_error *err)
{
    char path[PATH_SIZE];

    path_of(path, uuid, "/move");
    return read_node(ctl, path, text, err);
}

/* --- names ----------------------------------------------------------------------------------------------------------
 */

static int taken(struct ctl_error *err, const struct guest_state *other, const char *field, const char *what)
{
    const char *hint = "choose another name, or destroy that guest first";

    if (strcmp(field, "uuid") == 0)
        hint = "leave the uuid out, so that a new one is made";
    else if (other->phase == GUEST_REBOOTING)
        hint = "choose another name, or wait";
    ctl_error_set(err, -EEXIST, "take the name", NULL, hint, "%s%s", what,
                  other->phase == GUEST_REBOOTING ? " is just rebooting"
                  : other->phase == GUEST_DYING   ? " is being destroyed"
                                                  : " exists");
    ctl_error_field(err, field);
    return -EEXIST;
}

/* It had the name, and has it again if it comes back. To whoever has a part in such a move that is nothing. */
static bool is_kept(const struct guest_state *found, const struct guest_state *gs)
{
    return found->phase == GUEST_HANDED_OVER && gs->phase != GUEST_HANDED_OVER && strcmp(found->real, gs->name) == 0;
}

static int kept_name(struct ctl_error *err)
{
    ctl_error_set(err, -EEXIST, "take the name", NULL, "choose another name, or umbra migrate-resolve",
                  "a guest of this name was handed over to another host, and may come back");
    ctl_error_field(err, "name");
    return -EEXIST;
}

/* -EEXIST if this record has the name or the uuid. The names are locked, so whoever left it unfinished is no more. */
static int check_record(struct ctl *ctl, const struct guest_state *found, const struct guest_state *gs,
                        struct guest_state *other, struct ctl_error *err)
{
    int rc = 0;

    if (found->phase == GUEST_PARTIAL)
        return guest_state_remove(ctl, found->uuid, err);
    if (memcmp(found->uuid, gs->uuid, sizeof(gs->uuid)) == 0)
        rc = taken(err, found, "uuid", "a guest of this uuid");
    else if (strcmp(found->name, gs->name) == 0)
        rc = taken(err, found, "name", "a guest of this name");
    else if (is_kept(found, gs))
        rc = kept_name(err);
    if (rc && other)
        *other = *found;
    return rc;
}

static int check_uuid(struct ctl *ctl, const uint8_t uuid[16], const struct guest_state *gs, struct guest_state *other,
                      struct ctl_error *err)
{
    struct guest_state found;
    int rc = guest_state_get(ctl, uuid, &found, err);

    return rc == 0 ? check_record(ctl, &found, gs, other, err) : rc == -ENOENT ? 0 : rc;
}

/* By the nodes that lead from names to records. */
static int check_names(struct ctl *ctl, const struct guest_state *gs, struct guest_state *other, struct ctl_error *err)
{
    char path[NAME_SIZE], *text;
    uint8_t uuid[16];
    int rc;

    path_of_name(path, gs->name);
    rc = read_node(ctl, path, &text, err);
    if (text && ctl_uuid_parse(text, uuid) == 0)
        rc = check_uuid(ctl, uuid, gs, other, err);
    free(text);
    return rc ? rc : check_uuid(ctl, gs->uuid, gs, other, err);
}

/* One after the other; what leads to them is made. */
static int check_all(struct ctl *ctl, const struct guest_state *gs, struct guest_state *other, struct ctl_error *err)
{
    struct guest_state *list;
    int n = guest_state_list(ctl, &list, err), rc = n < 0 ? n : 0;

    for (int i = 0; i < n && rc == 0; i++) {
        rc = check_record(ctl, &list[i], gs, other, err);
        if (rc == 0 && *list[i].name) {
            char path[NAME_SIZE], uuid[CTL_UUID_TEXT];

            path_of_name(path, list[i].name);
            ctl_uuid_format(list[i].uuid, uuid);
            rc = ctl_store_write(ctl, path, uuid, err);
        }
    }
    if (n >= 0)
        free(list);
    return rc;
}

/*
 * -EEXIST if a record has the name or the uuid. Every record has a node that leads from its name to it, made and
 * removed with it; if there are not as many, some are unfinished or another version's, and all are looked at.
 */
static int check_records(struct ctl *ctl, int n, const struct guest_state *gs, struct guest_state *other,
                         struct ctl_error *err)
{
    char **names;
    int named = ctl_store_list(ctl, NAMES, &names, err);

    if (named < 0)
        return named;
    free(names);
    return (named == n ? check_names : check_all)(ctl, gs, other, err);
}

const struct ctl_domain_info *guest_domain(const struct ctl_domain_info *list, int n, const uint8_t uuid[16])
{
    for (int i = 0; i < n; i++) {
        if (memcmp(list[i].uuid, uuid, 16) == 0 && !list[i].dying)
            return &list[i];
    }
    return NULL;
}

static int check_domain(struct ctl *ctl, const struct ctl_domain_info *d, const struct guest_state *gs,
                        struct ctl_error *err)
{
    char *name = NULL;
    int rc = 0;

    if (memcmp(d->uuid, gs->uuid, sizeof(gs->uuid)) == 0) {
        rc = ctl_error_set(err, -EEXIST, "take the uuid", NULL,
                           "leave the uuid out, so that a new one is made, or destroy that domain first",
                           "domain %u, which has no record, is of this uuid", d->domid);
        ctl_error_field(err, "uuid");
        return rc;
    }
    if (ctl_domain_name(ctl, d->domid, &name, NULL) == 0 && strcmp(name, gs->name) == 0) {
        rc = ctl_error_set(err, -EEXIST, "take the name", NULL, "choose another name, or destroy that domain first",
                           "domain %u has this name", d->domid);
        ctl_error_field(err, "name");
    }
    free(name);
    return rc;
}

static bool has_record(char **records, int n, const struct ctl_domain_info *d)
{
    char uuid[CTL_UUID_TEXT];

    ctl_uuid_format(d->uuid, uuid);
    for (int i = 0; i < n; i++) {
        if (strcmp(records[i], uuid) == 0)
            return true;
    }
    return false;
}

/* Domains that other tools made, or whose record went with xenstored: one of their name or uuid would be the end of
 * them. */
static int check_domains(struct ctl *ctl, char **records, int n, const struct guest_state *gs, struct ctl_error *err)
{
    struct ctl_domain_info *list;
    int count = ctl_domain_scan(ctl, &list, err), rc = count < 0 ? count : 0;

    for (int i = 0; i < count && rc == 0; i++) {
        if (!list[i].dying && !has_record(records, n, &list[i]))
            rc = check_domain(ctl, &list[i], gs, err);
    }
    if (count >= 0)
        free(list);
    return rc;
}

static int check_taken(struct ctl *ctl, const struct guest_state *gs, struct guest_state *other, struct ctl_error *err)
{
    char **records;
    int n = ctl_store_list(ctl, ROOT, &records, err), rc;

    if (n < 0)
        return n;
    rc = check_records(ctl, n, gs, other, err);
    if (rc == 0)
        rc = check_domains(ctl, records, n, gs, err);
    free(records);
    return rc;
}

int guest_names_lock(struct ctl_error *err)
{
    int rc = lock_wait(LOCK_NAMES, NAMES_MS);

    if (rc)
        ctl_error_set(err, rc, "lock the names", lock_file, NULL, "process %d does not let go of them",
                      (int)lock_holder(LOCK_NAMES));
    return rc;
}

void guest_names_unlock(void)
{
    lock_drop(LOCK_NAMES);
}

int guest_state_add(struct ctl *ctl, const struct guest_state *gs, const char *config, struct guest_state *other,
                    struct ctl_error *err)
{
    struct guest_state named = *gs;
    int rc = guest_names_lock(err);

    if (rc)
        return rc;
    rc = check_taken(ctl, gs, other, err);
    if (!rc) {
        rc = guest_state_put_config(ctl, gs->uuid, config, err);
        if (!rc)
            rc = guest_state_rename(ctl, &named, gs->name, err);
        if (rc)
            guest_state_remove(ctl, gs->uuid, NULL);
    }
    guest_names_unlock();
    return rc;
}

int guest_state_may_add(struct ctl *ctl, const struct guest_state *gs, struct ctl_error *err)
{
    return check_taken(ctl, gs, NULL, err);
}

static int name_free(struct ctl *ctl, const char *name, enum guest_phase phase, struct ctl_error *err)
{
    struct guest_state wanted = {.phase = phase};

    memset(wanted.uuid, 0xff, sizeof(wanted.uuid)); /* nobody's */
    snprintf(wanted.name, sizeof(wanted.name), "%s", name);
    return guest_state_may_add(ctl, &wanted, err);
}

int guest_name_free(struct ctl *ctl, const char *name, struct ctl_error *err)
{
    return name_free(ctl, name, GUEST_BUILDING, err);
}

int guest_name_free_moved(struct ctl *ctl, const char *name, struct ctl_error *err)
{
    return name_free(ctl, name, GUEST_HANDED_OVER, err);
}
