// SPDX-License-Identifier: BSD-2-Clause
/*
 * The control domain's kernel file: what liblzma packed comes out again, with and without the x86 filter; whatever is
 * cut short or changed ends in an error or in other bytes, never outside the buffers. Every buffer here has exactly the
 * size that the decoder is told, so that the address sanitizer sees one byte too many. Seeds are printed.
 */
#include <lzma.h>
#include <hv/heap.h>
#include "../../hypervisor/domain/elf.h"
#include "../../hypervisor/domain/lzma.h"
#include "payload.h"

/* Bytes as kernels have them: calls and jumps of all kinds. */
static uint8_t jumps(void)
{
    return (uint8_t)("\xe8\xe9\x0f\x00\xff\xff\x01\x80"[fake_below(8)]);
}

static struct buffer sample(size_t n)
{
    return payload_sample(n, &(struct texture){3000, 0, jumps});
}

struct packing {
    bool x86;
    lzma_check check;
    unsigned int lc, lp, pb, preset;
};

static struct buffer pack(struct buffer in, struct packing k)
{
    struct buffer out = {malloc(in.n * 2 + 4096), 0};
    lzma_options_lzma opt;
    lzma_filter f[3] = {{LZMA_FILTER_X86, NULL}, {LZMA_FILTER_LZMA2, &opt}, {LZMA_VLI_UNKNOWN, NULL}};

    assert_false(lzma_lzma_preset(&opt, k.preset));
    opt.dict_size = 1u << 20;
    opt.lc = k.lc;
    opt.lp = k.lp;
    opt.pb = k.pb;
    assert_int_equal(lzma_stream_buffer_encode(k.x86 ? f : f + 1, k.check, NULL, in.p, in.n, out.p, &out.n,
                                               in.n * 2 + 4096),
                     LZMA_OK);
    return out;
}

static struct packing random_packing(void)
{
    struct packing k = {fake_chance(60), fake_chance(80) ? LZMA_CHECK_CRC32 : LZMA_CHECK_NONE,
                        fake_below(5),   0,
                        fake_below(5),   fake_below(5)};

    k.lp = fake_below(5 - k.lc);
    return k;
}

static int64_t decode(const uint8_t *in, size_t in_size, size_t out_size, uint8_t **out)
{
    return payload_decode(xz_decode, (struct buffer){(uint8_t *)in, in_size}, out_size, out);
}

static void test_round_trip(void **state)
{
    for (unsigned long round = 0; round < fake_ops(60); round++) {
        struct buffer in = sample(fake_chance(30) ? fake_below(16) : fake_below(fake_chance(10) ? 3u << 20 : 60000));
        struct packing k = random_packing();
        struct buffer packed = pack(in, k);
        uint8_t *out;

        if (in.n == 0) {
            free(in.p);
            free(packed.p);
            continue; /* no block at all: nothing a kernel is packed as */
        }
        assert_int_equal(decode(packed.p, packed.n, in.n, &out), in.n);
        assert_memory_equal(out, in.p, in.n);
        free(out);
        assert_true(decode(packed.p, packed.n, in.n - 1, &out) < 0);
        free(out);
        free(in.p);
        free(packed.p);
    }
}

/* The x86 filter alone, dense with opcodes: every decision of the encoder has to be found again. */
static void test_x86_filter(void **state)
{
    for (unsigned long round = 0; round < fake_ops(300); round++) {
        struct buffer in = {malloc(2000), 2000}, packed;
        uint8_t *out;

        for (size_t i = 0; i < in.n; i++)
            in.p[i] = fake_chance(40)   ? (uint8_t)(0xe8 + fake_below(2))
                      : fake_chance(60) ? (fake_chance(50) ? 0 : 0xff)
                                        : (uint8_t)fake_rand();
        packed = pack(in, (struct packing){true, LZMA_CHECK_CRC32, 3, 0, 2, 0});
        assert_int_equal(decode(packed.p, packed.n, in.n, &out), in.n);
        assert_memory_equal(out, in.p, in.n);
        free(out);
        free(in.p);
        free(packed.p);
    }
}

static void test_truncated(void **state)
{
    struct buffer in = sample(20000), packed = pack(in, (struct packing){true, LZMA_CHECK_CRC32, 3, 0, 2, 6});
    /* Index and footer, which the decoder does not want. */
    size_t tail = 12 + 12;

    for (size_t n = 0; n < packed.n; n += n < 200 || n + 200 > packed.n ? 1 : 37) {
        uint8_t *out;
        int64_t rc = decode(packed.p, n, in.n, &out);

        if (n + tail < packed.n)
            assert_int_equal(rc, -EINVAL);
        free(out);
    }
    free(in.p);
    free(packed.p);
}

