/* SPDX-License-Identifier: BSD-2-Clause */
/* A second CPU. */
#ifndef HVM_SMP_H
#define HVM_SMP_H

#include "hvm.h"

/* Starts it with fn, in the mode and on the tables that the first one has now. */
void start_cpu(void (*fn)(void));
/* Tells fn to return, and waits until it has. */
void stop_cpu(void);
extern volatile bool stop; /* fn is to return */

/* Waits for a condition that the other CPU makes true; the guest fails if it never is. */
#define WAIT_FOR(condition)                                            \
    do {                                                               \
        for (unsigned long waited_ = 0; !(condition); waited_++) {     \
            if (waited_ == 200000000ul)                                \
                fail_now(__FILE__, __LINE__, "waits for " #condition); \
            __asm__ __volatile__("pause" ::: "memory");                \
        }                                                              \
    } while (0)

#endif
