/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The state files of guests (see guest_state.h). A file that cannot be understood counts as absent: it can only be
 * left over from another version or a full disk, and must not stop anyone from listing guests.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/guest_state.h"

#define PATH_SIZE 256

const char *guest_state_dir = "/run/umbra/guests";

static void path_of(char path[PATH_SIZE], const char *uuid, const char *suffix)
{
    snprintf(path, PATH_SIZE, "%s/%s%s", guest_state_dir, uuid, suffix);
}

static void make_dirs(const char *dir)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "%s", dir);
    for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0755);
        *slash = '/';
    }
    mkdir(path, 0755);
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    size_t len = strlen(text);
    int rc = 0;

    if (fd < 0)
        return -errno;
    while (len && !rc) {
        ssize_t n = write(fd, text, len);

        if (n >= 0) {
            text += n;
            len -= (size_t)n;
        } else if (errno != EINTR) {
            rc = -errno;
        }
    }
    if (close(fd) && !rc)
        rc = -errno;
    return rc;
}

int guest_state_write(const uint8_t uuid[16], uint32_t domid, pid_t watcher, const char *state, const struct config *c)
{
    char id[CTL_UUID_TEXT], path[PATH_SIZE], temporary[PATH_SIZE], *text;
    struct json_out *o = json_out_new(true);
    int rc;

    ctl_uuid_format(uuid, id);
    json_out_object(o, NULL);
    json_out_str(o, "schema", "umbra.guest/1");
    json_out_int(o, "domid", domid);
    json_out_int(o, "watcher", watcher);
    json_out_str(o, "state", state);
    config_json(c, o, "config");
    json_out_close(o);
    text = json_out_end(o);
    if (!text)
        return -ENOMEM;
    make_dirs(guest_state_dir);
    path_of(path, id, ".json");
    path_of(temporary, id, ".new");
    rc = write_file(temporary, text);
    if (!rc && rename(temporary, path))
        rc = -errno;
    if (rc)
        unlink(temporary);
    free(text);
    return rc;
}

static char *read_text(const char *path, size_t *len)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    char *text = fd < 0 ? NULL : malloc(JSON_MAX_SIZE);
    ssize_t n = 0;

    *len = 0;
    while (text && *len < JSON_MAX_SIZE && (n = read(fd, text + *len, JSON_MAX_SIZE - *len)) > 0)
        *len += (size_t)n;
    if (fd >= 0)
        close(fd);
    if (n >= 0)
        return text;
    free(text);
    return NULL;
}

static int read_path(const char *path, struct guest_state *gs)
{
    const struct json_value *domid, *watcher, *state;
    size_t len;
    char *text;

    text = read_text(path, &len);
    if (!text)
        return -ENOENT;
    gs->tree = json_parse(text, len, NULL, NULL);
    free(text);
    domid = json_member(gs->tree, "domid");
    watcher = json_member(gs->tree, "watcher");
    state = json_member(gs->tree, "state");
    gs->config = json_member(gs->tree, "config");
    if (!domid || json_int(domid, &gs->domid) || !watcher || json_int(watcher, &gs->watcher) || !state ||
        state->type != JSON_STRING || !gs->config || gs->config->type != JSON_OBJECT) {
        guest_state_free(gs);
        return -EINVAL;
    }
    snprintf(gs->state, sizeof(gs->state), "%s", state->text);
    return 0;
}

int guest_state_read(const uint8_t uuid[16], struct guest_state *gs)
{
    char path[PATH_SIZE];

    memset(gs, 0, sizeof(*gs));
    ctl_uuid_format(uuid, gs->uuid);
    path_of(path, gs->uuid, ".json");
    return read_path(path, gs);
}

void guest_state_remove(const uint8_t uuid[16])
{
    char id[CTL_UUID_TEXT], path[PATH_SIZE];

    ctl_uuid_format(uuid, id);
    path_of(path, id, ".json");
    unlink(path);
}

size_t guest_state_list(struct guest_state **list)
{
    DIR *dir = opendir(guest_state_dir);
    struct dirent *e;
    size_t n = 0;

    *list = NULL;
    while (dir && (e = readdir(dir)) != NULL) {
        struct guest_state *bigger;
        char text[CTL_UUID_TEXT];
        uint8_t uuid[16];

        if (strlen(e->d_name) != CTL_UUID_TEXT - 1 + 5 || strcmp(e->d_name + CTL_UUID_TEXT - 1, ".json") != 0)
            continue;
        snprintf(text, sizeof(text), "%.36s", e->d_name);
        bigger = realloc(*list, (n + 1) * sizeof(*bigger));
        if (!bigger)
            break;
        *list = bigger;
        if (ctl_uuid_parse(text, uuid) == 0 && guest_state_read(uuid, &bigger[n]) == 0)
            n++;
    }
    if (dir)
        closedir(dir);
    return n;
}

void guest_state_free(struct guest_state *gs)
{
    json_free(gs->tree);
    gs->tree = NULL;
    gs->config = NULL;
}

void guest_state_list_free(struct guest_state *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        guest_state_free(&list[i]);
    free(list);
}

bool guest_state_watched(const struct guest_state *gs)
{
    return gs->watcher > 1 && (kill((pid_t)gs->watcher, 0) == 0 || errno == EPERM);
}

bool guest_state_rebooting(const char *name_or_id)
{
    struct guest_state *list;
    size_t n = guest_state_list(&list);
    bool found = false;

    for (size_t i = 0; i < n; i++) {
        char id[24];

        snprintf(id, sizeof(id), "%lld", (long long)list[i].domid);
        found |= strcmp(list[i].state, "rebooting") == 0 && guest_state_watched(&list[i]) &&
                 (strcmp(guest_state_text(&list[i], "name", ""), name_or_id) == 0 || strcmp(id, name_or_id) == 0);
    }
    guest_state_list_free(list, n);
    return found;
}

const char *guest_state_text(const struct guest_state *gs, const char *key, const char *otherwise)
{
    const struct json_value *v = json_member(gs->config, key);

    return v && v->type == JSON_STRING ? v->text : otherwise;
}
