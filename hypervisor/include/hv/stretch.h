/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How long the hypervisor works between two preemption points. A stretch begins where an operation is entered and at
 * every question whether it should be preempted (preempt_needed), and ends at the next one, or where the operation
 * ends. Of each operation the longest stretch is kept: in units of work, which are the bound, and in ticks of the TSC,
 * which are what the guests feel and also count interrupts and whatever the machine does meanwhile. How many stretches
 * there were of each size is counted by each CPU for itself.
 *
 * Cost: two readings of the TSC for a hypercall, one for each question; an addition for each, and where work is done.
 */
#ifndef HV_STRETCH_H
#define HV_STRETCH_H

#include <hv/percpu.h>

/* An entry that is looked at is one unit, a frame that is cleared or copied eight: 512 entries, or 64 frames. A request
 * or element of a batch is one unit if nothing that is counted came of it. */
#define STRETCH_FRAME 8u
#define STRETCH_BOUND 512u

/* Sizes by which stretches are counted: 0 to 7 units, to 63, to 255, to the bound, more. */
#define STRETCH_SIZES 5u
extern const char *const stretch_sizes[STRETCH_SIZES];

static inline unsigned int stretch_size(uint32_t units)
{
    return units <= 7 ? 0 : units <= 63 ? 1 : units <= 255 ? 2 : units <= STRETCH_BOUND ? 3 : 4;
}

/* Families of operations: a hypercall's number, or one of these. */
enum { STRETCH_TRAP = 64, STRETCH_SOFTIRQ, STRETCH_TEARDOWN, STRETCH_FREE, STRETCH_FAMILIES };

struct stretch_now {
    uint64_t start;
    uint32_t work;
    uint16_t slot; /* operation under way; 0: none */
};
DECLARE_PER_CPU(struct stretch_now, stretch_now);

/* An operation is entered; it turns out to be this one; it is asked whether it should be preempted; it ends. */
void stretch_begin(unsigned int family, unsigned int sub);
void stretch_name(unsigned int family, unsigned int sub);
void stretch_point(void);
void stretch_end(void);
/* The family of the operation under way on this CPU; STRETCH_FAMILIES: none. */
unsigned int stretch_family(void);

/* Work that is done, its progress noted where a restarted call finds it: see preempt_after_work in <hv/sched.h>. */
static inline void stretch_work(unsigned int units)
{
    this_cpu(stretch_now).work += units;
}

/* A request of a batch begins; it is done, and so is the look for dead tables that belongs to it. Between two of them
 * the batch asks whether it should be preempted: what begins here begins without work. */
static inline uint32_t stretch_request(void)
{
    return this_cpu(stretch_now).work;
}

static inline void stretch_request_done(uint32_t before)
{
    if (this_cpu(stretch_now).work == before)
        stretch_work(1);
}

/* Units of work that this stretch has left. */
static inline unsigned int stretch_room(void)
{
    uint32_t work = this_cpu(stretch_now).work;

    return work < STRETCH_BOUND ? STRETCH_BOUND - work : 0;
}

struct stretch {
    uint16_t family, sub;
    uint32_t work;  /* units in the stretch with most of them */
    uint64_t ticks; /* of the stretch that took longest */
    uint64_t times[STRETCH_SIZES];
};
/* The next operation from number *next on that was ever measured, and its number plus one; false: no more. With reset
 * it is forgotten, but for what another CPU is just counting. */
bool stretch_read(unsigned int *next, bool reset, struct stretch *out);
void stretch_init(void);

#endif
