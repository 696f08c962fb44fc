/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Memory and string functions. The compiler emits calls to the first four; the rest is what the hypervisor's code uses.
 * Not here: anything with a locale, an allocation or an unbounded destination.
 */
#include <hv/lib.h>

void *memcpy(void *dst, const void *src, size_t n)
{
    void *ret = dst;
    size_t words = n / 8;

    n %= 8;
    __asm__ __volatile__("rep movsq" : "+D"(dst), "+S"(src), "+c"(words)::"memory");
    __asm__ __volatile__("rep movsb" : "+D"(dst), "+S"(src), "+c"(n)::"memory");
    return ret;
}

void *memmove(void *dst, const void *src, size_t n)
{
    char *d = (char *)dst + n;
    const char *s = (const char *)src + n;

    if ((const char *)dst <= (const char *)src || (const char *)dst >= s)
        return memcpy(dst, src, n);
    while (n--)
        *--d = *--s;
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    void *ret = dst;
    size_t words = n / 8;

    n %= 8;
    __asm__ __volatile__("rep stosq" : "+D"(dst), "+c"(words) : "a"((uint8_t)c * 0x0101010101010101ul) : "memory");
    __asm__ __volatile__("rep stosb" : "+D"(dst), "+c"(n) : "a"(c) : "memory");
    return ret;
}

int memcmp(const void *a, const void *b, size_t n)
{
    typedef uint64_t __attribute__((may_alias, aligned(1))) word;
    const unsigned char *x = a, *y = b;

    while (n >= sizeof(word) && *(const word *)x == *(const word *)y) {
        x += sizeof(word);
        y += sizeof(word);
        n -= sizeof(word);
    }
    for (; n; n--, x++, y++)
        if (*x != *y)
            return *x - *y;
    return 0;
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n])
        n++;
    return n;
}

size_t strlen(const char *s)
{
    return strnlen(s, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; n--, a++, b++)
        if (*a != *b || !*a)
            return (unsigned char)*a - (unsigned char)*b;
    return 0;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)(uintptr_t)s;
        if (!*s)
            return NULL;
    }
}

char *strstr(const char *s, const char *sub)
{
    size_t n = strlen(sub);

    for (;; s++) {
        if (!strncmp(s, sub, n))
            return (char *)(uintptr_t)s;
        if (!*s)
            return NULL;
    }
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    size_t len = strlen(src), n = len < size ? len : size - 1;

    if (size) {
        memcpy(dst, src, n);
        dst[n] = '\0';
    }
    return len;
}
