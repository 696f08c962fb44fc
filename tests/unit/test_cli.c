/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tools/cli: the verbs from argv to output and exit code, over a libctl that is a stand-in (fake_ctl.c). Tables are
 * compared to the byte, since scripts read them.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#define __XEN_TOOLS__ 1
#include <xen/xen.h>
#include <xen/sysctl.h>

#include "cli/cli.h"
#include "cli/config.h"
#include "cli/output.h"
#include "cli_run.h"
#include "fake_ctl.h"

/* --- verbs and options ----------------------------------------------------------------------------------------------
 */

static void test_prefixes(void **state)
{
    int n;

    assert_string_equal(command_find("list", &n)->name, "list");
    assert_string_equal(command_find("l", &n)->name, "list");
    assert_string_equal(command_find("cr", &n)->name, "create");
    assert_string_equal(command_find("dest", &n)->name, "destroy");
    assert_string_equal(command_find("conf", &n)->name, "config");
    assert_null(command_find("d", &n));
    assert_int_equal(n, 6);
    assert_null(command_find("con", &n));
    assert_int_equal(n, 2);
    assert_null(command_find("", &n));
    assert_null(command_find("lists", &n));
    assert_int_equal(n, 0);
    assert_int_equal(umbra("dom web1"), 2);
    assert_string_equal(err, "umbra: dom: could be domid, domname\n");
    assert_int_equal(umbra("lsit"), 2);
    assert_string_equal(err, "umbra: lsit: no such verb; did you mean \"list\"?\nhint: `umbra help` lists the verbs\n");
}

/* Every row can be shown, and no letter or name stands twice in one. */
static void test_table(void **state)
{
    for (const struct command *c = commands; c->name; c++) {
        char line[64];
        int n = 0;

        for (const struct cli_option *o = c->options; o && o->letter; o++, n++) {
            assert_non_null(o->help);
            assert_true(o->letter != 'h');
            for (const struct cli_option *p = o + 1; p->letter; p++)
                assert_true(p->letter != o->letter && strcmp(p->name, o->name) != 0);
        }
        assert_true(n <= CLI_MAX_OPTIONS);
        snprintf(line, sizeof(line), "help %s", c->name);
        assert_int_equal(umbra(line), 0);
        assert_non_null(strstr(out, c->help));
        snprintf(line, sizeof(line), "%s --help", c->name);
        assert_int_equal(umbra(line), 0);
        assert_int_equal(umbra("help"), 0);
        assert_non_null(strstr(out, c->help));
    }
}

