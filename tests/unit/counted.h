/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How many instructions a function executes: it is run by libunicorn, on this process's own memory, so what it does is
 * done. Each repetition of a string instruction counts. The function may call others of the program; not what makes a
 * system call, nor the C library's string functions, which are made for processors that unicorn is not.
 */
#ifndef TESTS_COUNTED_H
#define TESTS_COUNTED_H

#include <stdint.h>

/* All memory that functions are going to use is there by now, and stays where it is. */
void counted_begin(void);
/* Fails the test if the function does not come back. */
uint64_t counted(void (*run)(void));
void counted_end(void);

#endif
