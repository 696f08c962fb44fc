// SPDX-License-Identifier: BSD-2-Clause
/* See payload.h. */
#include "payload.h"

unsigned int live, fail_alloc;

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

struct buffer payload_sample(size_t n, const struct texture *t)
{
    struct buffer b = {malloc(n + 1), n};
    size_t i = 0;

    while (i < n) {
        size_t run = 1 + fake_below(fake_chance(5) ? t->longest_run : 50);
        unsigned int kind = fake_below(5), back = i ? 1 + fake_below((unsigned int)MIN(i, (size_t)1 << 20)) : 0;

        for (; run && i < n; run--, i++)
            if (kind == 0)
                b.p[i] = (uint8_t)fake_rand();
            else if (kind == 1)
                b.p[i] = t->fill;
            else if (kind == 2)
                b.p[i] = t->pattern();
            else
                b.p[i] = back ? b.p[i - back] : 7;
    }
    return b;
}

int64_t payload_decode(payload_decoder *decoder, struct buffer in, size_t out_size, uint8_t **out)
{
    uint8_t *copy = malloc(in.n ? in.n : 1);
    int64_t rc;

    memcpy(copy, in.p, in.n);
    *out = malloc(out_size ? out_size : 1);
    rc = decoder(copy, in.n, *out, out_size);
    free(copy);
    assert_int_equal(live, 0);
    return rc;
}

void payload_damage(struct buffer b, unsigned int head_percent, size_t head)
{
    for (unsigned int k = 1 + fake_below(4); k; k--) {
        size_t i = fake_below((unsigned int)(fake_chance(head_percent) ? MIN(b.n, head) : b.n));

        b.p[i] = fake_chance(50) ? (uint8_t)(b.p[i] ^ 1u << fake_below(8)) : (uint8_t)fake_rand();
    }
}

struct buffer payload_bzimage(struct buffer payload, uint32_t unpacked)
{
    uint32_t setup = 2 * 512, offset = 0x100, len = (uint32_t)payload.n + 4;
    struct buffer f = {calloc(1, setup + offset + len), setup + offset + len};

    f.p[0x1f1] = 1;
    memcpy(f.p + 0x202, "HdrS", 4);
    f.p[0x206] = 0x0f;
    f.p[0x207] = 0x02;
    memcpy(f.p + 0x248, &offset, 4);
    memcpy(f.p + 0x24c, &len, 4);
    memcpy(f.p + setup + offset, payload.p, payload.n);
    memcpy(f.p + setup + offset + payload.n, &unpacked, 4);
    return f;
}
