// SPDX-License-Identifier: BSD-2-Clause
/*
 * The stream of a saved domain: bytes, records, headers of the three layers.
 *
 * Flow: xl's header with the configuration -> libxl's header and its record that says "libxc follows" -> libxc's
 * headers and records, which save.c writes and restore.c reads -> libxl's last record. Invariants: nothing is believed
 * before its size was compared with what is there; a record is read whole before it is looked at; every failure names
 * the offset and the record. The descriptor may be a pipe: nothing is sought. Does not know what records mean.
 */
#include <endian.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libctl/stream.h"

/* Of one record: a batch of pages has 4 MiB, the list of the P2M's frames of a guest with 1 TiB as much. */
#define MAX_BODY   (16u << 20)
#define MAX_CONFIG (1u << 20)
#define WAIT_MS    200
#define PIECE      (256u << 10) /* written between two looks at the pace */
/* The type of a record of which no more than the offset is known. */
#define NOT_YET_READ (~0u)

static const char *const libxl_names[] = {
    "END", "LIBXC_CONTEXT", "EMULATOR_XENSTORE_DATA", "EMULATOR_CONTEXT", "CHECKPOINT_END", "CHECKPOINT_STATE"};
static const char *const libxc_names[] = {"END",
                                          "PAGE_DATA",
                                          "X86_PV_INFO",
                                          "X86_PV_P2M_FRAMES",
                                          "X86_PV_VCPU_BASIC",
                                          "X86_PV_VCPU_EXTENDED",
                                          "X86_PV_VCPU_XSAVE",
                                          "SHARED_INFO",
                                          "X86_TSC_INFO",
                                          "HVM_CONTEXT",
                                          "HVM_PARAMS",
                                          "TOOLSTACK",
                                          "X86_PV_VCPU_MSRS",
                                          "VERIFY",
                                          "CHECKPOINT",
                                          "CHECKPOINT_DIRTY_PFN_LIST",
                                          "STATIC_DATA_END",
                                          "X86_CPUID_POLICY",
                                          "X86_MSR_POLICY"};

/* --- bytes --- */

struct ctl_stream *ctl_stream_open(int fd, const char *name, struct ctl_error *err)
{
    struct ctl_stream *s = calloc(1, sizeof(*s));

    if (!s) {
        ctl_error_set(err, -ENOMEM, "open the stream", name, NULL, "out of memory");
        return NULL;
    }
    s->fd = fd;
    s->most = MAX_BODY;
    snprintf(s->name, sizeof(s->name), "%s", name);
    return s;
}

int ctl_stream_beside(struct ctl_stream *s, int fd, const char *name, struct ctl_error *err)
{
    struct ctl_stream *other;

    if (s->nr_beside == CTL_ARRAY(s->beside)) {
        return ctl_error_set(err, -E2BIG, "open the stream", name, NULL, "there are no more than %d connections",
                             CTL_STREAMS_MAX);
    }
    other = ctl_stream_open(fd, name, err);
    if (!other) {
        return -ENOMEM;
    }
    other->names = libxc_names;
    other->nr_names = CTL_ARRAY(libxc_names);
    other->rec.type = NOT_YET_READ;
    other->most = sizeof(struct page_header) + PAGE_BATCH * (sizeof(uint64_t) + CTL_PAGE_SIZE);
    s->beside[s->nr_beside++] = other;
    return 0;
}

void ctl_stream_close(struct ctl_stream *s)
{
    for (unsigned i = 0; s && i < s->nr_beside; i++) {
        ctl_stream_close(s->beside[i]);
    }
    if (s) {
        free(s->rec.body);
        free(s);
    }
}

void ctl_stream_patience(struct ctl_stream *s, unsigned ms)
{
    s->patience_ms = ms;
}

int ctl_stream_fail(struct ctl_stream *s, int code, const char *fmt, ...)
{
    char text[CTL_TEXT_MAX];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (!s->names) {
        return ctl_error_set(s->err, code, "handle the stream", s->name, NULL, "offset %llu: %s",
                             (unsigned long long)s->offset, text);
    }
    return ctl_error_set(s->err, code, "handle the stream", s->name, NULL, "record %s at offset %llu: %s",
                         ctl_record_name(s), (unsigned long long)s->rec.offset, text);
}

int ctl_stream_pace(struct ctl_stream *s, size_t bytes)
{
    return s->pace ? s->pace(s->pace_ctx, bytes, s->err) : 0;
}