static void test_usage_errors(void **state)
{
    static const struct {
        const char *line, *error;
    } cases[] = {
        {"pause", "umbra: pause: an operand is missing: DOMAIN\n"},
        {"pause a b", "umbra: pause: b: one operand too many\n"},
        {"pause -x a", "umbra: pause: -x: no such option\n"},
        {"pause --frob a", "umbra: pause: --frob: no such option\n"},
        {"console -e", "umbra: console: -e: its argument is missing\n"},
        {"console -e abc web1", "umbra: console: -e abc: not a character; write ^] or x\n"},
        {"console -t vnc web1", "umbra: console: -t vnc: the types are pv and serial\n"},
        {"console -t serial web1", "umbra: console: -t serial: PV guests have no serial console; use -t pv\n"},
        {"console -n 1 web1", "umbra: console: -n 1: only console 0 exists\n"},
        {"console -l -1 web1", "umbra: console: -l -1: not a number of lines, 0 to 9999\n"},
        {"console --lines 1e web1", "umbra: console: -l 1e: not a number of lines, 0 to 9999\n"},
        {"console -l 10000 web1", "umbra: console: -l 10000: not a number of lines, 0 to 9999\n"},
        {"shutdown", "umbra: shutdown: an operand is missing: DOMAIN... | -a\n"},
        {"shutdown -a web1", "umbra: shutdown: -a takes no domain\n"},
        {"create", "umbra: create: no configuration file is named\n"},
        {"create name=x", "umbra: create: no configuration file is named\n"},
        {"create a b", "umbra: create: b: not of the form KEY=VALUE\n"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(umbra(cases[i].line), 2);
        assert_memory_equal(err, cases[i].error, strlen(cases[i].error));
        assert_non_null(strstr(err, "hint: `umbra help "));
        assert_string_equal(out, "");
    }
    assert_int_equal(umbra(""), 2);
    assert_int_equal(umbra("--frob list"), 2);
    assert_int_equal(umbra("--version"), 0);
    assert_string_equal(out, "umbra " UMBRA_VERSION "\n");
}

static void test_no_hypervisor(void **state)
{
    fake->present = false;
    assert_int_equal(umbra("list"), 1);
    assert_string_equal(err, "umbra: list: open the control interface: there is no hypervisor (No such file or "
                             "directory)\nhint: boot one\n");
    assert_int_equal(umbra("--json list"), 1);
    assert_non_null(strstr(err, "\"schema\": \"umbra.error/1\""));
    assert_non_null(strstr(err, "\"errno\": 2"));
    assert_string_equal(out, "");
}

/* --- tables ----------------------------------------------------------------------------------------------------------
 */

static void test_list(void **state)
{
    struct ctl_domain_info *d = fake_add(12, "evil name\n\x1b");

    d->blocked = false;
    d->paused = d->shutdown = d->dying = true;
    d->shutdown_reason = 3;
    assert_int_equal(umbra("list"), 0);
    assert_string_equal(out, "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"
                             "Domain-0                                     0  1023     4     r-----      12.3\n"
                             "web1                                         3   256     1     -b----       0.0\n"
                             "evil?name??                                 12   256     1     --pscd       0.0\n");
    fake->domains[2].name[0] = '\0';
    assert_int_equal(umbra("list 12"), 0);
    assert_string_equal(out, "Name                                        ID   Mem VCPUs\tState\tTime(s)\n"
                             "(dying)                                     12   256     1     --pscd       0.0\n");
    assert_int_equal(umbra("list nobody web1"), 1);
    assert_non_null(strstr(out, "\nweb1 "));
    assert_string_equal(err, "umbra: list: nobody: find the domain: there is no such domain (No such process)\n"
                             "hint: `umbra list` shows the domains there are\n");
}

#define HEADER "Name                                        ID   Mem VCPUs\tState\tTime(s)"

/* xl's further columns, in its order. */
static void test_list_more(void **state)
{
    struct ctl_domain_info *d = fake_add(12, "gone");

    d->shutdown = true;
    d->shutdown_reason = 3;
    assert_int_equal(umbra("list -v web1 gone"), 0);
    assert_string_equal(out, HEADER "   UUID                            Reason-Code\tSecurity Label\n"
                                    "web1                                         3   256     1     -b----       0.0 "
                                    "04000000-0000-0000-0000-000000000000        -                -\n"
                                    "gone                                        12   256     1     -b-sc-       0.0 "
                                    "0d000000-0000-0000-0000-000000000000        3                -\n");
    assert_int_equal(umbra("list -cn web1 0"), 0);
    assert_string_equal(out, HEADER "         Cpupool NODE Affinity\n"
                                    "web1                                         3   256     1     -b----       0.0"
                                    "          Pool-0 all\n"
                                    "Domain-0                                     0  1023     4     r-----      12.3"
                                    "          Pool-0 none\n");
    assert_int_equal(umbra("vm-list"), 0);
    assert_string_equal(out, "UUID                                  ID    name\n"
                             "01000000-0000-0000-0000-000000000000  0    Domain-0                      \n"
                             "04000000-0000-0000-0000-000000000000  3    web1                          \n"
                             "0d000000-0000-0000-0000-000000000000  12    gone                          \n");
    d->dying = true;
    assert_int_equal(umbra("vm-list"), 0);
    assert_null(strstr(out, "gone"));
    assert_int_equal(umbra("--json vm-list"), 0);
    assert_non_null(strstr(out, "{\n    \"uuid\": \"04000000-0000-0000-0000-000000000000\",\n    \"domid\": 3,\n"
                                "    \"name\": \"web1\"\n  }"));
    assert_int_equal(umbra("list -v --json web1"), 0); /* which has all of that already */
    assert_non_null(strstr(out, "\"uuid\": \"04000000"));
}

static void test_list_json(void **state)
{
    assert_int_equal(umbra("list --json web1"), 0);
    assert_string_equal(
        out,
        "[\n  {\n    \"domid\": 3,\n    \"name\": \"web1\",\n"
        "    \"uuid\": \"04000000-0000-0000-0000-000000000000\",\n    \"type\": \"pv\",\n"
        "    \"state\": \"blocked\",\n    \"shutdown_reason\": null,\n    \"deaf\": false,\n"
        "    \"vcpus\": 1,\n    \"memory_kib\": 262144,\n    \"max_memory_kib\": 262144,\n    \"cpu_time_ns\": 0,\n"
        "    \"paging\": null,\n    \"shadow_memory_kib\": null,\n"
        "    \"shadow_memory_used_kib\": null,\n"
        "    \"holders\": null,\n    \"config\": null\n  }\n]\n");
    fake_add(9, "pvh")->hvm = true;
    assert_int_equal(umbra("list --json pvh"), 0);
    assert_non_null(strstr(out, "\"paging\": \"shadow\",\n    \"shadow_memory_kib\": 3072,\n"
                                "    \"shadow_memory_used_kib\": 1500,\n"));
    fake->vtlb = true;
    assert_int_equal(umbra("list --json pvh"), 0);
    assert_non_null(strstr(out, "\"paging\": \"vtlb\",\n    \"shadow_memory_kib\": 3072,\n"));
    fake->n = 0;
    assert_int_equal(umbra("--json list"), 0);
    assert_string_equal(out, "[]\n");
}

static void test_vcpu_list(void **state)
{
    fake->domains[1].vcpus_max = 2;
    assert_int_equal(umbra("vcpu-list web1"), 0);
    assert_string_equal(out,
                        "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n"
                        "web1                                 3     0    3   -b-      11.2  0,2-3 / all\n"
                        "web1                                 3     1    -   --p      11.2  0,2-3 / all\n");
    assert_int_equal(umbra("--json vcpu-l web1"), 0);
    assert_non_null(strstr(out, "\"state\": \"offline\""));
    assert_non_null(strstr(out, "\"hard_affinity\": \"0,2-3\""));
}

static void test_cpu_ranges(void **state)
{
    uint8_t map[4] = {0xff, 0x81, 0, 0};
    char text[64], small[6];

    cpu_ranges(text, sizeof(text), map, 32);
    assert_string_equal(text, "0-8,15");
    cpu_ranges(text, sizeof(text), map, 8);
    assert_string_equal(text, "all");
    cpu_ranges(text, sizeof(text), map + 2, 8);
    assert_string_equal(text, "none");
    cpu_ranges(small, sizeof(small), map, 32);
    assert_true(strlen(small) < sizeof(small));
}

static void says(const char *command, int status, const char *text)
{
    assert_int_equal(umbra(command), status);
    assert_non_null(strstr(out, text));
}

static void test_info(void **state)
{
    static const char *const lines[] = {
        "nr_cpus                : 4\n",        "nr_nodes               : 1\n",
        "cores_per_socket       : 4\n",        "threads_per_core       : 1\n",
        "cpu_mhz                : 2400.050\n", "total_memory           : 4096\n",
        "free_memory            : 1000\n",     "xen_major              : 4\n",
        "xen_minor              : 17\n",       "xen_version            : 4.17.umbra-0.1\n",
        "xen_scheduler          : credit2\n",  "platform_params        : virt_start=0xffff800000000000\n",
    };

    assert_int_equal(umbra("info"), 0);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_non_null(strstr(out, lines[i]));
    says("info --json", 0, "\"free_memory_kib\": 1024000");
    assert_null(strstr(out, "shadow_memory")); /* not Umbra */
    fake->is_umbra = true;
    says("info", 0, "\nshadow_memory          : 0\nshadow_memory_used     : 0\n");
    fake_add(9, "pvh")->hvm = true;
    fake_add(10, "pvh2")->hvm = true;
    fake_add(11, "pv");
    says("info", 0, "\numbra_build            : release\nshadow_memory          : 6\nshadow_memory_used     : 2\n");
    says("info --json", 0, "\"shadow_memory_kib\": 6144,\n  \"shadow_memory_used_kib\": 3000,\n");
    assert_null(strstr(out, "numa"));
    says("info -n", 0,
         "cpu_topology           :\ncpu:    core    socket     node\n  0:       0        0        0\n"
         "  1:       0        0        0\n  2:       1        0        1\n  3:       1        0        1\n"
         "device topology        :\ndevice           node\nNo device topology data available\n"
         "numa_info              :\nnode:    memsize    memfree    distances\n"
         "   0:      3072        700      10,21\n   1:      1024        300      21,10\nxen_major ");
    says("info -n --json", 0,
         "    {\n      \"cpu\": 3,\n      \"core\": 1,\n      \"socket\": 0,\n      \"node\": 1\n    }\n  ],\n"
         "  \"numa_nodes\": [\n    {\n      \"node\": 0,\n      \"memory_kib\": 3145728,\n"
         "      \"free_memory_kib\": 716800,\n      \"distances\": [\n        10,\n        21\n      ]\n    },\n");
}

/* The paging mode that guests have there which do not choose. */
static void test_info_paging(void **state)
{
    static const struct {
        uint32_t capabilities;
        const char *text, *json;
    } hosts[] = {
        {XEN_SYSCTL_PHYSCAP_pv, "none (no hardware virtualisation)", "null"},
        {XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_shadow, "shadow (no nested paging)", "\"shadow\""},
        {XEN_SYSCTL_PHYSCAP_hvm | XEN_SYSCTL_PHYSCAP_shadow | XEN_SYSCTL_PHYSCAP_hap, "hap", "\"hap\""},
    };
    char line[80];

    assert_int_equal(umbra("info"), 0);
    assert_null(strstr(out, "\npaging ")); /* not Umbra */
    fake->is_umbra = true;
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        fake->capabilities = hosts[i].capabilities;
        snprintf(line, sizeof(line), "\npaging                 : %s\n", hosts[i].text);
        says("info", 0, line);
        snprintf(line, sizeof(line), "\"paging\": %s,\n", hosts[i].json);
        says("info --json", 0, line);
    }
}

