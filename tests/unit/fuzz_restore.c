// SPDX-License-Identifier: BSD-2-Clause
/*
 * The restorer for a fuzzer. Streams as they are would keep it busy with finding headers and lengths, so these are made
 * here: the input is a list of records, each a byte of type, two of length, and that much of a body, which is as long
 * as the record says or as its place in the input lets it be. A bit of the first byte says of what type the guest is.
 * Nothing may fault, and nothing may be left.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "saved_guest.h"

/* Of a record's first byte. */
#define SHAPED 32
#define HVM    64 /* of the first record: a PVH guest */

static void put(int fd, const void *data, size_t size)
{
    if (write(fd, data, size) != (ssize_t)size) {
        abort();
    }
}

static void put_record(int fd, uint32_t type, const uint8_t *body, uint32_t size)
{
    static const uint8_t zero[8];
    uint32_t head[2] = {type, size};

    put(fd, head, sizeof(head));
    put(fd, body, size);
    put(fd, zero, -size & 7);
}

/* A list of frames for a guest of n, all in the first frame; or a batch of pages with as many bytes as it needs. */
static void put_shaped(int fd, uint32_t type, const uint8_t *data, size_t size)
{
    static uint8_t body[8 + 16 * 8 + 16 * 4096];
    uint32_t n = size ? data[0] % 16 + 1 : 1, length = 8 + n * 8;

    memset(body, 0, sizeof(body));
    memcpy(body, &n, 4);
    for (uint32_t i = 0; i < n && type == REC_PAGE_DATA; i++) {
        uint64_t kind = i + 1 < size ? data[i + 1] : 0, word = (kind >> 4) << 60 | i;

        memcpy(body + 8 + i * 8, &word, 8);
        length += (kind >> 4) < PAGE_BROKEN ? 4096 : 0;
    }
    if (type == REC_PV_P2M_FRAMES) {
        body[0] = 0;
        memcpy(body + 4, &n, 4);
        length = 16;
    } else if (size > n + 1) {
        size_t most = length - 8 - n * 8;

        memcpy(body + 8 + n * 8, data + n + 1, size - n - 1 < most ? size - n - 1 : most);
    }
    put_record(fd, type, body, length);
}

/* Parameters at random, of few numbers and for few guest frames. */
static void put_params(int fd, const uint8_t *data, size_t size)
{
    struct params_header h = {.count = (uint32_t)(size / 2 % 32)};
    uint64_t body[1 + 2 * 32];

    memcpy(body, &h, sizeof(h));
    for (uint32_t i = 0; i < h.count; i++) {
        body[1 + 2 * i] = data[2 * i] % 64;
        body[2 + 2 * i] = data[2 * i + 1];
    }
    put_record(fd, REC_HVM_PARAMS, (const uint8_t *)body, 8 + h.count * 16);
}

static void put_all(int fd, const uint8_t *data, size_t size)
{
    while (size >= 3) {
        size_t n = data[1] | (size_t)data[2] << 8;
        uint32_t type = data[0] & 31;

        n = n < size - 3 ? n : size - 3;
        if ((data[0] & SHAPED) && type == REC_HVM_PARAMS) {
            put_params(fd, data + 3, n);
        } else if (data[0] & SHAPED) {
            put_shaped(fd, type, data + 3, n);
        } else {
            put_record(fd, type, data + 3, (uint32_t)n);
        }
        data += 3 + n;
        size -= 3 + n;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ctl_domain_config config;
    struct ctl_error err;
    struct ctl_build b;
    int fd = memfd_create("stream", MFD_CLOEXEC);
    struct ctl_stream *s = ctl_stream_open(fd, "input", &err);

    machine_seed(1);
    domains[SOURCE].hvm = size && (data[0] & HVM);
    machine_empty(&b, &config, &err);
    s->err = &err;
    if (fd < 0 || ctl_stream_begin(s, domains[TARGET].hvm ? STREAM_TYPE_HVM : STREAM_TYPE_PV)) {
        abort();
    }
    put_all(fd, data, size);
    lseek(fd, 0, SEEK_SET);
    b.stream = s;
    if (ctl_build_restore(&b) != err.code || live_resources) {
        abort();
    }
    ctl_stream_close(s);
    close(fd);
    return 0;
}
