// SPDX-License-Identifier: BSD-2-Clause
/*
 * The handle, and the one place that issues hypercalls.
 *
 * Place: everything in libctl ends here. Invariant: every argument structure is copied to the handle's locked page for
 * the call and back after it, so callers keep theirs on the stack. The kernel hands the hypervisor's error back in
 * errno.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xenstore_lib.h>
#include <xentoollog.h>

#include "libctl/internal.h"

_Static_assert(XEN_DOMCTL_INTERFACE_VERSION == 0x15, "domctl of Xen 4.17");
_Static_assert(XEN_SYSCTL_INTERFACE_VERSION == 0x15, "sysctl of Xen 4.17");
_Static_assert(sizeof(struct xen_domctl) <= CTL_PAGE_SIZE && sizeof(struct xen_sysctl) <= CTL_PAGE_SIZE, "one page");

static int result(int rc)
{
    return rc < 0 ? -errno : rc;
}

int ctl_call_domctl(struct ctl *ctl, struct xen_domctl *domctl)
{
    int rc;

    domctl->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    memcpy(ctl->op, domctl, sizeof(*domctl));
    rc = result(xencall1(ctl->call, __HYPERVISOR_domctl, (uintptr_t)ctl->op));
    memcpy(domctl, ctl->op, sizeof(*domctl));
    return rc;
}

int ctl_call_sysctl(struct ctl *ctl, struct xen_sysctl *sysctl)
{
    int rc;

    sysctl->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    memcpy(ctl->op, sysctl, sizeof(*sysctl));
    rc = result(xencall1(ctl->call, __HYPERVISOR_sysctl, (uintptr_t)ctl->op));
    memcpy(sysctl, ctl->op, sizeof(*sysctl));
    return rc;
}

int ctl_call_umbra(struct ctl *ctl, struct umbra_op *op)
{
    int rc;

    op->interface_version = UMBRA_OP_INTERFACE_VERSION;
    memcpy(ctl->op, op, sizeof(*op));
    rc = result(xencall1(ctl->call, __HYPERVISOR_umbra_op, (uintptr_t)ctl->op));
    memcpy(op, ctl->op, sizeof(*op));
    return rc;
}

long ctl_call_memory(struct ctl *ctl, unsigned op, void *arg, size_t size)
{
    long rc;

    memcpy(ctl->op, arg, size);
    rc = xencall2L(ctl->call, __HYPERVISOR_memory_op, op, (uintptr_t)ctl->op);
    rc = rc < 0 ? -errno : rc;
    memcpy(arg, ctl->op, size);
    return rc;
}

/* The calls of the form (operation, pointer to its structure). */
static int call_op(struct ctl *ctl, unsigned number, unsigned op, void *arg, size_t size)
{
    int rc;

    if (size) {
        memcpy(ctl->op, arg, size);
    }
    rc = result(xencall2(ctl->call, number, op, size ? (uintptr_t)ctl->op : 0));
    if (size) {
        memcpy(arg, ctl->op, size);
    }
    return rc;
}

int ctl_call_version(struct ctl *ctl, unsigned op, void *arg, size_t size)
{
    return call_op(ctl, __HYPERVISOR_xen_version, op, arg, size);
}

int ctl_call_sched(struct ctl *ctl, unsigned op, void *arg, size_t size)
{
    return call_op(ctl, __HYPERVISOR_sched_op, op, arg, size);
}

int ctl_call_hvm(struct ctl *ctl, unsigned op, void *arg, size_t size)
{
    return call_op(ctl, __HYPERVISOR_hvm_op, op, arg, size);
}

int ctl_call_evtchn(struct ctl *ctl, unsigned op, void *arg, size_t size)
{
    return call_op(ctl, __HYPERVISOR_event_channel_op, op, arg, size);
}

int ctl_call_grant(struct ctl *ctl, unsigned op, void *arg, size_t size)
{
    int rc;

    memcpy(ctl->op, arg, size);
    rc = result(xencall3(ctl->call, __HYPERVISOR_grant_table_op, op, (uintptr_t)ctl->op, 1));
    memcpy(arg, ctl->op, size);
    return rc;
}

int ctl_call_hypfs(struct ctl *ctl, unsigned op, const char *path, void *data, size_t size)
{
    char *place = (char *)ctl->op + XEN_HYPFS_MAX_PATHLEN;
    size_t length = strlen(path) + 1;
    int rc;

    if (length > XEN_HYPFS_MAX_PATHLEN || size > CTL_PAGE_SIZE - XEN_HYPFS_MAX_PATHLEN) {
        return -ENAMETOOLONG;
    }
    memcpy(ctl->op, path, length);
    memcpy(place, data, size);
    rc = result(xencall5(ctl->call, __HYPERVISOR_hypfs_op, op, (uintptr_t)ctl->op, length, (uintptr_t)place, size));
    memcpy(data, place, size);
    return rc;
}

int ctl_call_pin_l4(struct ctl *ctl, uint32_t domid, uint64_t frame)
{
    struct mmuext_op op = {.cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = frame};

    memcpy(ctl->op, &op, sizeof(op));
    return result(xencall4(ctl->call, __HYPERVISOR_mmuext_op, (uintptr_t)ctl->op, 1, 0, domid));
}