/* It takes no more for now, and has not for a while. */
static int wait_writable(struct ctl_stream *s, unsigned *idle_ms)
{
    struct pollfd p = {.fd = s->fd, .events = POLLOUT};

    if (s->patience_ms && *idle_ms >= s->patience_ms) {
        return ctl_error_set(s->err, -ETIMEDOUT, "write the stream", s->name, "look at the connection",
                             "nothing was taken for %u ms, after %llu bytes", s->patience_ms,
                             (unsigned long long)s->offset);
    }
    *idle_ms += poll(&p, 1, WAIT_MS) == 0 ? WAIT_MS : 0;
    return ctl_stream_pace(s, 0);
}

/* There is something, or the end of it. */
static int wait_readable(struct ctl_stream *s)
{
    struct pollfd p = {.fd = s->fd, .events = POLLIN};
    int n = 1;

    while (s->patience_ms && (n = poll(&p, 1, (int)s->patience_ms)) < 0 && errno == EINTR) {
    }
    return n ? 0 : ctl_stream_fail(s, -ETIMEDOUT, "nothing came for %u ms", s->patience_ms);
}

ssize_t ctl_stream_write_some(struct ctl_stream *s, const void *data, size_t size)
{
    ssize_t n = write(s->fd, data, size);

    if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
        return 0;
    }
    if (n < 0) {
        return ctl_error_set(s->err, -errno, "write the stream", s->name,
                             errno == ENOSPC ? "make room, or choose another place" : NULL,
                             "nothing more could be written after %llu bytes", (unsigned long long)s->offset);
    }
    s->offset += (uint64_t)n;
    return n;
}

static int write_piece(struct ctl_stream *s, const uint8_t *p, size_t size)
{
    int rc = ctl_stream_pace(s, size);
    unsigned idle_ms = 0;

    while (size && rc == 0) {
        ssize_t n = ctl_stream_write_some(s, p, size);

        if (n <= 0) {
            rc = n < 0 ? (int)n : wait_writable(s, &idle_ms);
            continue;
        }
        p += n;
        size -= (size_t)n;
        idle_ms = 0;
    }
    return rc;
}

int ctl_stream_write(struct ctl_stream *s, const void *data, size_t size)
{
    const uint8_t *p = data;
    int rc = 0;

    for (size_t at = 0, n; at < size && rc == 0; at += n) {
        n = size - at < PIECE ? size - at : PIECE;
        rc = write_piece(s, p + at, n);
    }
    return rc;
}

int ctl_stream_first(struct ctl_stream *s, uint8_t *byte, struct ctl_error *err)
{
    int rc;

    s->err = err;
    s->names = NULL;
    rc = ctl_stream_read(s, byte, 1);
    s->offset = 0;
    s->first = *byte;
    s->has_first = rc == 0;
    return rc;
}

/* Some of it, at least a byte; 0: the end. */
static ssize_t read_some(struct ctl_stream *s, void *data, size_t size)
{
    ssize_t n;

    if (s->has_first) {
        *(uint8_t *)data = s->first;
        s->has_first = false;
        return 1;
    }
    do {
        int rc = wait_readable(s);

        if (rc < 0) {
            return rc;
        }
        n = read(s->fd, data, size);
    } while (n < 0 && errno == EINTR);
    return n < 0 ? ctl_stream_fail(s, -errno, "it cannot be read") : n;
}

/* Some more of something of that size, of which *got bytes are there. */
static int read_more(struct ctl_stream *s, void *data, size_t size, size_t *got)
{
    ssize_t n = read_some(s, (uint8_t *)data + *got, size - *got);

    if (n == 0) {
        return ctl_stream_fail(s, -EBADMSG, "it ends after %llu bytes; at least %zu more belong to what began at %llu",
                               (unsigned long long)s->offset, size - *got, (unsigned long long)(s->offset - *got));
    }
    *got += n < 0 ? 0 : (size_t)n;
    s->offset += n < 0 ? 0 : (uint64_t)n;
    return n < 0 ? (int)n : 0;
}

int ctl_stream_read(struct ctl_stream *s, void *data, size_t size)
{
    size_t got = 0;
    int rc = 0;

    while (got < size && rc == 0) {
        rc = read_more(s, data, size, &got);
    }
    return rc;
}

/* --- records --- */

static size_t padding(size_t size)
{
    return -size & 7;
}

