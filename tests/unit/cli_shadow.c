// SPDX-License-Identifier: BSD-2-Clause
/* The verb shadow over a libctl that is a stand-in. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "cli_run.h"
#include "fake_ctl.h"

void test_shadow_verbs(void **state)
{
    assert_int_equal(umbra("shadow stats web1"), 0);
    assert_string_equal(out, "tables\n  4.1                  7\n  4.2                  8\n"
                             "exits\n  hlt                  1099511627776\n");
    assert_int_equal(umbra("--json shadow stats web1"), 0);
    assert_string_equal(out,
                        "{\n  \"schema\": \"umbra.shadow-stats/1\",\n  \"domid\": 3,\n  \"tables\": {\n"
                        "    \"4.1\": 7,\n    \"4.2\": 8\n  },\n  \"exits\": {\n    \"hlt\": 1099511627776\n  }\n}\n");
    assert_int_equal(umbra("shadow blow web1"), 0);
    assert_string_equal(out, "");
    assert_string_equal(fake->acts, "blow 3;");
    fake->shadow_audit = (struct ctl_shadow_audit){.tables = 3, .entries = 40, .map_tables = 5};
    assert_int_equal(umbra("shadow audit web1"), 0);
    assert_string_equal(out, "web1: 0 invariants broken\n"
                             "looked at: 3 shadows, 40 entries, 5 tables of the memory map\n");
    fake->shadow_audit.broken = 3;
    fake->shadow_audit.n = 1;
    fake->shadow_audit.finding[0] = (struct ctl_shadow_finding){"H3", "writable leaf", 0x1234, 0x8000, 5};
    assert_int_equal(umbra("shadow audit web1"), 1);
    assert_non_null(strstr(out, "\nH3: writable leaf: guest frame 1234 index 5 entry 8000\nand 2 more\n"));
    assert_int_equal(umbra("--json shadow audit web1"), 1);
    assert_non_null(strstr(out, "\"rule\": \"H3\""));
    fake->act_fails = -EOPNOTSUPP;
    for (size_t i = 0; i < 4; i++) {
        static const char *const lines[] = {"shadow stats web1", "shadow audit 3", "shadow blow web1",
                                            "shadow dump web1"};

        assert_int_equal(umbra(lines[i]), 1);
        assert_non_null(strstr(err, "umbra: shadow: "));
    }
    assert_int_equal(umbra("shadow stats nobody"), 1);
    assert_int_equal(umbra("shadow frob web1"), 2);
    assert_non_null(strstr(err, "frob: not something shadow can do; there are stats, audit, blow and dump\n"));
    assert_int_equal(umbra("shadow -d stats web1"), 2);
    assert_int_equal(umbra("shadow -d dump web1 --json"), 2);
    assert_int_equal(umbra("shadow dump"), 2);
}

/* A root with two tables, one of them named twice, and what a change in the middle leaves. */
static void shadows(void)
{
    static const struct ctl_shadow list[] = {
        {.shadow = 1, .level = 2, .format = 4, .gfn = 0x10, .has_gfn = true, .entry = 0x900, .vcpus = 2, .used = 5},
        {.shadow = 1, .is_entry = true, .level = 2, .index = 0, .entry = 0x67, .child = 2},
        {.shadow = 1, .is_entry = true, .level = 2, .index = 1, .entry = 0x67, .child = 2},
        {.shadow = 1, .is_entry = true, .level = 2, .index = 2, .entry = 0x67, .child = 9},
        {.shadow = 1, .is_entry = true, .level = 2, .index = 3, .entry = 0x4000e7, .gfn = 0x400, .has_gfn = true},
        {.shadow = 1, .is_entry = true, .level = 2, .index = 4, .entry = 0x6000e7, .gfn = 0x600, .has_gfn = true},
        {.shadow = 2, .level = 1, .format = 4, .gfn = 0x11, .has_gfn = true, .entry = 0x901, .used = 5},
        {.shadow = 2, .is_entry = true, .level = 1, .index = 7, .entry = 0x100065, .gfn = 0x100, .has_gfn = true},
        {.shadow = 2, .is_entry = true, .level = 1, .index = 8, .entry = 0x107065, .gfn = 0x101, .has_gfn = true},
        {.shadow = 2, .is_entry = true, .level = 1, .index = 9, .entry = 0x103067, .gfn = 0x102, .has_gfn = true},
        {.shadow = 2, .is_entry = true, .level = 1, .index = 10, .entry = 0x8010000000500063},
        {.shadow = 2, .is_entry = true, .level = 1, .index = 11, .entry = 0x8010000000501063},
        {.shadow = 4, .level = 1, .gfn = 0x200, .has_gfn = true, .is_part = true, .entry = 0x902},
    };

    memcpy(fake->shadows, list, sizeof(list));
    fake->n_shadows = sizeof(list) / sizeof(list[0]);
}

void test_shadow_dump(void **state)
{
    assert_int_equal(umbra("shadow dump web1"), 0);
    assert_string_equal(out, "");
    shadows();
    assert_int_equal(umbra("shadow dump web1"), 0);
    assert_string_equal(out,
                        "shadow 1: level 2, guest of 4 levels, table in guest frame 10, 5 entries, 2 vCPUs run on it\n"
                        "  [000] shadow 2: level 1, guest of 4 levels, table in guest frame 11, 5 entries\n"
                        "    [007-008] guest frame 100 and on, 2 r-x user\n"
                        "    [009] guest frame 102 rwx user\n"
                        "    [00a-00b] machine frame 500 and on, 2 rw- borrowed\n"
                        "  [001] shadow 2, see above\n"
                        "  [002] shadow 9, changed meanwhile\n"
                        "  [003-004] guest frame 400 and on, 2 of 2 MiB rwx user\n"
                        "shadow 4: level 1, guest without paging, from guest frame 200 on, 0 entries\n");
    assert_int_equal(umbra("shadow --dot dump web1"), 0);
    assert_string_equal(out, "digraph shadows {\n  rankdir=LR;\n  node [shape=box, fontname=monospace];\n"
                             "  s1 -> s2 [label=\"000\"];\n  s1 -> s2 [label=\"001\"];\n"
                             "  s1 [label=\"level 2 of 4\\ntable 10\\n2 leaves\", penwidth=3];\n"
                             "  s2 [label=\"level 1 of 4\\ntable 11\\n5 leaves\"];\n"
                             "  s4 [label=\"level 1 of 0\\nfrom 200\\n0 leaves\"];\n}\n");
    assert_int_equal(umbra("--json shadow dump web1"), 0);
    assert_non_null(strstr(out, "\"schema\": \"umbra.shadow-dump/1\""));
    assert_non_null(strstr(out,
                           "        {\n          \"index\": 3,\n          \"count\": 2,\n          \"frames\": 512,\n"
                           "          \"gfn\": 1024,\n"));
    fake->shadows[6].level = 3; /* it has become another one meanwhile */
    assert_int_equal(umbra("shadow dump web1"), 0);
    assert_non_null(strstr(out, "  [000] shadow 2, changed meanwhile\n"));
}
