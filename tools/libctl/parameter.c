// SPDX-License-Identifier: BSD-2-Clause
/*
 * Words of the hypervisor's command line that can be set while the machine runs, by the hypervisor's file system.
 *
 * Place: the verb set-parameters. Does not know which words there are: the hypervisor says, with the type of each.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libctl/internal.h"

/* An entry with what is in it. */
struct entry {
    struct xen_hypfs_direntry e;
    char data[sizeof(((struct ctl_parameter *)0)->value)];
};

static int fail(struct ctl_error *err, int code, const char *name, const char *hint, const char *message)
{
    return ctl_error_set(err, code, "set a word of the hypervisor's command line", name, hint, "%s", message);
}

static int refused(struct ctl_error *err, int code, const char *name)
{
    if (code == -ENOENT) {
        return fail(err, code, name, "umbra-hypervisor(7) has those that there are", "there is no such word");
    }
    return fail(err, code, name, ctl_hint(code), "the hypervisor refused");
}

static int path_of(char path[XEN_HYPFS_MAX_PATHLEN], const char *name)
{
    int n = snprintf(path, XEN_HYPFS_MAX_PATHLEN, "/params/%s", name);

    /* A name is one step of the path. */
    return n < XEN_HYPFS_MAX_PATHLEN && *name && !strchr(name, '/') ? 0 : -ENOENT;
}

static int read_entry(struct ctl *ctl, const char *name, struct entry *entry, struct ctl_error *err)
{
    char path[XEN_HYPFS_MAX_PATHLEN];
    int rc = path_of(path, name);

    memset(entry, 0, sizeof(*entry));
    if (rc == 0) {
        rc = ctl_call_hypfs(ctl, XEN_HYPFS_OP_read, path, entry, sizeof(*entry));
    }
    if (rc == -ENOBUFS) {
        rc = 0; /* what it is is there, and as much as is known of its content is nothing */
    }
    return rc < 0 ? refused(err, rc, name) : 0;
}

static bool is_number(const struct entry *entry)
{
    return entry->e.type == XEN_HYPFS_TYPE_UINT && entry->e.content_len && entry->e.content_len <= sizeof(uint64_t);
}

int ctl_parameter_get(struct ctl *ctl, const char *name, struct ctl_parameter *p, struct ctl_error *err)
{
    struct entry entry;
    uint64_t number = 0;
    int rc = read_entry(ctl, name, &entry, err);

    if (rc < 0) {
        return rc;
    }
    entry.data[sizeof(entry.data) - 1] = '\0';
    *p = (struct ctl_parameter){.is_switch = entry.e.type == XEN_HYPFS_TYPE_BOOL};
    if (p->is_switch) {
        snprintf(p->value, sizeof(p->value), "%s", entry.data[0] ? "on" : "off");
    } else if (is_number(&entry)) {
        memcpy(&number, entry.data, entry.e.content_len);
        snprintf(p->value, sizeof(p->value), "%" PRIu64, number);
    } else if (entry.e.type == XEN_HYPFS_TYPE_STRING) {
        memcpy(p->value, entry.data, sizeof(p->value));
    }
    return 0;
}

static bool is_one_of(const char *word, const char *const *words)
{
    while (*words && strcmp(*words, word) != 0) {
        words++;
    }
    return *words;
}

/* 1, 0, or -EINVAL. */
static int switch_value(const char *word)
{
    static const char *const yes[] = {"on", "yes", "true", "enable", "1", NULL};
    static const char *const no[] = {"off", "no", "false", "disable", "0", NULL};

    return is_one_of(word, yes) ? 1 : is_one_of(word, no) ? 0 : -EINVAL;
}

/* The value into entry->data, as the entry's type wants it. Returns its bytes, or -EINVAL. */
static int encode(struct entry *entry, const char *value)
{
    uint64_t number = 0;
    char *end = NULL;
    int on;

    switch (entry->e.type) {
    case XEN_HYPFS_TYPE_STRING:
        if (strlen(value) >= entry->e.max_write_len || strlen(value) >= sizeof(entry->data)) {
            return -EINVAL;
        }
        return snprintf(entry->data, sizeof(entry->data), "%s", value) + 1;
    case XEN_HYPFS_TYPE_BOOL:
        on = switch_value(value);
        entry->data[0] = on == 1;
        return on < 0 ? on : 1;
    default:
        errno = 0;
        number = strtoull(value, &end, 0);
        if (!is_number(entry) || errno || value[0] < '0' || value[0] > '9' || *end ||
            (entry->e.content_len < sizeof(number) && number >> 8 * entry->e.content_len)) {
            return -EINVAL;
        }
        memcpy(entry->data, &number, sizeof(number));
        return entry->e.content_len;
    }
}

int ctl_parameter_set(struct ctl *ctl, const char *name, const char *value, struct ctl_error *err)
{
    char path[XEN_HYPFS_MAX_PATHLEN], text[CTL_TEXT_MAX];
    struct entry entry;
    int rc = read_entry(ctl, name, &entry, err);

    if (rc < 0) {
        return rc;
    }
    if (!entry.e.max_write_len) {
        return fail(err, -EACCES, name, "write it to the command line, as UMBRA_CMDLINE, and start the machine again",
                    "this word cannot be set while the machine runs");
    }
    rc = encode(&entry, value);
    if (rc > 0) {
        path_of(path, name);
        rc = ctl_call_hypfs(ctl, XEN_HYPFS_OP_write_contents, path, entry.data, rc);
    }
    if (rc == -EINVAL) {
        snprintf(text, sizeof(text), "it does not take the value \"%s\"", value);
        return fail(err, rc, name, "umbra-hypervisor(7) has the values that it takes", text);
    }
    return rc < 0 ? refused(err, rc, name) : 0;
}
