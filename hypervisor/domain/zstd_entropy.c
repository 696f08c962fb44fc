/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two entropy coders of Zstandard: finite state entropy and Huffman. Source: RFC 8878, sections 4.1 and 4.2. Tables
 * are checked when they are built, so that no state and no symbol leads outside of them; what a damaged stream makes of
 * them is wrong output.
 */
#include "zstd.h"

static unsigned int highest_bit(uint32_t v)
{
    return 31 - (unsigned int)__builtin_clz(v);
}

/* ---- bits ---- */

/* n <= 32 bits from bit position at on, which may be negative. */
static uint32_t bits_at(const struct bit_stream *b, int64_t at, unsigned int n)
{
    uint64_t v = 0, mask = (1ull << n) - 1;
    size_t first;

    if (at < 0) {
        unsigned int missing = (unsigned int)MIN(-at, (int64_t)n);

        return missing == n ? 0 : bits_at(b, 0, n - missing) << missing;
    }
    first = (size_t)at / 8;
    if (b->size >= 8 && first <= b->size - 8)
        memcpy(&v, b->p + first, 8);
    else
        for (size_t i = first; i < b->size && i < first + 8; i++)
            v |= (uint64_t)b->p[i] << (8 * (i - first));
    return (uint32_t)(v >> (at & 7) & mask);
}

bool bits_open(struct bit_stream *b, const uint8_t *p, size_t size)
{
    if (size == 0 || p[size - 1] == 0)
        return false;
    *b = (struct bit_stream){p, size, (int64_t)(size - 1) * 8 + highest_bit(p[size - 1])};
    return true;
}

uint32_t bits_read(struct bit_stream *b, unsigned int n)
{
    b->left -= n;
    return bits_at(b, b->left, n);
}

/* ---- finite state entropy ---- */

/* The states of each symbol are spread over the table; rare symbols (count -1) have one each at its end. */
static bool spread(struct fse_table *t, const int16_t *count, unsigned int symbols, uint16_t *next)
{
    unsigned int size = 1u << t->log, high = size, pos = 0, step = (size >> 1) + (size >> 3) + 3;

    for (unsigned int s = 0; s < symbols; s++) {
        next[s] = count[s] < 0 ? 1 : (uint16_t)count[s];
        if (count[s] < 0)
            t->entry[--high].symbol = (uint8_t)s;
    }
    for (unsigned int s = 0; s < symbols; s++)
        for (int i = 0; i < count[s]; i++) {
            t->entry[pos].symbol = (uint8_t)s;
            do
                pos = (pos + step) & (size - 1);
            while (pos >= high);
        }
    return pos == 0;
}

/* The counts must add up to the table's size, each rare symbol counting as one. */
bool fse_build(struct fse_table *t, const int16_t *count, unsigned int symbols, unsigned int log)
{
    uint16_t next[256];

    t->log = log;
    t->valid = false;
    if (!spread(t, count, symbols, next))
        return false;
    for (unsigned int i = 0; i < 1u << log; i++) {
        struct fse_entry *e = &t->entry[i];
        uint16_t x = next[e->symbol]++;

        e->bits = (uint8_t)(log - highest_bit(x));
        e->base = (uint16_t)((x << e->bits) - (1 << log));
    }
    t->valid = true;
    return true;
}

void fse_single(struct fse_table *t, uint8_t symbol)
{
    t->log = 0;
    t->valid = true;
    t->entry[0] = (struct fse_entry){.symbol = symbol};
}

void fse_next(const struct fse_table *t, uint32_t *state, struct bit_stream *b)
{
    const struct fse_entry *e = &t->entry[*state];

    *state = e->base + bits_read(b, e->bits);
}

/* A count, in as many bits as the largest possible one needs, or one less. */
static int read_count(const struct bit_stream *b, int64_t *at, unsigned int left)
{
    unsigned int n = highest_bit(left + 1) + 1, v = bits_at(b, *at, n);
    unsigned int low = (1u << (n - 1)) - 1, spare = (1u << n) - 1 - (left + 1);

    *at += n;
    if ((v & low) < spare) {
        (*at)--;
        v &= low;
    } else if (v > low) {
        v -= spare;
    }
    return (int)v - 1;
}

