/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * See fake_xs.h. A list of nodes; every watch fires at every change. A transaction that is given up, or whose end
 * fails, is undone; one in conflict is not, which what is tested with it does not hang on.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <xenstore.h>

#include "fake_xs.h"

#define NODES 400

static struct node {
    char path[160], value[300];
} nodes[NODES], before[NODES]; /* the transaction */
static int n_nodes, n_before, event = -1;

bool (*xs_fake_fails)(const char *name);
void (*xs_fake_changed)(const char *path);
void (*xs_fake_begins)(void);
bool xs_fake_conflicts;
struct xs_fake_introduced xs_fake_introduced;
int xs_fake_begun;

static int find(const char *path)
{
    for (int i = 0; i < n_nodes; i++) {
        if (strcmp(nodes[i].path, path) == 0)
            return i;
    }
    return -1;
}

static bool below(const char *path, const char *dir)
{
    size_t n = strlen(dir);

    return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static void tell(const char *path, bool ours)
{
    uint64_t one = 1;

    if (event >= 0 && write(event, &one, sizeof(one)) < 0)
        abort();
    if (ours && xs_fake_changed)
        xs_fake_changed(path);
}

void xs_fake_reset(void)
{
    n_nodes = 0;
    xs_fake_fails = NULL;
    xs_fake_changed = NULL;
    xs_fake_begins = NULL;
    xs_fake_conflicts = false;
    if (event < 0)
        event = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
}

const char *xs_fake_get(const char *path)
{
    int i = find(path);

    return i < 0 ? NULL : nodes[i].value;
}

static void set(const char *path, const char *value, size_t n)
{
    char dir[160];
    int i = find(path);

    snprintf(dir, sizeof(dir), "%s", path);
    *strrchr(dir, '/') = '\0';
    if (*dir && find(dir) < 0)
        set(dir, "", 0);
    if (i < 0) {
        if (n_nodes == NODES)
            abort();
        i = n_nodes++;
        snprintf(nodes[i].path, sizeof(nodes[i].path), "%s", path);
    }
    snprintf(nodes[i].value, sizeof(nodes[i].value), "%.*s", (int)n, value);
}

static bool drop(const char *path)
{
    bool found = false;

    for (int i = n_nodes - 1; i >= 0; i--) {
        if (below(nodes[i].path, path)) {
            nodes[i] = nodes[--n_nodes];
            found = true;
        }
    }
    return found;
}

void xs_fake_set(const char *path, const char *value)
{
    set(path, value, strlen(value));
    tell(path, false);
}

void xs_fake_remove(const char *path)
{
    drop(path);
    tell(path, false);
}

int xs_fake_count(const char *part)
{
    int n = 0;

    for (int i = 0; i < n_nodes; i++)
        n += strstr(nodes[i].path, part) != NULL;
    return n;
}

static bool fails(const char *name)
{
    return xs_fake_fails && xs_fake_fails(name);
}

/* --- libxenstore --- */

void *xs_read(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *len)
{
    int i = find(path);

    if (fails("xs_read"))
        return NULL;
    if (i < 0) {
        errno = ENOENT;
        return NULL;
    }
    if (len)
        *len = (unsigned)strlen(nodes[i].value);
    return strdup(nodes[i].value);
}

bool xs_write(struct xs_handle *h, xs_transaction_t t, const char *path, const void *data, unsigned int len)
{
    if (fails("xs_write"))
        return false;
    set(path, data, len);
    tell(path, true);
    return true;
}

bool xs_mkdir(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    if (fails("xs_mkdir"))
        return false;
    if (find(path) < 0)
        set(path, "", 0);
    return true;
}

bool xs_rm(struct xs_handle *h, xs_transaction_t t, const char *path)
{
    if (!drop(path)) {
        errno = ENOENT;
        return false;
    }
    tell(path, true);
    return true;
}

/* The names are in the block that is freed as one. */
char **xs_directory(struct xs_handle *h, xs_transaction_t t, const char *path, unsigned int *num)
{
    size_t room = (NODES + 1) * sizeof(char *), length = strlen(path);
    char **list, *at;

    if (fails("xs_directory"))
        return NULL;
    if (find(path) < 0) {
        errno = ENOENT;
        return NULL;
    }
    *num = 0;
    list = malloc(room + sizeof(nodes));
    at = (char *)list + room;
    for (int i = 0; i < n_nodes; i++) {
        const char *name = nodes[i].path + length + 1;

        if (strcmp(nodes[i].path, path) == 0 || !below(nodes[i].path, path) || strchr(name, '/'))
            continue;
        list[(*num)++] = strcpy(at, name);
        at += strlen(name) + 1;
    }
    return list;
}

bool xs_set_permissions(struct xs_handle *h, xs_transaction_t t, const char *path, struct xs_permissions *perms,
                        unsigned int num)
{
    return !fails("xs_set_permissions");
}

xs_transaction_t xs_transaction_start(struct xs_handle *h)
{
    if (fails("xs_transaction_start"))
        return XBT_NULL;
    xs_fake_begun++;
    if (xs_fake_begins)
        xs_fake_begins();
    n_before = n_nodes;
    memcpy(before, nodes, sizeof(*nodes) * (size_t)n_nodes);
    return 1;
}

bool xs_transaction_end(struct xs_handle *h, xs_transaction_t t, bool abandon)
{
    bool failed = !abandon && fails("xs_transaction_end");

    if (abandon || failed) {
        n_nodes = n_before;
        memcpy(nodes, before, sizeof(*nodes) * (size_t)n_nodes);
        return abandon;
    }
    errno = EAGAIN;
    return !xs_fake_conflicts;
}

bool xs_watch(struct xs_handle *h, const char *path, const char *token)
{
    tell(path, false);
    return true;
}

bool xs_unwatch(struct xs_handle *h, const char *path, const char *token)
{
    return true;
}

int xs_fileno(struct xs_handle *h)
{
    return event;
}

char **xs_check_watch(struct xs_handle *h)
{
    uint64_t count;
    char **found;

    if (read(event, &count, sizeof(count)) < 0)
        return NULL;
    found = calloc(2, sizeof(*found));
    return found;
}

bool xs_introduce_domain(struct xs_handle *h, unsigned int domid, unsigned long mfn, unsigned int port)
{
    if (fails("xs_introduce_domain"))
        return false;
    xs_fake_introduced = (struct xs_fake_introduced){domid, port, mfn};
    return true;
}

bool xs_release_domain(struct xs_handle *h, unsigned int domid)
{
    return true;
}
