/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's middle on the host: real heap, frames, domains, scheduler, timers, events, grants, PV page tables
 * and hypercalls. Faked are the processors (tlb.c, the switch of vCPUs), the clock, the console and guest memory, which
 * is one arena: any address outside it faults.
 */
#ifndef FAKE_CORE_H
#define FAKE_CORE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/domain.h>
#include <hv/efi.h>
#include <hv/event.h>
#include <hv/hypercall.h>
#include <hv/sched.h>
#include "fake.h"
#include "ram.h"

struct core {
    s_time_t now;
    s_time_t deadline[FAKE_CPUS]; /* what each CPU's local timer was set to */
    unsigned int ipis[FAKE_CPUS];
    unsigned int fail_alloc;       /* the n-th allocation from now fails; 0: none */
    unsigned int allocs;           /* allocations asked for */
    unsigned int fail_copy;        /* the n-th copy from or to the guest from now faults; 0: none */
    unsigned int preempt;          /* preempt_needed says yes every n-th time; 0: what the real one says */
    unsigned int restarts;         /* of the last core_call */
    void (*restart_hook)(void);    /* each time before it goes on */
    struct vcpu *hold;             /* the switch away from this vCPU is not finished: core_finish_switch */
    unsigned int context_restarts; /* pv_set_context restarts that often */
    int context_error;
    char console[256]; /* what was written to the console */
    size_t console_len;
    const char *previous; /* what console_previous() finds */
    size_t previous_len;
    const char *typed;          /* what console_read finds */
    hypercall_fn *stack_switch; /* stands for hypercall 3 */
    uint64_t wallclock;
    unsigned int upcalls;                /* events were announced to vCPUs of translated domains */
    void (*upcall_hook)(struct vcpu *v); /* what other CPUs do meanwhile */
    bool code_32;                        /* the translated domain that calls runs in 32-bit code */
    size_t restored;                     /* bytes of records that sethvmcontext was given */
    uint32_t physdev_cmd;                /* of the last physdev_op */
    void *physdev_arg;
    void (*copy_hook)(void); /* before each copy from or to the guest: what other CPUs do meanwhile */
    /* UEFI's services; NULL: there are none */
    int (*efi)(enum efi_service service, const unsigned long *args, unsigned long *status);
};
extern struct core core;
#define FAKE_NANOSECONDS 7u /* of the wall clock */

/* Before and after each test. The second one kills all guests and checks that they left no memory and no lock. */
int core_begin(void **state);
int core_end(void **state);
#define CORE_TEST(f) cmocka_unit_test_setup_teardown(f, core_begin, core_end)

struct xen_domctl_createdomain core_config(unsigned int vcpus);
/* A guest with its vCPUs up and pages frames; it runs unless there are more vCPUs than CPUs. */
struct domain *core_guest(unsigned int vcpus, unsigned int pages);
/* A translated one, of at most max frames, without memory. */
struct domain *core_translated(domid_t id, unsigned int vcpus, unsigned long max);
/* Kills d and waits for it; its memory may still be held by others' references. */
void core_kill(struct domain *d);

/* Goes on as a CPU, or as a running vCPU. */
void core_on(unsigned int cpu);
void core_as(struct vcpu *v);
/* Softirqs of a CPU, or of all CPUs, until nothing is pending. */
void core_softirqs(unsigned int cpu);
void core_settle(void);
/* Lets time pass; timers that came due run. */
void core_pass(s_time_t ns);
void core_finish_switch(void);
/* A debug key of which only what was registered for it happens. */
void core_press(char key);

/* A hypercall of the current vCPU through its registers, repeated while it restarts. */
long core_call(unsigned int op, unsigned long a0, unsigned long a1, unsigned long a2);
long core_call4(unsigned int op, unsigned long a0, unsigned long a1, unsigned long a2, unsigned long a3);
long core_call5(unsigned int op, unsigned long a0, unsigned long a1, unsigned long a2, unsigned long a3,
                unsigned long a4);
#define CALL(op, a0, a1, a2) core_call(__HYPERVISOR_##op, (unsigned long)(a0), (unsigned long)(a1), (unsigned long)(a2))

/* Guest memory; all of it is forgotten at the next test. */
#define GUEST_SIZE (1ul << 20)
extern uint8_t guest_memory[GUEST_SIZE];
void *guest_alloc(size_t size);
/* A page of it that 32-bit pointers reach, all zeros. */
#define GUEST_LOW 4096u
void *guest_low(void);
#define guest_new(type) ((type *)guest_alloc(sizeof(type)))
#define FAULT           ((void *)16)
/* An odd address for n bytes: null, in the hypervisor, not canonical, running out of guest memory. */
void *core_bad_pointer(unsigned int kind, size_t n);
#define NR_BAD_POINTERS 6

/* The groups of tests. */
int core_sched_tests(void);
int core_fair_tests(void);
int core_timer_tests(void);
int core_domain_tests(void);
int core_create_tests(void);
int core_call_tests(void);
int core_memory_tests(void);
int core_control_tests(void);
int core_domctl_tests(void);
int core_state_tests(void);
int core_host_tests(void);
int core_vcpu_tests(void);
int core_grants_tests(void);
int core_compat_tests(void);
int core_policy_tests(void);
int core_context_tests(void);
int core_paging_tests(void);
int core_physmap_tests(void);
int core_hvm_tests(void);
int core_compat_32_tests(void);
int core_width_tests(void);
int core_shadow_tests(void);
int core_log_tests(void);
int core_log_pv_tests(void);
int core_efi_tests(void);
int core_hypfs_tests(void);

#endif
