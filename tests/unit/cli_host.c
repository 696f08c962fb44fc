/* SPDX-License-Identifier: BSD-2-Clause */
/* Verbs for the host's own care: `set-parameters`; `completion`, which bash sources here; `bug-info`; `autostart`. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "cli/autostart.h"
#include "cli/cli.h"
#include "cli/cmd_bug_info.h"
#include "cli/guest.h"
#include "cli/lock.h"
#include "cli_run.h"
#include "fake_ctl.h"

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* --- set-parameters --------------------------------------------------------------------------------------------------
 */

void test_set_parameters(void **state)
{
    assert_int_equal(umbra("set-parameters level=a/b no-switch\t\tlevel=c=d"), 0);
    assert_string_equal(out, "level=a/b\nswitch=off\nlevel=c=d\n");
    assert_int_equal(umbra("set-parameters switch"), 0);
    assert_string_equal(out, "switch=on\n");
    assert_int_equal(umbra("--json set-parameters switch=off level=x"), 0);
    assert_non_null(strstr(out, "\"schema\": \"umbra.parameters/1\""));
    assert_non_null(strstr(out, "\"name\": \"switch\",\n      \"value\": \"off\"\n"));
    assert_int_equal(umbra("set-parameters"), 2);
    assert_int_equal(umbra("set-parameters level=y lvel=z level=last"), 1); /* the words before it are set */
    assert_non_null(strstr(err, "umbra: set-parameters: lvel: set a word: there is no such word"));
    assert_string_equal(fake->parameter.level, "y");
    assert_int_equal(umbra("set-parameters no-more"), 1);
    assert_non_null(strstr(err, ": more: "));
    assert_int_equal(umbra("set-parameters no-level"), 1);
    assert_non_null(strstr(err, ": level: read the value: it is no switch: give a value, level=VALUE"));
    assert_int_equal(umbra("set-parameters level=longer-than-that"), 1);
    assert_non_null(strstr(err, ": level: set a word: no such value (Invalid argument)"));
    assert_int_equal(umbra("--json set-parameters switch=on other=1"), 1);
    assert_string_equal(out, "");
    assert_non_null(strstr(err, "\"subject\": \"other\""));
    assert_int_equal(umbra("set-parameters \t"), 0);
}

/* --- completion ------------------------------------------------------------------------------------------------------
 */

/* What bash would offer after these words; the last one is begun. */
static const char *offers(const char *words)
{
    static char text[4096];
    char line[1024];
    FILE *f;
    size_t n;

    snprintf(
        line, sizeof(line),
        "PATH=.:$PATH bash -c 'set -u; . ./script; COMP_WORDS=(%s); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _umbra; "
        "echo ${COMPREPLY[@]+\"${COMPREPLY[@]}\"}' 2>&1",
        words);
    f = popen(line, "r");
    n = fread(text, 1, sizeof(text) - 1, f);
    text[n] = '\0';
    assert_int_equal(pclose(f), 0);
    return text;
}

void test_completion(void **state)
{
    assert_int_equal(umbra("completion fish"), 2);
    assert_non_null(strstr(err, "there are bash and zsh"));
    fake->present = false; /* it is not asked */
    assert_int_equal(umbra("completion zsh"), 0);
    assert_non_null(strstr(out, "bashcompinit\n"));
    assert_int_equal(umbra("completion bash"), 0);
    for (const struct command *c = commands; c->name; c++) {
        char line[64];

        snprintf(line, sizeof(line), "\n    %s) options='", c->name);
        assert_non_null(strstr(out, line));
    }
}