/* Counts of a table in front of its data, read forwards; in->p advances to the next whole byte. */
bool fse_read(struct fse_table *t, struct bytes *in, unsigned int max_log, unsigned int max_symbols)
{
    struct bit_stream b = {in->p, (size_t)(in->end - in->p), 0};
    unsigned int log = bits_at(&b, 0, 4) + 5, left = 1u << log, symbols = 0, zeros;
    int16_t count[256];
    int64_t at = 4;

    if (log > max_log)
        return false;
    while (left && symbols < max_symbols) {
        int n = read_count(&b, &at, left);

        left -= (unsigned int)(n < 0 ? 1 : n);
        count[symbols++] = (int16_t)n;
        if (n)
            continue;
        do {
            zeros = bits_at(&b, at, 2);
            at += 2;
            for (unsigned int i = 0; i < zeros && symbols < max_symbols; i++)
                count[symbols++] = 0;
        } while (zeros == 3 && symbols < max_symbols);
    }
    if (left || (size_t)(at + 7) / 8 > b.size)
        return false;
    in->p += (at + 7) / 8;
    return fse_build(t, count, symbols, log);
}

/* ---- Huffman ---- */

/* Weights that are themselves coded: two states take turns until the bits are used up. */
static unsigned int read_coded_weights(struct bytes *in, uint8_t weight[256])
{
    struct fse_table t;
    struct bit_stream b;
    uint32_t state[2];
    unsigned int n = 0;

    if (!fse_read(&t, in, 6, 13) || !bits_open(&b, in->p, (size_t)(in->end - in->p)))
        return 0;
    state[0] = bits_read(&b, t.log);
    state[1] = bits_read(&b, t.log);
    while (b.left >= 0 && n < 254) {
        weight[n] = t.entry[state[n & 1]].symbol;
        fse_next(&t, &state[n & 1], &b);
        n++;
    }
    if (b.left >= 0)
        return 0;
    weight[n] = t.entry[state[n & 1]].symbol;
    return n + 1;
}

static unsigned int read_weights(struct bytes *in, uint8_t weight[256])
{
    unsigned int head, size, n = 0;
    struct bytes part;

    if (in->p == in->end)
        return 0;
    head = *in->p++;
    size = head < 128 ? head : (head - 127 + 1) / 2;
    if (size > (size_t)(in->end - in->p))
        return 0;
    part = (struct bytes){in->p, in->p + size};
    in->p += size;
    if (head < 128)
        return read_coded_weights(&part, weight);
    for (; n < head - 127; n++)
        weight[n] = n & 1 ? part.p[n / 2] & 15 : part.p[n / 2] >> 4;
    return n;
}

/* The last symbol's weight is what is missing to a power of two. False: the weights make no tree. */
static bool complete_weights(uint8_t weight[256], unsigned int n, unsigned int *log)
{
    uint32_t sum = 0, missing;

    for (unsigned int i = 0; i < n; i++) {
        if (weight[i] > HUF_LOG_MAX)
            return false;
        sum += weight[i] ? 1u << (weight[i] - 1) : 0;
    }
    if (sum == 0 || n > 255)
        return false;
    *log = highest_bit(sum) + 1;
    missing = (1u << *log) - sum;
    weight[n] = (uint8_t)(highest_bit(missing) + 1);
    return *log <= HUF_LOG_MAX && !(missing & (missing - 1));
}

bool huf_read(struct huf_table *t, struct bytes *in)
{
    uint8_t weight[256];
    unsigned int n = read_weights(in, weight), log, at = 0;

    t->log = 0;
    if (n == 0 || !complete_weights(weight, n, &log))
        return false;
    for (unsigned int w = 1; w <= log; w++)
        for (unsigned int s = 0; s <= n; s++)
            for (unsigned int i = 0; weight[s] == w && i < 1u << (w - 1); i++)
                t->entry[at++] = (struct huf_entry){(uint8_t)s, (uint8_t)(log + 1 - w)};
    t->log = log;
    return true;
}

bool huf_decode(const struct huf_table *t, const uint8_t *p, size_t size, uint8_t *out, size_t out_size)
{
    struct bit_stream b;

    if (!bits_open(&b, p, size))
        return false;
    for (size_t i = 0; i < out_size; i++) {
        const struct huf_entry *e = &t->entry[bits_at(&b, b.left - t->log, t->log)];

        out[i] = e->symbol;
        b.left -= e->bits;
    }
    return b.left == 0;
}
