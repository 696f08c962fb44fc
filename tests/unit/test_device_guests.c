// SPDX-License-Identifier: BSD-2-Clause
/*
 * A guest of tests/guests/device on the host: with other halves that do as they should it comes to its end, and every
 * check of its own holds, whatever the order of things.
 */
#include <stdio.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "device_world.h"

static void disk_and_network(void)
{
    store_put("device/vbd/51712", "backend", "/local/domain/0/backend/vbd/7/51712");
    store_put("device/vbd/51712", "state", "1");
    store_put("device/vif/0", "backend", "/local/domain/0/backend/vif/7/0");
    store_put("device/vif/0", "mac", "00:16:3e:0a:1f:2b");
    store_put("device/vif/0", "state", "1");
}

static void other_guest(void)
{
    store_put("backend/vbd/5/51712", "frontend", "/local/domain/5/device/vbd/51712");
    store_put("backend/vbd/5/51712", "frontend-id", "5");
    store_put("/local/domain/5/device/vbd/51712", "state", "1");
    store_put("data", "back", "backend/vbd/5/51712");
}

static void comes_to_its_end(void **state)
{
    const char *seed = getenv("UMBRA_SEED");

    (void)state;
    chance = seed ? (unsigned int)strtoul(seed, NULL, 0) : 1;
    world_begin();
    disk_and_network();
    other_guest();
    assert_true(world_run(guest_main));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(comes_to_its_end)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
