/* SPDX-License-Identifier: BSD-2-Clause */
/* Disks and network interfaces of a configuration as libvirt's <disk> and <interface>. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "xml/domain.h"

#define NUMBER      24
#define ADDRESS     64
#define INTERVAL_MS 50 /* of a rate that names none */

/* A value that need not be said, since nothing else is possible in XML, or it is the default. */
struct implied {
    const char *key, *value, *or_value;
};

/* A device while it is said. */
struct device {
    struct domain_out *x;
    const struct spec_table *t;
    const struct spec *s;
    const struct source *src;
    const struct json_value *v; /* an object, or a string of xl's */
    unsigned said;              /* a bit for each key of the table */
};

static void drop(const struct device *d, const char *key, const char *why)
{
    const struct json_value *member = key ? json_member(d->v, key) : NULL;

    export_dropped(d->x, d->src, member ? member : d->v, member ? NULL : key, why);
}

/* The value of a key, which counts as said from then on; NULL: it is not given. */
static const char *say(struct device *d, const char *key)
{
    d->said |= 1u << spec_key_find(d->t, key);
    return spec_get(d->t, d->s, key);
}

/* An element of one attribute; nothing if there is no value. */
static void element(const struct device *d, const char *name, const char *attr, const char *value)
{
    if (!value)
        return;
    xml_out_open(d->x->o, name);
    xml_out_attr(d->x->o, attr, value);
    xml_out_close(d->x->o);
}

static bool is_implied(const struct implied *list, const char *key, const char *value)
{
    for (; list->key; list++) {
        if (strcmp(list->key, key) == 0 &&
            (strcmp(list->value, value) == 0 || (list->or_value && strcmp(list->or_value, value) == 0)))
            return true;
    }
    return false;
}

static void report_left(const struct device *d, const struct implied *list)
{
    for (int i = 0; d->t->keys[i].name; i++) {
        const char *key = d->t->keys[i].name, *value = d->s->value[i];

        if (value && !(d->said >> i & 1) && !is_implied(list, key, value))
            drop(d, key, "domain XML has no place for it");
    }
}

/* --- disks --- */

static const struct implied disk_implied[] = {
    {"format", "raw", NULL},      {"access", "rw", "w"},  {"devtype", "disk", NULL},     {"backend", "0", "Domain-0"},
    {"backendtype", "phy", NULL}, {"trusted", "1", NULL}, {"direct-io-safe", "0", NULL}, {0},
};

/* What is below /dev is a device, all else a file: the XML may be for another host. */
static bool is_block(const char *target)
{
    return strncmp(target, "/dev/", 5) == 0;
}

static void driver(struct device *d, bool block)
{
    const char *discard = say(d, "discard"), *format = say(d, "format"), *served = spec_get(d->t, d->s, "backendtype");
    bool image = format && strcmp(format, "raw") != 0;

    if (image && served && strcmp(served, "qdisk") == 0)
        say(d, "backendtype"); /* no other serves it */
    xml_out_open(d->x->o, "driver");
    xml_out_attr(d->x->o, "name", image ? "qemu" : block ? "phy" : "file");
    xml_out_attr(d->x->o, "type", image ? format : "raw");
    if (discard)
        xml_out_attr(d->x->o, "discard", *discard == '1' ? "unmap" : "ignore");
    xml_out_close(d->x->o);
}

static const char *bus(const char *vdev)
{
    return *vdev == 'h' ? "ide" : *vdev == 's' ? "scsi" : "xen";
}

static void disk(struct device *d)
{
    const char *target = say(d, "target"), *vdev = say(d, "vdev"), *access = spec_get(d->t, d->s, "access");
    bool block = is_block(target);

    if (spec_get(d->t, d->s, "script")) {
        drop(d, NULL, "domain XML has no place for a disk's script, and its target means something to that alone");
        return;
    }
    if (!xml_sayable(target)) {
        drop(d, NULL, "XML cannot have one of the characters of its target");
        return;
    }
    xml_out_open(d->x->o, "disk");
    xml_out_attr(d->x->o, "type", block ? "block" : "file");
    xml_out_attr(d->x->o, "device", "disk");
    driver(d, block);
    element(d, "source", block ? "dev" : "file", target);
    xml_out_open(d->x->o, "target");
    xml_out_attr(d->x->o, "dev", vdev);
    xml_out_attr(d->x->o, "bus", bus(vdev));
    xml_out_close(d->x->o);
    if (access && *access == 'r' && strcmp(access, "rw") != 0) {
        say(d, "access");
        xml_out_open(d->x->o, "readonly");
        xml_out_close(d->x->o);
    }
    report_left(d, disk_implied);
    xml_out_close(d->x->o);
}

/* --- network interfaces --- */

static const struct implied vif_implied[] = {
    {"type", "vif", NULL},
    {"backend", "0", "Domain-0"},
    {"trusted", "1", NULL},
    {0},
};

struct address {
    char text[ADDRESS];
    const char *prefix; /* in text, or NULL */
    bool v6;
};

