/* SPDX-License-Identifier: BSD-2-Clause */
/* The file with the key that two hosts share. */
#ifndef TLS_KEY_H
#define TLS_KEY_H

#include "tls/tls.h"

/* 0; or -errno, when why says what is wrong with it, and what to do. */
int key_read(const char *path, uint8_t key[TLS_KEY_SIZE], char *why, size_t size);

#endif
