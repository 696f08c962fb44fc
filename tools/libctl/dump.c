// SPDX-License-Identifier: BSD-2-Clause
/*
 * A domain's memory and registers as a core file: the verb dump-core.
 *
 * The file is sections: notes, registers, shared information (PV), pages, and the table of which page is which. All but
 * the pages' number is known before the first of them is written, so that the header comes last, into its place: a file
 * that was cut short has none. Frames are those that the saver knows (save_p2m.c, save_hvm.c); what a running guest
 * gives back meanwhile is left out. Does not pause the domain.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libctl/dump.h"

struct dump {
    struct ctl_save v;
    const struct ctl_dump *how;
    struct ctl_dump_result *result;
    struct vcpu_guest_context *vcpus;
    int nr_vcpus;
    Elf64_Shdr section[DUMP_SECTIONS];
    uint64_t nr_pages, room; /* entries in the table; that fit */
    uint64_t *table;         /* one or two words for each */
    uint64_t frames[PAGE_BATCH], pfns[PAGE_BATCH];
    xen_pfn_t *types; /* locked */
    unsigned n;       /* of the batch */
};

/* The names, each at a place of its own. */
static const char names[] = "\0.shstrtab\0.note.Xen\0.xen_prstatus\0.xen_pages\0.xen_p2m\0.xen_pfn\0.xen_shared_info";

static uint32_t name_at(const char *name)
{
    uint32_t at = 1;

    while (strcmp(names + at, name) != 0) {
        at += (uint32_t)strlen(names + at) + 1;
    }
    return at;
}

static int failed(struct dump *d, int code, const char *what)
{
    return ctl_fail_domain(d->v.ctl, d->v.err, code, CTL_AT("dump memory", d->v.info.domid), "%s", what);
}

/* A short write is a full disk. */
static int put(struct dump *d, const void *data, size_t size, uint64_t at)
{
    const uint8_t *p = data;

    while (size) {
        ssize_t n = pwrite(d->how->fd, p, size, (off_t)at);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            int code = n < 0 ? -errno : -ENOSPC;

            return ctl_error_set(d->v.err, code, "write the core file", d->how->name,
                                 code == -ENOSPC ? "free space there, or name a file elsewhere" : NULL,
                                 "%llu MiB are written of about %llu MiB", (unsigned long long)at >> 20,
                                 (unsigned long long)d->v.info.memory_kib >> 10);
        }
        p += n;
        at += (uint64_t)n;
        size -= (size_t)n;
    }
    return 0;
}

/* --- sections --- */

static unsigned words(const struct dump *d)
{
    return d->v.info.hvm ? 1 : 2;
}

static void section(struct dump *d, int which, const char *name, uint64_t size, uint64_t entry)
{
    static const int order[] = {DUMP_NOTE, DUMP_VCPUS, DUMP_SHARED, DUMP_NAMES, DUMP_PAGES, DUMP_TABLE};
    Elf64_Shdr *s = &d->section[which];
    uint64_t at = sizeof(Elf64_Ehdr) + sizeof(d->section);

    *s = (Elf64_Shdr){.sh_name = name_at(name), .sh_type = SHT_PROGBITS, .sh_size = size, .sh_entsize = entry};
    s->sh_addralign = which == DUMP_PAGES ? CTL_PAGE_SIZE : 8;
    for (size_t i = 0; order[i] != which; i++) {
        uint64_t end = d->section[order[i]].sh_offset + d->section[order[i]].sh_size;

        at = end > at ? end : at;
    }
    s->sh_offset = (at + s->sh_addralign - 1) & ~(s->sh_addralign - 1);
}

/* Those that come before the pages. */
static void first_sections(struct dump *d)
{
    section(d, DUMP_NOTE, ".note.Xen", sizeof(struct dump_notes), 0);
    d->section[DUMP_NOTE].sh_type = SHT_NOTE;
    section(d, DUMP_VCPUS, ".xen_prstatus", (uint64_t)d->nr_vcpus * sizeof(*d->vcpus), sizeof(*d->vcpus));
    if (!d->v.info.hvm) {
        section(d, DUMP_SHARED, ".xen_shared_info", CTL_PAGE_SIZE, CTL_PAGE_SIZE);
    }
    section(d, DUMP_NAMES, ".shstrtab", sizeof(names), 0);
    d->section[DUMP_NAMES].sh_type = SHT_STRTAB;
    section(d, DUMP_PAGES, ".xen_pages", 0, CTL_PAGE_SIZE);
}

static void last_sections(struct dump *d)
{
    uint64_t entry = words(d) * sizeof(*d->table);

    section(d, DUMP_PAGES, ".xen_pages", d->nr_pages << CTL_PAGE_SHIFT, CTL_PAGE_SIZE);
    section(d, DUMP_TABLE, d->v.info.hvm ? ".xen_pfn" : ".xen_p2m", d->nr_pages * entry, entry);
}