static void test_dmesg(void **state)
{
    fake->log = "(UM) one\n(UM) two\xff\033[2J\n";
    assert_int_equal(umbra("dmesg"), 0);
    assert_string_equal(out, "(UM) one\n(UM) two??[2J\n");
    says("--json dmesg -c", 0, "    \"(UM) one\",\n    \"(UM) two\xef\xbf\xbd\\u001B[2J\"\n");
    assert_null(fake->log);
    assert_int_equal(umbra("debug-keys h"), 0);
    assert_int_equal(umbra("debug-keys zz"), 1);
}

static void test_dmesg_previous(void **state)
{
    assert_int_equal(umbra("dmesg --previous"), 1);
    assert_string_equal(out, "");
    assert_non_null(strstr(err, "no log of a boot before was found"));
    fake->log = "now\n";
    fake->previous_log = "cut\r\n\n(XEN)\tone\033[2Jx\xff\n(XEN) no end";
    assert_int_equal(umbra("dmesg -p"), 0);
    assert_string_equal(out, "cut\n\n(XEN) one?[2Jx?\n(XEN) no end\n");
    says("--json dmesg -p", 0, "    \"cut\",\n    \"\",\n");
    assert_int_equal(umbra("dmesg -p -c"), 2);
    assert_non_null(strstr(err, "umbra: dmesg: -c: the log of the boot before cannot be emptied\n"));
    assert_non_null(fake->log);
}

