// SPDX-License-Identifier: BSD-2-Clause
/* A process that asks its kernel to be refused the time-stamp counter (CR4.TSD), and reads it. Says what came of it. */
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

static sigjmp_buf back;

static void refused(int signal)
{
    (void)signal;
    siglongjmp(back, 1);
}

static const char *read_counter(void)
{
    if (sigsetjmp(back, 1)) {
        return "refused";
    }
    __builtin_ia32_rdtsc();
    return "read";
}

int main(void)
{
    signal(SIGSEGV, refused);
    printf("%s", read_counter());
    if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV)) {
        return 1;
    }
    printf(" %s", read_counter());
    usleep(20000); /* another process had the processor */
    printf(" %s", read_counter());
    prctl(PR_SET_TSC, PR_TSC_ENABLE);
    printf(" %s\n", read_counter());
    return 0;
}
