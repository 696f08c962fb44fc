// SPDX-License-Identifier: BSD-2-Clause
/*
 * The control domain's kernel file when its payload is zstd: what libzstd packed, at every level and with all the kinds
 * of blocks that this makes, comes out again; whatever is cut short or changed ends in an error or in other bytes,
 * never outside the buffers, which have exactly the size that the decoder is told. Seeds are printed.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>
#include <zstd.h>
#include <hv/heap.h>
#include "../../hypervisor/domain/elf.h"
#include "../../hypervisor/domain/zstd.h"
#include "fake/fake.h"

static unsigned int live, fail_alloc;

static void *allocate(size_t size)
{
    if (fail_alloc && --fail_alloc == 0)
        return NULL;
    live++;
    return calloc(1, size);
}

void *hv_alloc(size_t size)
{
    return allocate(size);
}

void *alloc_hv_mem(unsigned int order)
{
    return order > MAX_ORDER ? NULL : allocate(PAGE_SIZE << order);
}

void hv_free(void *p)
{
    live -= p != NULL;
    free(p);
}

void free_hv_mem(void *p, unsigned int order)
{
    hv_free(p);
}

struct buffer {
    uint8_t *p;
    size_t n;
};

/* Stretches of noise, of one byte, of few different bytes (Huffman), and of what was there before. */
static struct buffer sample(size_t n)
{
    struct buffer b = {malloc(n + 1), n};
    size_t i = 0;

    while (i < n) {
        size_t run = 1 + fake_below(fake_chance(5) ? 200000 : 60);
        unsigned int kind = fake_below(5), back = i ? 1 + fake_below((unsigned int)MIN(i, (size_t)1 << 20)) : 0;

        for (; run && i < n; run--, i++)
            if (kind == 0)
                b.p[i] = (uint8_t)fake_rand();
            else if (kind == 1)
                b.p[i] = 0x55;
            else if (kind == 2)
                b.p[i] = (uint8_t)(fake_below(7) * fake_below(7));
            else
                b.p[i] = back ? b.p[i - back] : 7;
    }
    return b;
}

static struct buffer pack(struct buffer in, int level, bool checksum)
{
    struct buffer out = {malloc(ZSTD_compressBound(in.n)), ZSTD_compressBound(in.n)};
    ZSTD_CCtx *c = ZSTD_createCCtx();

    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level)));
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, checksum)));
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_contentSizeFlag, fake_chance(50))));
    out.n = ZSTD_compress2(c, out.p, out.n, in.p, in.n);
    assert_false(ZSTD_isError(out.n));
    ZSTD_freeCCtx(c);
    return out;
}

/* Exact copies of input and output space; the result's length or error. */
static int64_t decode(const uint8_t *in, size_t in_size, size_t out_size, uint8_t **out)
{
    uint8_t *copy = malloc(in_size ? in_size : 1);
    int64_t rc;

    memcpy(copy, in, in_size);
    *out = malloc(out_size ? out_size : 1);
    rc = zstd_decode(copy, in_size, *out, out_size);
    free(copy);
    assert_int_equal(live, 0);
    return rc;
}

static void test_round_trip(void **state)
{
    for (unsigned long round = 0; round < fake_ops(80); round++) {
        struct buffer in = sample(fake_chance(30) ? fake_below(300) : fake_below(fake_chance(10) ? 3u << 20 : 60000));
        struct buffer packed = pack(in, (int)fake_below(20) - 3, fake_chance(50));
        uint8_t *out;

        assert_int_equal(decode(packed.p, packed.n, in.n, &out), in.n);
        assert_memory_equal(out, in.p, in.n);
        free(out);
        if (in.n) {
            assert_int_equal(decode(packed.p, packed.n, in.n - 1, &out), -EINVAL);
            free(out);
        }
        free(in.p);
        free(packed.p);
    }
}

static void test_truncated(void **state)
{
    struct buffer in = sample(20000), packed = pack(in, 19, true);

    for (size_t n = 0; n < packed.n; n += n < 200 || n + 200 > packed.n ? 1 : 37) {
        uint8_t *out;

        assert_int_equal(decode(packed.p, n, in.n, &out), -EINVAL);
        free(out);
    }
    free(in.p);
    free(packed.p);
}

static void flip_bits(uint8_t *p, size_t n)
{
    for (unsigned int k = 1 + fake_below(4); k; k--) {
        size_t i = fake_chance(50) ? fake_below((unsigned int)MIN(n, (size_t)200)) : fake_below((unsigned int)n);

        p[i] = fake_chance(50) ? (uint8_t)(p[i] ^ 1u << fake_below(8)) : (uint8_t)fake_rand();
    }
}