static void test_audit(void **state)
{
    fake->audit = (struct ctl_audit){
        .frames = 100, .tables = 3, .entries = 40, .descriptor_pages = 1, .shared = 2, .grants = 512, .handles = 9};
    assert_int_equal(umbra("audit web1"), 0);
    assert_string_equal(out, "web1: 0 invariants broken\n"
                             "looked at: 100 frames, 3 tables, 40 entries, 1 descriptor pages\n"
                             "shared with others: 2 frames\n"
                             "grants: 512 entries, 9 handles of others\n");
    says("--json audit web1", 0, "\"schema\": \"umbra.audit/1\"");
    assert_non_null(strstr(out, "\"findings\": []"));
    fake->audit.broken = 3;
    fake->audit.n = 1;
    fake->audit.finding[0] = (struct ctl_audit_finding){
        .rule = "P2", .what = "writable mapping", .frame = 0x1234, .count_info = 0x8000000000000002, .type_info = 0x10};
    says("audit web1", 1, "\nP2: writable mapping: frame 1234 count 8000000000000002 type 10\nand 2 more\n");
    says("--json audit web1", 1, "\"rule\": \"P2\"");
    assert_non_null(strstr(out, "\"grants_audited\": true"));
    fake->audit.finding[0] = (struct ctl_audit_finding){"G1", "other uses", .is_grant = true, .number = 8};
    says("audit web1", 1, "\nG1: other uses: 8\nand 2 more\n");
    says("--json audit web1", 1, "\"number\": 8");
    assert_null(strstr(out, "\"frame\""));
    fake->audit = (struct ctl_audit){.only_grants = true, .grants_in_use = true};
    says("audit web1", 1, "looks at its page tables\ngrants: not audited: in use\n");
    says("--json audit web1", 1, "\"grants_audited\": false");
    assert_non_null(strstr(out, "\"tables_audited\": false"));
    fake->act_fails = -EBUSY;
    assert_int_equal(umbra("audit web1"), 1);
    assert_non_null(strstr(err, "not now"));
    assert_int_equal(umbra("audit nobody"), 1);
}

/* --- acting on domains
 * ------------------------------------------------------------------------------------------------ */

static void test_identity(void **state)
{
    assert_int_equal(umbra("domid web1"), 0);
    assert_string_equal(out, "3\n");
    assert_int_equal(umbra("domname 3"), 0);
    assert_string_equal(out, "web1\n");
    assert_int_equal(umbra("domid nobody"), 1);
}

static void test_control(void **state)
{
    assert_int_equal(umbra("pause web1"), 0);
    assert_int_equal(umbra("unpause 3"), 0);
    assert_int_equal(umbra("shutdown web1"), 0);
    assert_int_equal(umbra("reboot 3"), 0);
    assert_int_equal(umbra("shutdown -a"), 0);
    assert_int_equal(umbra("destroy web1"), 0);
    assert_string_equal(fake->acts, "pause 3;unpause 3;poweroff 3;reboot 3;poweroff 3;destroy 3;");
    assert_int_equal(umbra("destroy web1"), 1);
}

static void test_holders(void **state)
{
    fake->domains[1].dying = true;
    says("list --json web1", 0,
         "\"holders\": [\n      {\n        \"domid\": 0,\n        \"granted_frames\": 3,\n"
         "        \"foreign_frames\": 0\n      },\n      {\n        \"domid\": 4,\n");
}

static void test_claims(void **state)
{
    fake->domains[1].outstanding_kib = 2048;
    assert_int_equal(umbra("claims"), 0);
    assert_string_equal(out, "Name                                        ID   Mem VCPUs\tState\tTime(s)  Claimed\n"
                             "Domain-0                                     0  1023     4     r-----      12.3     0\n"
                             "web1                                         3   258     1     -b----       0.0     2\n");
    says("claims --json", 0, "\"claimed_kib\": 2048");
    assert_int_equal(umbra("claims web1"), 2);
}

