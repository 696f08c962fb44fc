/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A core file of a domain, in the format that Xen publishes (dump-core-format.txt in its documentation): an ELF file
 * of sections. What the dumper's files share. Internal to libctl.
 */
#ifndef CTL_DUMP_H
#define CTL_DUMP_H

#include "libctl/save.h"

#include <xen/elfnote.h>

/* Sections in the order of the file's table. */
enum { DUMP_NULL, DUMP_NAMES, DUMP_NOTE, DUMP_VCPUS, DUMP_PAGES, DUMP_TABLE, DUMP_SHARED, DUMP_SECTIONS };

#define DUMP_MAGIC_PV  0xf00febedull
#define DUMP_MAGIC_HVM 0xf00febeeull
#define DUMP_VERSION   1 /* 0.1 */
#define DUMP_OWNER     "Xen"

struct dump_note {
    uint32_t name_size, desc_size, type;
    char name[4];
};

struct dump_header {
    uint64_t magic, nr_vcpus, nr_pages, page_size;
};

struct dump_xen_version {
    uint64_t major, minor;
    xen_extraversion_t extra;
    xen_compile_info_t compile;
    xen_capabilities_info_t capabilities;
    xen_changeset_info_t changeset;
    xen_platform_parameters_t platform;
    uint64_t page_size;
};

/* .note.Xen */
struct dump_notes {
    struct dump_note none;
    struct dump_note header_note;
    struct dump_header header;
    struct dump_note version_note;
    struct dump_xen_version version;
    struct dump_note format_note;
    uint64_t format;
} __attribute__((packed));

/* An entry of .xen_p2m, of PV guests; .xen_pfn, of PVH guests, has the first number alone. */
struct dump_p2m {
    uint64_t pfn, gmfn;
};

/* dump_vcpu.c: the vCPUs that are up. *list is freed by the caller. Returns their number or -errno. */
int ctl_dump_vcpus(struct ctl_save *v, struct vcpu_guest_context **list);

#endif