int ctl_record_write(struct ctl_stream *s, uint32_t type, struct ctl_piece first, struct ctl_piece second)
{
    static const uint8_t zero[8];
    size_t size = first.size + second.size;
    uint32_t head[2] = {type, (uint32_t)size};
    int rc = ctl_stream_write(s, head, sizeof(head));

    if (rc == 0) {
        rc = ctl_stream_write(s, first.data, first.size);
    }
    if (rc == 0) {
        rc = ctl_stream_write(s, second.data, second.size);
    }
    return rc == 0 ? ctl_stream_write(s, zero, padding(size)) : rc;
}

const char *ctl_record_name(const struct ctl_stream *s)
{
    if (s->rec.type == NOT_YET_READ) {
        return "header";
    }
    if (s->rec.type & REC_OPTIONAL) {
        return "(optional)";
    }
    return s->rec.type < s->nr_names ? s->names[s->rec.type] : "(unknown)";
}

static int make_room(struct ctl_stream *s, size_t size)
{
    uint8_t *bigger;

    if (size <= s->room) {
        return 0;
    }
    bigger = realloc(s->rec.body, size);
    if (!bigger) {
        return ctl_stream_fail(s, -ENOMEM, "no memory for its %zu bytes", size);
    }
    s->rec.body = bigger;
    s->room = size;
    return 0;
}

static size_t body_size(const struct ctl_stream *s)
{
    return (size_t)s->rec.length + padding(s->rec.length);
}

/* The header is there. */
static int begin_body(struct ctl_stream *s)
{
    s->rec.type = s->head[0];
    s->rec.length = s->head[1];
    if (body_size(s) > s->most) {
        return ctl_stream_fail(s, -EBADMSG, "a length of %u bytes is more than any record has", s->rec.length);
    }
    if (!(s->rec.type & REC_OPTIONAL) && s->rec.type >= s->nr_names) {
        return ctl_stream_fail(s, -EBADMSG, "type 0x%x is mandatory and not known", s->rec.type);
    }
    return make_room(s, s->rec.length ? body_size(s) : 8);
}

static int more_of_head(struct ctl_stream *s)
{
    int rc;

    if (s->head_got == 0) {
        s->rec.offset = s->offset;
        s->rec.type = NOT_YET_READ;
    }
    rc = read_more(s, s->head, sizeof(s->head), &s->head_got);
    return rc == 0 && s->head_got == sizeof(s->head) ? begin_body(s) : rc;
}

int ctl_record_some(struct ctl_stream *s)
{
    int rc = s->head_got < sizeof(s->head) ? more_of_head(s) : read_more(s, s->rec.body, body_size(s), &s->body_got);

    if (rc < 0 || s->head_got < sizeof(s->head) || s->body_got < body_size(s)) {
        return rc;
    }
    s->head_got = s->body_got = 0;
    return 1;
}

int ctl_record_read(struct ctl_stream *s)
{
    int rc = 0;

    while (rc == 0) {
        rc = ctl_record_some(s);
    }
    return rc < 0 ? rc : 0;
}

int ctl_record_exact(struct ctl_stream *s, size_t size)
{
    return s->rec.length == size ? 0 : ctl_stream_fail(s, -EBADMSG, "%u bytes where %zu belong", s->rec.length, size);
}

int ctl_record_least(struct ctl_stream *s, size_t size)
{
    return s->rec.length >= size
               ? 0
               : ctl_stream_fail(s, -EBADMSG, "%u bytes where at least %zu belong", s->rec.length, size);
}

/* --- xl's header --- */

#define XL_MAGIC     "Xen saved domain, xl format\n \0 \r"
#define XL_BYTEORDER 0x01020304u
#define XL_JSON      1u
#define XL_STREAM_V2 2u

struct xl_header {
    char magic[32];
    uint32_t byteorder, mandatory, optional, optional_len;
};

int ctl_stream_write_config(struct ctl_stream *s, const char *json, struct ctl_error *err)
{
    struct xl_header h = {.byteorder = XL_BYTEORDER, .mandatory = XL_JSON | XL_STREAM_V2};
    uint32_t size = (uint32_t)strlen(json) + 1;
    int rc;

    s->err = err;
    memcpy(h.magic, XL_MAGIC, sizeof(h.magic));
    h.optional_len = (uint32_t)sizeof(size) + size;
    rc = ctl_stream_write(s, &h, sizeof(h));
    if (rc == 0) {
        rc = ctl_stream_write(s, &size, sizeof(size));
    }
    return rc == 0 ? ctl_stream_write(s, json, size) : rc;
}

