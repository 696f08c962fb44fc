/* SPDX-License-Identifier: BSD-2-Clause */
/* The run of a guest that makes hypercalls at random: its options, its loop, what it says. */
#ifndef FUZZ_RUN_H
#define FUZZ_RUN_H

#include "grammar.h"

/* From the command line: seed=N calls=N from=N trace=N. Numbers are decimal, or hexadecimal with 0x. */
struct fuzz_options {
    uint64_t seed;
    uint64_t calls; /* of each vCPU */
    uint64_t from;  /* number of the first one */
    uint64_t trace; /* from this one on each is told before it is made */
};

/* What a kind of guest does. */
struct fuzz_guest {
    struct fuzz_world *world;
    long (*call)(uint32_t nr, const uint64_t *arg, bool narrow);
    void (*wake)(void); /* an event is pending on this vCPU */
    /* Puts right what calls have broken: what (FUZZ_TRAPS, FUZZ_VCPU), or in turn all else. */
    void (*mend)(unsigned int vcpu, unsigned int what);
    /* Runs fn; true if it was ended by a fault. */
    bool (*caught)(void (*fn)(void *), void *arg);
};

/* Memory that may fault: fuzz_do_copy is called by what catches faults. */
struct fuzz_copy {
    void *to;
    const void *from;
    size_t n;
};
void fuzz_do_copy(void *copy);

/* What is not said stays as it is. */
void fuzz_parse(const char *words, struct fuzz_options *o);
/* A line for the hypervisor's log. */
void fuzz_say(const struct fuzz_guest *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* All calls of one vCPU. */
void fuzz_run(const struct fuzz_guest *g, const struct fuzz_options *o, unsigned int vcpu);
/* Of vCPU 0, when its run is over: waits for the other one, a while, and ends the domain. */
void fuzz_end(const struct fuzz_guest *g, const struct fuzz_options *o) __attribute__((noreturn));

#endif
