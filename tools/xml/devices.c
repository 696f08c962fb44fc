/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks and network interfaces of a domain's XML as the lists "disk" and "vif" of a configuration. A device of which a
 * part that matters for its contents, or for who can reach it, has no place in a configuration is left out as a whole:
 * a disk in another format, taken for a raw one, would be destroyed.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "xml/domain.h"

#define RATE_DIGITS 7 /* that "rate" can have */

static bool has(const struct xml_element *e, const char *attr, const char *value)
{
    const struct xml_attr *a = xml_attr(e, attr);

    return a && strcmp(a->value, value) == 0;
}

static bool has_other(const struct xml_element *e, const char *attr, const char *value)
{
    return xml_attr(e, attr) && !has(e, attr, value);
}

static void attr_text(struct domain_in *im, struct json_value *to, const char *key, struct xml_element *e,
                      const char *attr)
{
    const char *value = e ? xml_take(e, attr) : NULL;

    if (value)
        import_text(im, to, key, value, e, attr);
}

static bool in_other_domain(const struct xml_element *e)
{
    const struct xml_element *back = xml_child(e, "backenddomain");

    return back && !has(back, "name", "Domain-0") && !has(back, "name", "0");
}

static void take_backend(struct domain_in *im, struct xml_element *e)
{
    struct xml_element *back = import_one(im, e, "backenddomain");

    if (back)
        xml_take(back, "name");
}

/* --- disks --- */

static const char *source_attr(const struct xml_element *disk)
{
    return has(disk, "type", "block") ? "dev" : "file";
}

/* A format that qemu serves, or NULL. */
static const char *image_format(const struct xml_element *driver)
{
    static const char *const formats[] = {"qcow", "qcow2", "vhd", "qed"};

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        if (has(driver, "type", formats[i]))
            return formats[i];
    }
    return NULL;
}

/* Why it cannot be a disk of a configuration, or NULL. */
static const char *disk_fault(const struct xml_element *disk)
{
    const struct xml_element *driver = xml_child(disk, "driver"), *source = xml_child(disk, "source");
    const struct xml_attr *path = xml_attr(source, source_attr(disk));
    const struct xml_attr *vdev = xml_attr(xml_child(disk, "target"), "dev");
    uint32_t number;

    if (has_other(disk, "device", "disk"))
        return "guests have disks only";
    if (xml_attr(disk, "type") && has_other(disk, "type", "file") && has_other(disk, "type", "block"))
        return "what it is stored in is neither a file nor a block device";
    if (has_other(driver, "type", "raw") && !image_format(driver))
        return "its format is none of raw, qcow, qcow2, vhd, qed";
    if (image_format(driver) && has_other(driver, "name", "qemu"))
        return "what its driver serves is raw disks only";
    if (xml_child(disk, "encryption") || xml_child(source, "encryption") || xml_child(source, "slices"))
        return "what the guest would see is not what its file contains";
    if (xml_child(disk, "transient"))
        return "what is written to it would not go when the guest ends";
    if (in_other_domain(disk))
        return "its back end is another domain";
    if (!path || !*path->value)
        return "it has no source";
    if (!vdev || ctl_disk_number(vdev->value, &number))
        return "its target is not the name of a disk of Xen's, as xvda is";
    return NULL;
}

/* The buses that libvirt derives from names; "xen" is right for each. */
static const char *bus_of(const char *vdev)
{
    return strncmp(vdev, "hd", 2) == 0 ? "ide" : strncmp(vdev, "sd", 2) == 0 ? "scsi" : "xen";
}

static void read_driver(struct domain_in *im, struct xml_element *disk, struct json_value *out)
{
    struct xml_element *driver = import_one(im, disk, "driver");

    if (!driver)
        return;
    if (image_format(driver)) {
        import_text(im, out, "format", image_format(driver), driver, "type");
        xml_take(driver, "name");
    } else {
        xml_take_if(driver, "name", "phy", "file");
    }
    xml_take(driver, "type");
    if (has(driver, "discard", "unmap") || has(driver, "discard", "ignore"))
        import_bool(im, out, "discard", strcmp(xml_take(driver, "discard"), "unmap") == 0, driver, "discard");
}

