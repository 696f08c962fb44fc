/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The .xz container as kernels are packed in: one stream, one block, LZMA2, usually behind the filter that makes x86
 * branch targets relative again. Source: "The .xz File Format", version 1.1.0. The block's CRC32 is checked.
 */
#include "lzma.h"

#define FILTER_X86   0x04
#define FILTER_LZMA2 0x21
#define CHECK_NONE   0
#define CHECK_CRC32  1

static uint32_t le32(const uint8_t *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint32_t crc32(const uint8_t *p, size_t n)
{
    static uint32_t table[256];
    uint32_t crc = ~0u;

    for (uint32_t i = 0; !table[255] && i < 256; i++) {
        uint32_t c = i;

        for (unsigned int k = 0; k < 8; k++)
            c = c & 1 ? (c >> 1) ^ 0xedb88320 : c >> 1;
        table[i] = c;
    }
    for (; n; n--, p++)
        crc = table[(crc ^ *p) & 0xff] ^ (crc >> 8);
    return ~crc;
}

static bool variable_int(struct bytes *in, uint64_t *v)
{
    *v = 0;
    for (unsigned int shift = 0; shift < 63 && in->p < in->end; shift += 7) {
        uint8_t b = *in->p++;

        *v |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return true;
    }
    return false;
}

/* The filters of a block header, from its flags byte on; only "LZMA2" and "x86, LZMA2" are known. */
static bool parse_filters(struct bytes *h, bool *x86)
{
    uint8_t flags = *h->p++;
    uint64_t v, size;

    if (flags & 0x3c)
        return false;
    if ((flags & 0x40) && !variable_int(h, &v))
        return false;
    if ((flags & 0x80) && !variable_int(h, &v))
        return false;
    *x86 = false;
    for (unsigned int i = 0; i <= (flags & 3u); i++) {
        if (!variable_int(h, &v) || !variable_int(h, &size) || size > (uint64_t)(h->end - h->p))
            return false;
        if (v == FILTER_X86 && size == 0 && i == 0 && (flags & 3) == 1)
            *x86 = true;
        else if (v != FILTER_LZMA2 || i != (flags & 3u))
            return false;
        h->p += size;
    }
    return true;
}

static bool sign_byte(uint8_t b)
{
    return b == 0 || b == 0xff;
}

/*
 * Undoes the x86 filter at a CALL or JMP opcode: mask has a bit for each of the last three bytes that were opcode-like,
 * since those took part in the encoder's decision.
 */
static uint32_t to_relative(uint32_t target, uint32_t ip, unsigned int mask)
{
    static const uint8_t lowest_kept[8] = {0, 1, 2, 2, 3, 3, 3, 3};
    uint32_t v;

    for (;;) {
        unsigned int shift = lowest_kept[mask] * 8u;

        v = target - ip;
        if (mask == 0 || !sign_byte((uint8_t)(v >> (24 - shift))))
            break;
        target = v ^ ((1u << (32 - shift)) - 1);
    }
    return (v & 0x01000000) ? v | 0xff000000 : v & 0x00ffffff;
}

static void x86_unfilter(uint8_t *b, size_t n)
{
    static const uint8_t lowest_kept[8] = {0, 1, 2, 2, 3, 3, 3, 3};
    unsigned int mask = 0;
    size_t last = (size_t)-1;

    for (size_t i = 0; i + 4 < n; i++) {
        size_t gap = i - last;

        if ((b[i] & 0xfe) != 0xe8)
            continue;
        mask = gap > 3 ? 0 : (mask << (gap - 1)) & 7;
        last = i;
        if (mask && (mask == 3 || mask > 4 || sign_byte(b[i + 4 - lowest_kept[mask]]))) {
            mask = mask << 1 | 1;
            continue;
        }
        if (!sign_byte(b[i + 4])) {
            mask = mask << 1 | 1;
            continue;
        }
        {
            uint32_t v = to_relative(le32(b + i + 1), (uint32_t)i + 5, mask);

            for (unsigned int k = 0; k < 4; k++)
                b[i + 1 + k] = (uint8_t)(v >> (8 * k));
        }
        i += 4;
        mask = 0;
    }
}

/* Stream header, then the block header; leaves in->p at the compressed data. */
static bool parse_headers(struct bytes *in, uint8_t *check, bool *x86)
{
    static const uint8_t magic[6] = {0xfd, '7', 'z', 'X', 'Z', 0};
    struct bytes h;
    size_t size;

    if (in->end - in->p < 16 || memcmp(in->p, magic, sizeof(magic)) || in->p[6] || in->p[7] > CHECK_CRC32)
        return false;
    *check = in->p[7];
    in->p += 12;
    size = (in->p[0] + 1u) * 4u;
    if (in->p[0] == 0 || (size_t)(in->end - in->p) < size)
        return false;
    if (le32(in->p + size - 4) != crc32(in->p, size - 4))
        return false;
    h = (struct bytes){in->p + 1, in->p + size - 4};
    in->p += size;
    return parse_filters(&h, x86);
}

int64_t xz_decode(const uint8_t *p, size_t in_size, uint8_t *out, size_t out_size)
{
    struct bytes in = {p, p + in_size};
    const uint8_t *data;
    uint8_t check;
    int64_t len;
    bool x86;

    if (!parse_headers(&in, &check, &x86))
        return -EINVAL;
    data = in.p;
    len = lzma2_decode(&in, out, out_size);
    if (len < 0)
        return len;
    if (x86)
        x86_unfilter(out, (size_t)len);
    in.p += (size_t)(-(in.p - data)) & 3;
    if (check == CHECK_CRC32 && (in.end - in.p < 4 || le32(in.p) != crc32(out, (size_t)len)))
        return -EINVAL;
    return len;
}
