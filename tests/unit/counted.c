// SPDX-License-Identifier: BSD-2-Clause
/* See counted.h. */
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <asm/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unicorn/unicorn.h>
#include "counted.h"

#define STACK (1u << 20)

static uc_engine *engine;
static uint8_t stack[STACK] __attribute__((aligned(4096)));
static uint64_t instructions, fs_base;

static void check(uc_err err, const char *what)
{
    if (err != UC_ERR_OK)
        fail_msg("unicorn, %s: %s", what, uc_strerror(err));
}

/* Where functions return to; never executed. */
static void back(void)
{
}

static void count(uc_engine *uc, uint64_t address, uint32_t size, void *ctx)
{
    instructions++;
}

static void refuse(uc_engine *uc, void *ctx)
{
    uc_emu_stop(uc);
}

/* A line of /proc/self/maps. */
static void map(uint64_t from, uint64_t to, const char *rights, const char *name)
{
    uint32_t prot = UC_PROT_READ | (rights[1] == 'w' ? UC_PROT_WRITE : 0) | (rights[2] == 'x' ? UC_PROT_EXEC : 0);

    if (rights[0] == 'r' && !strstr(name, "[v")) /* not vvar, vdso, vsyscall */
        check(uc_mem_map_ptr(engine, from, to - from, prot, (void *)from), name);
}

void counted_begin(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[512], rights[8], name[256];
    uint64_t from, to;
    uc_hook hook;

    assert_non_null(maps);
    check(uc_open(UC_ARCH_X86, UC_MODE_64, &engine), "open");
    while (fgets(line, sizeof(line), maps)) {
        name[0] = '\0';
        assert_true(sscanf(line, "%" SCNx64 "-%" SCNx64 " %7s %*s %*s %*s %255s", &from, &to, rights, name) >= 3);
        map(from, to, rights, name);
    }
    fclose(maps);
    assert_int_equal(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_base), 0);
    check(uc_hook_add(engine, &hook, UC_HOOK_CODE, (void *)count, NULL, (uint64_t)1, (uint64_t)0), "hook");
    check(uc_hook_add(engine, &hook, UC_HOOK_INSN, (void *)refuse, NULL, (uint64_t)1, (uint64_t)0, UC_X86_INS_SYSCALL),
          "hook");
}

uint64_t counted(void (*run)(void))
{
    uint64_t end = (uint64_t)back, rsp = (uint64_t)(stack + STACK - 64), rip = 0;

    rsp -= 8; /* as after a call */
    memcpy((void *)rsp, &end, sizeof(end));
    instructions = 0;
    check(uc_reg_write(engine, UC_X86_REG_RSP, &rsp), "rsp");
    check(uc_reg_write(engine, UC_X86_REG_FS_BASE, &fs_base), "fs");
    check(uc_emu_start(engine, (uint64_t)run, end, 0, 0), "run");
    check(uc_reg_read(engine, UC_X86_REG_RIP, &rip), "rip");
    if (rip != end)
        fail_msg("the function has not come back: it is at %#" PRIx64, rip);
    return instructions;
}

void counted_end(void)
{
    check(uc_close(engine), "close");
}
