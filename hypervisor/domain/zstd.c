/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A Zstandard frame, as kernels are packed in. Source: RFC 8878. A frame is a row of blocks; a compressed block holds
 * literals and sequences (so many literals, then a match of so many bytes from so far back). The whole output is at
 * hand, so a match may reach back to its beginning, whatever window the frame names. Dictionaries, skippable frames and
 * more than one frame are not what kernels have, and are refused.
 */
#include "zstd.h"

#include <hv/heap.h>

#define MAGIC     0xfd2fb528u
#define BLOCK_MAX (128u << 10)

enum { LITERALS_RAW, LITERALS_RLE, LITERALS_PACKED, LITERALS_SAME_TREE };
enum { MODE_PREDEFINED, MODE_RLE, MODE_PACKED, MODE_REPEAT };
enum { LL, OF, ML, KINDS }; /* literal lengths, offsets, match lengths */

struct zstd {
    uint8_t *out;
    size_t pos, size;
    uint32_t rep[3];
    struct fse_table table[KINDS];
    struct huf_table huf;
    size_t literal_count;
    uint8_t literals[BLOCK_MAX];
};

struct sequence {
    uint32_t literals, match, offset;
};

/* ---- codes of lengths: base value and number of bits added to it ---- */

static const uint32_t ll_base[36] = {0,  1,  2,   3,   4,   5,    6,    7,    8,    9,     10,    11,
                                     12, 13, 14,  15,  16,  18,   20,   22,   24,   28,    32,    40,
                                     48, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536};
static const uint8_t ll_bits[36] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0,  0,  0,  0,  1,  1,
                                    1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
static const uint32_t ml_base[53] = {3,  4,   5,   6,   7,    8,    9,    10,   11,    12,    13,   14, 15, 16,
                                     17, 18,  19,  20,  21,   22,   23,   24,   25,    26,    27,   28, 29, 30,
                                     31, 32,  33,  34,  35,   37,   39,   41,   43,    47,    51,   59, 67, 83,
                                     99, 131, 259, 515, 1027, 2051, 4099, 8195, 16387, 32771, 65539};
static const uint8_t ml_bits[53] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0,  0,  0,  0,  0,  0, 0,
                                    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  0,  0,  0,  1,  1,  1, 1,
                                    2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};

static const int16_t ll_default[36] = {4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1,  1,  2,  2,
                                       2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1};
static const int16_t of_default[29] = {1, 1, 1, 1, 1, 1, 2, 2, 2, 1,  1,  1,  1,  1, 1,
                                       1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1};
static const int16_t ml_default[53] = {1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1,  1,  1,  1,  1,  1,  1, 1,
                                       1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,  1,  1,  1,  1,  1,  1, 1,
                                       1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1};

static const struct {
    const int16_t *counts;
    unsigned int symbols, max_symbols, log, max_log;
} kinds[KINDS] = {
    [LL] = {ll_default, 36, 36, 6, 9},
    [OF] = {of_default, 29, 32, 5, 8},
    [ML] = {ml_default, 53, 53, 6, 9},
};

/* ---- the checksum: XXH64 with seed 0 ---- */

#define PRIME1 0x9e3779b185ebca87ull
#define PRIME2 0xc2b2ae3d27d4eb4full
#define PRIME3 0x165667b19e3779f9ull
#define PRIME4 0x85ebca77c2b2ae63ull
#define PRIME5 0x27d4eb2f165667c5ull

static uint64_t rotate(uint64_t v, unsigned int n)
{
    return v << n | v >> (64 - n);
}

static uint64_t little_endian(const uint8_t *p, unsigned int n)
{
    uint64_t v = 0;

    memcpy(&v, p, n);
    return v;
}

static uint64_t xxh_round(uint64_t acc, uint64_t input)
{
    return rotate(acc + input * PRIME2, 31) * PRIME1;
}

static uint64_t xxh_tail(uint64_t h, const uint8_t *p, size_t n)
{
    for (; n >= 8; n -= 8, p += 8)
        h = rotate(h ^ xxh_round(0, little_endian(p, 8)), 27) * PRIME1 + PRIME4;
    for (; n >= 4; n -= 4, p += 4)
        h = rotate(h ^ little_endian(p, 4) * PRIME1, 23) * PRIME2 + PRIME3;
    for (; n; n--, p++)
        h = rotate(h ^ *p * PRIME5, 11) * PRIME1;
    h = (h ^ h >> 33) * PRIME2;
    h = (h ^ h >> 29) * PRIME3;
    return h ^ h >> 32;
}

static uint64_t xxh64(const uint8_t *p, size_t size)
{
    uint64_t acc[4] = {PRIME1 + PRIME2, PRIME2, 0, -PRIME1}, h = PRIME5;
    size_t n = size;

    for (; n >= 32; n -= 32, p += 32)
        for (unsigned int i = 0; i < 4; i++)
            acc[i] = xxh_round(acc[i], little_endian(p + 8 * i, 8));
    if (size >= 32) {
        h = rotate(acc[0], 1) + rotate(acc[1], 7) + rotate(acc[2], 12) + rotate(acc[3], 18);
        for (unsigned int i = 0; i < 4; i++)
            h = (h ^ xxh_round(0, acc[i])) * PRIME1 + PRIME4;
    }
    return xxh_tail(h + size, p, n);
}

