// SPDX-License-Identifier: BSD-2-Clause
/*
 * Compressed kernels: unpacked with the distribution's libraries.
 *
 * Place: between the file and the ELF image. Invariants: the output never grows beyond the caller's limit, so that a
 * small file cannot fill the memory; bytes after the end of the compressed stream are ignored (Linux appends the
 * unpacked size there). bzip2 and lzo are named and refused: no distribution's kernel uses them.
 */
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "libctl/image.h"

#define FIRST_SIZE (1ul << 20)
/* Blocks of lz4's legacy framing unpack to at most this. */
#define LZ4_BLOCK (8ul << 20)
/* Memory that an lzma stream may ask for its dictionary. */
#define LZMA_MEMORY (256ull << 20)

struct output {
    struct ctl_bytes *bytes;   /* size = bytes written */
    size_t room, limit, first; /* first: room to begin with */
};

static uint32_t le32(const uint8_t *p)
{
    return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24;
}

/*
 * Room to begin with: the last four bytes are the unpacked size in most payloads. It is only a hint, believed where
 * plausible, for growing means moving page tables, which is dear in a PV control domain.
 */
static size_t first_room(const uint8_t *data, size_t size, size_t limit)
{
    size_t hint = size >= 4 ? le32(data + size - 4) : 0;

    return hint < limit && hint / 64 <= size ? hint + LZ4_BLOCK : FIRST_SIZE;
}

/* Makes room for at least one more byte, or for `want` if given. */
static int grow(struct output *out, size_t want)
{
    size_t need = out->bytes->size + (want ? want : 1), room = out->room ? out->room : out->first;
    uint8_t *data;

    if (need <= out->room) {
        return 0;
    }
    /* One byte beyond the limit tells "exactly full" from "too much". */
    if (out->room > out->limit) {
        return -EFBIG;
    }
    while (room < need) {
        room *= 2;
    }
    room = room > out->limit + 1 ? out->limit + 1 : room;
    if (room < need && !want) {
        return -EFBIG;
    }
    data = realloc(out->bytes->data, room);
    if (!data) {
        return -ENOMEM;
    }
    out->bytes->data = data;
    out->room = room;
    return 0;
}

static int unpack_gzip(const uint8_t *data, size_t size, struct output *out)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = size};
    int rc, status = Z_OK;

    if (inflateInit2(&z, 15 + 16) != Z_OK) {
        return -ENOMEM;
    }
    do {
        rc = grow(out, 0);
        if (rc < 0) {
            break;
        }
        z.next_out = out->bytes->data + out->bytes->size;
        z.avail_out = out->room - out->bytes->size;
        status = inflate(&z, Z_NO_FLUSH);
        out->bytes->size = out->room - z.avail_out;
    } while (status == Z_OK);
    inflateEnd(&z);
    return rc < 0 ? rc : status == Z_STREAM_END ? 0 : -EINVAL;
}

static int run_lzma(lzma_stream *lz, struct output *out)
{
    lzma_ret status = LZMA_OK;

    while (status == LZMA_OK) {
        int rc = grow(out, 0);

        if (rc < 0) {
            return rc;
        }
        lz->next_out = out->bytes->data + out->bytes->size;
        lz->avail_out = out->room - out->bytes->size;
        status = lzma_code(lz, LZMA_FINISH);
        out->bytes->size = out->room - lz->avail_out;
        if (status == LZMA_OK && lz->avail_in == 0 && lz->avail_out != 0) {
            return -EINVAL;
        }
    }
    return status == LZMA_STREAM_END ? 0 : status == LZMA_MEM_ERROR ? -ENOMEM : -EINVAL;
}

static int unpack_xz(const uint8_t *data, size_t size, struct output *out)
{
    lzma_stream lz = LZMA_STREAM_INIT;
    int rc = -ENOMEM;

    lz.next_in = data;
    lz.avail_in = size;
    if (lzma_stream_decoder(&lz, LZMA_MEMORY, 0) == LZMA_OK) {
        rc = run_lzma(&lz, out);
    }
    lzma_end(&lz);
    return rc;
}

