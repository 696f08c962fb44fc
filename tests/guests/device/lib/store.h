/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * xenstore, as a guest asks it: one request at a time, and its answer. There are no watches and no transactions: who
 * waits for a value reads it again. Relative paths begin at the guest's own directory, /local/domain/N. Source:
 * <xen/io/xs_wire.h>.
 */
#ifndef DEVICE_STORE_H
#define DEVICE_STORE_H

#include "guest.h"

#define STORE_TEXT 128 /* longest path, and longest value that is of use here, with its end */

/* dir/node. The value, without what is beyond size - 1 characters, and an end; false: there is none. */
bool store_read(const char *dir, const char *node, char *value, size_t size);
/* The decimal number at the beginning of a value; -1: there is none. */
long store_number(const char *dir, const char *node);
/* False: xenstored refuses. */
bool store_write(const char *dir, const char *node, const char *value);
bool store_write_number(const char *dir, const char *node, unsigned long value);
bool store_remove(const char *dir, const char *node);
/* Text from numbers, as format.h has it, cut to size - 1 characters, and an end. */
void text(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Lets others run for so many milliseconds. */
void pause_ms(unsigned int ms);

#endif