static void read_disk(struct domain_in *im, struct xml_element *disk, struct json_value *list)
{
    struct json_value *out = json_new(JSON_OBJECT, disk->span);
    struct xml_element *source = import_one(im, disk, "source"), *target = import_one(im, disk, "target"), *ro;

    if (!out || json_append(list, out)) {
        json_free(out);
        im->d->out_of_memory = true;
        return;
    }
    disk->taken = true;
    xml_take(disk, "type");
    xml_take(disk, "device");
    attr_text(im, out, "target", source, source_attr(disk));
    xml_take_if(target, "bus", "xen", bus_of(xml_attr(target, "dev")->value));
    attr_text(im, out, "vdev", target, "dev");
    ro = import_one(im, disk, "readonly");
    if (ro)
        import_text(im, out, "access", "ro", ro, NULL);
    read_driver(im, disk, out);
    take_backend(im, disk);
}

/* --- network interfaces --- */

/* The type "ethernet" names no bridge: libvirt's Xen driver leaves it to the host, as a configuration does. */
static const char *vif_fault(const struct xml_element *vif)
{
    const struct xml_element *source = xml_child(vif, "source");
    const struct xml_attr *bridge = xml_attr(source, "bridge");

    if (!has(vif, "type", "bridge") && !has(vif, "type", "ethernet"))
        return "network interfaces are connected to a bridge";
    if (has(vif, "type", "bridge") && (!bridge || !*bridge->value))
        return "it names no bridge";
    if (has(vif, "type", "ethernet") && source)
        return "of the type ethernet its bridge is the host's default, and its source says something else";
    if (xml_child(vif, "virtualport") || xml_child(vif, "vlan"))
        return "the bridge is one of Linux's, without ports and VLANs";
    if (xml_child(vif, "filterref") || has(xml_child(vif, "port"), "isolated", "yes"))
        return "what it may send, and to whom, is not restricted here";
    if (has(xml_child(vif, "link"), "state", "down"))
        return "its cable is out, and here it would be in";
    if (in_other_domain(vif))
        return "its back end is another domain";
    return NULL;
}

static bool is_address(const char *address, int family)
{
    unsigned char bytes[16];

    return inet_pton(family, address, bytes) == 1;
}

/* "10.0.0.1/24" of an <ip>, to be freed; NULL: it is none, and is left. Without a family it is IPv4, as for libvirt. */
static char *read_address(struct xml_element *ip)
{
    bool v6 = has(ip, "family", "ipv6");
    const struct xml_attr *address = xml_attr(ip, "address"), *prefix = xml_attr(ip, "prefix");
    char *text = NULL;

    if (!address || !is_address(address->value, v6 ? AF_INET6 : AF_INET))
        return NULL;
    if (prefix && (!*prefix->value || strlen(prefix->value) > 3 || prefix->value[strspn(prefix->value, "0123456789")]))
        return NULL;
    ip->taken = true;
    xml_take(ip, "address");
    xml_take(ip, "prefix");
    xml_take_if(ip, "family", v6 ? "ipv6" : "ipv4", NULL);
    if (asprintf(&text, "%s%s%s", address->value, prefix ? "/" : "", prefix ? prefix->value : "") < 0)
        return NULL;
    return text;
}

static void read_addresses(struct domain_in *im, struct xml_element *vif, struct json_value *out)
{
    struct xml_element *first = NULL;
    char *all = NULL;

    for (struct xml_element *ip = xml_child(vif, "ip"); ip; ip = xml_next(ip)) {
        char *one = read_address(ip), *longer = NULL;

        if (one && asprintf(&longer, "%s%s%s", all ? all : "", all ? " " : "", one) < 0)
            longer = NULL;
        im->d->out_of_memory |= one && !longer;
        first = first ? first : one ? ip : NULL;
        free(one);
        if (longer) {
            free(all);
            all = longer;
        }
    }
    if (all)
        import_text(im, out, "ip", all, first, "address");
    free(all);
}

