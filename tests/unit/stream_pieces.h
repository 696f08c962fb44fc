/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Streams of the machine in saved_guest.h: saved, taken apart into records, put together again otherwise, restored.
 */
#ifndef STREAM_PIECES_H
#define STREAM_PIECES_H

#include "saved_guest.h"

/* Of libxl's and libxc's layer, before the first record. */
#define HEADERS (16 + 8 + 24 + 16)

extern uint8_t *image; /* what save() made */
extern size_t image_size;
extern struct ctl_error err; /* of the last call */
extern struct ctl_build b;   /* domain 2 */
extern uint64_t limit;       /* frames that domain 2 can have */

/* UMBRA_SEED, or another one each time; it is printed. */
uint64_t first_seed(const char *test);
int memory_file(const void *data, size_t size);
/* What is written to a stream becomes the image. 0 or the error. */
int into_image(int (*write)(struct ctl_stream *s));
/* Saves domain 1 into it. */
int save(void);
/* Restores a new domain 2, and sees that nothing but it is left. */
int restore(const void *data, size_t size);
/* The image restores what domain 1 was. */
void is_a_copy(uint64_t seed);
/* They fail, and what they say contains that. */
void refused_with(const void *data, size_t size, const char *text);
void save_refused(const char *text);

extern struct piece {
    uint32_t type, length;
    uint8_t *body; /* in the image */
} piece[64];
extern unsigned pieces;
extern uint8_t built[8 << 20]; /* what with() and before() make, and return the size of */

/* Saves domain 1, and finds the records. */
void take_apart(void);
unsigned find(uint32_t type);
/* The image with record `which` replaced by n bytes of a body, under a type; n < 0: left out. */
size_t with(unsigned which, uint32_t type, const void *body, long n);
/* The same with one more record in front of record `which`. */
size_t before(unsigned which, uint32_t type, const void *body, uint32_t n);

/* Of the image: cut at every boundary of a record, and in between; restored and saved with each call failing in turn;
 * any byte may be any other: no fault, no leak, and an answer. */
void all_cuts(void);
void all_failures(void);
void damage(void);
int forget_image(void **state);

#endif
