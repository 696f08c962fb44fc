// SPDX-License-Identifier: BSD-2-Clause
/*
 * hypfs_op: the words of the hypervisor's command line, and what it is, as a tree of names; words declared for it
 * (CMDLINE_RUNTIME) can be set. The control domain's alone. Source: <xen/hypfs.h>.
 *
 * The tree is the same from boot on, so no lock is held and none is needed: a value is copied before it is shown.
 */
#include <hv/boot.h>
#include <hv/guest_copy.h>
#include <hv/hypercall.h>
#include <xen/hypfs.h>

#define CONTENT_MAX 128u /* bytes of an entry that is no directory: longer text is cut */
#define VALUE_MAX   32u  /* of what a PARAM_CUSTOM is set to */

enum dir { NO_DIR, ROOT, BUILDINFO, COMPILEINFO, VERSION, PARAMS };

/* All but the parameters. */
static const struct node {
    enum dir in, is;
    const char *name, *text;
    uint32_t number; /* of what is neither directory nor text */
} nodes[] = {
    {NO_DIR, ROOT, "", NULL, 0}, /* the first */
    {ROOT, BUILDINFO, "buildinfo", NULL, 0},
    {ROOT, PARAMS, "params", NULL, 0},
    {BUILDINFO, NO_DIR, "changeset", HV_CHANGESET, 0},
    {BUILDINFO, COMPILEINFO, "compileinfo", NULL, 0},
    {BUILDINFO, VERSION, "version", NULL, 0},
    {COMPILEINFO, NO_DIR, "compiler", HV_COMPILER, 0},
    {VERSION, NO_DIR, "extra", HV_EXTRA, 0},
    {VERSION, NO_DIR, "major", NULL, HV_MAJOR},
    {VERSION, NO_DIR, "minor", NULL, HV_MINOR},
};

/* One of the two. */
struct entry {
    const struct node *node;
    const struct cmdline_param *param;
};

static enum dir dir_of(const struct entry *e)
{
    return e->node ? e->node->is : NO_DIR;
}

static const char *name_of(const struct entry *e)
{
    return e->node ? e->node->name : e->param->name;
}

/* From one entry of a directory to the next, from {} to the first. False: there is no other. */
static bool next_in(enum dir dir, struct entry *e)
{
    if (dir == PARAMS) {
        e->param = cmdline_next(e->param);
        return e->param;
    }
    for (e->node = e->node ? e->node + 1 : nodes; e->node < nodes + ARRAY_SIZE(nodes); e->node++)
        if (e->node->in == dir)
            return true;
    return false;
}

static bool find_in(enum dir dir, const char *name, size_t n, struct entry *e)
{
    *e = (struct entry){NULL, NULL};
    while (next_in(dir, e))
        if (strlen(name_of(e)) == n && !memcmp(name_of(e), name, n))
            return true;
    return false;
}

/* 0, -EINVAL: not from the root, -ENOENT. A slash behind a directory changes nothing. */
static int find(const char *path, struct entry *e)
{
    *e = (struct entry){nodes, NULL};
    if (*path != '/')
        return -EINVAL;
    while (*path) {
        enum dir dir = dir_of(e);
        size_t n = 0;

        if (dir == NO_DIR)
            return -ENOENT;
        for (path++; path[n] && path[n] != '/'; n++)
            ;
        if (*path && !find_in(dir, path, n, e))
            return -ENOENT;
        path += n;
    }
    return 0;
}

/* Bytes of a directory's content for an entry of this name: the next one is aligned. */
static uint32_t listed_size(const char *name)
{
    return (uint32_t)ROUND_UP(offsetof(struct xen_hypfs_dirlistentry, name) + strlen(name) + 1, 4ul);
}

static uint32_t dir_size(enum dir dir)
{
    struct entry e = {NULL, NULL};
    uint32_t size = 0;

    while (next_in(dir, &e))
        size += listed_size(name_of(&e));
    return size;
}

/* As the guest gets it, but for the content of a directory. */
struct content {
    struct xen_hypfs_direntry e;
    char data[CONTENT_MAX];
};

static bool is_text(const struct cmdline_param *p)
{
    return p->kind == PARAM_STRING || p->kind == PARAM_CUSTOM;
}

static void describe_param(const struct cmdline_param *p, struct content *c)
{
    c->e.type = is_text(p) ? XEN_HYPFS_TYPE_STRING : p->kind == PARAM_BOOL ? XEN_HYPFS_TYPE_BOOL : XEN_HYPFS_TYPE_UINT;
    if (p->runtime)
        c->e.max_write_len = p->kind == PARAM_CUSTOM ? VALUE_MAX : p->len;
    if (is_text(p))
        cmdline_text(p, c->data, sizeof(c->data));
    else
        memcpy(c->data, p->var, p->len);
    c->e.content_len = is_text(p) ? (uint32_t)strlen(c->data) + 1 : p->len;
}

