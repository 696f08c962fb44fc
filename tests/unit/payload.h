/* SPDX-License-Identifier: BSD-2-Clause */
/* What the tests of the kernel payloads' decoders share: the decoders' allocator, samples, exact buffers, damage. */
#ifndef TESTS_PAYLOAD_H
#define TESTS_PAYLOAD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>
#include "fake/fake.h"

/* Allocations of the decoder that live; the n-th from now fails, 0: none. */
extern unsigned int live, fail_alloc;

struct buffer {
    uint8_t *p;
    size_t n;
};

/* What a sample is made of, beside noise, repeats of what was there before, and short runs. */
struct texture {
    unsigned int longest_run;
    uint8_t fill;             /* of the runs */
    uint8_t (*pattern)(void); /* one byte of what this packer is good at */
};
struct buffer payload_sample(size_t n, const struct texture *t);

typedef int64_t payload_decoder(const uint8_t *in, size_t in_size, uint8_t *out, size_t out_size);
/* Decodes copies that have exactly the sizes given, so that the address sanitizer sees one byte too many; *out is the
 * caller's to free. The decoder's length or error; nothing that it allocated is left. */
int64_t payload_decode(payload_decoder *decoder, struct buffer in, size_t out_size, uint8_t **out);

/* A few bytes changed, of which head_percent among the first head. */
void payload_damage(struct buffer b, unsigned int head_percent, size_t head);

/* A bzImage of the Linux boot protocol with this payload, and its decoded size behind it. */
struct buffer payload_bzimage(struct buffer payload, uint32_t unpacked);

#endif
