// SPDX-License-Identifier: BSD-2-Clause
/*
 * The random walk of test_shadow.c alone, compiled to be fast: for the millions of operations of make model, and the
 * hour of make shadow-hour. Replay with UMBRA_SEED and UMBRA_OPS; the same seed does the same in test_shadow, under the
 * sanitizers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include "shadow_model.h"

static void test_walk(void **state)
{
    fake_seed("shadow");
    model_alternate = true;
    model_random(fake_ops(200000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_walk)};

    return cmocka_run_group_tests_name("shadow walk", tests, NULL, NULL);
}