static void test_rename(void **state)
{
    assert_int_equal(umbra("rename web1 web9"), 0);
    assert_string_equal(fake_node("/local/domain/3/name"), "web9");
    assert_string_equal(fake_node("/vm/04000000-0000-0000-0000-000000000000/name"), "web9");
    assert_int_equal(umbra("rename web1 Domain-0"), 2);
    assert_int_equal(umbra("rename web1 77"), 2);
    assert_int_equal(umbra("rename web1 a/../b"), 2);
    fake_add(4, "db1");
    assert_int_equal(umbra("rename web9 db1"), 1);
    assert_non_null(strstr(err, "domain 4 has this name"));
    assert_int_equal(umbra("rename nobody db2"), 1);
    assert_int_equal(umbra("rename 0 control"), 1);
}

/* The record's name is the guest's: it is what the list shows, and what it has when it is built again. */
static void test_rename_of_ours(void **state)
{
    assert_int_equal(umbra("create -e g.json"), 0);
    assert_int_equal(umbra("rename web2 db1"), 0);
    assert_int_equal(umbra("list db1"), 0);
    assert_int_equal(umbra("list web2"), 1);
    assert_int_equal(umbra("create -e g.json name=db1"), 1);
    assert_non_null(strstr(err, "a guest of this name exists"));
    assert_int_equal(umbra("--json list db1"), 0);
    assert_null(strstr(out, "web2")); /* in its configuration neither */
}

static void test_uptime(void **state)
{
    char line[64];

    ctl_store_write((struct ctl *)fake, "/local/domain/3/vm", "/vm/x", NULL);
    snprintf(line, sizeof(line), "%lld.96", (long long)time(NULL) - 2 * 86400 - 3 * 3600 - 4 * 60);
    ctl_store_write((struct ctl *)fake, "/vm/x/start_time", line, NULL);
    fake_add(5, "new");
    assert_int_equal(umbra("uptime"), 0);
    assert_memory_equal(out, "Name                                ID Uptime\nDomain-0                             0 ",
                        83);
    assert_non_null(strstr(out, "web1                                 3 2 days,  3:04:0"));
    assert_non_null(strstr(out, "new                                  5 -\n"));
    assert_int_equal(umbra("uptime -s web1"), 0);
    assert_string_equal(out + 9, " up 2 days,  3:04, web1 (3)\n");
    says("uptime --json web1 5", 0, "\"uptime_seconds\": 18384");
    assert_non_null(strstr(out, "\"uptime_seconds\": null"));
    assert_int_equal(umbra("uptime nobody"), 1);
}

static void test_sysrq_and_trigger(void **state)
{
    assert_int_equal(umbra("sysrq web1 h"), 0);
    assert_string_equal(fake_node("/local/domain/3/control/sysrq"), "h");
    assert_int_equal(umbra("sysrq web1 hh"), 2);
    assert_int_equal(umbra("sysrq web1 \n"), 2);
    assert_int_equal(umbra("sysrq 0 b"), 1);
    assert_int_equal(umbra("trigger web1 nmi"), 0);
    assert_int_equal(umbra("trigger web1 nmi 1"), 0);
    assert_int_equal(umbra("trigger web1 reset"), 2);
    assert_non_null(strstr(err, "PV guests take no such trigger; they take nmi"));
    assert_int_equal(umbra("trigger web1 foo"), 2);
    assert_int_equal(umbra("trigger web1 nmi -1"), 2);
    assert_int_equal(umbra("trigger web1 nmi 99999"), 2);
    assert_int_equal(umbra("trigger 0 nmi"), 1);
    assert_string_equal(fake->acts, "nmi 3;nmi other 3;");
    fake->act_fails = -ESRCH;
    assert_int_equal(umbra("trigger web1 nmi 9"), 1);
}

static void test_vcpu_pin(void **state)
{
    fake->domains[1].vcpus_max = 2;
    assert_int_equal(umbra("vcpu-pin web1 1 2"), 0);
    assert_string_equal(fake->acts, "affinity 3;");
    assert_int_equal(fake->pinned.hard[0], 0x04);
    assert_int_equal(fake->pinned.soft[0], 0xff);
    assert_int_equal(umbra("vcpu-pin web1 all - 0-1"), 0);
    assert_string_equal(fake->acts, "affinity 3;affinity 3;affinity 3;");
    assert_int_equal(fake->pinned.hard[0], 0x0d);
    assert_int_equal(fake->pinned.soft[0], 0x03);
    assert_int_equal(umbra("vcpu-pin web1 0 all"), 0);
    assert_int_equal(umbra("vcpu-pin web1 2 0"), 2);
    assert_non_null(strstr(err, "2: not a virtual CPU; they are 0 to 1, or all"));
    assert_int_equal(umbra("vcpu-pin web1 0 5"), 2);
    assert_non_null(strstr(err, "5: there is no CPU 5; the host has CPUs 0 to 3"));
    assert_int_equal(umbra("vcpu-pin web1 0 0-"), 2);
    assert_int_equal(umbra("vcpu-pin web1 0 99999999999999999999"), 2);
    assert_int_equal(umbra("vcpu-pin nobody 0 0"), 1);
    fake->act_fails = -EINVAL;
    assert_int_equal(umbra("vcpu-pin web1 0 1"), 1);
}

