/* SPDX-License-Identifier: BSD-2-Clause */
/* Private to domain/: decoding of an LZMA2 stream into one buffer, which is its own dictionary. */
#ifndef DOMAIN_LZMA_H
#define DOMAIN_LZMA_H

#include <hv/lib.h>

struct bytes {
    const uint8_t *p, *end;
};

/* Decodes chunks until the end marker; in->p advances. Returns the output length or -EINVAL. Every read and write is
 * bounds-checked. */
int64_t lzma2_decode(struct bytes *in, uint8_t *out, size_t out_size);

/* Whole .xz stream of one block (CRC32 or no check; LZMA2 with optional x86 filter). Output length or -EINVAL. */
int64_t xz_decode(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size);

#endif
