/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a test guest has: a small PV kernel's worth of helpers, one vCPU running, all memory of the first mapping at
 * VIRT_BASE, traps that can be expected, a console. A guest is one C file with guest_main(); it checks with the macros
 * below and returns, or attacks and must be crashed. tests/README.md tells how to write one.
 *
 * The library checks nothing that is under test: what a guest does to itself is its own affair.
 */
#ifndef GUEST_H
#define GUEST_H

#include "layout.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>

#include <xen/callback.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/features.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>

#define PAGE_SIZE        4096ul
#define ARRAY_SIZE(a)    (sizeof(a) / sizeof((a)[0]))
#define READ_ONCE(x)     (*(volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

/* ---- page-table bits, and addresses worth trying ---- */

#define PTE_P    0x001ul
#define PTE_RW   0x002ul
#define PTE_US   0x004ul
#define PTE_PWT  0x008ul
#define PTE_PCD  0x010ul
#define PTE_A    0x020ul
#define PTE_D    0x040ul
#define PTE_PSE  0x080ul
#define PTE_G    0x100ul
#define PTE_NX   (1ul << 63)
#define PTE_ADDR 0x000ffffffffff000ul
#define PTE_ALL  (PTE_P | PTE_RW | PTE_US | PTE_A | PTE_D)

#define HV_FIRST     0xffff800000000000ul /* the hypervisor's range, L4 slots 256-271 */
#define HV_END       0xffff880000000000ul
#define HV_PERDOMAIN 0xffff820000000000ul
#define HV_TEXT      0xffff82d040000000ul
#define HV_DIRECTMAP 0xffff830000000000ul
#define NONCANONICAL 0x0000800000000000ul
#define NOT_MAPPED   0x0000123456789000ul

enum { TRAP_DE, TRAP_DB, TRAP_NMI, TRAP_BP, TRAP_OF, TRAP_BR, TRAP_UD, TRAP_NM, TRAP_DF };
enum { TRAP_TS = 10, TRAP_NP, TRAP_SS, TRAP_GP, TRAP_PF, TRAP_MF = 16, TRAP_AC, TRAP_MC, TRAP_XM };

/* Registers at an entry; vector is a trap's, or one of VEC_*. */
struct regs {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector, error, rip, cs, rflags, rsp, ss;
};

/* ---- start.S ---- */

long hypercall(unsigned long nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e);
long raw_hypercall(unsigned long nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d,
                   unsigned long e);
extern char hypercall_page[], trap_stubs[], failsafe_entry[], event_entry[], syscall_entry[], syscall32_entry[];

#define P(x)                    ((unsigned long)(x))
#define HYPERCALL2(nr, a, b)    hypercall(nr, P(a), P(b), 0, 0, 0)
#define HYPERCALL3(nr, a, b, c) hypercall(nr, P(a), P(b), P(c), 0, 0)

/* ---- main.c: start, verdict, end ---- */

extern struct start_info *start_info;
extern struct shared_info *shared_info;

extern const char guest_name[];
#ifdef GUEST_NAME /* by the Makefile, for the guest's own source */
const char guest_name[] = GUEST_NAME;
#endif

void guest_main(void);
/* A line on the guest's console: %s, %u, %d, %x with l. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void check_at(bool ok, const char *file, int line, const char *what);
void check_value_at(long value, long wanted, const char *file, int line, const char *what);
/* Says what comes, waits until the console has it; whoever is then still there has failed. */
void must_crash(const char *how);
/* The end at once, without a verdict. */
void fail_now(const char *file, int line, const char *what) __attribute__((noreturn));

#define CHECK(condition)        check_at((condition), __FILE__, __LINE__, #condition)
#define CHECK_IS(value, wanted) check_value_at((long)(value), (long)(wanted), __FILE__, __LINE__, #value)
#define REQUIRE(condition)      ((condition) ? (void)0 : fail_now(__FILE__, __LINE__, #condition))