void test_completion_script(void **state)
{
    static const struct {
        const char *words, *offered;
    } cases[] = {
        {"umbra mem", "mem-set mem-max\n"},
        {"umbra --json mem-s", "mem-set\n"},
        {"umbra pause \"\"", "Domain-0 web1 web2\n"},
        {"umbra pause web", "web1 web2\n"},
        {"umbra pause web1 \"\"", "\n"},
        {"umbra shutdown web1 w", "web1 web2\n"},
        {"umbra shutdown --w", "--wait\n"},
        {"umbra rename web1 w", "\n"},
        {"umbra migrate -o f", "force\n"},
        {"umbra migrate -o force w", "web1 web2\n"},
        {"umbra migrate --on-timeout \"\"", "cancel force\n"},
        {"umbra sched-credit2 -d w", "web1 web2\n"},
        {"umbra save web1 scri", "script\n"},
        {"umbra create scri", "script\n"},
        {"umbra shadow s", "stats\n"},
        {"umbra shadow stats w", "web1 web2\n"},
        {"umbra config sch", "schema\n"},
        {"umbra config validate scri", "script\n"},
        {"umbra autostart \"\"", "enable disable list run stop\n"},
        {"umbra completion b", "bash\n"},
        {"umbra help comp", "completion\n"},
        {"umbra no-such-verb w", "\n"},
        {"umbra -", "--json --help\n"},
    };

    write_file("umbra", "#!/bin/sh\nprintf 'Name ID\\nDomain-0 0\\nweb1 3\\nweb2 4\\n'\n"
                        "echo '$(touch${IFS}run-by-bash) 5'; echo '`touch${IFS}run-by-bash` 6'; echo 'a;b 7'\n");
    assert_int_equal(chmod("umbra", 0755), 0);
    assert_int_equal(umbra("completion bash"), 0);
    write_file("script", out);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *offered = offers(cases[i].words);

        if (strcmp(offered, cases[i].offered) != 0)
            fail_msg("%s: %s", cases[i].words, offered);
    }
    assert_int_equal(access("run-by-bash", F_OK), -1); /* other tools take any name, which bash would expand */
    unlink("umbra");
    unlink("script");
}

/* --- bug-info --------------------------------------------------------------------------------------------------------
 */

static const char *shown(const char *text)
{
    static char buffer[512];
    FILE *f = tmpfile();
    size_t n;

    bug_info_put(f, text);
    rewind(f);
    n = fread(buffer, 1, sizeof(buffer) - 1, f);
    buffer[n] = '\0';
    fclose(f);
    return buffer;
}

void test_bug_info(void **state)
{
    assert_string_equal(shown("root=/dev/xvda password=abc,d quiet"), "root=/dev/xvda password=(hidden) quiet");
    assert_string_equal(shown("{\"cmdline\":\"a DB_PASS=x\",\"name\":\"w\"}"),
                        "{\"cmdline\":\"a DB_PASS=(hidden)\",\"name\":\"w\"}");
    assert_string_equal(shown("ApiToken= next\nsecret=x"), "ApiToken=(hidden) next\nsecret=(hidden)");
    assert_string_equal(shown("a==b c = d =e ="), "a==b c = d =e =");
    assert_string_equal(shown("{\"cmdline\":\"a pass=\\\"two words\\\" quiet\"}"),
                        "{\"cmdline\":\"a pass=(hidden) quiet\"}");
    assert_string_equal(shown("token='two words' quiet"), "token=(hidden) quiet");
    assert_string_equal(shown("token=\"two words\" quiet"), "token=(hidden) quiet");
    assert_string_equal(shown("key='never closed\nnext line"), "key=(hidden)\nnext line");
    assert_string_equal(shown("{\"password\": \"two \\\" words\", \"vcpus\": 2}"),
                        "{\"password\": (hidden), \"vcpus\": 2}");
    assert_string_equal(shown("passphrase: two\nid: 3"), "passphrase: (hidden)\nid: 3");
    assert_string_equal(shown("a \033[2Jred\x9b\ttab\r\n"), "a ?[2Jred?\ttab?\n");
    assert_string_equal(shown(""), "");
    fake->log = "(XEN) first\n(XEN) d3 key=7\n";
    guest_log_dir = ".";
    write_file("supervisor.log", "web1: domain 2 crashed\n");
    assert_int_equal(umbra("bug-info"), 0);
    assert_non_null(strstr(out, "==== the supervisor's log, its end\nweb1: domain 2 crashed\n"));
    unlink("supervisor.log");
    assert_string_equal(err, "");
    assert_non_null(strstr(out, "==== versions\numbra "));
    assert_non_null(strstr(out, "==== list\nName "));
    assert_non_null(strstr(out, "\nweb1 "));
    assert_non_null(strstr(out, "(XEN) first\n(XEN) d3 key=(hidden)\n"));
    fake->store_fails = -EIO;
    assert_int_equal(umbra("bug-info"), 0);
    assert_non_null(strstr(out, "xenstored does not answer"));
    assert_non_null(strstr(out, "==== /proc/meminfo\nMemTotal"));
    fake->present = false;
    assert_int_equal(umbra("bug-info"), 0);
    assert_non_null(strstr(out, "there is no hypervisor"));
    assert_int_equal(umbra("--json bug-info"), 2);
}

