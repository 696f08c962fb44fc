/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Copies of records (see spare.h): a file each, named by the uuid, one object of JSON.
 *
 *   {"record":TEXT, "config":TEXT, "rings":[STORE_PORT, STORE_FRAME, CONSOLE_PORT, CONSOLE_FRAME]}
 *
 * A copy is replaced as a whole, so it is the old one or the new one. It may be older than the record was: then the
 * guest is treated as it would have been in that state, as after a process that was killed (guest.c).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/spare.h"

#define COPY_MAX JSON_MAX_SIZE

const char *spare_dir = "/run/umbra/records";

struct copy {
    struct guest_state gs;
    char *config;
    struct ctl_rings rings;
    bool has_rings; /* there was a domain whose nodes told them */
};

static void path_of(char path[300], const uint8_t uuid[16], const char *suffix)
{
    char id[CTL_UUID_TEXT];

    ctl_uuid_format(uuid, id);
    snprintf(path, 300, "%s/%s%s", spare_dir, id, suffix);
}

/* --- keeping --------------------------------------------------------------------------------------------------------
 */

static char *copy_text(const struct copy *c)
{
    struct json_out *o = json_out_new(false);
    char *record = guest_state_text(&c->gs);

    json_out_object(o, NULL);
    json_out_str(o, "record", record ? record : "");
    json_out_str(o, "config", c->config ? c->config : "");
    json_out_array(o, "rings");
    if (c->has_rings) {
        json_out_uint(o, NULL, c->rings.store_port);
        json_out_uint(o, NULL, c->rings.store_frame);
        json_out_uint(o, NULL, c->rings.console_port);
        json_out_uint(o, NULL, c->rings.console_frame);
    }
    json_out_close(o);
    json_out_close(o);
    free(record);
    return json_out_end(o);
}

static int write_text(const char *path, const char *text)
{
    size_t n = strlen(text);
    int fd, rc;

    mkdir(spare_dir, 0700);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    rc = write(fd, text, n) == (ssize_t)n ? 0 : errno ? -errno : -EIO;
    close(fd);
    return rc;
}

static void write_copy(const struct copy *c)
{
    char path[300], whole[300], *text = copy_text(c);
    int rc = text ? 0 : -ENOMEM;

    path_of(path, c->gs.uuid, ".new");
    path_of(whole, c->gs.uuid, "");
    errno = 0;
    rc = rc ? rc : write_text(path, text);
    if (rc == 0 && rename(path, whole))
        rc = -errno;
    if (rc < 0)
        guest_say(c->gs.name, "its record has no copy in %s: %s", spare_dir, strerror(-rc));
    free(text);
}

/* Before it is built and when it is going, a guest has no rings. */
static bool find_rings(struct ctl *ctl, struct copy *c)
{
    return c->gs.domid > 0 && ctl_domain_rings(ctl, (uint32_t)c->gs.domid, &c->rings, NULL) == 0;
}

void spare_keep(struct ctl *ctl, const uint8_t uuid[16])
{
    struct copy c = {0};
    char path[300];
    int rc = guest_state_get(ctl, uuid, &c.gs, NULL);

    if (rc == -ENOENT) {
        path_of(path, uuid, "");
        unlink(path);
    }
    if (rc < 0 || c.gs.phase == GUEST_PARTIAL || c.gs.phase == GUEST_UNKNOWN)
        return;
    if (guest_state_config(ctl, uuid, &c.config, NULL) == 0) {
        c.has_rings = find_rings(ctl, &c);
        write_copy(&c);
    }
    free(c.config);
}

/* --- finding --------------------------------------------------------------------------------------------------------
 */

/* The next copy's uuid; false at the end. */
static bool next_copy(DIR *dir, uint8_t uuid[16])
{
    const struct dirent *e;

    while ((e = readdir(dir)) != NULL) {
        if (ctl_uuid_parse(e->d_name, uuid) == 0)
            return true;
    }
    return false;
}

void spare_keep_all(struct ctl *ctl)
{
    DIR *dir = opendir(spare_dir);
    uint8_t uuid[16];

    while (dir && next_copy(dir, uuid))
        spare_keep(ctl, uuid);
    if (dir)
        closedir(dir);
}

bool spare_any(void)
{
    DIR *dir = opendir(spare_dir);
    uint8_t uuid[16];
    bool any = dir && next_copy(dir, uuid);

    if (dir)
        closedir(dir);
    return any;
}

/* All of a file, with a NUL; NULL and errno. */
static char *read_text(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *text = fd < 0 ? NULL : calloc(1, COPY_MAX + 1);
    ssize_t n = text ? read(fd, text, COPY_MAX) : -1;

    if (fd >= 0)
        close(fd);
    if (n >= 0)
        return text;
    free(text);
    return NULL;
}

static bool read_rings(const struct json_value *list, struct ctl_rings *rings)
{
    uint64_t *const to[] = {&rings->store_port, &rings->store_frame, &rings->console_port, &rings->console_frame};

    if (!list || list->type != JSON_ARRAY || list->n_items != 4)
        return false;
    for (size_t i = 0; i < 4; i++) {
        int64_t n;

        if (json_int(list->item[i], &n) || n < 0)
            return false;
        *to[i] = (uint64_t)n;
    }
    return true;
}

