/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes of an instruction as a test writes them: "66 89 07". */
#ifndef TESTS_HEX_H
#define TESTS_HEX_H

#include <stddef.h>
#include <stdint.h>

static inline size_t parse_hex(const char *hex, uint8_t *out)
{
    size_t n = 0;
    unsigned int half = 0, v = 0;

    for (; *hex; hex++) {
        if (*hex == ' ')
            continue;
        v = v << 4 | (unsigned int)(*hex <= '9' ? *hex - '0' : *hex - 'a' + 10);
        if (++half % 2 == 0)
            out[n++] = (uint8_t)v;
    }
    return n;
}

#endif