/* "10.0.0.1" or "10.0.0.1/24". */
static bool parse_address(const char *from, size_t len, struct address *a)
{
    unsigned char bytes[16];
    char *slash;

    if (len >= ADDRESS)
        return false;
    snprintf(a->text, sizeof(a->text), "%.*s", (int)len, from);
    slash = strchr(a->text, '/');
    a->prefix = slash ? slash + 1 : NULL;
    if (slash)
        *slash = '\0';
    if (slash && (!*a->prefix || strlen(a->prefix) > 3 || a->prefix[strspn(a->prefix, "0123456789")]))
        return false;
    a->v6 = strchr(a->text, ':') != NULL;
    return inet_pton(a->v6 ? AF_INET6 : AF_INET, a->text, bytes) == 1;
}

/* Addresses with single blanks between them; false: it is something else, which only the script understands. */
static bool each_address(const struct device *d, const char *ip, bool out)
{
    struct address a;

    for (const char *at = ip;; at++) {
        size_t n = strcspn(at, " ");

        if (!parse_address(at, n, &a))
            return false;
        if (out) {
            xml_out_open(d->x->o, "ip");
            xml_out_attr(d->x->o, "address", a.text);
            xml_out_attr(d->x->o, "family", a.v6 ? "ipv6" : "ipv4");
            if (a.prefix)
                xml_out_attr(d->x->o, "prefix", a.prefix);
            xml_out_close(d->x->o);
        }
        at += n;
        if (!*at)
            return true;
    }
}

static void addresses(struct device *d)
{
    const char *ip = say(d, "ip");

    if (!ip)
        return;
    if (each_address(d, ip, false))
        each_address(d, ip, true);
    else
        drop(d, "ip", "it is not a list of addresses");
}

/* libvirt counts in whole KB/s, and has no interval. */
static void rate(struct device *d)
{
    const char *given = say(d, "rate");
    struct ctl_vif vif = spec_vif(d->s);
    char digits[NUMBER];
    uint64_t kbytes = vif.rate_bytes / INTERVAL_MS; /* a second: 1 KB/s is one byte a millisecond */

    if (!given)
        return;
    if (vif.rate_usecs != INTERVAL_MS * 1000 || vif.rate_bytes % INTERVAL_MS || (kbytes > 9999999 && kbytes % 1000)) {
        drop(d, "rate", "domain XML has whole KB/s, and no interval");
        return;
    }
    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)kbytes);
    xml_out_open(d->x->o, "bandwidth");
    element(d, "outbound", "average", digits);
    xml_out_close(d->x->o);
}

/* Such a name is taken for that of a running domain on the way back, by libvirt and by us. */
static void vifname(struct device *d)
{
    const char *name = say(d, "vifname");
    unsigned domid, devid;
    char end;

    if (name && sscanf(name, "vif%u.%u%c", &domid, &devid, &end) == 2)
        drop(d, "vifname", "in domain XML such a name is that of a running domain");
    else
        element(d, "target", "dev", name);
}

static void script(struct device *d)
{
    const char *path = say(d, "script");

    if (path && !xml_sayable(path))
        drop(d, "script", "XML cannot have one of its characters");
    else
        element(d, "script", "path", path);
}

/* Without a bridge it is the type that needs none: which one is the default is for the host to say where it runs. */
static void vif(struct device *d, size_t number)
{
    const char *devid = spec_get(d->t, d->s, "devid"), *bridge = say(d, "bridge");

    xml_out_open(d->x->o, "interface");
    xml_out_attr(d->x->o, "type", bridge ? "bridge" : "ethernet");
    element(d, "mac", "address", say(d, "mac"));
    element(d, "source", "bridge", bridge);
    script(d);
    vifname(d);
    addresses(d);
    rate(d);
    element(d, "mtu", "size", say(d, "mtu"));
    if (devid && (size_t)atol(devid) == number)
        say(d, "devid"); /* by its place */
    report_left(d, vif_implied);
    xml_out_close(d->x->o);
}

/* --- the whole --- */

/* What each guest has, and libvirt's Xen driver shows of each. */
static void console(struct domain_out *x)
{
    xml_out_open(x->o, "console");
    xml_out_attr(x->o, "type", "pty");
    xml_out_open(x->o, "target");
    xml_out_attr(x->o, "type", "xen");
    xml_out_attr(x->o, "port", "0");
    xml_out_close(x->o);
    xml_out_close(x->o);
}

static void each_device(struct domain_out *x, const char *key, const struct config_devices *devices)
{
    const struct config_key *k = &config_keys[config_key_find(key)];
    const struct config_origin *from = &x->c->origin[config_key_find(key)];

    for (size_t i = 0; i < devices->n; i++) {
        struct device d = {.x = x,
                           .t = config_device_table(k->kind),
                           .s = &devices->list[i],
                           .src = from->src,
                           .v = from->value->item[i]};

        if (k->kind == KIND_DISKS)
            disk(&d);
        else
            vif(&d, i);
    }
}

void export_devices(struct domain_out *x)
{
    xml_out_open(x->o, "devices");
    each_device(x, "disk", &x->c->disks);
    each_device(x, "vif", &x->c->vifs);
    console(x);
    xml_out_close(x->o);
}
