/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The stream of a saved domain, as its three public specifications have it (docs/migration-stream.md): what the saver
 * and the restorer share. Numbers are little-endian but for the first header of each layer.
 */
#ifndef CTL_STREAM_H
#define CTL_STREAM_H

#include <sys/types.h>

#include "libctl/internal.h"

/* Records of libxl's layer. */
enum { LIBXL_END, LIBXL_LIBXC_CONTEXT };

/* Records of libxc's layer. */
enum {
    REC_END,
    REC_PAGE_DATA,
    REC_PV_INFO,
    REC_PV_P2M_FRAMES,
    REC_PV_VCPU_BASIC,
    REC_PV_VCPU_EXTENDED,
    REC_PV_VCPU_XSAVE,
    REC_SHARED_INFO,
    REC_TSC_INFO,
    REC_HVM_CONTEXT,
    REC_HVM_PARAMS,
    REC_TOOLSTACK,
    REC_PV_VCPU_MSRS,
    REC_VERIFY,
    REC_CHECKPOINT,
    REC_CHECKPOINT_DIRTY,
    REC_STATIC_DATA_END,
    REC_CPUID_POLICY,
    REC_MSR_POLICY,
};
#define REC_OPTIONAL (1u << 31)
/* Ours, of a guest that comes on several connections: the end of a round, on each of them (lanes.c). Its number. */
#define REC_ROUND (REC_OPTIONAL | 0x554d0001u)

#define STREAM_TYPE_PV  1u
#define STREAM_TYPE_HVM 2u

/* A page's type stands above its number. */
#define PAGE_TYPE_SHIFT 60
#define PAGE_PFN_MASK   ((1ull << 52) - 1)
#define PAGE_BATCH      1024
enum { PAGE_NORMAL, PAGE_L1, PAGE_L2, PAGE_L3, PAGE_L4, PAGE_PINNED = 8, PAGE_BROKEN = 13, PAGE_ALLOC, PAGE_INVALID };

static inline bool page_type_known(unsigned type)
{
    return (type & 7) <= PAGE_L4 ? type != PAGE_PINNED : type >= PAGE_BROKEN;
}

static inline bool page_has_data(unsigned type)
{
    return type < PAGE_BROKEN;
}

/* Level of a page table, 0 for other pages. */
static inline unsigned page_level(unsigned type)
{
    return type < PAGE_BROKEN ? type & 7 : 0;
}

struct page_header {
    uint32_t count, reserved;
};

struct pv_info {
    uint8_t width, levels;
    uint16_t reserved1;
    uint32_t reserved2;
};

struct p2m_header {
    uint32_t first, last;
};

struct vcpu_header {
    uint32_t vcpu, reserved;
};

struct tsc_info {
    uint32_t mode, khz;
    uint64_t nsec;
    uint32_t incarnation, reserved;
};

struct params_header {
    uint32_t count, reserved;
};

struct hvm_param {
    uint64_t index, value;
};

/* Numbers of guest frames, of PVH guests above all: RAM ends below 4 GiB or a little above, and begins again there. A
 * guest may have put something further up, but not anywhere. */
static inline uint64_t hvm_pfns(uint64_t maxmem_kib)
{
    return (1ull << (32 - CTL_PAGE_SHIFT)) + 16 * (maxmem_kib / 4);
}

/* Entries of page tables. */
#define PTE_PRESENT 1ull
#define PTE_LARGE   (1ull << 7)
#define PTE_FRAME   0x000ffffffffff000ull
#define PTE_COUNT   512
/* Slots of a top-level table that are the hypervisor's own. */
#define L4_HV_FIRST 256
#define L4_HV_END   272

#define NO_FRAME (~0ull)

struct ctl_record {
    uint32_t type, length;
    uint64_t offset; /* of its header in the stream */
    uint8_t *body;
};

struct ctl_stream {
    int fd;
    char name[CTL_OBJECT_MAX]; /* for messages */
    uint64_t offset;
    const char *const *names; /* of the records of the layer that is read */
    unsigned nr_names;
    struct ctl_record rec; /* the one read last; its body is the stream's */
    size_t room;
    size_t most;               /* bytes that a record's body may have */
    uint32_t head[2];          /* of the record that is being read */
    size_t head_got, body_got; /* so much of it is there */
    struct ctl_error *err;     /* of the call under way */
    bool has_first;            /* read, and to be read again */
    uint8_t first;
    unsigned patience_ms; /* see ctl_stream_patience(); 0: for ever */
    /* Before so many bytes are written, and every now and then, with 0, while none can be. Negative: give up. */
    int (*pace)(void *ctx, size_t bytes, struct ctl_error *err);
    void *pace_ctx;
    /* Connections on which pages go or come as well; they have only records of libxc's layer. */
    struct ctl_stream *beside[CTL_STREAMS_MAX - 1];
    unsigned nr_beside;
};

/* 0 or -errno, with the error filled: where in the stream, and in which record. */
int ctl_stream_fail(struct ctl_stream *s, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int ctl_stream_write(struct ctl_stream *s, const void *data, size_t size);
int ctl_stream_read(struct ctl_stream *s, void *data, size_t size);
/* As much as it takes at once; 0: nothing now. Does not call the pace. */
ssize_t ctl_stream_write_some(struct ctl_stream *s, const void *data, size_t size);
/* So many bytes are written, or will be; 0: a while has passed. Negative: give up. */
int ctl_stream_pace(struct ctl_stream *s, size_t bytes);

/* A piece of a record's body. */
struct ctl_piece {
    const void *data;
    size_t size;
};
/* The body in up to two pieces, padded. */
int ctl_record_write(struct ctl_stream *s, uint32_t type, struct ctl_piece first, struct ctl_piece second);
/* The next record, whole, into s->rec. */
int ctl_record_read(struct ctl_stream *s);
/* The same by one read, when there is something: 1: it is whole; 0: not yet. */
int ctl_record_some(struct ctl_stream *s);
const char *ctl_record_name(const struct ctl_stream *s);
/* The record's body must have exactly, or at least, that many bytes. */
int ctl_record_exact(struct ctl_stream *s, size_t size);
int ctl_record_least(struct ctl_stream *s, size_t size);

/* The headers of libxl's layer, the record that leads to libxc's, and libxc's two headers; read ones are checked. */
int ctl_stream_begin(struct ctl_stream *s, uint32_t type);
int ctl_stream_expect(struct ctl_stream *s, uint32_t *type);
/* What follows libxc's last record. */
int ctl_stream_finish(struct ctl_stream *s);
int ctl_stream_expect_end(struct ctl_stream *s);

#endif
