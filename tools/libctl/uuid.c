// SPDX-License-Identifier: BSD-2-Clause
/*
 * uuids of domains: made, read, written.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "libctl/internal.h"

int ctl_uuid_random(uint8_t uuid[16])
{
    if (getrandom(uuid, 16, 0) != 16) {
        return -EIO;
    }
    uuid[6] = (uuid[6] & 0x0f) | 0x40;
    uuid[8] = (uuid[8] & 0x3f) | 0x80;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int ctl_uuid_parse(const char *text, uint8_t uuid[16])
{
    uint8_t out[16];

    for (int i = 0; i < 16; i++) {
        int high, low;

        if (i == 4 || i == 6 || i == 8 || i == 10) {
            if (*text++ != '-') {
                return -EINVAL;
            }
        }
        high = hex_digit(text[0]);
        low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0) {
            return -EINVAL;
        }
        out[i] = high << 4 | low;
        text += 2;
    }
    if (*text) {
        return -EINVAL;
    }
    memcpy(uuid, out, sizeof(out));
    return 0;
}

void ctl_uuid_format(const uint8_t uuid[16], char text[CTL_UUID_TEXT])
{
    char *at = text;

    for (int i = 0; i < 16; i++) {
        at += sprintf(at, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", uuid[i]);
    }
}