/* --- autostart -------------------------------------------------------------------------------------------------------
 */

/* Its kernel is named by its whole path. */
static void write_guest(const char *path, const char *name, const char *rest)
{
    char directory[256], text[512];

    assert_non_null(getcwd(directory, sizeof(directory)));
    snprintf(text, sizeof(text), "{\"name\":\"%s\",\"memory\":64,\"kernel\":\"%s/k\"%s}", name, directory, rest);
    write_file(path, text);
}

static void fresh_directories(void)
{
    autostart_dir = "etc/auto";
    autostart_saved = "saved";
    assert_int_equal(system("rm -rf etc saved"), 0);
    write_file("k", "kernel");
    write_guest("b.json", "second", "");
    write_guest("a.json", "first", ",\"on_host_shutdown\":\"save\"");
}

static void remove_directories(void)
{
    assert_int_equal(system("rm -rf etc saved k a.json b.json"), 0);
}

void test_autostart_links(void **state)
{
    char text[256];

    fresh_directories();
    assert_int_equal(umbra("autostart list"), 0);
    assert_string_equal(out, "Name                             State    File\n");
    assert_int_equal(umbra("autostart enable ./b.json"), 0);
    assert_string_equal(out, "second: enabled\n");
    assert_int_equal(umbra("--json autostart enable a.json"), 0);
    assert_non_null(
        strstr(out, "\"schema\": \"umbra.autostart/1\",\n  \"name\": \"first\",\n  \"autostart\": \"enabled\""));
    assert_true(readlink("etc/auto/second.json", text, sizeof(text)) > 0);
    fake_add(8, "second");
    assert_int_equal(umbra("--json autostart list"), 0);
    assert_non_null(strstr(out, "\"name\": \"first\""));
    assert_true(strstr(out, "\"first\"") < strstr(out, "\"second\""));
    assert_non_null(strstr(strstr(out, "\"second\""), "\"running\": true"));
    assert_int_equal(umbra("autostart enable b.json"), 1);
    assert_non_null(strstr(err, "enabled already"));
    assert_int_equal(umbra("autostart disable second"), 0);
    assert_int_equal(access("b.json", F_OK), 0);
    assert_int_equal(umbra("autostart disable second"), 1);
    assert_non_null(strstr(err, "not enabled"));
    /* a file of its own is put aside */
    write_file("etc/auto/third.json", "{}");
    assert_int_equal(umbra("autostart disable third"), 0);
    assert_int_equal(access("etc/auto/third.json.off", F_OK), 0);
    assert_int_equal(umbra("autostart list"), 0);
    assert_null(strstr(out, "third"));
    /* not over what lies there */
    write_file("etc/auto/third.json", "{ }");
    assert_int_equal(umbra("autostart disable third"), 1);
    assert_non_null(strstr(err, "third.json.off"));
    assert_non_null(strstr(err, "older configuration"));
    assert_int_equal(access("etc/auto/third.json", F_OK), 0);
    unlink("etc/auto/third.json");
    remove_directories();
}

/* A file in xl's form may stand there as it is; of what is called otherwise it is told that it is not read. */
void test_autostart_forms(void **state)
{
    fresh_directories();
    assert_int_equal(system("mkdir -p etc/auto second"), 0);
    write_file("etc/auto/second.cfg", "name='second'\nmemory=64\nkernel='k'\n");
    write_file("etc/auto/README", "x");
    write_file("etc/auto/old.json.off", "x");
    assert_int_equal(umbra("autostart list"), 0);
    assert_non_null(strstr(out, "second                           -        etc/auto/second.cfg\n"));
    assert_int_equal(umbra("autostart enable b.json"), 1);
    assert_non_null(strstr(err, "second.cfg"));
    assert_non_null(strstr(err, "enabled already"));
    assert_int_equal(umbra("create -eq b.json"), 0);
    assert_int_equal(umbra("autostart enable second"), 1);
    assert_non_null(strstr(err, "enabled already"));
    assert_int_equal(umbra("autostart run"), 0);
    assert_string_equal(err, "umbra: autostart: etc/auto/README: not read: its name ends in neither .json nor .cfg\n");
    assert_string_equal(out, "second: is there already\n");
    assert_int_equal(umbra("autostart disable second"), 0);
    assert_int_equal(access("etc/auto/second.cfg.off", F_OK), 0);
    /* the directory of that name is not what is meant */
    assert_int_equal(umbra("autostart enable second"), 0);
    assert_int_equal(system("test $(stat -c %a etc/auto/second.json) = 600 && rmdir second"), 0);
    remove_directories();
}

