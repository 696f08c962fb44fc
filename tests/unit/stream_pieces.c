// SPDX-License-Identifier: BSD-2-Clause
/* See stream_pieces.h. */
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "stream_pieces.h"

uint8_t *image, built[8 << 20];
size_t image_size;
struct ctl_error err;
struct ctl_build b;
struct piece piece[64];
unsigned pieces;
uint64_t limit = MAX_PFNS;
static struct ctl_domain_config config;

uint64_t first_seed(const char *test)
{
    const char *given = getenv("UMBRA_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)getpid() * 1000;

    printf("%s: UMBRA_SEED=%llu\n", test, (unsigned long long)seed);
    return seed;
}

int memory_file(const void *data, size_t size)
{
    int fd = memfd_create("stream", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), (ssize_t)size);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

int into_image(int (*write)(struct ctl_stream *s))
{
    int fd = memory_file("", 0), rc;
    struct ctl_stream *s;

    err = (struct ctl_error){0};
    s = ctl_stream_open(fd, "file", &err);
    rc = write(s);
    ctl_stream_close(s);
    assert_int_equal(live_resources, 0);
    free(image);
    image_size = (size_t)lseek(fd, 0, SEEK_END);
    image = malloc(image_size + 1);
    assert_int_equal(pread(fd, image, image_size, 0), (ssize_t)image_size);
    close(fd);
    assert_int_equal(rc, err.code);
    return rc;
}

static int write_saved(struct ctl_stream *s)
{
    return ctl_domain_save(NULL, SOURCE, s, &err);
}

int save(void)
{
    return into_image(write_saved);
}

int restore(const void *data, size_t size)
{
    int fd = memory_file(data, size), rc;

    machine_empty(&b, &config, &err);
    domains[TARGET].populate_limit = limit;
    b.stream = ctl_stream_open(fd, "file", &err);
    rc = ctl_build_restore(&b);
    ctl_stream_close(b.stream);
    close(fd);
    assert_int_equal(live_resources, 0);
    assert_int_equal(rc, err.code);
    return rc;
}

/* By the command of UMBRA_VERIFIER, if any: it gets a form and the stream (tests/lab/test_streams_logic.py). */
static void judge(const char *form, const uint8_t *data, size_t size)
{
    const char *verifier = getenv("UMBRA_VERIFIER");
    char command[1024];
    FILE *input;

    if (!verifier) {
        return;
    }
    snprintf(command, sizeof(command), "%s %s", verifier, form);
    input = popen(command, "w");
    assert_non_null(input);
    assert_int_equal(fwrite(data, 1, size, input), size);
    assert_int_equal(pclose(input), 0);
}

/* libxl's stream has a header and a record before libxc's, and END after it. */
void is_a_copy(uint64_t seed)
{
    const char *wrong;

    if (restore(image, image_size) != 0) {
        fail_msg("seed %llu: %s: %s", (unsigned long long)seed, err.step, err.message);
    }
    wrong = machine_compare(&b);
    if (wrong) {
        fail_msg("seed %llu: %s is not the same", (unsigned long long)seed, wrong);
    }
    judge("libxl", image, image_size);
    judge("libxc", image + 24, image_size - 24 - 8);
}

void refused_with(const void *data, size_t size, const char *text)
{
    assert_true(restore(data, size) < 0);
    if (!strstr(err.message, text)) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, text);
    }
}

/* --- records --- */

void take_apart(void)
{
    size_t at = HEADERS;

    assert_int_equal(save(), 0);
    for (pieces = 0; at + 8 < image_size; pieces++) {
        memcpy(&piece[pieces], image + at, 8);
        piece[pieces].body = image + at + 8;
        at += 8 + ((piece[pieces].length + 7) & ~7u);
    }
    assert_int_equal(at, image_size - 8);
    assert_int_equal(piece[pieces - 1].type, REC_END);
}

unsigned find(uint32_t type)
{
    unsigned i = 0;

    while (piece[i].type != type) {
        assert_true(++i < pieces);
    }
    return i;
}

static size_t put_piece(size_t at, uint32_t type, const void *body, uint32_t length)
{
    memset(built + at, 0, 8 + ((length + 7) & ~7u));
    memcpy(built + at, &type, 4);
    memcpy(built + at + 4, &length, 4);
    memcpy(built + at + 8, body, length);
    return at + 8 + ((length + 7) & ~7u);
}

size_t with(unsigned which, uint32_t type, const void *body, long n)
{
    size_t at = HEADERS;

    memcpy(built, image, HEADERS);
    for (unsigned i = 0; i < pieces; i++) {
        if (i != which) {
            at = put_piece(at, piece[i].type, piece[i].body, piece[i].length);
        } else if (n >= 0) {
            at = put_piece(at, type, body, (uint32_t)n);
        }
    }
    return put_piece(at, LIBXL_END, "", 0);
}

size_t before(unsigned which, uint32_t type, const void *body, uint32_t n)
{
    size_t at = HEADERS;

    memcpy(built, image, HEADERS);
    for (unsigned i = 0; i < pieces; i++) {
        if (i == which) {
            at = put_piece(at, type, body, n);
        }
        at = put_piece(at, piece[i].type, piece[i].body, piece[i].length);
    }
    return put_piece(at, LIBXL_END, "", 0);
}

void all_cuts(void)
{
    size_t at = HEADERS;

    assert_int_equal(restore(image, image_size), 0);
    for (unsigned i = 0; i < pieces; i++) {
        refused_with(image, at, "it ends after");
        refused_with(image, at + 4, "it ends after");
        if (piece[i].length) {
            refused_with(image, at + 8 + piece[i].length / 2, "it ends after");
        }
        at += 8 + ((piece[i].length + 7) & ~7u);
    }
    for (size_t n = 0; n < HEADERS; n++) {
        refused_with(image, n, "it ends after");
    }
    refused_with(image, image_size - 8, "record header at offset");
}

void all_failures(void)
{
    unsigned n = 0;
    int rc;

    do {
        fail_domctl = (int)++n;
        rc = restore(image, image_size);
        assert_int_equal(rc, fail_domctl ? 0 : -EIO);
    } while (!fail_domctl);
    assert_true(n > 6);
    n = 0;
    do {
        fail_domctl = (int)++n;
        rc = save();
        assert_int_equal(rc, fail_domctl ? 0 : -EIO);
    } while (!fail_domctl);
    assert_true(n > 10);
    fail_domctl = 0;
}

void damage(void)
{
    unsigned good = 0;

    for (unsigned i = 0; i < 600; i++) {
        size_t at = machine_random() % 4 ? machine_random() % image_size : machine_random() % (HEADERS + 1024);
        uint8_t kept = image[at];

        image[at] ^= (uint8_t)(1 << machine_random() % 8);
        good += restore(image, image_size) == 0;
        image[at] = kept;
    }
    assert_in_range(good, 1, 599);
}

void save_refused(const char *text)
{
    assert_true(save() < 0);
    if (!strstr(err.message, text)) {
        fail_msg("\"%s\" does not say \"%s\"", err.message, text);
    }
}

int forget_image(void **state)
{
    free(image);
    image = NULL;
    return 0;
}
