// SPDX-License-Identifier: BSD-2-Clause
/* The guests of one image. Their names come from the Makefile as GUESTS: G(name), one after the other. */
#include "internal.h"

#define G(name) void guest_##name(void);
GUESTS
#undef G

const struct guest guests[] = {
#define G(name) {#name, guest_##name},
    GUESTS{NULL, NULL},
};