/* ---- literals ---- */

static bool take(struct bytes *in, size_t n, struct bytes *part)
{
    if (n > (size_t)(in->end - in->p))
        return false;
    *part = (struct bytes){in->p, in->p + n};
    in->p += n;
    return true;
}

/* Four streams of equal length but the last, or one. */
static bool decode_streams(struct zstd *z, struct bytes in, unsigned int streams)
{
    size_t each = streams == 4 ? (z->literal_count + 3) / 4 : z->literal_count, at = 0;
    struct bytes sizes = {NULL, NULL}, part;

    if (streams == 4 && (!take(&in, 6, &sizes) || each * 3 > z->literal_count))
        return false;
    for (unsigned int i = 0; i < streams; i++, at += each) {
        bool last = i == streams - 1;
        size_t n = last ? (size_t)(in.end - in.p) : little_endian(sizes.p + 2 * i, 2);

        if (!take(&in, n, &part) ||
            !huf_decode(&z->huf, part.p, n, z->literals + at, last ? z->literal_count - at : each))
            return false;
    }
    return true;
}

static bool packed_literals(struct zstd *z, struct bytes *in, unsigned int type, unsigned int format)
{
    static const uint8_t header[4] = {3, 3, 4, 5}, bits[4] = {10, 10, 14, 18};
    unsigned int n = bits[format];
    struct bytes part;
    uint64_t sizes;

    if (!take(in, header[format], &part))
        return false;
    sizes = little_endian(part.p, header[format]) >> 4;
    z->literal_count = sizes & ((1u << n) - 1);
    if (z->literal_count > BLOCK_MAX || !take(in, sizes >> n & ((1u << n) - 1), &part))
        return false;
    if (type == LITERALS_PACKED && !huf_read(&z->huf, &part))
        return false;
    return z->huf.log && decode_streams(z, part, format == 0 ? 1 : 4);
}

static bool read_literals(struct zstd *z, struct bytes *in)
{
    static const uint8_t header[4] = {1, 2, 1, 3}, shift[4] = {3, 4, 3, 4};
    unsigned int type, format;
    struct bytes part;

    if (in->p == in->end)
        return false;
    type = *in->p & 3;
    format = *in->p >> 2 & 3;
    if (type >= LITERALS_PACKED)
        return packed_literals(z, in, type, format);
    if (!take(in, header[format], &part))
        return false;
    z->literal_count = little_endian(part.p, header[format]) >> shift[format];
    if (z->literal_count > BLOCK_MAX || !take(in, type == LITERALS_RAW ? z->literal_count : 1, &part))
        return false;
    if (type == LITERALS_RAW)
        memcpy(z->literals, part.p, z->literal_count);
    else
        memset(z->literals, *part.p, z->literal_count);
    return true;
}

/* ---- sequences ---- */

static bool read_table(struct zstd *z, struct bytes *in, unsigned int kind, unsigned int mode)
{
    struct fse_table *t = &z->table[kind];
    struct bytes part;

    switch (mode) {
    case MODE_PREDEFINED:
        return fse_build(t, kinds[kind].counts, kinds[kind].symbols, kinds[kind].log);
    case MODE_RLE:
        if (!take(in, 1, &part) || *part.p >= kinds[kind].max_symbols)
            return false;
        fse_single(t, *part.p);
        return true;
    case MODE_PACKED:
        return fse_read(t, in, kinds[kind].max_log, kinds[kind].max_symbols);
    default:
        return t->valid;
    }
}

/* An offset value as it is coded: 1 to 3 name one of the last offsets, others are 3 too large. 0: impossible. */
static uint32_t real_offset(struct zstd *z, uint64_t value, bool no_literals)
{
    uint32_t *rep = z->rep, offset, which;

    if (value > 3) {
        offset = (uint32_t)(value - 3);
        which = 2;
    } else {
        which = (uint32_t)value - 1 + no_literals;
        offset = which == 3 ? rep[0] - 1 : rep[which];
    }
    if (which >= 2)
        rep[2] = rep[1];
    if (which >= 1)
        rep[1] = rep[0];
    rep[0] = offset;
    return offset;
}

static struct sequence read_sequence(struct zstd *z, const uint32_t state[KINDS], struct bit_stream *b)
{
    unsigned int of = z->table[OF].entry[state[OF]].symbol;
    unsigned int ml = z->table[ML].entry[state[ML]].symbol, ll = z->table[LL].entry[state[LL]].symbol;
    uint64_t value = (1ull << of) + bits_read(b, of);
    struct sequence s;

    s.match = ml_base[ml] + bits_read(b, ml_bits[ml]);
    s.literals = ll_base[ll] + bits_read(b, ll_bits[ll]);
    s.offset = real_offset(z, value, s.literals == 0);
    return s;
}