/* Of a guest that was renamed: what is written down has its new name. */
void test_autostart_renamed(void **state)
{
    fresh_directories();
    assert_int_equal(umbra("create -eq b.json"), 0);
    assert_int_equal(umbra("rename second shop"), 0);
    assert_int_equal(umbra("autostart enable shop"), 0);
    assert_int_equal(umbra("config get etc/auto/shop.json name"), 0);
    assert_string_equal(out, "shop\n");
    remove_directories();
}

void test_autostart_refused(void **state)
{
    static const char *const lines[] = {"autostart",          "autostart start",        "autostart enable",
                                        "autostart list one", "autostart disable ../k", "autostart stop -t x"};

    fresh_directories();
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        assert_int_equal(umbra(lines[i]), 2);
    assert_int_equal(umbra("autostart enable nobody"), 1);
    assert_non_null(strstr(err, "neither a file nor a guest"));
    assert_int_equal(umbra("autostart enable ./none.json"), 2);
    write_file("bad.json", "{\"name\":\"bad\",\"memroy\":64}");
    assert_int_equal(umbra("autostart enable bad.json"), 2);
    assert_non_null(strstr(err, "memroy"));
    assert_int_equal(umbra("--json autostart enable bad.json"), 2);
    assert_non_null(strstr(err, "umbra.diagnostics/1"));
    assert_int_equal(access("etc", F_OK), -1);
    remove_directories();
}

/* At boot nobody is in the directory from which a file was enabled. */
void test_autostart_relative(void **state)
{
    fresh_directories();
    write_file("bad.json", "{\"name\":\"bad\",\"memory\":64,\"kernel\":\"k\",\"ramdisk\":\"./absent\"}");
    assert_int_equal(umbra("create -n bad.json ramdisk=k"), 0);
    assert_int_equal(umbra("autostart enable bad.json"), 2);
    assert_non_null(strstr(err, "bad.json:1:36: error: kernel: \"k\" does not begin with \"/\", "));
    assert_non_null(strstr(err, "bad.json:1:50: error: ramdisk: \"./absent\" does not begin with"));
    assert_non_null(strstr(err, "write its whole path"));
    assert_null(strstr(err, "cannot be read"));
    assert_int_equal(access("etc", F_OK), -1);
    write_guest("bad.json", "bad", ",\"ramdisk\":\"k\"");
    assert_int_equal(umbra("autostart enable bad.json"), 2);
    assert_null(strstr(err, "error: kernel"));
    write_guest("bad.json", "bad", "");
    assert_int_equal(umbra("autostart enable bad.json"), 0);
    remove_directories();
}