/* With a check the decoder says no, or the damage lay behind what it reads. Without one anything but a wild access. */
static void test_damaged(void **state)
{
    struct buffer in = sample(8000);

    for (unsigned int kind = 0; kind < 4; kind++) {
        struct packing k = {kind & 1, kind & 2 ? LZMA_CHECK_CRC32 : LZMA_CHECK_NONE, 3, 0, 2, 6};
        struct buffer packed = pack(in, k);
        uint8_t *bad = malloc(packed.n);

        for (unsigned long round = 0; round < fake_ops(600); round++) {
            size_t room = fake_chance(80) ? in.n : fake_below(20000);
            uint8_t *out;
            int64_t rc;

            memcpy(bad, packed.p, packed.n);
            payload_damage((struct buffer){bad, packed.n}, 30, 64);
            rc = decode(bad, packed.n, room, &out);
            assert_true(rc < 0 || (uint64_t)rc <= room);
            if (k.check == LZMA_CHECK_CRC32 && rc > 0 && bad[7] == 1) {
                assert_int_equal(rc, in.n);
                assert_memory_equal(out, in.p, in.n);
            }
            free(out);
        }
        free(bad);
        free(packed.p);
    }
    free(in.p);
}

/* LZMA2 without the container around it: no header's checksum stands before the decoder. */
static void test_lzma2_noise(void **state)
{
    for (unsigned long round = 0; round < fake_ops(4000); round++) {
        size_t n = fake_below(400), room = fake_below(5000);
        uint8_t *in = malloc(n ? n : 1), *out = malloc(room ? room : 1);
        struct bytes b = {in, in + n};
        int64_t rc;

        for (size_t i = 0; i < n; i++)
            in[i] = fake_chance(20) ? 0 : (uint8_t)fake_rand();
        if (n > 6 && fake_chance(80)) {
            in[0] = (uint8_t)(0xe0 | (fake_chance(5) ? 1 : 0));
            in[3] = 0;
            in[5] = (uint8_t)fake_below(225);
        }
        rc = lzma2_decode(&b, out, room);
        assert_true(rc == -EINVAL || (rc >= 0 && (uint64_t)rc <= room));
        assert_true(b.p >= in && b.p <= in + n);
        free(in);
        free(out);
    }
    fail_alloc = 1;
    assert_int_equal(lzma2_decode(&(struct bytes){(const uint8_t *)"", (const uint8_t *)"" + 1}, NULL, 0), -ENOMEM);
    assert_int_equal(live, 0);
}

/* A chunk that says it unpacks to less than its matches make: they end where the chunk ends. */
static void test_match_beyond_chunk(void **state)
{
    lzma_options_lzma opt;
    lzma_filter f[2] = {{LZMA_FILTER_LZMA2, &opt}, {LZMA_VLI_UNKNOWN, NULL}};
    static const uint8_t zeros[2000];
    uint8_t packed[512];
    size_t n = 0;

    assert_false(lzma_lzma_preset(&opt, 6));
    assert_int_equal(lzma_raw_buffer_encode(f, NULL, zeros, sizeof(zeros), packed, &n, sizeof(packed)), LZMA_OK);
    assert_int_equal(packed[0] & 0x80, 0x80);
    for (size_t room = sizeof(zeros); room > 1; room--) {
        struct bytes b = {packed, packed + n};
        uint8_t *out = malloc(room);
        int64_t rc;

        packed[1] = (uint8_t)((room - 1) >> 8);
        packed[2] = (uint8_t)(room - 1);
        rc = lzma2_decode(&b, out, room);
        assert_true(rc == -EINVAL || rc == (int64_t)room);
        free(out);
    }
}

/* ---- ELF ---- */
struct elf_file {
    struct {
        uint8_t ident[16];
        uint16_t type, machine;
        uint32_t version;
        uint64_t entry, phoff, shoff;
        uint32_t flags;
        uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
    } eh;
    struct {
        uint32_t type, flags;
        uint64_t offset, vaddr, paddr, filesz, memsz, align;
    } ph[4];
    struct {
        uint32_t namesz, descsz, type;
        char name[4];
        uint64_t desc;
    } note[4];
    uint8_t text[256];
};