/* 0, or -EBADMSG: it is none of ours. */
static int read_copy(const uint8_t uuid[16], struct copy *c)
{
    char path[300], *text;
    struct json_value *tree;
    const char *record, *config;

    path_of(path, uuid, "");
    text = read_text(path);
    tree = text ? json_parse(text, strlen(text), NULL, NULL) : NULL;
    free(text);
    record = json_text(tree, "record");
    config = json_text(tree, "config");
    memset(c, 0, sizeof(*c));
    if (record)
        guest_state_parse(record, &c->gs);
    memcpy(c->gs.uuid, uuid, sizeof(c->gs.uuid));
    c->has_rings = read_rings(json_member(tree, "rings"), &c->rings);
    c->config = config ? strdup(config) : NULL;
    json_free(tree);
    return c->config && c->gs.phase != GUEST_PARTIAL && c->gs.phase != GUEST_UNKNOWN ? 0 : -EBADMSG;
}

int spare_get(const uint8_t uuid[16], struct guest_state *gs)
{
    struct copy c;
    int rc = read_copy(uuid, &c);

    free(c.config);
    if (rc == 0)
        *gs = c.gs;
    return rc < 0 ? -ENOENT : 0;
}

void spare_hint(struct ctl *ctl, int rc, struct ctl_error *err)
{
    char *mark = rc == -ETIMEDOUT && err ? ctl_store_read(ctl, SPARE_MARK, NULL) : NULL;

    if (mark)
        snprintf(err->hint, sizeof(err->hint),
                 "xenstored was started again, and the control domain's kernel takes no "
                 "device before the host is started again: umbra(1), DAEMONS");
    free(mark);
}

/* --- putting back ---------------------------------------------------------------------------------------------------
 */

/* Configuration first: a record that is there is complete. The domain of its uuid, which has no record yet, is its own.
 */
static int put_record(struct ctl *ctl, const struct copy *c, struct ctl_error *err)
{
    struct guest_state named = c->gs;
    int rc = guest_names_lock(err);

    if (rc < 0)
        return rc;
    rc = guest_state_put_config(ctl, c->gs.uuid, c->config, err);
    if (rc == 0)
        rc = guest_state_rename(ctl, &named, c->gs.name, err);
    guest_names_unlock();
    return rc;
}

static int readmit(struct ctl *ctl, const struct copy *c, uint32_t domid, struct ctl_error *err)
{
    struct ctl_domain_config build;
    struct config config;
    int rc = guest_config(ctl, &c->gs, &config, err);

    if (rc == 0) {
        build = config_build(&config);
        rc = ctl_domain_readmit(ctl, domid, &build, &c->rings, err);
    }
    config_free(&config);
    return rc;
}

/* Its domain, if it has one, runs on: one that cannot be told to xenstored as well. */
static int put_back(struct ctl *ctl, struct copy *c, const struct ctl_domain_info *d, struct ctl_error *err)
{
    struct ctl_error why = {0};
    int rc;

    if (d) {
        c->has_rings &= c->gs.domid == d->domid;
        c->gs.domid = c->gs.deaf = d->domid;
    }
    rc = put_record(ctl, c, err);
    if (rc < 0 || !d)
        return rc;
    if (!c->has_rings)
        guest_say(c->gs.name, "domain %u has no nodes any more: its rings are not known", d->domid);
    else if (readmit(ctl, c, d->domid, &why) < 0)
        guest_say_error(c->gs.name, &why);
    return 0;
}

static int put_back_all(struct ctl *ctl, DIR *dir, struct ctl_error *err)
{
    struct ctl_domain_info *list;
    int n = ctl_domain_scan(ctl, &list, err), rc = n < 0 ? n : 0, done = 0;
    uint8_t uuid[16];

    while (rc == 0 && next_copy(dir, uuid)) {
        struct copy c;
        char id[CTL_UUID_TEXT];

        ctl_uuid_format(uuid, id);
        if (read_copy(uuid, &c) == 0) {
            rc = put_back(ctl, &c, guest_domain(list, n, uuid), err);
            done += rc == 0;
        } else {
            guest_say("", "%s/%s is no copy of a record", spare_dir, id);
        }
        free(c.config);
    }
    if (n >= 0)
        free(list);
    return rc < 0 ? rc : done;
}

int spare_restore(struct ctl *ctl, struct ctl_error *err)
{
    DIR *dir = opendir(spare_dir);
    char text[16];
    int n, rc;

    if (!dir)
        return 0;
    n = put_back_all(ctl, dir, err);
    closedir(dir);
    if (n <= 0)
        return n;
    guest_say("",
              "xenstored was started again and knew nothing: %d guests are back, and those that run hear no request",
              n);
    snprintf(text, sizeof(text), "%d", n);
    rc = ctl_store_write(ctl, SPARE_MARK, text, err);
    return rc < 0 ? rc : n;
}