/* Errors are ours to name by value: <xen/errno.h> gives XEN_EINVAL and the like. */
bool on_umbra(void);
void flush_console(void);
/* ns, as the hypervisor counts them for this vCPU. */
uint64_t now(void);

/* ---- trap.c: faults, events ---- */

struct fault {
    uint64_t vector, error, rip, cr2;
};

/* Runs fn; true if it ended by a fault, which is stored. */
bool faults(void (*fn)(void *), void *arg, struct fault *f);
/* Executes n bytes of code (a return is put behind them); the vector of the fault, or -1. */
int run_code(const void *bytes, size_t n);
/* The same in user mode, with a system call put behind them: VEC_SYSCALL if they end well. Wants user tables. */
int run_user_code(const void *bytes, size_t n);
void iret_hypercall(const struct iret_context *c) __attribute__((noreturn));
/* One access; the vector of the fault, or -1. */
int try_read(const void *p);
int try_write(void *p, uint64_t value);
/* Called for each event upcall (events are masked meanwhile) and NMI, and for each failsafe callback, system call and
 * trap without a catch. */
extern void (*on_entry)(struct regs *r);
void set_traps(const struct trap_info *t);
/* Traps and callbacks of the calling vCPU as at its start. */
void init_traps(void);
void unmask_events(void);

/* ---- table.c: frames and page tables ---- */

#define PT_INDEX(va, level) ((P(va) >> (12 + 9 * ((level)-1))) & 511)

static inline unsigned long *m2p(void)
{
    return (unsigned long *)HV_FIRST;
}

/* A zeroed page of the first mapping; there are POOL_PAGES of them. */
void *new_page(void);
/* Frames that nothing maps at the start: the n-th, counted from the memory's end. */
unsigned long spare_mfn(unsigned int n);
unsigned long mfn_of(const void *p);
void *virt_of(unsigned long mfn);
/* The entry of a level that maps an address of ours; NULL: no table. */
unsigned long *entry_of(const void *va, unsigned int level);
unsigned long maddr_of(const void *p);
static inline unsigned long make_pte(unsigned long mfn, unsigned long flags)
{
    return mfn << 12 | flags;
}
/* One request each; 0 or -errno. */
long mmu_store(const unsigned long *entry, unsigned long value);
long mmu_store_at(unsigned long maddr, unsigned long value);
long mmuext(unsigned int cmd, unsigned long arg1, unsigned long arg2);
long map_at(const void *va, unsigned long pte, unsigned long flags);
/* Makes a page of ours read-only, and writable again. */
long set_readonly(const void *page);
long set_writable(const void *page);
/* A page with these entries (one, at an index), read-only: ready to be pinned. */
void *new_table(unsigned int index, unsigned long pte);
/* Stops with a failure unless the page is still not writable. */
void check_readonly_at(const void *page, const char *file, int line);
#define CHECK_READONLY(page) check_readonly_at((page), __FILE__, __LINE__)

/* ---- grant.c: events and grants to oneself ---- */

long evtchn_op(unsigned int cmd, void *arg);
long grant_op(unsigned int cmd, void *arg, unsigned int count);
domid_t own_domid(void);
/* The entries of the first frame of the table. */
grant_entry_v1_t *grant_entries(void);
/* The status. */
int map_grant(const struct gnttab_map_grant_ref *request, struct gnttab_map_grant_ref *result);
int unmap_grant(unsigned long host_addr, grant_handle_t handle);

/* ---- vcpu.c: the second vCPU ---- */

struct vcpu_guest_context;
void fill_context(struct vcpu_guest_context *c, unsigned int id);
/* Starts vCPU id (1 to MAX_VCPUS - 1) with fn, on a stack of its own. */
void start_vcpu(unsigned int id, void (*fn)(void));
/* Takes it down for good once fn has returned. */
void wait_vcpu(unsigned int id);
extern volatile bool stop; /* fn is to return */
unsigned int this_vcpu(void);

#endif
