/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of libctl share and no user of it sees.
 *
 * Place: below ctl.h. call.c and buffer.c are the only files that touch the privileged device; all others issue
 * hypercalls through the functions named here. Every call returns 0 or a positive result, or -errno.
 */
#ifndef CTL_INTERNAL_H
#define CTL_INTERNAL_H

#include <stdint.h>

#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>
#include <xen/memory.h>
#include <xen/version.h>
#include <xen/sched.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/hypfs.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hvm/params.h>
#include <umbra/umbra_op.h>

#include <errno.h>
#include <xencall.h>
#include <xenforeignmemory.h>
#include <xenstore.h>

#include "libctl/ctl.h"

#define CTL_PAGE_SHIFT 12
#define CTL_PAGE_SIZE  (1ul << CTL_PAGE_SHIFT)
#define CTL_PAGE_MASK  (CTL_PAGE_SIZE - 1)
#define CTL_ARRAY(a)   (sizeof(a) / sizeof((a)[0]))
/* Longest path of a node that the library makes itself. */
#define CTL_PATH_MAX 256

struct xentoollog_logger;

struct ctl {
    struct xentoollog_logger *log;
    xencall_handle *call;
    void *op;                        /* one locked page: argument of the call under way */
    xenforeignmemory_handle *memory; /* opened when first needed */
    struct xs_handle *store;         /* opened when first needed */
};

/* buffer.c: locked memory that the hypervisor may read and write. */
void *ctl_buffer_get(struct ctl *ctl, size_t size);
void ctl_buffer_put(struct ctl *ctl, void *buffer);

/* call.c: one function per hypercall; arguments are bounced through locked memory and copied back. */
int ctl_call_domctl(struct ctl *ctl, struct xen_domctl *domctl);
int ctl_call_sysctl(struct ctl *ctl, struct xen_sysctl *sysctl);
int ctl_call_umbra(struct ctl *ctl, struct umbra_op *op);
long ctl_call_memory(struct ctl *ctl, unsigned op, void *arg, size_t size);
int ctl_call_version(struct ctl *ctl, unsigned op, void *arg, size_t size);

/* features.c: has the machine's processor what a policy's leaves tell a guest of? -EOPNOTSUPP: not all of it. */
int ctl_features_check(struct ctl *ctl, uint32_t domid, const xen_cpuid_leaf_t *leaves, size_t n,
                       struct ctl_error *err);
int ctl_call_sched(struct ctl *ctl, unsigned op, void *arg, size_t size);
int ctl_call_hvm(struct ctl *ctl, unsigned op, void *arg, size_t size);
int ctl_call_evtchn(struct ctl *ctl, unsigned op, void *arg, size_t size);
int ctl_call_grant(struct ctl *ctl, unsigned op, void *arg, size_t size);
/* The path is below /params; data has size bytes both ways, a kilobyte at most. */
int ctl_call_hypfs(struct ctl *ctl, unsigned op, const char *path, void *data, size_t size);
int ctl_call_pin_l4(struct ctl *ctl, uint32_t domid, uint64_t frame);
/* ops: of locked memory. All of them, or -errno. */
int ctl_call_mmuext(struct ctl *ctl, struct mmuext_op *ops, unsigned n, uint32_t domid);

/* hvm.c: the state of a domain on hardware virtualisation in the public save format. */
/* In locked memory, for ctl_buffer_put(); NULL with *err filled. */
void *ctl_hvm_context_get(struct ctl *ctl, uint32_t domid, uint32_t *size, struct ctl_error *err);
/* context: in locked memory. */
int ctl_hvm_context_set(struct ctl *ctl, uint32_t domid, void *context, uint32_t size, struct ctl_error *err);
/* The result of the call that vCPU 0 sleeps in. */
int ctl_hvm_set_result(struct ctl *ctl, uint32_t domid, uint64_t value, struct ctl_error *err);

/* Handles that are opened late; NULL with *err filled. */
xenforeignmemory_handle *ctl_memory_handle(struct ctl *ctl, struct ctl_error *err);
struct xs_handle *ctl_store_handle(struct ctl *ctl, struct ctl_error *err);

/* The step under way, and on which domain. */
struct ctl_at {
    const char *step;
    uint32_t domid;
};

#define CTL_AT(step, domid) ((struct ctl_at){step, domid})

/* Fills *err about a domain, with its name if xenstore is at hand and a hint that fits `code`. Returns code. */
int ctl_fail_domain(struct ctl *ctl, struct ctl_error *err, int code, struct ctl_at at, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* The general hint for an error number, or NULL. */
const char *ctl_hint(int code);
/* A domctl that needs no more than its number. */
int ctl_domctl_simple(struct ctl *ctl, uint32_t cmd, uint32_t domid, const char *step, struct ctl_error *err);

/*
 * flush.c: what a domain that sleeps has written to its disks is on them, and nothing is under way; or -errno. While it
 * runs: most of it, as far as that comes in time, so that it need not sleep for that, and only go_on's word is an
 * error. go_on (may be NULL) is called again and again while it waits; a negative result, with the error filled, ends
 * that.
 */
int ctl_disks_flush(struct ctl *ctl, uint32_t domid, int (*go_on)(void *ctx, struct ctl_error *err), void *ctx,
                    struct ctl_error *err);
int ctl_disks_flush_early(struct ctl *ctl, uint32_t domid, int (*go_on)(void *ctx, struct ctl_error *err), void *ctx,
                          struct ctl_error *err);

/* Times that a transaction is tried: a guest that writes to its nodes all the time can make each of them fail. */
#define CTL_STORE_TRIES 64

/* xenstore.c: printf-like paths. -ENAMETOOLONG when the path does not fit. */
int ctl_path(char path[CTL_PATH_MAX], const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Fills *err for what xenstored, or the library, said. Returns the code: -ECONNREFUSED for a daemon that has ended. */
int ctl_store_fail(struct ctl *ctl, struct ctl_error *err, int code, const char *step, const char *path);
/* 0: whatever was not found is not there. Else it may be, and xenstored does not answer, as *err says. */
int ctl_store_answers(struct ctl *ctl, struct ctl_error *err);
/* Node of a domain: /local/domain/N/<node>; a copy, or NULL. */
char *ctl_store_read_domain(struct ctl *ctl, uint32_t domid, const char *node, struct ctl_error *err);
/* Takes away a node that is a parent of others when nothing is left below it; one that is made meanwhile is seen. */
void ctl_store_prune(struct ctl *ctl, const char *path);
/* Milliseconds of the monotonic clock. */
uint64_t ctl_now_ms(void);
/* Waits on the watches set until one fires or the clock reaches `until_ms`; drains all that fired. 0 or -ETIMEDOUT or
 * -errno. */
int ctl_store_wait(struct ctl *ctl, uint64_t until_ms);
/* request.c: ctl_domain_request() and ctl_domain_wait() for whoever wants to be asked meanwhile. go_on's word to give
 * up is the error, and the request is withdrawn; had the guest taken it, 0. */
int ctl_request_within(struct ctl *ctl, uint32_t domid, enum ctl_request what, const struct ctl_wait *w,
                       struct ctl_error *err);
int ctl_wait_within(struct ctl *ctl, uint32_t domid, const struct ctl_wait *w, struct ctl_domain_end *end,
                    struct ctl_error *err);
uint64_t ctl_deadline(unsigned timeout_ms);

#endif
