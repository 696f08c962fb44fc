// SPDX-License-Identifier: BSD-2-Clause
/*
 * tools/libctl/dump.c: core files of guests at random, PV with either form of their list of frames and PVH, on the
 * machine of saved_guest.h. Every page and register of the file is compared with the guest's; each call fails in turn.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "libctl/dump.h"
#include "saved_guest.h"

#include <xen/hvm/save.h>

static struct ctl_error err;
static struct ctl_dump_result result;
static uint8_t *file;
static size_t size;
static uint64_t gone; /* a frame that cannot be mapped any more */
static int ticks, tick_fails_at;

int ctl_call_version(struct ctl *ctl, unsigned op, void *arg, size_t n)
{
    if (op == XENVER_version)
        return 4 << 16 | 17;
    memset(arg, 'a' + (int)op, n);
    return 0;
}

/* Those that are not the domain's are missing; something else is mapped there. */
void *ctl_foreign_map_some(struct ctl *ctl, uint32_t domid, const uint64_t *frames, size_t count, int *missing,
                           struct ctl_error *e)
{
    const struct saved_domain *d = &domains[domid];
    uint64_t there[PAGE_BATCH];

    if (call_fails()) {
        ctl_error_set(e, -EIO, "map memory", NULL, NULL, "it just fails");
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t frame = d->hvm ? d->frame[frames[i]] : frames[i];

        missing[i] = frame == gone || owner[frame] != domid ? -EINVAL : 0;
        there[i] = missing[i] ? d->shared_frame : frames[i];
    }
    return ctl_foreign_map(ctl, domid, PROT_READ, there, count, e);
}

static int tick(void *ctx, struct ctl_error *e)
{
    return ++ticks == tick_fails_at ? ctl_error_set(e, -EINTR, "dump memory", NULL, NULL, "interrupted") : 0;
}

static int dump_to(int fd)
{
    struct ctl_dump how = {.fd = fd, .name = "core", .tick = tick};
    int rc;

    ticks = 0;
    err = (struct ctl_error){0};
    rc = ctl_domain_dump(NULL, SOURCE, &how, &result, &err);
    assert_int_equal(live_resources, 0);
    assert_int_equal(rc, err.code);
    return rc;
}

static int dump(void)
{
    int fd = memfd_create("core", MFD_CLOEXEC), rc = dump_to(fd);

    free(file);
    size = (size_t)lseek(fd, 0, SEEK_END);
    file = malloc(size + 1);
    assert_int_equal(pread(fd, file, size, 0), (ssize_t)size);
    close(fd);
    return rc;
}

/* --- the file --- */

static const Elf64_Ehdr *header(void)
{
    return (const void *)file;
}

static const Elf64_Shdr *section(const char *name)
{
    const Elf64_Shdr *s = (const void *)(file + header()->e_shoff), *found = NULL;
    const char *names = (const char *)file + s[header()->e_shstrndx].sh_offset;

    for (int i = 1; i < header()->e_shnum; i++) {
        assert_true(s[i].sh_offset + s[i].sh_size <= size);
        assert_int_equal(s[i].sh_offset % s[i].sh_addralign, 0);
        if (strcmp(names + s[i].sh_name, name) == 0)
            found = &s[i];
    }
    return found;
}

static const void *body(const char *name, size_t *n)
{
    const Elf64_Shdr *s = section(name);

    if (!s)
        fail_msg("no section %s", name);
    *n = s->sh_size;
    return file + s->sh_offset;
}

/* No two sections share a byte. */
static void check_sections(void)
{
    const Elf64_Shdr *s = (const void *)(file + header()->e_shoff);

    assert_int_equal(header()->e_type, ET_CORE);
    assert_int_equal(header()->e_machine, EM_X86_64);
    for (int i = 1; i < header()->e_shnum; i++) {
        assert_true(s[i].sh_offset >= header()->e_shoff + header()->e_shnum * sizeof(*s));
        for (int j = 1; j < i; j++)
            assert_true(s[i].sh_offset + s[i].sh_size <= s[j].sh_offset ||
                        s[j].sh_offset + s[j].sh_size <= s[i].sh_offset);
    }
}

/* Walks as any reader of notes would. */
static const void *find_note(uint32_t type, uint32_t length)
{
    size_t n, at = 0;
    const uint8_t *p = body(".note.Xen", &n);

    while (at < n) {
        uint32_t head[3];

        memcpy(head, p + at, sizeof(head));
        assert_int_equal(head[0], 4);
        assert_string_equal((const char *)p + at + 12, "Xen");
        if (head[2] == type) {
            assert_int_equal(head[1], length);
            return p + at + 16;
        }
        at += 16 + ((head[1] + 3) & ~3u);
    }
    fail_msg("no note %x", type);
    return NULL;
}

