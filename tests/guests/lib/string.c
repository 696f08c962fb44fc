// SPDX-License-Identifier: BSD-2-Clause
/* What compilers call for by themselves. */
#include <stddef.h>

void *memcpy(void *to, const void *from, size_t n);
void *memset(void *to, int value, size_t n);

void *memcpy(void *to, const void *from, size_t n)
{
    void *start = to;

    __asm__ __volatile__("rep movsb" : "+D"(to), "+S"(from), "+c"(n)::"memory");
    return start;
}

void *memset(void *to, int value, size_t n)
{
    void *start = to;

    __asm__ __volatile__("rep stosb" : "+D"(to), "+c"(n) : "a"(value) : "memory");
    return start;
}