/* --- pages --- */

static int add_entry(struct dump *d, uint64_t pfn, uint64_t frame)
{
    unsigned w = words(d);

    if (d->nr_pages == d->room) {
        uint64_t room = d->room ? 2 * d->room : 4 * PAGE_BATCH;
        uint64_t *more = realloc(d->table, room * w * sizeof(*more));

        if (!more) {
            return failed(d, -ENOMEM, "no memory for the table of pages");
        }
        d->table = more;
        d->room = room;
    }
    d->table[d->nr_pages * w] = pfn;
    if (w == 2) {
        d->table[d->nr_pages * w + 1] = frame;
    }
    d->nr_pages++;
    return 0;
}

/* Drops what has no contents, or is not the domain's. */
static int keep_memory(struct dump *d)
{
    struct xen_domctl op = {.cmd = XEN_DOMCTL_getpageframeinfo3, .u.getpageframeinfo3.num = d->n};
    unsigned kept = 0;
    int rc;

    memcpy(d->types, d->frames, d->n * sizeof(*d->types));
    set_xen_guest_handle(op.u.getpageframeinfo3.array, d->types);
    rc = ctl_save_domctl(&d->v, &op, "ask for the types of pages");
    for (unsigned i = 0; i < d->n && rc >= 0; i++) {
        if (page_has_data((uint32_t)d->types[i] >> XEN_DOMCTL_PFINFO_LTAB_SHIFT)) {
            d->frames[kept] = d->frames[i];
            d->pfns[kept++] = d->pfns[i];
        }
    }
    d->n = kept;
    return rc < 0 ? rc : 0;
}

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, CTL_PAGE_SIZE - 1) == 0;
}

/* Writes a run of pages at a time. Pages of zeroes are holes of the file. */
static int write_mapped(struct dump *d, const uint8_t *memory, const int *missing)
{
    uint64_t at = d->section[DUMP_PAGES].sh_offset + (d->nr_pages << CTL_PAGE_SHIFT);
    size_t run = 0;
    int rc = 0;

    for (unsigned i = 0; i < d->n && rc == 0; i++) {
        const uint8_t *page = memory + ((size_t)i << CTL_PAGE_SHIFT);
        bool hole = !missing[i] && is_zero(page);

        if (!missing[i] && !hole) {
            rc = add_entry(d, d->pfns[i], d->frames[i]);
            run += CTL_PAGE_SIZE;
        }
        if (rc == 0 && run && (missing[i] || hole || i + 1 == d->n)) {
            const uint8_t *end = missing[i] || hole ? page : page + CTL_PAGE_SIZE;

            rc = put(d, end - run, run, at);
            at += run;
            run = 0;
        }
        if (rc == 0 && hole) {
            rc = add_entry(d, d->pfns[i], d->frames[i]);
            at += CTL_PAGE_SIZE;
        }
    }
    return rc;
}

static int flush(struct dump *d)
{
    int missing[PAGE_BATCH], rc = d->n ? keep_memory(d) : 0;
    uint8_t *memory;

    if (rc == 0 && d->how->tick) {
        rc = d->how->tick(d->how->ctx, d->v.err);
    }
    if (rc == 0 && d->n) {
        memory = ctl_foreign_map_some(d->v.ctl, d->v.info.domid, d->frames, d->n, missing, d->v.err);
        rc = memory ? write_mapped(d, memory, missing) : d->v.err->code;
        ctl_foreign_unmap(d->v.ctl, memory, d->n);
    }
    d->n = 0;
    return rc;
}

static int write_pages(struct dump *d)
{
    int rc = 0;

    for (uint64_t pfn = 0; pfn < d->v.nr_pfns && rc == 0; pfn++) {
        uint64_t frame = d->v.info.hvm ? pfn : d->v.p2m[pfn];

        if (frame == NO_FRAME) {
            continue;
        }
        d->pfns[d->n] = pfn;
        d->frames[d->n++] = frame;
        if (d->n == PAGE_BATCH) {
            rc = flush(d);
        }
    }
    return rc == 0 ? flush(d) : rc;
}

/* --- the rest of the file --- */

static struct dump_note note(uint32_t type, uint32_t size)
{
    return (struct dump_note){sizeof(DUMP_OWNER), size, type, DUMP_OWNER};
}

static void fill_version(struct dump *d, struct dump_xen_version *out)
{
    int version = ctl_call_version(d->v.ctl, XENVER_version, NULL, 0);

    out->major = version < 0 ? 0 : (uint64_t)version >> 16;
    out->minor = version < 0 ? 0 : (uint64_t)version & 0xffff;
    ctl_call_version(d->v.ctl, XENVER_extraversion, out->extra, sizeof(out->extra));
    ctl_call_version(d->v.ctl, XENVER_compile_info, &out->compile, sizeof(out->compile));
    ctl_call_version(d->v.ctl, XENVER_capabilities, out->capabilities, sizeof(out->capabilities));
    ctl_call_version(d->v.ctl, XENVER_changeset, out->changeset, sizeof(out->changeset));
    ctl_call_version(d->v.ctl, XENVER_platform_parameters, &out->platform, sizeof(out->platform));
    out->page_size = CTL_PAGE_SIZE;
}

