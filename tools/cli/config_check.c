/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A configuration as a whole: its keys against each other (config_fit.c), and the files they name. The files' contents
 * and the limits of a build are judged by libctl's ctl_build_check(), so that `config validate` and `create` cannot
 * differ. No side effects, no hypervisor.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/config.h"

/* Where Debian has GRUB for guests: the usual reason that it is not there. */
#define GRUB_FOLDER "/usr/lib/grub-xen/"

static void check_file(struct config *c, struct diags *d, const char *key, const char *path)
{
    struct diag_at at;
    struct stat st;
    int fd, rc = 0;

    if (!path || config_faulty(c, key))
        return;
    /* Without O_NONBLOCK a FIFO would keep us waiting for its writer. */
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st))
        rc = errno;
    if (fd >= 0)
        close(fd);
    if (rc == 0 && S_ISREG(st.st_mode))
        return;
    at = config_at_key(c, key, "E_FILE");
    if (rc == ENOENT && strncmp(path, GRUB_FOLDER, strlen(GRUB_FOLDER)) == 0)
        at.hint = "install the package grub-xen-host";
    if (rc)
        diag_add(d, &at, "\"%s\" cannot be read: %s", path, strerror(rc));
    else
        diag_add(d, &at, "\"%s\" is not a regular file", path);
}

/* What the library finds, except about keys for which something has been said already. */
void config_check_build(struct config *c, struct diags *d)
{
    struct ctl_domain_config build = config_build(c);
    struct ctl_error errors[16];
    int n = config_has_keys(c) ? ctl_build_check(&build, NULL, errors, 16) : 0;

    for (int i = 0; i < n && i < 16; i++) {
        const char *field = errors[i].field;
        struct diag_at at;

        if (*field && config_faulty(c, field))
            continue;
        at = config_at_key(c, field, "E_CHECK");
        if (!*field)
            at.key = NULL;
        at.hint = errors[i].hint[0] ? errors[i].hint : NULL;
        diag_add(d, &at, "%s", errors[i].message);
    }
}

static void check_disks(struct config *c, struct diags *d)
{
    const struct config_origin *origin = &c->origin[config_key_find("disk")];

    if (origin->value && !origin->faulty)
        config_devices_files(&c->disks, origin->src, origin->value, d);
}

void config_check_absolute(struct config *c, struct diags *d)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *k = &config_keys[i];
        const char *path = k->kind == KIND_PATH ? *(char **)((char *)c + k->offset) : NULL;
        struct diag_at at;

        if (!path || *path == '/' || config_faulty(c, k->name))
            continue;
        at = config_at_key(c, k->name, "E_FILE");
        at.hint = "write its whole path";
        diag_add(d, &at, "\"%s\" does not begin with \"/\", and at boot it is looked for in another directory", path);
    }
}

void config_check_keys(struct config *c, struct diags *d)
{
    if (!config_has_keys(c))
        return;
    config_check_required(c, d);
    config_check_fit(c, d);
    check_file(c, d, "kernel", c->kernel);
    check_file(c, d, "ramdisk", c->ramdisk);
    check_disks(c, d);
}

void config_check(struct config *c, struct diags *d)
{
    config_check_keys(c, d);
    config_check_build(c, d);
}

struct ctl_domain_config config_build(const struct config *c)
{
    static const enum ctl_hap hap[] = {
        [CONFIG_NOT_SAID] = CTL_HAP_AUTO, [CONFIG_FALSE] = CTL_HAP_OFF, [CONFIG_TRUE] = CTL_HAP_ON};
    struct ctl_domain_config b = {
        .name_taken = true, /* the guest's record has it (guest_state.h) */
        .domid = c->domid,
        .type = c->type == CONFIG_PVH ? CTL_PVH : CTL_PV,
        .hap = hap[c->hap],
        .shadow_kib = c->shadow_memory,
        .memory_kib = c->memory,
        .maxmem_kib = c->maxmem,
        .vcpus = (uint32_t)c->vcpus,
        .maxvcpus = (uint32_t)c->maxvcpus,
        .grant_version = (uint32_t)c->max_grant_version,
        .kernel = c->kernel,
        .ramdisk = c->ramdisk,
        .cmdline = c->cmdline,
        .on_poweroff = (enum ctl_action)c->on_poweroff,
        .on_reboot = (enum ctl_action)c->on_reboot,
        .on_crash = (enum ctl_action)c->on_crash,
        .on_watchdog = (enum ctl_action)c->on_watchdog,
    };

    memcpy(b.uuid, c->uuid.bytes, sizeof(b.uuid));
    snprintf(b.name, sizeof(b.name), "%s", c->name ? c->name : "");
    return b;
}