static void check_notes(uint64_t pages, uint64_t vcpus)
{
    struct dump_header h;
    struct dump_xen_version v;
    uint64_t format;

    find_note(XEN_ELFNOTE_DUMPCORE_NONE, 0);
    memcpy(&h, find_note(XEN_ELFNOTE_DUMPCORE_HEADER, sizeof(h)), sizeof(h));
    assert_int_equal(h.magic, domains[SOURCE].hvm ? 0xf00febee : 0xf00febed);
    assert_int_equal(h.nr_pages, pages);
    assert_int_equal(h.nr_vcpus, vcpus);
    assert_int_equal(h.page_size, 4096);
    memcpy(&v, find_note(XEN_ELFNOTE_DUMPCORE_XEN_VERSION, sizeof(v)), sizeof(v));
    assert_int_equal(v.major, 4);
    assert_int_equal(v.minor, 17);
    assert_int_equal(v.extra[0], 'a' + XENVER_extraversion);
    memcpy(&format, find_note(XEN_ELFNOTE_DUMPCORE_FORMAT_VERSION, 8), 8);
    assert_int_equal(format, 1);
}

/* Every page of the guest is there once, with its contents; returns how many. */
static uint64_t check_pages(void)
{
    const struct saved_domain *d = &domains[SOURCE];
    size_t table_size, pages_size;
    const uint64_t *table = body(d->hvm ? ".xen_pfn" : ".xen_p2m", &table_size);
    const uint8_t *pages = body(".xen_pages", &pages_size);
    unsigned words = d->hvm ? 1 : 2;
    uint64_t n = 0;

    for (uint64_t pfn = 0; pfn < d->nr_pfns; pfn++) {
        if (!d->frame[pfn] || d->frame[pfn] == gone)
            continue;
        assert_true(n < table_size / 8 / words);
        assert_int_equal(table[n * words], pfn);
        if (!d->hvm)
            assert_int_equal(table[n * words + 1], d->frame[pfn]);
        assert_memory_equal(pages + n * 4096, machine[d->frame[pfn]], 4096);
        n++;
    }
    assert_int_equal(pages_size, n * 4096);
    assert_int_equal(table_size, n * words * 8);
    return n;
}

static void check_pv_vcpus(void)
{
    size_t n, at = 0;
    const struct vcpu_guest_context *c = body(".xen_prstatus", &n);

    for (int i = 0; i < MAX_VCPUS; i++) {
        if (domains[SOURCE].vcpu[i].online)
            assert_memory_equal(&c[at++], &domains[SOURCE].vcpu[i].basic, sizeof(*c));
    }
    assert_int_equal(n, at * sizeof(*c));
    assert_memory_equal(body(".xen_shared_info", &n), machine[domains[SOURCE].shared_frame], 4096);
}

static void check_hvm_vcpus(unsigned vcpus)
{
    size_t n;
    const struct vcpu_guest_context *c = body(".xen_prstatus", &n);
    const uint8_t *context = domains[SOURCE].context;
    struct hvm_save_descriptor desc;
    unsigned seen = 0;

    for (size_t at = 0; at < domains[SOURCE].context_size; at += sizeof(desc) + desc.length) {
        struct hvm_hw_cpu cpu;

        memcpy(&desc, context + at, sizeof(desc));
        if (desc.typecode != HVM_SAVE_CODE(CPU))
            continue;
        memcpy(&cpu, context + at + sizeof(desc), sizeof(cpu));
        assert_int_equal(c[seen].user_regs.rip, cpu.rip);
        assert_int_equal(c[seen].user_regs.r15, cpu.r15);
        assert_int_equal(c[seen].ctrlreg[3], cpu.cr3);
        assert_int_equal(c[seen].fs_base, cpu.fs_base);
        assert_int_equal(c[seen].gs_base_kernel, (cpu.cs_sel & 3) == 3 ? cpu.shadow_gs : cpu.gs_base);
        assert_memory_equal(&c[seen].fpu_ctxt, cpu.fpu_regs, 512);
        seen++;
    }
    assert_int_equal(seen, vcpus);
    assert_int_equal(n, vcpus * sizeof(*c));
    assert_null(section(".xen_shared_info"));
}

static void check_file(unsigned vcpus)
{
    check_sections();
    check_notes(check_pages(), vcpus);
    assert_int_equal(result.vcpus, vcpus);
}

/* --- guests --- */

static unsigned up(void)
{
    unsigned n = 0;

    for (int i = 0; i < MAX_VCPUS; i++)
        n += domains[SOURCE].vcpu[i].online;
    return n;
}

