// SPDX-License-Identifier: BSD-2-Clause
/* xenstored for one guest: a list of nodes, and requests that come in pieces. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_world.h"

#include <xen/io/xs_wire.h>

#define NODES 64

static struct {
    char path[STORE_TEXT], value[STORE_TEXT];
} nodes[NODES];
static char request[sizeof(struct xsd_sockmsg) + 1024];
static size_t have;
static bool changed;

static unsigned int find(const char *dir, const char *node, bool make)
{
    char path[STORE_TEXT];
    unsigned int free_one = NODES;

    snprintf(path, sizeof(path), "%s%s%s%s", dir[0] == '/' ? "" : HOME, dir, *node ? "/" : "", node);
    for (unsigned int i = 0; i < NODES; i++) {
        if (!strcmp(nodes[i].path, path))
            return i;
        free_one = free_one == NODES && !nodes[i].path[0] ? i : free_one;
    }
    if (make)
        snprintf(nodes[free_one].path, STORE_TEXT, "%s", path);
    return make ? free_one : NODES;
}

const char *store_get(const char *dir, const char *node)
{
    unsigned int i = find(dir, node, false);

    return i == NODES ? NULL : nodes[i].value;
}

void store_put(const char *dir, const char *node, const char *value)
{
    snprintf(nodes[find(dir, node, true)].value, STORE_TEXT, "%s", value);
}

long store_get_number(const char *dir, const char *node)
{
    const char *value = store_get(dir, node);

    return value && *value >= '0' && *value <= '9' ? strtol(value, NULL, 10) : -1;
}

void store_put_number(const char *dir, const char *node, long value)
{
    char text_of[24];

    snprintf(text_of, sizeof(text_of), "%ld", value);
    store_put(dir, node, text_of);
}

static void reply(struct xsd_sockmsg head, const char *body, size_t n)
{
    struct xenstore_domain_interface *r = virt_of(start_info->store_mfn);
    char bytes[sizeof(head) + STORE_TEXT];

    head.len = (uint32_t)n;
    memcpy(bytes, &head, sizeof(head));
    memcpy(bytes + sizeof(head), body, n);
    for (size_t i = 0; i < sizeof(head) + n; i++)
        r->rsp[MASK_XENSTORE_IDX(r->rsp_prod++)] = bytes[i];
}

static void act(struct xsd_sockmsg head, const char *body)
{
    const char *value = store_get(body, "");
    size_t path = strlen(body) + 1;
    char text_of[STORE_TEXT] = "";

    if (head.type == XS_WRITE) {
        memcpy(text_of, body + path, head.len - path);
        store_put(body, "", text_of);
    } else if (head.type == XS_RM && value) {
        nodes[find(body, "", false)].path[0] = '\0';
    } else if (!value) {
        head.type = XS_ERROR;
    }
    changed |= head.type != XS_READ && strlen(body) > 6 && !strcmp(body + strlen(body) - 6, "/state");
    if (head.type == XS_READ)
        reply(head, value, strlen(value));
    else
        reply(head, head.type == XS_ERROR ? "ENOENT" : "OK", head.type == XS_ERROR ? 7 : 3);
}

bool store_serve(void)
{
    struct xenstore_domain_interface *r = virt_of(start_info->store_mfn);
    struct xsd_sockmsg head;
    bool was;

    while (r->req_cons != r->req_prod) {
        request[have++] = r->req[MASK_XENSTORE_IDX(r->req_cons++)];
        memcpy(&head, request, sizeof(head));
        if (have < sizeof(head) || have < sizeof(head) + head.len)
            continue;
        request[have] = '\0';
        have = 0;
        act(head, request + sizeof(head));
    }
    was = changed;
    changed = false;
    return was;
}