static int unpack_lzma(const uint8_t *data, size_t size, struct output *out)
{
    lzma_stream lz = LZMA_STREAM_INIT;
    int rc = -ENOMEM;

    lz.next_in = data;
    lz.avail_in = size;
    if (lzma_alone_decoder(&lz, LZMA_MEMORY) == LZMA_OK) {
        rc = run_lzma(&lz, out);
    }
    lzma_end(&lz);
    return rc;
}

static int unpack_zstd(const uint8_t *data, size_t size, struct output *out)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    ZSTD_inBuffer in = {data, size, 0};
    size_t status = 1;
    int rc = stream ? 0 : -ENOMEM;

    while (rc == 0 && status != 0) {
        ZSTD_outBuffer o;

        rc = grow(out, 0);
        if (rc < 0) {
            break;
        }
        o = (ZSTD_outBuffer){out->bytes->data, out->room, out->bytes->size};
        status = ZSTD_decompressStream(stream, &o, &in);
        rc = ZSTD_isError(status) || (status != 0 && in.pos == in.size && o.pos < o.size) ? -EINVAL : 0;
        out->bytes->size = o.pos;
    }
    ZSTD_freeDStream(stream);
    return rc;
}

/* Legacy framing: magic, then blocks of (packed size, bytes). It has no end mark; what is left must be too short for a
 * block. */
static int unpack_lz4(const uint8_t *data, size_t size, struct output *out)
{
    size_t at = 4;

    while (size - at > 4) {
        size_t packed = le32(data + at), room;
        int n, rc;

        if (packed == 0 || packed > size - at - 4) {
            return -EINVAL;
        }
        rc = grow(out, LZ4_BLOCK);
        if (rc < 0) {
            return rc;
        }
        room = out->room - out->bytes->size;
        room = room > LZ4_BLOCK ? LZ4_BLOCK : room;
        n = LZ4_decompress_safe((const char *)data + at + 4, (char *)out->bytes->data + out->bytes->size, packed, room);
        if (n < 0) {
            return room < LZ4_BLOCK ? -EFBIG : -EINVAL;
        }
        out->bytes->size += n;
        at += 4 + packed;
    }
    return out->bytes->size ? 0 : -EINVAL;
}

static const struct kind {
    const char *name;
    uint8_t magic[6];
    uint8_t length;
    int (*unpack)(const uint8_t *data, size_t size, struct output *out);
} kinds[] = {
    {"gzip", {0x1f, 0x8b}, 2, unpack_gzip},
    {"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, unpack_xz},
    {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, unpack_zstd},
    {"lz4", {0x02, 0x21, 0x4c, 0x18}, 4, unpack_lz4},
    {"lzma", {0x5d, 0, 0}, 3, unpack_lzma},
    {"bzip2", {'B', 'Z', 'h'}, 3, NULL},
    {"lzo", {0x89, 'L', 'Z', 'O'}, 4, NULL},
};

int ctl_payload_unpack(const uint8_t *data, size_t size, size_t limit, char kind[8], struct ctl_bytes *out)
{
    struct output output = {.bytes = out, .limit = limit, .first = first_room(data, size, limit)};

    memset(out, 0, sizeof(*out));
    snprintf(kind, 8, "none");
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        const struct kind *k = &kinds[i];
        int rc;

        if (size < k->length || memcmp(data, k->magic, k->length) != 0) {
            continue;
        }
        snprintf(kind, 8, "%s", k->name);
        rc = k->unpack ? k->unpack(data, size, &output) : -EOPNOTSUPP;
        if (rc == 0 && out->size > limit) {
            rc = -EFBIG;
        }
        if (rc < 0) {
            ctl_bytes_free(out);
        }
        return rc;
    }
    return 0;
}
