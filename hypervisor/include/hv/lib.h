/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Freestanding basics: strings, formatting, bit operations, assertions, errors, speculation-safe indices.
 * In host tests (UMBRA_HOST) the C library supplies the strings and formatting.
 */
#ifndef HV_LIB_H
#define HV_LIB_H

#include <stdarg.h>
#include <hv/types.h>

#define ARRAY_SIZE(a)                 (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                     ((a) < (b) ? (a) : (b))
#define MAX(a, b)                     ((a) > (b) ? (a) : (b))
#define ROUND_UP(x, a)                (((x) + (a)-1) & ~((typeof(x))(a)-1))
#define ROUND_DOWN(x, a)              ((x) & ~((typeof(x))(a)-1))
#define container_of(p, type, member) ((type *)((char *)(p)-offsetof(type, member)))
#define likely(x)                     __builtin_expect(!!(x), 1)
#define unlikely(x)                   __builtin_expect(!!(x), 0)
#define READ_ONCE(x)                  (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, v)              (*(volatile typeof(x) *)&(x) = (v))
#define barrier()                     __asm__ __volatile__("" ::: "memory")
#define smp_mb()                      __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()                     barrier()
#define smp_wmb()                     barrier()
#define cpu_relax()                   __asm__ __volatile__("pause" ::: "memory")
#define static_assert _Static_assert

/*
 * The ABI's error numbers (<xen/errno.h>) under their short names; on Linux the C library has the same values.
 * A hypercall that is to be restarted returns -ERESTART to its dispatcher.
 */
#ifdef UMBRA_HOST
#include <errno.h>
#include <string.h>
#include <stdio.h>
#else
#define XEN_ERRNO(name, value) enum { name = value };
#include <xen/errno.h>
enum { ERESTART = 85 }; /* internal: never seen by a guest */
void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strstr(const char *s, const char *sub);
/* C99 subset: d i u x X p s c % with l ll z h, width, precision, '-', '0', '#'. Always terminates; returns what would
 * be written. */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int snprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#endif
/* Copies at most size-1 bytes and terminates; returns strlen(src). */
size_t strlcpy(char *dst, const char *src, size_t size);
/* Number at s in the given base (0: by prefix); *end is set to the first byte not used. */
unsigned long long strtoull_hv(const char *s, const char **end, unsigned int base);

/* Log levels select the threshold (loglvl=, guest_loglvl=). */
#define XLOG_ERR     "<0>"
#define XLOG_WARNING "<1>"
#define XLOG_INFO    "<2>"
#define XLOG_DEBUG   "<3>"
/* Guest-caused messages: rate limited by printk itself. */
#define XLOG_GUEST "<G>"

void printk(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void vprintk(const char *fmt, va_list ap);
/* Guest-caused messages at warning level, prefixed with dN vM of the current vCPU; rate limited. */
void gprintk(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
void bug_at(const char *file, int line, const char *what) __attribute__((noreturn));

#define BUG() bug_at(__FILE__, __LINE__, "BUG")
#define BUG_ON(c)                           \
    do {                                    \
        if (unlikely(c))                    \
            bug_at(__FILE__, __LINE__, #c); \
    } while (0)
#if DEBUG
#define ASSERT(c) BUG_ON(!(c))
#else
#define ASSERT(c) ((void)sizeof(c))
#endif

/*
 * array_index_nospec(i, n): i when i < n, else 0, computed without a branch, so that a mispredicted bounds check cannot
 * make the CPU read out of bounds with a guest-chosen index. Use after the architectural check.
 */
static inline unsigned long array_index_nospec(unsigned long i, unsigned long n)
{
    unsigned long mask;

    __asm__ __volatile__("cmp %2, %1\n\tsbb %0, %0" : "=r"(mask) : "r"(i), "r"(n) : "cc");
    return i & mask;
}

/* Bit operations on arrays of unsigned long; the test_and_* ones are atomic and full barriers, the __ ones are neither.
 */
#define BITS_PER_LONG    64
#define BITS_TO_LONGS(n) (((n) + 63) / 64)

static inline bool test_bit(unsigned int nr, const volatile void *addr)
{
    return (((const volatile unsigned long *)addr)[nr / 64] >> (nr % 64)) & 1;
}

static inline void set_bit(unsigned int nr, volatile void *addr)
{
    __atomic_fetch_or((unsigned long *)addr + nr / 64, 1ul << (nr % 64), __ATOMIC_SEQ_CST);
}

static inline void clear_bit(unsigned int nr, volatile void *addr)
{
    __atomic_fetch_and((unsigned long *)addr + nr / 64, ~(1ul << (nr % 64)), __ATOMIC_SEQ_CST);
}

static inline bool test_and_set_bit(unsigned int nr, volatile void *addr)
{
    return (__atomic_fetch_or((unsigned long *)addr + nr / 64, 1ul << (nr % 64), __ATOMIC_SEQ_CST) >> (nr % 64)) & 1;
}

static inline bool test_and_clear_bit(unsigned int nr, volatile void *addr)
{
    return (__atomic_fetch_and((unsigned long *)addr + nr / 64, ~(1ul << (nr % 64)), __ATOMIC_SEQ_CST) >> (nr % 64)) &
           1;
}

static inline void __set_bit(unsigned int nr, void *addr)
{
    ((unsigned long *)addr)[nr / 64] |= 1ul << (nr % 64);
}

static inline void __clear_bit(unsigned int nr, void *addr)
{
    ((unsigned long *)addr)[nr / 64] &= ~(1ul << (nr % 64));
}

/* First set / clear bit at or after start; nbits when there is none. */
unsigned int find_next_bit(const unsigned long *addr, unsigned int nbits, unsigned int start);
unsigned int find_next_zero_bit(const unsigned long *addr, unsigned int nbits, unsigned int start);
#define find_first_bit(a, n)      find_next_bit(a, n, 0)
#define find_first_zero_bit(a, n) find_next_zero_bit(a, n, 0)

/* Index of the lowest / highest set bit of a non-zero value. */
static inline unsigned int ffs_u64(uint64_t x)
{
    return (unsigned int)__builtin_ctzll(x);
}

static inline unsigned int fls_u64(uint64_t x)
{
    return 63u - (unsigned int)__builtin_clzll(x);
}

/* Smallest order such that (PAGE_SIZE << order) >= bytes. */
static inline unsigned int get_order_bytes(uint64_t bytes)
{
    uint64_t pages = (bytes + PAGE_SIZE - 1) >> PAGE_SHIFT;

    return pages <= 1 ? 0 : fls_u64(pages - 1) + 1;
}

#endif
