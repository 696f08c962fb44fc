// SPDX-License-Identifier: BSD-2-Clause
/*
 * Rule: a guest that takes the request to power off, as a kernel's driver does, and powers off. It says that it takes
 * it, looks for it twenty times a second, empties the node, and is at its end.
 */
#include "lib/store.h"

#define LOOK_MS 50

static bool asked(void)
{
    char word[16];

    return store_read("control", "shutdown", word, sizeof(word)) && word[0] == 'p';
}

void guest_main(void)
{
    CHECK(store_write("control", "feature-poweroff", "1"));
    while (!asked())
        pause_ms(LOOK_MS);
    CHECK(store_write("control", "shutdown", ""));
}