/* With a checksum the decoder says no, unless the flag that there is one was hit. Without one: no wild access. */
static void test_damaged(void **state)
{
    for (unsigned int kind = 0; kind < 8; kind++) {
        struct buffer in = sample(8000), packed = pack(in, (int)(kind / 2 * 6), kind & 1);
        uint8_t *bad = malloc(packed.n);

        for (unsigned long round = 0; round < fake_ops(1500); round++) {
            size_t room = fake_chance(80) ? in.n : fake_below(20000);
            uint8_t *out;
            int64_t rc;

            memcpy(bad, packed.p, packed.n);
            flip_bits(bad, packed.n);
            rc = decode(bad, packed.n, room, &out);
            assert_true(rc == -EINVAL || (rc >= 0 && (uint64_t)rc <= room));
            if (rc >= 0 && (bad[4] & 4)) {
                assert_int_equal(rc, in.n);
                assert_memory_equal(out, in.p, in.n);
            }
            free(out);
        }
        free(bad);
        free(in.p);
        free(packed.p);
    }
}

/* Blocks of noise behind a right header: every table that cannot be one. */
static void test_noise(void **state)
{
    for (unsigned long round = 0; round < fake_ops(20000); round++) {
        uint8_t in[400] = {0x28, 0xb5, 0x2f, 0xfd, 0, 0x60}, *out;
        size_t n = 10 + fake_below(sizeof(in) - 10), room = fake_below(200000);
        uint32_t head = 1 | 2 << 1 | (uint32_t)(n - 9) << 3;
        int64_t rc;

        for (size_t i = 9; i < n; i++)
            in[i] = fake_chance(20) ? 0 : (uint8_t)fake_rand();
        memcpy(in + 6, &head, 3);
        rc = decode(in, n, room, &out);
        assert_true(rc == -EINVAL || (rc >= 0 && (uint64_t)rc <= room));
        free(out);
    }
}

/* A dictionary, a reserved bit, another magic number, a reserved block type. */
static void test_refused(void **state)
{
    static const uint8_t empty[] = {0x28, 0xb5, 0x2f, 0xfd, 0, 0x60, 1, 0, 0};
    static const struct {
        unsigned int at;
        uint8_t value;
    } change[] = {{0, 0x29}, {3, 0}, {4, 1}, {4, 3}, {4, 8}, {6, 7}, {7, 0xff}};
    uint8_t copy[sizeof(empty)], *out;

    assert_int_equal(decode(empty, sizeof(empty), 0, &out), 0);
    free(out);
    for (unsigned int i = 0; i < ARRAY_SIZE(change); i++) {
        memcpy(copy, empty, sizeof(copy));
        copy[change[i].at] = change[i].value;
        assert_int_equal(decode(copy, sizeof(copy), 0, &out), -EINVAL);
        free(out);
    }
    fail_alloc = 1;
    assert_int_equal(decode(empty, sizeof(empty), 0, &out), -ENOMEM);
    free(out);
}

/* A bzImage of the boot protocol with this payload, and its decoded size behind it. */
static struct buffer bzimage(struct buffer payload, uint32_t unpacked)
{
    uint32_t setup = 2 * 512, len = (uint32_t)payload.n + 4, zero = 0;
    struct buffer f = {calloc(1, setup + len), setup + len};

    f.p[0x1f1] = 1;
    memcpy(f.p + 0x202, "HdrS\x0f\x02", 6);
    memcpy(f.p + 0x248, &zero, 4);
    memcpy(f.p + 0x24c, &len, 4);
    memcpy(f.p + setup, payload.p, payload.n);
    memcpy(f.p + setup + payload.n, &unpacked, 4);
    return f;
}

static void test_bzimage(void **state)
{
    struct buffer in = sample(50000), packed = pack(in, 12, true), file = bzimage(packed, 50000);
    struct buffer small = bzimage(packed, 49999);
    struct kernel_image k;

    assert_null(kernel_image_open(&k, file.p, file.n));
    assert_int_equal(k.size, in.n);
    assert_memory_equal(k.elf, in.p, in.n);
    kernel_image_free(&k);
    assert_string_equal(kernel_image_open(&k, small.p, small.n), "its payload is damaged");
    for (unsigned int n = 1; n <= 2; n++) {
        fail_alloc = n;
        assert_string_equal(kernel_image_open(&k, file.p, file.n), "no memory to decode it");
    }
    assert_int_equal(live, 0);
    free(in.p);
    free(packed.p);
    free(file.p);
    free(small.p);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_truncated), cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_noise),      cmocka_unit_test(test_refused),   cmocka_unit_test(test_bzimage),
    };

    fake_seed("test_zstd");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