static void test_vcpu_set(void **state)
{
    fake->domains[1].vcpus_max = 8;
    assert_int_equal(umbra("vcpu-set web1 2"), 0);
    assert_string_equal(fake_node("/local/domain/3/cpu/1/availability"), "online");
    assert_string_equal(fake_node("/local/domain/3/cpu/2/availability"), "offline");
    assert_string_equal(fake_node("/local/domain/3/cpu/7/availability"), "offline");
    assert_int_equal(umbra("vcpu-set web1 9"), 1);
    assert_non_null(strstr(err, "9 virtual CPUs are more than its maxvcpus, 8"));
    assert_int_equal(umbra("vcpu-set web1 5"), 1);
    assert_non_null(strstr(err, "more than the host's 4 CPUs (Numerical result out of range)\nhint: -i allows it"));
    assert_int_equal(umbra("vcpu-set -i web1 5"), 0);
    assert_string_equal(fake_node("/local/domain/3/cpu/4/availability"), "online");
    assert_int_equal(umbra("vcpu-set web1 0"), 2);
    assert_int_equal(umbra("vcpu-set web1 x"), 2);
    assert_int_equal(umbra("vcpu-set nobody 1"), 1);
}

static void test_sched(void **state)
{
    fake->domains[1].vcpus_max = 2;
    assert_int_equal(umbra("sched-credit2"), 0);
    assert_string_equal(out, "Name                                ID Weight  Cap\n"
                             "Domain-0                             0    256    0\n"
                             "web1                                 3    256    0\n");
    assert_int_equal(umbra("sched-credit2 -d web1 -w 512 -c 150"), 0);
    assert_int_equal(umbra("sched-credit2 -d web1 -w 300"), 0);
    assert_int_equal(umbra("sched-credit2 -d web1 --json"), 0);
    assert_string_equal(out, "[\n  {\n    \"domid\": 3,\n    \"name\": \"web1\",\n    \"weight\": 300,\n"
                             "    \"cap\": 150\n  }\n]\n");
    assert_int_equal(umbra("sched-credit2 -w 300"), 2);
    assert_int_equal(umbra("sched-credit2 -d web1 -w 0"), 2);
    assert_int_equal(umbra("sched-credit2 -d web1 -w 65536"), 2);
    assert_int_equal(umbra("sched-credit2 -d web1 -c 201"), 2);
    assert_non_null(strstr(err, "-c 201: a cap is 0 (none) to 200, 100 for each virtual CPU"));
    assert_int_equal(umbra("sched-credit2 -d web1 -c -1"), 2);
    assert_int_equal(umbra("sched-credit2 -d nobody"), 1);
    fake->act_fails = -EINVAL;
    assert_int_equal(umbra("sched-credit2 -d web1 -w 5"), 1);
}

static void test_list_long(void **state)
{
    static const char head[] =
        "[\n  {\n    \"domid\": 7,\n    \"config\": {\n      \"c_info\": {\n        \"type\": \"pv\",\n"
        "        \"name\": \"web2\",\n        \"domid\": 4294967295,\n        \"uuid\": \"";

    assert_int_equal(umbra("create -e g.json vcpus=2 cpus=1-2 cpu_weight=300 cmdline=quiet"), 0);
    assert_int_equal(umbra("list -l web2"), 0);
    assert_memory_equal(out, head, strlen(head));
    assert_non_null(strstr(out, "\"avail_vcpus\": [\n          0,\n          1\n        ]"));
    assert_non_null(strstr(out, "\"max_memkb\": 65536,\n        \"target_memkb\": 65536,"));
    assert_non_null(strstr(out, "\"weight\": 300,\n          \"cap\": 0\n"));
    assert_non_null(strstr(out, "\"cmdline\": \"quiet\""));
    assert_non_null(strstr(out, "\"arch_x86\": {\n          \"msr_relaxed\": \"False\"\n        }\n      },\n"
                                "      \"on_reboot\": \"restart\"\n    }"));
    assert_int_equal(umbra("create -e g.json name=most cpus=all,^1"), 0); /* of the host's four */
    assert_int_equal(umbra("list -l most"), 0);
    assert_non_null(strstr(out,
                           "\"vcpu_hard_affinity\": [\n          [\n            0,\n            2,\n            3\n"
                           "          ]\n        ]"));
    assert_int_equal(umbra("list -l web1"), 0);
    assert_null(strstr(out, "disks"));
    assert_int_equal(umbra("list -l nobody"), 1);
    fake->domains[1].dying = true;
    assert_int_equal(umbra("list -l 3"), 0);
    assert_string_equal(out, "[]\n");
}

