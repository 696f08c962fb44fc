// SPDX-License-Identifier: BSD-2-Clause
/*
 * The control domain's kernel file when its payload is zstd: what libzstd packed, at every level and with all the kinds
 * of blocks that this makes, comes out again; whatever is cut short or changed ends in an error or in other bytes,
 * never outside the buffers, which have exactly the size that the decoder is told. Seeds are printed.
 */
#include <zstd.h>
#include <hv/heap.h>
#include "../../hypervisor/domain/elf.h"
#include "../../hypervisor/domain/zstd.h"
#include "payload.h"

/* Few different bytes: what Huffman's code is for. */
static uint8_t few(void)
{
    return (uint8_t)(fake_below(7) * fake_below(7));
}

static struct buffer sample(size_t n)
{
    return payload_sample(n, &(struct texture){200000, 0x55, few});
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

static int64_t decode(const uint8_t *in, size_t in_size, size_t out_size, uint8_t **out)
{
    return payload_decode(zstd_decode, (struct buffer){(uint8_t *)in, in_size}, out_size, out);
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
            payload_damage((struct buffer){bad, packed.n}, 50, 200);
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

static void test_bzimage(void **state)
{
    struct buffer in = sample(50000), packed = pack(in, 12, true), file = payload_bzimage(packed, 50000);
    struct buffer small = payload_bzimage(packed, 49999);
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
