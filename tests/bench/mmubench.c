// SPDX-License-Identifier: BSD-2-Clause
/*
 * What page tables cost, seen from inside a guest: each row is an operation repeated a fixed number of times, five
 * times over, and printed as "bench ROW OPERATIONS NANOSECONDS..." for one operation. Before and after it says
 * "bench-ready" and waits for a line, so that nothing else happens between the two but the row. Linked statically and
 * run as all that the guest does; tests/bench/run boots it on each hypervisor.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE   4096u
#define MIB    (1u << 20)
#define ROUNDS 5

static const char *self;
static uint8_t *large; /* 16 MiB */

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void touch(uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += PAGE)
        *(volatile uint8_t *)(p + i) = 1;
}

static void null_syscall(unsigned n)
{
    while (n--)
        syscall(SYS_getppid);
}

/* n pages, a MiB of them at a time */
static void map_touch_unmap(unsigned n)
{
    for (; n; n -= MIB / PAGE) {
        uint8_t *p = mmap(NULL, MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        must(p != MAP_FAILED, "mmap");
        touch(p, MIB);
        munmap(p, MIB);
    }
}

static void protect_64(unsigned n)
{
    while (n--) {
        must(!mprotect(large, 64 * PAGE, PROT_READ), "mprotect");
        must(!mprotect(large, 64 * PAGE, PROT_READ | PROT_WRITE), "mprotect");
        touch(large, 64 * PAGE);
    }
}

static void wait_child(pid_t pid)
{
    int status;

    must(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0, "child");
}

static void pipe_trip(unsigned n)
{
    int to[2], from[2];
    char c = 0;
    pid_t pid;

    must(!pipe(to) && !pipe(from), "pipe");
    pid = fork();
    if (!pid) {
        while (n--)
            must(read(to[0], &c, 1) == 1 && write(from[1], &c, 1) == 1, "pipe");
        _exit(0);
    }
    while (n--)
        must(write(to[1], &c, 1) == 1 && read(from[0], &c, 1) == 1, "pipe");
    wait_child(pid);
    for (int i = 0; i < 2; i++) {
        close(to[i]);
        close(from[i]);
    }
}

static void *nothing(void *unused)
{
    return unused;
}

static void thread(unsigned n)
{
    while (n--) {
        pthread_t t;

        must(!pthread_create(&t, NULL, nothing, NULL), "thread");
        must(!pthread_join(t, NULL), "join");
    }
}

/* The parent has nothing but the program: the 16 MiB are not there yet, or have been given back. */
static void fork_exit(unsigned n)
{
    while (n--) {
        pid_t pid = fork();

        if (!pid)
            _exit(0);
        wait_child(pid);
    }
}

static void fork_exec(unsigned n)
{
    while (n--) {
        pid_t pid = fork();

        if (!pid) {
            execl(self, self, "exit", NULL);
            _exit(1);
        }
        wait_child(pid);
    }
}

static void fork_16mib(unsigned n)
{
    while (n--) {
        pid_t pid = fork();

        if (!pid) {
            touch(large, 64 * PAGE);
            _exit(0);
        }
        wait_child(pid);
    }
}

static void random_read(unsigned n)
{
    uint32_t x = 1;
    uint8_t sum = 0;

    while (n--) {
        x = x * 1664525u + 1013904223u;
        sum = (uint8_t)(sum + large[x >> 8]);
    }
    *(volatile uint8_t *)large = sum;
}

static const struct {
    const char *name;
    void (*run)(unsigned n);
    unsigned n;
    int with_large; /* 16 MiB are mapped and touched before */
} rows[] = {
    {"null-syscall", null_syscall, 20000, 0}, {"map-touch-unmap", map_touch_unmap, 20 * MIB / PAGE, 0},
    {"fork-exit", fork_exit, 40, 0},          {"fork-exec", fork_exec, 30, 0},
    {"pipe-trip", pipe_trip, 1000, 0},        {"thread", thread, 300, 0},
    {"mprotect-64", protect_64, 400, 1},      {"fork-16mib", fork_16mib, 20, 1},
    {"random-read", random_read, 1000000, 1},
};

static void ready(void)
{
    puts("bench-ready");
    must(getchar() != EOF, "console");
}

static void measure(unsigned i)
{
    if (rows[i].with_large && !large) {
        large = mmap(NULL, 16 * MIB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        must(large != MAP_FAILED, "mmap");
        madvise(large, 16 * MIB, MADV_NOHUGEPAGE);
        touch(large, 16 * MIB);
    }
    rows[i].run(rows[i].n / 4); /* warm */
    ready();
    printf("bench %s %u", rows[i].name, rows[i].n * ROUNDS);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t start = now();

        rows[i].run(rows[i].n);
        printf(" %llu", (unsigned long long)((now() - start) / rows[i].n));
    }
    printf("\n");
    ready();
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "exit"))
        return 0;
    self = argv[0];
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        measure(i);
    puts("bench-done");
    return 0;
}