static bool copy_literals(struct zstd *z, size_t *from, size_t n)
{
    if (n > z->literal_count - *from || n > z->size - z->pos)
        return false;
    memcpy(z->out + z->pos, z->literals + *from, n);
    *from += n;
    z->pos += n;
    return true;
}

static bool copy_match(struct zstd *z, const struct sequence *s)
{
    uint8_t *to = z->out + z->pos;

    if (s->offset == 0 || s->offset > z->pos || s->match > z->size - z->pos)
        return false;
    z->pos += s->match;
    if (s->offset >= s->match) {
        memcpy(to, to - s->offset, s->match);
        return true;
    }
    for (uint32_t i = 0; i < s->match; i++)
        to[i] = to[(int64_t)i - s->offset];
    return true;
}

static bool run_sequences(struct zstd *z, struct bit_stream *b, unsigned int count)
{
    uint32_t state[KINDS];
    struct sequence s;
    size_t used = 0;

    for (unsigned int k = 0; k < KINDS; k++)
        state[k] = bits_read(b, z->table[k].log);
    while (count--) {
        s = read_sequence(z, state, b);
        if (b->left < 0 || !copy_literals(z, &used, s.literals) || !copy_match(z, &s))
            return false;
        if (count) {
            fse_next(&z->table[LL], &state[LL], b);
            fse_next(&z->table[ML], &state[ML], b);
            fse_next(&z->table[OF], &state[OF], b);
        }
    }
    return b->left == 0 && copy_literals(z, &used, z->literal_count - used);
}

/* How many sequences: one to three bytes. */
static bool read_count(struct bytes *in, unsigned int *count)
{
    struct bytes part;

    if (!take(in, 1, &part))
        return false;
    *count = *part.p;
    if (*count == 255) {
        if (!take(in, 2, &part))
            return false;
        *count = (unsigned int)little_endian(part.p, 2) + 0x7f00;
    } else if (*count >= 128) {
        *count = (*count - 128) << 8;
        if (!take(in, 1, &part))
            return false;
        *count += *part.p;
    }
    return true;
}

static bool packed_block(struct zstd *z, struct bytes in)
{
    struct bit_stream b;
    unsigned int count;
    struct bytes modes;
    size_t used = 0;

    if (!read_literals(z, &in) || !read_count(&in, &count))
        return false;
    if (count == 0)
        return in.p == in.end && copy_literals(z, &used, z->literal_count);
    if (!take(&in, 1, &modes) || (*modes.p & 3))
        return false;
    for (unsigned int k = 0; k < KINDS; k++)
        if (!read_table(z, &in, k, *modes.p >> (6 - 2 * k) & 3))
            return false;
    return bits_open(&b, in.p, (size_t)(in.end - in.p)) && run_sequences(z, &b, count);
}

/* ---- frame ---- */

/* Leaves in->p at the first block. */
static bool read_frame_header(struct bytes *in, bool *checksum)
{
    static const uint8_t size_bytes[4] = {0, 2, 4, 8};
    struct bytes part;
    unsigned int flags;
    bool single;

    if (!take(in, 5, &part) || little_endian(part.p, 4) != MAGIC)
        return false;
    flags = part.p[4];
    single = flags & 0x20;
    *checksum = flags & 4;
    /* A reserved bit, or a dictionary. */
    if (flags & 0x0b)
        return false;
    return take(in, (single ? 0 : 1) + (flags >> 6 ? size_bytes[flags >> 6] : single), &part);
}

static bool read_block(struct zstd *z, struct bytes *in, bool *last)
{
    struct bytes head, part;
    unsigned int type;
    size_t n;

    if (!take(in, 3, &head))
        return false;
    *last = head.p[0] & 1;
    type = head.p[0] >> 1 & 3;
    n = little_endian(head.p, 3) >> 3;
    if (n > BLOCK_MAX || !take(in, type == 1 ? 1 : n, &part))
        return false;
    if (type == 2)
        return packed_block(z, part);
    if (type == 3 || n > z->size - z->pos)
        return false;
    if (type == 0)
        memcpy(z->out + z->pos, part.p, n);
    else
        memset(z->out + z->pos, *part.p, n);
    z->pos += n;
    return true;
}

static int64_t decode_frame(struct zstd *z, struct bytes *in)
{
    bool checksum, last = false;
    struct bytes part;

    if (!read_frame_header(in, &checksum))
        return -EINVAL;
    while (!last)
        if (!read_block(z, in, &last))
            return -EINVAL;
    if (checksum && (!take(in, 4, &part) || little_endian(part.p, 4) != (uint32_t)xxh64(z->out, z->pos)))
        return -EINVAL;
    return (int64_t)z->pos;
}

int64_t zstd_decode(const uint8_t *p, size_t in_size, uint8_t *out, size_t out_size)
{
    struct bytes in = {p, p + in_size};
    struct zstd *z = hv_alloc(sizeof(*z));
    int64_t rc;

    if (!z)
        return -ENOMEM;
    z->out = out;
    z->size = out_size;
    z->rep[0] = 1;
    z->rep[1] = 4;
    z->rep[2] = 8;
    rc = decode_frame(z, &in);
    hv_free(z);
    return rc;
}
