/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TESTS_LIB_RENAMED_H
#define TESTS_LIB_RENAMED_H

#include <hv/lib.h>

void *hv_memcpy(void *dst, const void *src, size_t n);
void *hv_memmove(void *dst, const void *src, size_t n);
void *hv_memset(void *dst, int c, size_t n);
int hv_memcmp(const void *a, const void *b, size_t n);
size_t hv_strlen(const char *s);
size_t hv_strnlen(const char *s, size_t max);
int hv_strcmp(const char *a, const char *b);
int hv_strncmp(const char *a, const char *b, size_t n);
char *hv_strchr(const char *s, int c);
char *hv_strstr(const char *s, const char *sub);
int hv_vsnprintf(char *buf, size_t size, const char *fmt, va_list ap);
int hv_snprintf(char *buf, size_t size, const char *fmt, ...);
unsigned __int128 hv_udivti3(unsigned __int128 n, unsigned __int128 d);
__int128 hv_divti3(__int128 n, __int128 d);

#endif