static struct content describe(const struct entry *e)
{
    struct content c = {.e = {.encoding = XEN_HYPFS_ENC_PLAIN}};
    const struct node *n = e->node;

    if (!n) {
        describe_param(e->param, &c);
    } else if (n->is != NO_DIR) {
        c.e.type = XEN_HYPFS_TYPE_DIR;
        c.e.content_len = dir_size(n->is);
    } else if (n->text) {
        c.e.type = XEN_HYPFS_TYPE_STRING;
        c.e.content_len = (uint32_t)MIN(strlcpy(c.data, n->text, sizeof(c.data)) + 1, sizeof(c.data));
    } else {
        c.e.type = XEN_HYPFS_TYPE_UINT;
        c.e.content_len = sizeof(n->number);
        memcpy(c.data, &n->number, sizeof(n->number));
    }
    return c;
}

/* size: what dir_size says. */
static long list(enum dir dir, char *guest, uint32_t size)
{
    struct entry e = {NULL, NULL};

    while (next_in(dir, &e)) {
        const size_t head_size = offsetof(struct xen_hypfs_dirlistentry, name);
        uint32_t n = listed_size(name_of(&e));
        struct xen_hypfs_dirlistentry head = {.e = describe(&e).e};

        size -= n;
        head.off_next = size ? (uint16_t)n : 0;
        if (guest_copy_to(guest, &head, head_size) ||
            guest_copy_to(guest + head_size, name_of(&e), strlen(name_of(&e)) + 1))
            return -EFAULT;
        guest += n;
    }
    return 0;
}

/* Into size bytes there. What it is comes first, whether there is room for the rest or not. */
static long read_entry(const struct entry *e, char *guest, unsigned long size)
{
    struct content c = describe(e);

    if (size < sizeof(c.e))
        return -EINVAL;
    if (guest_copy_to(guest, &c.e, sizeof(c.e)))
        return -EFAULT;
    if (size - sizeof(c.e) < c.e.content_len)
        return -ENOBUFS;
    guest += sizeof(c.e);
    return c.e.type == XEN_HYPFS_TYPE_DIR ? list(dir_of(e), guest, c.e.content_len)
                                          : guest_copy_to(guest, c.data, c.e.content_len);
}

/* From size bytes there. Numbers are set as the command line would: as text. */
static long write_entry(const struct entry *e, const char *guest, unsigned long size)
{
    uint32_t most = describe(e).e.max_write_len;
    char text[CONTENT_MAX];
    uint64_t number = 0;

    if (!most)
        return -EACCES;
    if (size > most || size > sizeof(text))
        return -ENOSPC;
    if (!is_text(e->param)) {
        if (size != e->param->len)
            return -EDOM;
        if (guest_copy_from(&number, guest, size))
            return -EFAULT;
        snprintf(text, sizeof(text), "%lu", number);
    } else {
        if (guest_copy_from(text, guest, size))
            return -EFAULT;
        if (!size || strnlen(text, size) != size - 1)
            return -EINVAL;
    }
    return cmdline_set(e->param, text);
}

/* n counts the NUL, which is the last byte and the only one. */
static int copy_path(char path[XEN_HYPFS_MAX_PATHLEN], const char *guest, unsigned long n)
{
    if (n > XEN_HYPFS_MAX_PATHLEN)
        return -EINVAL;
    if (guest_copy_from(path, guest, n))
        return -EFAULT;
    return n && strnlen(path, n) == n - 1 ? 0 : -EINVAL;
}

long do_hypfs_op(struct hcall *hc)
{
    char path[XEN_HYPFS_MAX_PATHLEN];
    unsigned int cmd = (unsigned int)hc->arg[0];
    struct entry e;
    int rc;

    if (cmd == XEN_HYPFS_OP_get_version)
        return hc->arg[1] || hc->arg[2] || hc->arg[3] || hc->arg[4] ? -EINVAL : XEN_HYPFS_VERSION;
    rc = copy_path(path, guest_ptr(const char, hc->arg[1]), hc->arg[2]);
    if (!rc)
        rc = find(path, &e);
    if (rc)
        return rc;
    switch (cmd) {
    case XEN_HYPFS_OP_read:
        return read_entry(&e, guest_ptr(char, hc->arg[3]), hc->arg[4]);
    case XEN_HYPFS_OP_write_contents:
        return write_entry(&e, guest_ptr(const char, hc->arg[3]), hc->arg[4]);
    default:
        return -EOPNOTSUPP;
    }
}