/* libvirt's Xen driver reads and writes the average that goes out as xl's "rate", in KB/s. A rate has few digits. */
static void read_rate(struct domain_in *im, struct xml_element *vif, struct json_value *out)
{
    struct xml_element *band = import_one(im, vif, "bandwidth"), *sent = band ? import_one(im, band, "outbound") : NULL;
    char digits[IMPORT_DIGITS], rate[IMPORT_DIGITS + 8];
    const char *unit = "KMG";
    size_t n;

    if (!sent || !xml_attr(sent, "average") || !import_digits(im, sent, "average", digits))
        return;
    for (n = strlen(digits); n > RATE_DIGITS && unit[1] && strcmp(digits + n - 3, "000") == 0; unit++) {
        n -= 3;
        digits[n] = '\0';
    }
    snprintf(rate, sizeof(rate), "%s%cB/s", digits, *unit);
    import_text(im, out, "rate", rate, sent, "average");
}

/* A name like vif3.0 is that of a running domain; libvirt, too, drops it from what it keeps. */
static bool is_of_running(const char *name)
{
    unsigned domid, devid;
    char end;

    return sscanf(name, "vif%u.%u%c", &domid, &devid, &end) == 2;
}

static void read_vif(struct domain_in *im, struct xml_element *vif, struct json_value *list)
{
    struct json_value *out = json_new(JSON_OBJECT, vif->span);
    struct xml_element *target, *mtu, *model;
    char digits[IMPORT_DIGITS];

    if (!out || json_append(list, out)) {
        json_free(out);
        im->d->out_of_memory = true;
        return;
    }
    vif->taken = true;
    xml_take(vif, "type");
    attr_text(im, out, "mac", import_one(im, vif, "mac"), "address");
    attr_text(im, out, "bridge", import_one(im, vif, "source"), "bridge");
    attr_text(im, out, "script", import_one(im, vif, "script"), "path");
    target = import_one(im, vif, "target");
    if (target && xml_attr(target, "dev") && !is_of_running(xml_attr(target, "dev")->value))
        attr_text(im, out, "vifname", target, "dev");
    read_addresses(im, vif, out);
    read_rate(im, vif, out);
    mtu = import_one(im, vif, "mtu");
    if (mtu && xml_attr(mtu, "size") && import_digits(im, mtu, "size", digits))
        import_number(im, out, "mtu", digits, mtu, "size");
    model = import_one(im, vif, "model");
    if (model)
        xml_take_if(model, "type", "netfront", NULL);
    take_backend(im, vif);
}

/* --- what every guest has --- */

/* The console of a guest; the first, if there are more. */
static void take_console(struct domain_in *im, struct xml_element *devices)
{
    struct xml_element *console = xml_child(devices, "console"), *target = xml_child(console, "target");

    if (!has(console, "type", "pty") || has_other(target, "type", "xen") || has_other(target, "port", "0"))
        return;
    console->taken = true;
    xml_take(console, "type");
    if (target) {
        target->taken = true;
        xml_take(target, "type");
        xml_take(target, "port");
    }
}

static void take_balloon(struct xml_element *devices)
{
    struct xml_element *balloon = xml_child(devices, "memballoon");

    if (balloon && has(balloon, "model", "xen")) {
        balloon->taken = true;
        xml_take(balloon, "model");
    }
}

/* --- the whole --- */

typedef const char *fault_fn(const struct xml_element *e);
typedef void read_fn(struct domain_in *im, struct xml_element *e, struct json_value *list);

static void read_list(struct domain_in *im, struct xml_element *devices, const char *name, fault_fn *fault,
                      read_fn *read, struct json_value *list)
{
    for (struct xml_element *e = xml_child(devices, name); e; e = xml_next(e)) {
        e->why = fault(e);
        if (!e->why)
            read(im, e, list);
    }
}

/* An empty list is the default, and is not said. */
static void put_list(struct domain_in *im, struct json_value *out, const char *key, struct json_value *list)
{
    if (list && list->n_items)
        import_value(im, out, key, list);
    else
        json_free(list);
}

void import_devices(struct domain_in *im, struct xml_element *devices, struct json_value *out)
{
    struct json_value *disks = json_new(JSON_ARRAY, devices->span), *vifs = json_new(JSON_ARRAY, devices->span);

    im->d->out_of_memory |= !disks || !vifs;
    if (disks && vifs) {
        read_list(im, devices, "disk", disk_fault, read_disk, disks);
        read_list(im, devices, "interface", vif_fault, read_vif, vifs);
    }
    put_list(im, out, "disk", disks);
    put_list(im, out, "vif", vifs);
    take_console(im, devices);
    take_balloon(devices);
}
