/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Files of libxl's (see userdata.h). Its names are userdata-KIND.DOMID.UUID.NAME, with KIND d for what ends with the
 * domain (libxl_internal.h, libxl__userdata_path).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/guest.h"
#include "cli/list_long.h"
#include "cli/partial.h"
#include "cli/userdata.h"

#define PREFIX "userdata-"

const char *userdata_dir = "/var/lib/xen";

/* userdata-K.DOMID.UUID.NAME */
static bool is_of(const char *name, const char *uuid)
{
    const char *domid = strncmp(name, PREFIX, strlen(PREFIX)) == 0 ? strchr(name, '.') : NULL;
    const char *id = domid ? strchr(domid + 1, '.') : NULL;

    return id && strncmp(id + 1, uuid, strlen(uuid)) == 0 && id[1 + strlen(uuid)] == '.';
}

void userdata_remove(const uint8_t uuid[16])
{
    DIR *dir = opendir(userdata_dir);
    char id[CTL_UUID_TEXT];
    const struct dirent *e;

    ctl_uuid_format(uuid, id);
    while (dir && (e = readdir(dir)) != NULL) {
        if (is_of(e->d_name, id))
            unlinkat(dirfd(dir), e->d_name, 0);
    }
    if (dir)
        closedir(dir);
}

static char *text_of(struct ctl *ctl, const struct ctl_domain_info *info)
{
    struct list_facts facts = {.domid = LIST_NO_DOMID, .cpus = list_host_cpus(ctl)};
    struct json_value *tree;
    struct json_out *o;
    char *config;

    if (guest_state_config(ctl, info->uuid, &config, NULL) < 0 || !config)
        return NULL;
    tree = json_parse(config, strlen(config), NULL, NULL);
    free(config);
    if (!tree)
        return NULL;
    o = json_out_new(false);
    json_out_object(o, NULL);
    list_config(info, tree, &facts, o);
    json_out_close(o);
    json_free(tree);
    return json_out_end(o);
}

static int write_file(const char *path, const char *text)
{
    char *partial;
    int fd = partial_open(path, 0600, &partial, NULL), rc = fd < 0 ? fd : 0;
    size_t n = strlen(text);

    errno = EIO;
    if (fd >= 0 && (write(fd, text, n) != (ssize_t)n || rename(partial, path)))
        rc = -errno;
    if (rc < 0 && fd >= 0)
        unlink(partial);
    if (fd >= 0)
        close(fd);
    free(partial);
    return rc;
}

void userdata_put(struct ctl *ctl, uint32_t domid, const uint8_t uuid[16])
{
    char path[300], id[CTL_UUID_TEXT], *text;
    struct ctl_domain_info info = {0};
    int rc;

    if (access(userdata_dir, F_OK))
        return;
    userdata_remove(uuid);
    ctl_uuid_format(uuid, id);
    snprintf(path, sizeof(path), "%s/" PREFIX "d.%u.%s.libxl-json", userdata_dir, domid, id);
    rc = ctl_domain_info(ctl, domid, &info, NULL);
    text = rc < 0 ? NULL : text_of(ctl, &info);
    rc = text ? write_file(path, text) : rc < 0 ? rc : -ENOMEM;
    free(text);
    if (rc < 0)
        guest_say(info.name, "no configuration of it for xl in %s: %s", userdata_dir, strerror(-rc));
}