static void test_control_domain_is_protected(void **state)
{
    static const char *const verbs[] = {"pause", "unpause", "shutdown", "reboot", "destroy"};
    char line[64], text[160];

    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        snprintf(line, sizeof(line), "%s %s", verbs[i], i % 2 ? "0" : "Domain-0");
        assert_int_equal(umbra(line), 1);
        snprintf(text, sizeof(text),
                 "domain 0 is the control domain (Operation not permitted)\nhint: to stop the host");
        assert_non_null(strstr(err, text));
    }
    assert_int_equal(umbra("console 0"), 1);
    assert_string_equal(fake->acts, "");
}

static void test_failure_shows_log(void **state)
{
    fake->act_fails = -EBUSY;
    fake->log = "(UM) d33 nothing\n(UM) d3v0 bad entry\n(UM) other\n(UM) dom3: killed\n";
    assert_int_equal(umbra("destroy web1"), 1);
    assert_string_equal(err, "umbra: destroy: web1: destroy: it does not want to (Device or resource busy)\n"
                             "hypervisor: (UM) d3v0 bad entry\nhypervisor: (UM) dom3: killed\n");
    assert_true(log_line_about("d3", 2, 3));
    assert_false(log_line_about("id3", 3, 3));
    assert_false(log_line_about("d31", 3, 3));
    assert_true(log_line_about("in domain 3!", 12, 3));
}

/* --- create
 * ------------------------------------------------------------------------------------------------------------ */