/* Another process, which holds a lock. */
static pid_t begin_holder(off_t lock)
{
    int ready[2];
    char byte;
    pid_t child;

    assert_int_equal(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        lock_forget();
        if (lock_try(lock) == 0 && write(ready[1], "", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

/* `create` would start one: another process is it already. */
static pid_t begin_supervisor(void)
{
    return begin_holder(LOCK_SUPERVISOR);
}

static void end_supervisor(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

static bool record_of(const char *name)
{
    char path[64];

    snprintf(path, sizeof(path), "/umbra/name/%s", name);
    return fake_node(path) != NULL;
}

/* In order of the files' names; what fails leaves the others alone. */
void test_autostart_run(void **state)
{
    pid_t supervisor, stopper;

    fresh_directories();
    supervisor = begin_supervisor();
    assert_int_equal(system("mkdir -p etc/auto && cp a.json etc/auto/20.json && cp b.json etc/auto/10.json"), 0);
    stopper = begin_holder(LOCK_STOPPING);
    assert_int_equal(umbra("autostart run"), 1);
    assert_non_null(strstr(err, "all guests are being stopped: no more are started"));
    assert_false(record_of("first") || record_of("second"));
    end_supervisor(stopper);
    write_file("etc/auto/15.json", "{\"name\":");
    write_file("etc/auto/readme", "no guest");
    assert_int_equal(umbra("autostart run"), 1);
    assert_non_null(strstr(err, "15.json"));
    assert_true(record_of("first") && record_of("second"));
    assert_int_equal(fake->domains[2].domid, 7);
    assert_string_equal(fake->domains[2].name, "second");
    assert_string_equal(fake->domains[3].name, "first");
    unlink("etc/auto/15.json");
    assert_int_equal(umbra("autostart run"), 0);
    assert_non_null(strstr(out, "second: is there already\nfirst: is there already\n"));
    assert_int_equal(fake->n, 4);
    end_supervisor(supervisor);
    remove_directories();
}

void test_autostart_stop(void **state)
{
    pid_t supervisor;

    fresh_directories();
    supervisor = begin_supervisor();
    assert_int_equal(umbra("create -q -e a.json"), 0);
    assert_int_equal(umbra("create -q -e b.json"), 0);
    fake->ends[0] = -1;
    assert_int_equal(umbra("autostart stop -t 20"), 0);
    assert_non_null(strstr(fake->acts, "poweroff 8;"));
    assert_null(strstr(fake->acts, "poweroff 7;"));
    assert_null(strstr(fake->acts, "poweroff 3;")); /* another tool's, which sees to it */
    assert_int_equal(access("saved/first.save", F_OK), 0);
    assert_false(record_of("first"));
    /* comes back from there, and the file is done with */
    assert_int_equal(umbra("autostart run"), 0);
    assert_true(record_of("first"));
    assert_int_equal(access("saved/first.save", F_OK), -1);
    assert_int_equal(access("saved/.first.save", F_OK), -1);
    /* one that came back by hand has run since: what was saved of it is never restored again */
    write_file("saved/first.save", "old");
    assert_int_equal(umbra("autostart run"), 0);
    assert_int_equal(access("saved/first.save", F_OK), -1);
    assert_int_equal(access("saved/.first.save", F_OK), 0);
    assert_non_null(strstr(err, "it has run since it was saved"));
    assert_int_equal(umbra("autostart run"), 0);
    assert_non_null(strstr(err, "saved/.first.save: not restored"));
    write_file("saved/second.save", "old");
    fake->ends[0] = fake->ends[1] = -1;
    assert_int_equal(umbra("autostart stop -t 20"), 0);
    assert_int_equal(access("saved/second.save", F_OK), -1);
    assert_int_equal(umbra("autostart run"), 0);
    assert_true(record_of("first"));
    /* one whose restore ended badly, though it runs: the file is not restored once more */
    fake->ends[0] = -1;
    assert_int_equal(umbra("autostart stop -t 20"), 0);
    assert_int_equal(access("saved/first.save", F_OK), 0);
    assert_int_equal(unlink("out") || symlink("/dev/full", "out"), 0);
    assert_int_equal(umbra("autostart run"), 1);
    assert_int_equal(unlink("out"), 0);
    assert_non_null(strstr(err, "it may run: what was saved of it stays aside"));
    assert_true(record_of("first"));
    assert_int_equal(access("saved/first.save", F_OK), -1);
    assert_int_equal(unlink("saved/.first.save"), 0);
    /* one that cannot be read stays, and its guest is not made anew */
    assert_int_equal(umbra("destroy first"), 0);
    assert_int_equal(system("mkdir -p etc/auto saved && cp a.json etc/auto && echo damaged >saved/first.save"), 0);
    fake->store_fails = -EAGAIN; /* nobody says whether it runs: nothing is done with the file */
    assert_int_equal(umbra("autostart run"), 1);
    assert_non_null(strstr(err, "umbra: autostart: first: ask xenstore:"));
    assert_null(strstr(err, "umbra: restore"));
    assert_int_equal(access("saved/first.save", F_OK), 0);
    fake->store_fails = 0;
    assert_int_equal(umbra("autostart run"), 1);
    assert_non_null(strstr(err, "could not be restored"));
    assert_false(record_of("first"));
    assert_int_equal(access("saved/first.save", F_OK), 0);
    end_supervisor(supervisor);
    remove_directories();
}