static int check_xl(struct ctl_stream *s, const struct xl_header *h)
{
    if (memcmp(h->magic, XL_MAGIC, sizeof(h->magic)) != 0) {
        return ctl_stream_fail(s, -EBADMSG, "this is no saved domain: it does not begin as one");
    }
    if (h->byteorder != XL_BYTEORDER) {
        return ctl_stream_fail(s, -EBADMSG, "it was written by a machine of another byte order");
    }
    if (h->mandatory != (XL_JSON | XL_STREAM_V2)) {
        return ctl_stream_fail(s, -EOPNOTSUPP, "its flags are 0x%x; 0x%x are understood", h->mandatory,
                               XL_JSON | XL_STREAM_V2);
    }
    if (h->optional || h->optional_len < sizeof(uint32_t) || h->optional_len > MAX_CONFIG) {
        return ctl_stream_fail(s, -EBADMSG, "optional flags 0x%x and %u bytes of data are not understood", h->optional,
                               h->optional_len);
    }
    return 0;
}

int ctl_stream_read_config(struct ctl_stream *s, char **json, struct ctl_error *err)
{
    struct xl_header h;
    uint32_t size;
    char *data;
    int rc;

    s->err = err;
    s->names = NULL;
    rc = ctl_stream_read(s, &h, sizeof(h));
    rc = rc == 0 ? check_xl(s, &h) : rc;
    if (rc < 0) {
        return rc;
    }
    data = calloc(1, h.optional_len + 1);
    if (!data) {
        return ctl_stream_fail(s, -ENOMEM, "no memory for the configuration");
    }
    rc = ctl_stream_read(s, data, h.optional_len);
    memcpy(&size, data, sizeof(size));
    if (rc == 0 && size > h.optional_len - sizeof(size)) {
        rc = ctl_stream_fail(s, -EBADMSG, "a configuration of %u bytes is longer than the %u bytes that hold it", size,
                             h.optional_len);
    }
    if (rc < 0) {
        free(data);
        return rc;
    }
    memmove(data, data + sizeof(size), size);
    data[size] = '\0';
    *json = data;
    return 0;
}

/* --- headers of libxl and libxc --- */

#define LIBXL_IDENT  0x4c6962786c466d74ull
#define LIBXC_MARKER (~0ull)
#define LIBXC_IDENT  0x58454e46u

const struct ctl_versions ctl_versions = {.libxl = 2, .libxc = 3, .abi_major = 4, .abi_minor = 17};

/* Minor versions of the ABI add to it: any guest finds out what there is, and is taken. */
int ctl_versions_check(const struct ctl_versions *v, char why[CTL_TEXT_MAX])
{
    const struct ctl_versions *own = &ctl_versions;

    if (v->libxl != own->libxl || v->libxc != own->libxc) {
        snprintf(why, CTL_TEXT_MAX, "streams of libxc's version %u in libxl's %u are not read here, only %u in %u",
                 v->libxc, v->libxl, own->libxc, own->libxl);
        return -EOPNOTSUPP;
    }
    if (v->abi_major != own->abi_major) {
        snprintf(why, CTL_TEXT_MAX, "the guest ran on the hypervisor's ABI %u.%u, another than %u.%u here",
                 v->abi_major, v->abi_minor, own->abi_major, own->abi_minor);
        return -EOPNOTSUPP;
    }
    return 0;
}

static int expect_versions(struct ctl_stream *s, const struct ctl_versions *v)
{
    char why[CTL_TEXT_MAX];
    int rc = ctl_versions_check(v, why);

    return rc < 0 ? ctl_stream_fail(s, rc, "%s", why) : 0;
}

struct libxl_header {
    uint64_t ident;
    uint32_t version, options;
};

struct libxc_header {
    uint64_t marker;
    uint32_t ident, version;
    uint16_t options, reserved1;
    uint32_t reserved2;
};

struct domain_header {
    uint32_t type;
    uint16_t page_shift, reserved;
    uint32_t major, minor;
};