int ctl_call_mmuext(struct ctl *ctl, struct mmuext_op *ops, unsigned n, uint32_t domid)
{
    return result(xencall4(ctl->call, __HYPERVISOR_mmuext_op, (uintptr_t)ops, n, 0, domid));
}

xenforeignmemory_handle *ctl_memory_handle(struct ctl *ctl, struct ctl_error *err)
{
    if (!ctl->memory) {
        ctl->memory = xenforeignmemory_open(ctl->log, 0);
        if (!ctl->memory) {
            ctl_error_set(err, -errno, "open the interface for mapping", NULL, ctl_hint(-errno),
                          "the kernel refused the device for mapping a domain's memory");
        }
    }
    return ctl->memory;
}

/*
 * The daemon's socket only: the kernel's own door, to which the library goes next, blocks for ever while no daemon
 * runs. It ignores its flags; but it takes the path that it is told for both. Programs that are started keep to it too.
 */
static struct xs_handle *open_socket(void)
{
    return setenv("XENSTORED_PATH", xs_daemon_socket(), 0) ? NULL : xs_open(0);
}

struct xs_handle *ctl_store_handle(struct ctl *ctl, struct ctl_error *err)
{
    if (!ctl->store) {
        ctl->store = open_socket();
        if (!ctl->store) {
            /* Without a socket there is no daemon: not what ENOENT says elsewhere, that a node is not there. */
            ctl_error_set(err, errno == ENOENT ? -ECONNREFUSED : -errno, "connect to xenstore", NULL,
                          "start xenstored, and run as root in the control domain", "xenstored does not answer");
        }
    }
    return ctl->store;
}

/* Is there a hypervisor, and does it speak our interface? */
static int check_interface(struct ctl *ctl, struct ctl_error *err)
{
    struct xen_domctl domctl = {.cmd = XEN_DOMCTL_getdomaininfo, .domain = 0};
    int version = ctl_call_version(ctl, XENVER_version, NULL, 0);
    int rc;

    if (version < 0) {
        return ctl_error_set(err, version, "ask for the hypervisor's version", NULL,
                             "boot the machine with the hypervisor, and run this in its control domain",
                             "no hypervisor answers");
    }
    rc = ctl_call_domctl(ctl, &domctl);
    if (rc == -EACCES) {
        return ctl_error_set(err, rc, "check the control interface", NULL,
                             "use tools that belong to the running hypervisor",
                             "the hypervisor (%d.%d) speaks another control interface than version 0x%x", version >> 16,
                             version & 0xffff, XEN_DOMCTL_INTERFACE_VERSION);
    }
    if (rc < 0) {
        return ctl_error_set(err, rc, "check the control interface", NULL, ctl_hint(-EPERM),
                             "this domain may not use control calls");
    }
    return 0;
}

/* No device: is it the rights, a missing module, or no hypervisor at all? */
static void open_failed(int error, struct ctl_error *err)
{
    const char *hint = "boot the machine with the hypervisor, and run this in its control domain";

    if (error == EACCES || error == EPERM) {
        hint = ctl_hint(-error);
    } else if (access("/sys/hypervisor/type", F_OK) == 0) {
        hint = "load the kernel's module for it: modprobe xen-privcmd";
    }
    ctl_error_set(err, -error, "open the control interface", NULL, hint, "the kernel offers no hypercall device");
}

struct ctl *ctl_open(struct ctl_error *err)
{
    struct ctl *ctl = calloc(1, sizeof(*ctl));

    if (!ctl) {
        ctl_error_set(err, -ENOMEM, "open the control interface", NULL, NULL, "out of memory");
        return NULL;
    }
    /* The libraries would print on their own; what failed is told in *err instead. */
    ctl->log = (struct xentoollog_logger *)xtl_createlogger_stdiostream(stderr, XTL_CRITICAL, 0);
    ctl->call = xencall_open(ctl->log, 0);
    if (!ctl->call) {
        open_failed(errno, err);
        ctl_close(ctl);
        return NULL;
    }
    ctl->op = xencall_alloc_buffer_pages(ctl->call, 1);
    if (!ctl->op) {
        ctl_error_set(err, -ENOMEM, "open the control interface", NULL, NULL, "no locked memory for hypercalls");
        ctl_close(ctl);
        return NULL;
    }
    if (check_interface(ctl, err) < 0) {
        ctl_close(ctl);
        return NULL;
    }
    return ctl;
}

void ctl_close(struct ctl *ctl)
{
    if (!ctl) {
        return;
    }
    if (ctl->op) {
        xencall_free_buffer_pages(ctl->call, ctl->op, 1);
    }
    if (ctl->memory) {
        xenforeignmemory_close(ctl->memory);
    }
    if (ctl->store) {
        xs_close(ctl->store);
    }
    if (ctl->call) {
        xencall_close(ctl->call);
    }
    if (ctl->log) {
        xtl_logger_destroy(ctl->log);
    }
    free(ctl);
}
