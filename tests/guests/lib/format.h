/* SPDX-License-Identifier: BSD-2-Clause */
/* Text from numbers, for guests of every kind. */
#ifndef GUEST_FORMAT_H
#define GUEST_FORMAT_H

#include <stdarg.h>
#include <stddef.h>

/* %s, %d, %u, %x, with l or ll (of that only %x); the length, no more than size, without an end mark. */
size_t format(char *buf, size_t size, const char *fmt, va_list ap);

#endif