static struct elf_file make_elf(void)
{
    struct elf_file f = {.eh = {.ident = {0x7f, 'E', 'L', 'F', 2, 1, 1},
                                .type = 2,
                                .machine = 62,
                                .phoff = 64,
                                .ehsize = 64,
                                .phentsize = 56,
                                .phnum = 3}};
    static const uint32_t types[4] = {1 /* ENTRY */, 3 /* VIRT_BASE */, 15 /* INIT_P2M */, 16 /* MOD_START_PFN */};

    f.ph[0].type = f.ph[1].type = 1;
    f.ph[0].offset = f.ph[1].offset = offsetof(struct elf_file, text);
    f.ph[0].filesz = f.ph[0].memsz = sizeof(f.text);
    f.ph[0].paddr = 0x1000000;
    f.ph[1].filesz = 16;
    f.ph[1].memsz = 0x2000;
    f.ph[1].paddr = 0x1200000;
    f.ph[2].type = 4;
    f.ph[2].offset = offsetof(struct elf_file, note);
    f.ph[2].filesz = sizeof(f.note);
    for (unsigned int i = 0; i < 4; i++) {
        f.note[i].namesz = 4;
        f.note[i].descsz = 8;
        f.note[i].type = types[i];
        memcpy(f.note[i].name, "Xen", 4);
        f.note[i].desc = 0xffffffff80000000ull + types[i];
    }
    return f;
}

static const char *parse(const struct elf_file *f, size_t size, struct elf_image *elf)
{
    uint8_t *copy = malloc(size ? size : 1);
    const char *err;

    memcpy(copy, f, size);
    err = elf_parse(elf, copy, size);
    for (unsigned int i = 0; !err && i < elf->segment_count; i++) {
        const struct elf_segment *s = &elf->segment[i];

        assert_true(s->filesz <= s->memsz && s->offset <= size && s->filesz <= size - s->offset);
        assert_true(s->paddr >= elf->paddr_start && s->paddr + s->memsz <= elf->paddr_end);
    }
    free(copy);
    return err;
}

static void test_elf(void **state)
{
    struct elf_file f = make_elf();
    struct elf_image elf;

    assert_null(parse(&f, sizeof(f), &elf));
    assert_int_equal(elf.segment_count, 2);
    assert_int_equal(elf.paddr_start, 0x1000000);
    assert_int_equal(elf.paddr_end, 0x1202000);
    assert_true(elf.entry == 0xffffffff80000001ull && elf.virt_base == 0xffffffff80000003ull);
    assert_true(elf.init_p2m == 0xffffffff8000000full && elf.mod_start_pfn);
    assert_int_equal(elf.have, 1u << 1 | 1u << 3 | 1u << 15 | 1u << 16);
    for (size_t n = 0; n < sizeof(f); n++)
        assert_non_null(parse(&f, n, &elf));
}

static void test_elf_errors(void **state)
{
    struct elf_file f;
    struct elf_image elf;

#define BROKEN(change)                               \
    do {                                             \
        f = make_elf();                              \
        change;                                      \
        assert_non_null(parse(&f, sizeof(f), &elf)); \
    } while (0)
    BROKEN(f.eh.ident[4] = 1);
    BROKEN(f.eh.machine = 3);
    BROKEN(f.eh.phentsize = 32);
    BROKEN(f.eh.phoff = UINT64_MAX - 8);
    BROKEN(f.eh.phnum = 0xffff);
    BROKEN(f.eh.phnum = 0);
    BROKEN(f.ph[0].filesz = UINT64_MAX);
    BROKEN(f.ph[0].memsz = 1);
    BROKEN(f.ph[0].offset = UINT64_MAX);
    BROKEN(f.ph[0].offset = sizeof(f) - 1);
    BROKEN(f.ph[1].paddr = UINT64_MAX - 0x1000);
    BROKEN(f.ph[1].memsz = UINT64_MAX);
#undef BROKEN
}

