/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LZMA2: chunks of LZMA data, each with its own range coder, and of plain bytes. Written from the format's
 * specification (LZMA SDK, "lzma-specification"). The kernel file is given by the machine's owner, yet a damaged one
 * must end in an error, not in a wild write: every copy is bounded.
 */
#include "lzma.h"

#include <hv/heap.h>

#define STATES       12
#define POS_STATES   16
#define PROB_INIT    1024
#define LITERAL_SIZE 0x300

struct length_coder {
    uint16_t choice, choice2;
    uint16_t low[POS_STATES][8], mid[POS_STATES][8], high[256];
};

struct probs {
    uint16_t is_match[STATES][POS_STATES], is_rep[STATES], is_rep0[STATES], is_rep1[STATES], is_rep2[STATES];
    uint16_t is_rep0_long[STATES][POS_STATES];
    uint16_t slot[4][64], special[128], align[16];
    struct length_coder match_len, rep_len;
    uint16_t literal[LITERAL_SIZE << 4];
};

struct lzma {
    struct bytes in;
    uint32_t range, code;
    uint8_t *out;
    size_t pos, size, dict_start;
    uint32_t state, rep[4];
    unsigned int lc, lp, pb;
    bool bad;
    struct probs p;
};

static uint8_t next_byte(struct lzma *z)
{
    if (z->in.p == z->in.end) {
        z->bad = true;
        return 0;
    }
    return *z->in.p++;
}

static void normalize(struct lzma *z)
{
    if (z->range < 1u << 24) {
        z->range <<= 8;
        z->code = (z->code << 8) | next_byte(z);
    }
}

static unsigned int bit(struct lzma *z, uint16_t *prob)
{
    uint32_t bound;

    normalize(z);
    bound = (z->range >> 11) * *prob;
    if (z->code < bound) {
        z->range = bound;
        *prob = (uint16_t)(*prob + ((2048 - *prob) >> 5));
        return 0;
    }
    z->range -= bound;
    z->code -= bound;
    *prob = (uint16_t)(*prob - (*prob >> 5));
    return 1;
}

static unsigned int tree(struct lzma *z, uint16_t *probs, unsigned int bits)
{
    unsigned int m = 1;

    for (unsigned int i = 0; i < bits; i++)
        m = (m << 1) | bit(z, &probs[m]);
    return m - (1u << bits);
}

static unsigned int reverse_tree(struct lzma *z, uint16_t *probs, unsigned int bits)
{
    unsigned int m = 1, v = 0;

    for (unsigned int i = 0; i < bits; i++) {
        unsigned int b = bit(z, &probs[m]);

        m = (m << 1) | b;
        v |= b << i;
    }
    return v;
}

static uint32_t direct_bits(struct lzma *z, unsigned int n)
{
    uint32_t v = 0;

    while (n--) {
        normalize(z);
        z->range >>= 1;
        v <<= 1;
        if (z->code >= z->range) {
            z->code -= z->range;
            v |= 1;
        }
    }
    return v;
}

static unsigned int length(struct lzma *z, struct length_coder *l, unsigned int pos_state)
{
    if (!bit(z, &l->choice))
        return 2 + tree(z, l->low[pos_state], 3);
    if (!bit(z, &l->choice2))
        return 10 + tree(z, l->mid[pos_state], 3);
    return 18 + tree(z, l->high, 8);
}

static uint32_t distance(struct lzma *z, unsigned int len)
{
    unsigned int slot = tree(z, z->p.slot[MIN(len - 2, 3u)], 6), bits;
    uint32_t d;

    if (slot < 4)
        return slot;
    bits = (slot >> 1) - 1;
    d = (2 | (slot & 1)) << bits;
    if (slot < 14)
        return d + reverse_tree(z, &z->p.special[d - slot], bits);
    d += direct_bits(z, bits - 4) << 4;
    return d + reverse_tree(z, z->p.align, 4);
}

static void literal(struct lzma *z)
{
    unsigned int prev = z->pos > z->dict_start ? z->out[z->pos - 1] : 0;
    unsigned int index = (((z->pos - z->dict_start) & ((1u << z->lp) - 1)) << z->lc) + (prev >> (8 - z->lc));
    uint16_t *probs = &z->p.literal[LITERAL_SIZE * index];
    unsigned int m = 1;

    if (z->state >= 7 && z->rep[0] < z->pos - z->dict_start) {
        unsigned int match = z->out[z->pos - z->rep[0] - 1];

        while (m < 0x100) {
            unsigned int mb = (match >> 7) & 1, b;

            match <<= 1;
            b = bit(z, &probs[((1 + mb) << 8) + m]);
            m = (m << 1) | b;
            if (mb != b)
                break;
        }
    }
    while (m < 0x100)
        m = (m << 1) | bit(z, &probs[m]);
    if (z->pos < z->size)
        z->out[z->pos++] = (uint8_t)m;
    z->state = z->state < 4 ? 0 : z->state < 10 ? z->state - 3 : z->state - 6;
}