static int write_notes(struct dump *d)
{
    struct dump_xen_version version = {0};
    struct dump_notes notes = {
        .none = note(XEN_ELFNOTE_DUMPCORE_NONE, 0),
        .header_note = note(XEN_ELFNOTE_DUMPCORE_HEADER, sizeof(notes.header)),
        .header = {d->v.info.hvm ? DUMP_MAGIC_HVM : DUMP_MAGIC_PV, (uint64_t)d->nr_vcpus, d->nr_pages, CTL_PAGE_SIZE},
        .version_note = note(XEN_ELFNOTE_DUMPCORE_XEN_VERSION, sizeof(notes.version)),
        .format_note = note(XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION, sizeof(notes.format)),
        .format = DUMP_VERSION,
    };

    fill_version(d, &version);
    notes.version = version;
    return put(d, &notes, sizeof(notes), d->section[DUMP_NOTE].sh_offset);
}

static int write_header(struct dump *d)
{
    Elf64_Ehdr h = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                    .e_type = ET_CORE,
                    .e_machine = EM_X86_64,
                    .e_version = EV_CURRENT,
                    .e_ehsize = sizeof(h),
                    .e_shoff = sizeof(h),
                    .e_shentsize = sizeof(Elf64_Shdr),
                    .e_shnum = d->v.info.hvm ? DUMP_SHARED : DUMP_SECTIONS,
                    .e_shstrndx = DUMP_NAMES};
    int rc = put(d, d->section, sizeof(d->section), sizeof(h));

    return rc == 0 ? put(d, &h, sizeof(h), 0) : rc;
}

static int write_rest(struct dump *d)
{
    const Elf64_Shdr *s = d->section;
    int rc = write_notes(d);

    if (rc == 0) {
        rc = put(d, d->vcpus, s[DUMP_VCPUS].sh_size, s[DUMP_VCPUS].sh_offset);
    }
    if (rc == 0 && d->v.shared) {
        rc = put(d, d->v.shared, s[DUMP_SHARED].sh_size, s[DUMP_SHARED].sh_offset);
    }
    if (rc == 0) {
        rc = put(d, names, sizeof(names), s[DUMP_NAMES].sh_offset);
    }
    if (rc == 0) {
        rc = put(d, d->table, s[DUMP_TABLE].sh_size, s[DUMP_TABLE].sh_offset);
    }
    return rc == 0 ? write_header(d) : rc;
}

static int open_domain(struct dump *d, uint32_t domid)
{
    int rc = ctl_domain_info(d->v.ctl, domid, &d->v.info, d->v.err);

    if (rc == 0 && d->v.info.dying) {
        rc = failed(d, -EBUSY, "it is dying: its memory is being given back");
    }
    if (rc == 0) {
        rc = d->v.info.hvm ? ctl_save_hvm_open(&d->v) : ctl_save_open(&d->v);
    }
    if (rc == 0) {
        d->types = ctl_buffer_get(d->v.ctl, PAGE_BATCH * sizeof(*d->types));
        rc = d->types ? 0 : failed(d, -ENOMEM, "no locked memory for a batch of pages");
    }
    if (rc == 0) {
        d->nr_vcpus = ctl_dump_vcpus(&d->v, &d->vcpus);
        rc = d->nr_vcpus < 0 ? d->nr_vcpus : 0;
    }
    return rc;
}

static int dump(struct dump *d, uint32_t domid)
{
    int rc = open_domain(d, domid);

    if (rc == 0) {
        first_sections(d);
        rc = write_pages(d);
    }
    if (rc == 0) {
        last_sections(d);
        rc = write_rest(d);
    }
    *d->result = (struct ctl_dump_result){.pages = d->nr_pages, .vcpus = rc == 0 ? (unsigned)d->nr_vcpus : 0};
    return rc;
}

int ctl_domain_dump(struct ctl *ctl, uint32_t domid, const struct ctl_dump *how, struct ctl_dump_result *result,
                    struct ctl_error *err)
{
    struct ctl_error own = {0};
    struct dump *d = calloc(1, sizeof(*d));
    int rc;

    if (!d) {
        return ctl_error_set(err, -ENOMEM, "dump memory", NULL, NULL, "no memory to work with");
    }
    d->v.ctl = ctl;
    d->v.err = err ? err : &own;
    d->how = how;
    d->result = result;
    rc = dump(d, domid);
    ctl_buffer_put(ctl, d->types);
    ctl_save_close(&d->v);
    free(d->vcpus);
    free(d->table);
    free(d);
    return rc;
}