static void put(const char *file, const char *text)
{
    FILE *f = fopen(file, "w");

    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void test_create(void **state)
{
    put("k", "");
    put("g.json", "{\"name\":\"web2\",\"kernel\":\"k\",\"memory\":64,\"cpus\":\"0\"}");
    says("create -n g.json memory=\"128M\"", 0, "  \"memory\": 128,\n");
    assert_string_equal(fake->acts, "");
    assert_int_equal(umbra("create -e g.json vcpus=2"), 0);
    assert_string_equal(out, "web2: created as domain 7\n");
    assert_string_equal(fake->acts, "affinity 7;affinity 7;unpause 7;");
    says("list --json web2", 0, "\"vcpus\": 2,\n      \"maxvcpus\": 2");
    assert_int_equal(umbra("destroy web2"), 0);
    assert_int_equal(umbra("create -e g.json type=pvh hap=true name=web3"), 0);
    assert_string_equal(out, "web3: created as domain 8, with hap paging\n");
    assert_int_equal(umbra("destroy web3"), 0);
    assert_int_equal(umbra("create -e g.json type=pvh hap=false name=web3"), 0);
    assert_string_equal(out, "web3: created as domain 9, with shadow paging\n");
    assert_int_equal(umbra("destroy web3"), 0);
    assert_int_equal(umbra("create -e g.json type=pvh name=web3"), 0); /* the choice is told, and why it is that one */
    assert_string_equal(out, "web3: created as domain 10, with shadow paging (the host has no nested paging)\n");
    assert_int_equal(umbra("destroy web3"), 0);
    fake->capabilities = XEN_SYSCTL_PHYSCAP_hap;
    assert_int_equal(umbra("create -e g.json type=pvh name=web3"), 0);
    assert_string_equal(out, "web3: created as domain 11, with hap paging (the host has it)\n");
    assert_int_equal(umbra("destroy web3"), 0);
    says("--json create -e g.json type=pvh name=web3", 0, "\"paging\": \"hap\"");
    assert_int_equal(umbra("destroy web3"), 0);
    fake->next_domid = 8;
    fake->acts[0] = '\0';
    assert_int_equal(umbra("create -epq -f g.json name=\"web4\""), 0);
    assert_string_equal(out, "");
    assert_string_equal(fake->acts, "affinity 8;");
    assert_int_equal(umbra("destroy web4"), 0);
}

static void test_create_failures(void **state)
{
    assert_int_equal(umbra("create g.json memroy=1"), 2);
    assert_memory_equal(err, "argument 2: error: memroy: unknown key", 38);
    assert_int_equal(umbra("--json create g.json memroy=1"), 2);
    assert_non_null(strstr(err, "\"code\": \"E_UNKNOWN\""));
    fake->build_fails = -ENOMEM;
    fake->log = "(UM) old\n";
    fake->log_on_build = "(UM) old\n(UM) d8 over-allocation\n";
    assert_int_equal(umbra("create -e g.json"), 1);
    assert_string_equal(err, "umbra: create: web2: populate memory: 131072 KiB are missing (Cannot allocate memory)\n"
                             "hint: free some\nhypervisor: (UM) d8 over-allocation\n");
    assert_int_equal(fake->n, 2);
    /* No console: the guest, paused, is taken back. */
    fake->build_fails = 0;
    fake->acts[0] = '\0';
    assert_int_equal(umbra("create -ec g.json"), 1);
    assert_string_equal(fake->acts, "affinity 7;destroy 7;");
    assert_int_equal(fake->n, 2);
}

/* A bridge or a disk that is not there, or is in use, is found out before anything is built. */
static void test_create_devices(void **state)
{
    static const char *const missing[] = {"xenbr0", "/bin/sh"};

    for (int i = 0; i < 3; i++) {
        snprintf(fake->missing, sizeof(fake->missing), "%s", i < 2 ? missing[i] : "");
        if (i == 2)
            assert_int_equal(umbra("block-attach web1 /bin/sh,,xvda"), 0);
        fake->acts[0] = '\0';
        assert_int_equal(umbra("create -e g.json vif=[{}] disk=[\"/bin/sh,,xvda\"]"), 1);
        assert_non_null(strstr(err, i == 0   ? "there is no bridge xenbr0"
                                    : i == 1 ? "/bin/sh cannot be found"
                                             : "/bin/sh is in use by domain 3"));
        assert_string_equal(fake->acts, "");
        assert_int_equal(fake->n, 2);
        assert_int_equal(umbra("domid web2"), 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_prefixes, cli_fresh),
        cmocka_unit_test_setup(test_table, cli_fresh),
        cmocka_unit_test_setup(test_usage_errors, cli_fresh),
        cmocka_unit_test_setup(test_no_hypervisor, cli_fresh),
        cmocka_unit_test_setup(test_list, cli_fresh),
        cmocka_unit_test_setup(test_list_more, cli_fresh),
        cmocka_unit_test_setup(test_list_json, cli_fresh),
        cmocka_unit_test_setup(test_vcpu_list, cli_fresh),
        cmocka_unit_test_setup(test_cpu_ranges, cli_fresh),
        cmocka_unit_test_setup(test_info, cli_fresh),
        cmocka_unit_test_setup(test_info_paging, cli_fresh),
        cmocka_unit_test_setup(test_dmesg, cli_fresh),
        cmocka_unit_test_setup(test_dmesg_previous, cli_fresh),
        cmocka_unit_test_setup(test_audit, cli_fresh),
        cmocka_unit_test_setup(test_shadow_verbs, cli_fresh),
        cmocka_unit_test_setup(test_shadow_dump, cli_fresh),
        cmocka_unit_test_setup(test_identity, cli_fresh),
        cmocka_unit_test_setup(test_control, cli_fresh),
        cmocka_unit_test_setup(test_control_domain_is_protected, cli_fresh),
        cmocka_unit_test_setup(test_holders, cli_fresh),
        cmocka_unit_test_setup(test_claims, cli_fresh),
        cmocka_unit_test_setup(test_rename, cli_fresh),
        cmocka_unit_test_setup(test_uptime, cli_fresh),
        cmocka_unit_test_setup(test_sysrq_and_trigger, cli_fresh),
        cmocka_unit_test_setup(test_vcpu_pin, cli_fresh),
        cmocka_unit_test_setup(test_vcpu_set, cli_fresh),
        cmocka_unit_test_setup(test_sched, cli_fresh),
        cmocka_unit_test_setup(test_failure_shows_log, cli_fresh),
        cmocka_unit_test_setup(test_create, cli_fresh),
        cmocka_unit_test_setup(test_create_failures, cli_fresh),
        cmocka_unit_test_setup(test_create_devices, cli_fresh),
        cmocka_unit_test_setup(test_rename_of_ours, cli_fresh),
        cmocka_unit_test_setup(test_device_verbs, cli_fresh),
        cmocka_unit_test_setup(test_list_long, cli_fresh),
        cmocka_unit_test_setup(test_config_usage, cli_fresh),
        cmocka_unit_test_setup(test_config_schema, cli_fresh),
        cmocka_unit_test_setup(test_config_validate, cli_fresh),
        cmocka_unit_test_setup(test_config_convert, cli_fresh),
        cmocka_unit_test_setup(test_config_get, cli_fresh),
        cmocka_unit_test_setup(test_config_get_failures, cli_fresh),
        cmocka_unit_test_setup(test_config_without_xml, cli_fresh),
        cmocka_unit_test_setup(test_create_from_xl, cli_fresh),
        cmocka_unit_test_setup(test_settings_of_guests, cli_fresh),
        cmocka_unit_test_setup(test_settings_of_networks, cli_fresh),
        cmocka_unit_test_setup(test_settings_broken, cli_fresh),
        cmocka_unit_test_setup(test_settings_shown, cli_fresh),
        cmocka_unit_test_setup(test_escape, cli_fresh),
        cmocka_unit_test_setup(test_terminal, cli_fresh),
        cmocka_unit_test_setup(test_terminal_stuck, cli_fresh),
        cmocka_unit_test_setup(test_terminal_file, cli_fresh),
        cmocka_unit_test_setup(test_terminal_hangup, cli_fresh),
        cmocka_unit_test_setup(test_console_log, cli_fresh),
        cmocka_unit_test_setup(test_console_log_refused, cli_fresh),
    };

    return cmocka_run_group_tests(tests, cli_setup, cli_teardown);
}