static void test_elf_fuzz(void **state)
{
    for (unsigned long round = 0; round < fake_ops(40000); round++) {
        struct elf_file f = make_elf();
        struct elf_image elf;
        uint8_t *p = (uint8_t *)&f;
        static const uint64_t odd[] = {0,
                                       1,
                                       3,
                                       0x7fffffff,
                                       0x80000000,
                                       0xffffffff,
                                       0x7fffffffffffffff,
                                       UINT64_MAX,
                                       UINT64_MAX - 3,
                                       sizeof(f),
                                       sizeof(f) - 1,
                                       sizeof(f) + 1};

        for (unsigned int k = 1 + fake_below(4); k; k--) {
            unsigned int i = fake_below(sizeof(f) - 256 - 8);
            uint64_t v = odd[fake_below(ARRAY_SIZE(odd))];

            if (fake_chance(50))
                memcpy(p + (i & ~7u), &v, 8);
            else if (fake_chance(50))
                memcpy(p + (i & ~3u), &v, 4);
            else
                p[i] = (uint8_t)fake_rand();
        }
        (void)parse(&f, fake_chance(20) ? fake_below(sizeof(f)) : sizeof(f), &elf);
    }
}

/* ---- bzImage ---- */
static const char *open_copy(struct buffer f, size_t n, struct kernel_image *k)
{
    uint8_t *copy = malloc(n ? n : 1);
    const char *err;

    memcpy(copy, f.p, n);
    err = kernel_image_open(k, copy, n);
    if (!err && !k->buffer)
        assert_true((const uint8_t *)k->elf >= copy && (const uint8_t *)k->elf + k->size <= copy + n);
    if (err) {
        assert_null(k->buffer);
        assert_int_equal(live, 0);
    }
    free(copy);
    return err;
}

static struct buffer elf_bzimage(void)
{
    struct elf_file f = make_elf();
    struct buffer packed =
        pack((struct buffer){(uint8_t *)&f, sizeof(f)}, (struct packing){true, LZMA_CHECK_CRC32, 3, 0, 2, 6});
    struct buffer b = payload_bzimage(packed, sizeof(f));

    free(packed.p);
    return b;
}

static void test_bzimage(void **state)
{
    struct elf_file f = make_elf();
    struct buffer b = elf_bzimage(), plain = payload_bzimage((struct buffer){(uint8_t *)&f, sizeof(f)}, 0);
    struct kernel_image k;

    assert_null(open_copy(b, b.n, &k));
    assert_int_equal(k.size, sizeof(f));
    assert_memory_equal(k.elf, &f, sizeof(f));
    kernel_image_free(&k);
    assert_int_equal(live, 0);
    assert_null(open_copy(plain, plain.n, &k));
    assert_null(open_copy((struct buffer){(uint8_t *)&f, sizeof(f)}, sizeof(f), &k));
    assert_int_equal(k.size, sizeof(f));
    for (fail_alloc = 1; fail_alloc <= 2; fail_alloc++) {
        unsigned int n = fail_alloc;

        assert_non_null(open_copy(b, b.n, &k));
        fail_alloc = n;
    }
    fail_alloc = 0;
    for (size_t n = 0; n < b.n; n++)
        assert_non_null(open_copy(b, n, &k));
    free(b.p);
    free(plain.p);
}

static void test_bzimage_fuzz(void **state)
{
    struct buffer b = elf_bzimage(), bad = {malloc(b.n), b.n};

    for (unsigned long round = 0; round < fake_ops(1000); round++) {
        static const uint32_t odd[] = {0, 1, 15, 16, 17, 0xffffffff, 0x7fffffff, 0xfffffc00};
        struct kernel_image k;

        memcpy(bad.p, b.p, b.n);
        if (fake_chance(50)) {
            uint32_t v = odd[fake_below(ARRAY_SIZE(odd))];

            memcpy(bad.p + 0x248 + 4 * fake_below(2), &v, 4);
        } else if (fake_chance(50))
            bad.p[b.n - 4 + fake_below(3)] = (uint8_t)fake_rand(); /* decoded size */
        if (fake_chance(60))
            payload_damage((struct buffer){bad.p + 0x1f1, b.n - 0x1f1}, 30, 64);
        if (bad.p[b.n - 1] < (fake_chance(2) ? 0x10 : 1) &&
            !open_copy(bad, fake_chance(80) ? b.n : fake_below((unsigned int)b.n), &k))
            kernel_image_free(&k);
        assert_int_equal(live, 0);
    }
    free(b.p);
    free(bad.p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_x86_filter),
        cmocka_unit_test(test_truncated),    cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_lzma2_noise),  cmocka_unit_test(test_match_beyond_chunk),
        cmocka_unit_test(test_elf),          cmocka_unit_test(test_elf_errors),
        cmocka_unit_test(test_elf_fuzz),     cmocka_unit_test(test_bzimage),
        cmocka_unit_test(test_bzimage_fuzz),
    };

    fake_seed("test_unpack");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
