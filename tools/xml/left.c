/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What was not taken of a domain's XML: each attribute and element, and each text between elements, by its path. An
 * element that was not taken is one report, with all that is in it.
 */
#include <stdlib.h>
#include <string.h>

#include "xml/domain.h"

/* Why not, where it is known what it is. */
static const struct {
    const char *parent, *name, *why;
} known[] = {
    {"domain", "@id", "it is the number of a running domain"},
    {"domain", "@type", "the guest is one of Xen's in any case"},
    {"domain", "bootloader", "guests have no boot loader: kernel and initrd name what is booted"},
    {"domain", "bootloader_args", "guests have no boot loader"},
    {"os", "loader", "guests have no firmware"},
    {"os", "nvram", "guests have no firmware"},
    {"os", "boot", "guests have no firmware: kernel names what is booted"},
    {"vcpu", "@cpuset", "vcpupin goes before it"},
    {"cputune", "vcpupin", "all virtual CPUs of a guest have the same host CPUs"},
    {"clock", "@offset", "the clock of a guest is UTC"},
    {"devices", "emulator", "guests have no device model"},
    {"devices", "graphics", "guests have no graphics"},
    {"devices", "video", "guests have no graphics"},
    {"devices", "input", "guests have no keyboard and no mouse"},
    {"devices", "console", "a guest has one console"},
    {"devices", "serial", "guests have no serial ports"},
    {"devices", "hostdev", "guests have no devices of the host"},
    {"target", "@dev", "it is the name that a running domain's has"},
    {"console", "@tty", "it is that of a running domain"},
    {"driver", "@name", "disks are served by the kernel's back end"},
    {"disk", "shareable", "a disk that is written to has one guest"},
};

static const char *reason(const struct xml_element *e, const char *attr)
{
    const char *parent = attr ? e->name : e->parent ? e->parent->name : "";

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        const char *name = known[i].name;

        if (strcmp(known[i].parent, parent) != 0)
            continue;
        if (attr ? *name == '@' && strcmp(name + 1, attr) == 0 : strcmp(name, e->name) == 0)
            return known[i].why;
    }
    return "a configuration has no place for it";
}

static void report(struct domain_in *im, const struct json_span *span, char *path, size_t more, const char *why)
{
    struct diag_at at = {.code = W_DROPPED, .src = im->src, .span = span, .key = path, .warning = true};
    char with[64] = "";

    if (more)
        snprintf(with, sizeof(with), ", with %zu element%s in it", more, more == 1 ? "" : "s");
    if (path)
        diag_add(im->d, &at, "not carried over%s: %s", with, why);
    else
        im->d->out_of_memory = true;
    free(path);
}

void import_left(struct domain_in *im, struct xml_element *root)
{
    if (!root->taken) {
        report(im, &root->span, xml_path(root, NULL), xml_count(root), root->why ? root->why : reason(root, NULL));
        return;
    }
    for (size_t i = 0; i < root->n_attrs; i++) {
        const struct xml_attr *a = &root->attr[i];

        if (!a->taken)
            report(im, &a->span, xml_path(root, a->name), 0, reason(root, a->name));
    }
    if (!root->text_taken && !xml_blank(root->text, root->text_len))
        report(im, &root->text_span, xml_path(root, NULL), 0, "the text in it says nothing");
    for (size_t i = 0; i < root->n_children; i++)
        import_left(im, root->child[i]);
}
