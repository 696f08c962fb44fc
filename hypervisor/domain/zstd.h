/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to domain/: decoding of a Zstandard frame into one buffer, which is its own window. */
#ifndef DOMAIN_ZSTD_H
#define DOMAIN_ZSTD_H

#include "lzma.h"

#define FSE_LOG_MAX 9
#define HUF_LOG_MAX 11

/* A stream of bits that is read from its end: the last byte's highest set bit only marks where it begins. Bits before
 * the first byte read as zero; left is negative then. */
struct bit_stream {
    const uint8_t *p;
    size_t size;
    int64_t left;
};

struct fse_entry {
    uint16_t base;
    uint8_t symbol, bits;
};

struct fse_table {
    unsigned int log;
    bool valid;
    struct fse_entry entry[1 << FSE_LOG_MAX];
};

struct huf_entry {
    uint8_t symbol, bits;
};

struct huf_table {
    unsigned int log; /* 0: there is none yet */
    struct huf_entry entry[1 << HUF_LOG_MAX];
};

/* All return false when the data cannot be right. */
bool bits_open(struct bit_stream *b, const uint8_t *p, size_t size);
uint32_t bits_read(struct bit_stream *b, unsigned int n); /* n <= 32 */

bool fse_build(struct fse_table *t, const int16_t *count, unsigned int symbols, unsigned int log);
bool fse_read(struct fse_table *t, struct bytes *in, unsigned int max_log, unsigned int max_symbols);
void fse_single(struct fse_table *t, uint8_t symbol);
void fse_next(const struct fse_table *t, uint32_t *state, struct bit_stream *b);

bool huf_read(struct huf_table *t, struct bytes *in);
bool huf_decode(const struct huf_table *t, const uint8_t *p, size_t size, uint8_t *out, size_t out_size);

/* One frame without a dictionary; its checksum, if it has one, is checked. Output length, -EINVAL or -ENOMEM. */
int64_t zstd_decode(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size);

#endif