int ctl_stream_begin(struct ctl_stream *s, uint32_t type)
{
    struct libxl_header outer = {.ident = htobe64(LIBXL_IDENT), .version = htobe32(ctl_versions.libxl)};
    struct libxc_header inner = {.marker = LIBXC_MARKER,
                                 .ident = htobe32(LIBXC_IDENT),
                                 .version = htobe32(ctl_versions.libxc)};
    struct domain_header domain = {
        .type = type, .page_shift = CTL_PAGE_SHIFT, .major = ctl_versions.abi_major, .minor = ctl_versions.abi_minor};
    int rc = ctl_stream_write(s, &outer, sizeof(outer));

    if (rc == 0) {
        rc = ctl_record_write(s, LIBXL_LIBXC_CONTEXT, (struct ctl_piece){0}, (struct ctl_piece){0});
    }
    if (rc == 0) {
        rc = ctl_stream_write(s, &inner, sizeof(inner));
    }
    return rc == 0 ? ctl_stream_write(s, &domain, sizeof(domain)) : rc;
}

static int expect_libxl(struct ctl_stream *s)
{
    struct ctl_versions versions = ctl_versions;
    struct libxl_header h;
    int rc = ctl_stream_read(s, &h, sizeof(h));

    if (rc < 0) {
        return rc;
    }
    if (be64toh(h.ident) != LIBXL_IDENT || h.options) {
        return ctl_stream_fail(s, -EOPNOTSUPP, "no header of libxl's format, little-endian");
    }
    versions.libxl = be32toh(h.version);
    rc = expect_versions(s, &versions);
    if (rc < 0) {
        return rc;
    }
    s->names = libxl_names;
    s->nr_names = CTL_ARRAY(libxl_names);
    do {
        rc = ctl_record_read(s);
    } while (rc == 0 && (s->rec.type & REC_OPTIONAL));
    if (rc == 0 && s->rec.type != LIBXL_LIBXC_CONTEXT) {
        rc = ctl_stream_fail(s, -EOPNOTSUPP, "LIBXC_CONTEXT belongs here");
    }
    return rc == 0 ? ctl_record_exact(s, 0) : rc;
}

static int expect_libxc(struct ctl_stream *s, struct ctl_versions *versions)
{
    struct libxc_header h;
    int rc = ctl_stream_read(s, &h, sizeof(h));

    if (rc < 0) {
        return rc;
    }
    if (h.marker != LIBXC_MARKER || be32toh(h.ident) != LIBXC_IDENT || (be16toh(h.options) & 1)) {
        return ctl_stream_fail(s, -EOPNOTSUPP, "no header of libxc's format, little-endian");
    }
    versions->libxc = be32toh(h.version);
    return expect_versions(s, versions);
}

int ctl_stream_expect(struct ctl_stream *s, uint32_t *type)
{
    struct ctl_versions versions = ctl_versions;
    struct domain_header d = {0};
    int rc;

    s->names = NULL;
    rc = expect_libxl(s);
    s->names = NULL;
    if (rc == 0) {
        rc = expect_libxc(s, &versions);
    }
    if (rc == 0) {
        rc = ctl_stream_read(s, &d, sizeof(d));
    }
    versions.abi_major = d.major;
    versions.abi_minor = d.minor;
    if (rc == 0) {
        rc = expect_versions(s, &versions);
    }
    if (rc == 0 && d.page_shift != CTL_PAGE_SHIFT) {
        rc = ctl_stream_fail(s, -EBADMSG, "pages of 2^%u bytes", d.page_shift);
    }
    s->names = libxc_names;
    s->nr_names = CTL_ARRAY(libxc_names);
    s->rec = (struct ctl_record){.body = s->rec.body, .offset = s->offset, .type = NOT_YET_READ};
    *type = rc == 0 ? d.type : 0;
    return rc;
}

int ctl_stream_finish(struct ctl_stream *s)
{
    return ctl_record_write(s, LIBXL_END, (struct ctl_piece){0}, (struct ctl_piece){0});
}

int ctl_stream_expect_end(struct ctl_stream *s)
{
    int rc;

    s->names = libxl_names;
    s->nr_names = CTL_ARRAY(libxl_names);
    do {
        rc = ctl_record_read(s);
    } while (rc == 0 && (s->rec.type & REC_OPTIONAL));
    if (rc == 0 && s->rec.type != LIBXL_END) {
        rc = ctl_stream_fail(s, -EOPNOTSUPP, "this is for a guest with an emulator, which is not supported");
    }
    return rc == 0 ? ctl_record_exact(s, 0) : rc;
}