static void copy_match(struct lzma *z, unsigned int len, size_t limit)
{
    if (z->rep[0] >= z->pos - z->dict_start || len > limit - z->pos) {
        z->bad = true;
        return;
    }
    for (; len; len--, z->pos++)
        z->out[z->pos] = z->out[z->pos - z->rep[0] - 1];
}

/* One of the four last distances moves to the front; returns the length, 1 for a single byte. */
static unsigned int rep_match(struct lzma *z, unsigned int pos_state)
{
    uint32_t d = z->rep[0];

    if (!bit(z, &z->p.is_rep0[z->state])) {
        if (!bit(z, &z->p.is_rep0_long[z->state][pos_state])) {
            z->state = z->state < 7 ? 9 : 11;
            return 1;
        }
    } else {
        if (!bit(z, &z->p.is_rep1[z->state]))
            d = z->rep[1];
        else {
            if (!bit(z, &z->p.is_rep2[z->state]))
                d = z->rep[2];
            else {
                d = z->rep[3];
                z->rep[3] = z->rep[2];
            }
            z->rep[2] = z->rep[1];
        }
        z->rep[1] = z->rep[0];
        z->rep[0] = d;
    }
    z->state = z->state < 7 ? 8 : 11;
    return length(z, &z->p.rep_len, pos_state);
}

static unsigned int new_match(struct lzma *z, unsigned int pos_state)
{
    unsigned int len;

    z->rep[3] = z->rep[2];
    z->rep[2] = z->rep[1];
    z->rep[1] = z->rep[0];
    len = length(z, &z->p.match_len, pos_state);
    z->state = z->state < 7 ? 7 : 10;
    z->rep[0] = distance(z, len);
    return len;
}

static void decode_until(struct lzma *z, size_t limit)
{
    while (z->pos < limit && !z->bad) {
        unsigned int pos_state = (z->pos - z->dict_start) & ((1u << z->pb) - 1);

        if (!bit(z, &z->p.is_match[z->state][pos_state]))
            literal(z);
        else if (bit(z, &z->p.is_rep[z->state]))
            copy_match(z, rep_match(z, pos_state), limit);
        else
            copy_match(z, new_match(z, pos_state), limit);
    }
}

static void reset_state(struct lzma *z)
{
    uint16_t *p = (uint16_t *)&z->p;

    for (size_t i = 0; i < sizeof(z->p) / sizeof(*p); i++)
        p[i] = PROB_INIT;
    z->state = 0;
    memset(z->rep, 0, sizeof(z->rep));
}

static bool set_properties(struct lzma *z, uint8_t b)
{
    if (b >= 9 * 5 * 5)
        return false;
    z->lc = b % 9;
    z->lp = b / 9 % 5;
    z->pb = b / 45;
    return z->lc + z->lp <= 4;
}

static void lzma_chunk(struct lzma *z, struct bytes *in, uint8_t control)
{
    size_t unpacked, packed;

    if (in->end - in->p < 5) {
        z->bad = true;
        return;
    }
    unpacked = ((size_t)(control & 0x1f) << 16) + ((size_t)in->p[0] << 8) + in->p[1] + 1;
    packed = ((size_t)in->p[2] << 8) + in->p[3] + 1;
    in->p += 4;
    if (control >= 0xe0)
        z->dict_start = z->pos;
    if (control >= 0xc0 && !set_properties(z, *in->p++))
        z->bad = true;
    if (control >= 0xa0)
        reset_state(z);
    if (z->bad || (size_t)(in->end - in->p) < packed || unpacked > z->size - z->pos || packed < 5) {
        z->bad = true;
        return;
    }
    z->in = (struct bytes){in->p + 1, in->p + packed};
    z->range = ~0u;
    z->code = 0;
    for (unsigned int i = 0; i < 4; i++)
        z->code = (z->code << 8) | next_byte(z);
    decode_until(z, z->pos + unpacked);
    in->p += packed;
}

static void plain_chunk(struct lzma *z, struct bytes *in, uint8_t control)
{
    size_t n;

    if (in->end - in->p < 2) {
        z->bad = true;
        return;
    }
    n = ((size_t)in->p[0] << 8) + in->p[1] + 1;
    in->p += 2;
    if (control == 1)
        z->dict_start = z->pos;
    if ((size_t)(in->end - in->p) < n || n > z->size - z->pos) {
        z->bad = true;
        return;
    }
    memcpy(z->out + z->pos, in->p, n);
    z->pos += n;
    in->p += n;
}

int64_t lzma2_decode(struct bytes *in, uint8_t *out, size_t out_size)
{
    struct lzma *z = hv_new(struct lzma);
    int64_t len = -EINVAL;

    if (!z)
        return -ENOMEM;
    z->out = out;
    z->size = out_size;
    reset_state(z);
    while (!z->bad && in->p < in->end) {
        uint8_t control = *in->p++;

        if (control == 0) {
            len = (int64_t)z->pos;
            break;
        }
        if (control >= 0x80)
            lzma_chunk(z, in, control);
        else if (control <= 2)
            plain_chunk(z, in, control);
        else
            z->bad = true;
    }
    hv_free(z);
    return len;
}