/* Some pages without a bit set, in runs and at the ends of batches. */
static void clear_some(void)
{
    for (uint64_t pfn = 0; pfn < domains[SOURCE].nr_pfns; pfn++) {
        if (domains[SOURCE].frame[pfn] && domains[SOURCE].hvm && (pfn / 3 % 4 == 0 || pfn % 1024 > 1020))
            memset(machine[domains[SOURCE].frame[pfn]], 0, 4096);
    }
}

static void test_pv(void **state)
{
    for (uint64_t seed = 1; seed < 9; seed++) {
        machine_seed(seed);
        machine_make(64 + machine_random() % 2000, seed % 2, MAX_VCPUS);
        domains[SOURCE].suspended = seed % 3 == 0; /* any guest will do */
        assert_int_equal(dump(), 0);
        check_file(up());
        check_pv_vcpus();
    }
}

static void test_pvh(void **state)
{
    for (uint64_t seed = 1; seed < 9; seed++) {
        unsigned vcpus = 1 + (unsigned)seed % MAX_VCPUS;

        machine_seed(seed);
        machine_make_pvh(64 + machine_random() % 3000, vcpus);
        clear_some();
        assert_int_equal(dump(), 0);
        check_file(vcpus);
        check_hvm_vcpus(vcpus);
    }
}

/* A guest that runs gave a page back between two looks. */
static void test_given_back(void **state)
{
    machine_seed(5);
    machine_make(600, true, 1);
    gone = domains[SOURCE].frame[machine_plain()];
    assert_int_equal(dump(), 0);
    check_file(1);
    gone = 0;
}

static void test_failures(void **state)
{
    for (int hvm = 0; hvm < 2; hvm++) {
        int n = 1;

        machine_seed(7);
        if (hvm)
            machine_make_pvh(900, 2);
        else
            machine_make(900, true, 2);
        for (;; n++) {
            fail_domctl = n;
            if (dump() == 0)
                break;
            assert_true(size < 64 || header()->e_ident[0] == 0); /* no header, no core file */
            assert_true(*err.message);
        }
        assert_true(n > 4);
        fail_domctl = 0;
    }
}

static void test_interrupted(void **state)
{
    machine_seed(9);
    machine_make(1500, true, 1);
    tick_fails_at = 2;
    assert_int_equal(dump(), -EINTR);
    tick_fails_at = 0;
}

static void test_disk_full(void **state)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    machine_seed(11);
    machine_make(200, true, 1);
    assert_int_equal(dump_to(fd), -ENOSPC);
    assert_string_equal(err.object, "core");
    assert_non_null(strstr(err.hint, "free space"));
    close(fd);
}

/* Where its memory is, the guest itself says. */
static void test_lies(void **state)
{
    struct shared_info *shared;

    machine_seed(13);
    machine_make(300, true, 1);
    shared = (void *)machine[domains[SOURCE].shared_frame];
    shared->arch.max_pfn = 0;
    assert_int_equal(dump(), -EINVAL);
    assert_non_null(strstr(err.message, "still booting"));
    shared->arch.max_pfn = 1ull << 40;
    assert_int_equal(dump(), -EINVAL);
    shared->arch.max_pfn = 300;
    shared->arch.p2m_vaddr += 8;
    assert_int_equal(dump(), -EINVAL);
}

/* Another reader's opinion. */
static void test_readelf(void **state)
{
    static const char *const words[] = {"CORE (Core file)", ".note.Xen",  ".xen_prstatus",
                                        ".xen_shared_info", ".xen_pages", ".xen_p2m"};
    int fd = memfd_create("core", 0);
    char line[96], text[8192];
    size_t n;
    FILE *f;

    machine_seed(15);
    machine_make(200, true, 2);
    assert_int_equal(dump_to(fd), 0);
    snprintf(line, sizeof(line), "readelf -W -h -S /proc/%d/fd/%d 2>&1", (int)getpid(), fd);
    f = popen(line, "r");
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    assert_int_equal(pclose(f), 0);
    close(fd);
    assert_null(strstr(text, "arning"));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!strstr(text, words[i]))
            fail_msg("readelf does not show %s:\n%s", words[i], text);
    }
}

static int teardown(void **state)
{
    free(file);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pv),       cmocka_unit_test(test_pvh),         cmocka_unit_test(test_given_back),
        cmocka_unit_test(test_failures), cmocka_unit_test(test_interrupted), cmocka_unit_test(test_disk_full),
        cmocka_unit_test(test_lies),     cmocka_unit_test(test_readelf),
    };

    return cmocka_run_group_tests(tests, NULL, teardown);
}
