// SPDX-License-Identifier: BSD-2-Clause
/* See shadow_guest.h. */
#include <hv/x86.h>
#include "shadow_guest.h"

void guest_4(unsigned long pool)
{
    model_begin(pool);
    for (unsigned int level = 4; level > 1; level--)
        model_store(level * PAGE_SIZE, 8, (level - 1) << PAGE_SHIFT | ALL);
    CPU->guest.cr0 = PAGED;
    CPU->guest.cr3 = 4 * PAGE_SIZE;
    CPU->guest.cr4 = CR4_PAE;
    CPU->guest.efer = EFER_LME | EFER_LMA | EFER_NXE;
    model_load(CPU);
}

int shadow_begin_4(void **state)
{
    guest_4(400);
    return 0;
}

int shadow_end(void **state)
{
    model_end();
    return 0;
}

void map(unsigned int index, uint64_t gfn, uint64_t flags)
{
    model_store(PAGE_SIZE + index * 8, 8, gfn << PAGE_SHIFT | flags);
}

struct access go_on(struct test_vcpu *t, uint64_t linear, enum oracle_kind kind, bool user)
{
    struct access a = {.linear = linear, .kind = kind, .user = user};

    model_run(t, &a);
    model_check(t, &a);
    if (a.result == SHADOW_FIXED)
        tlb_remember(t, &a);
    tlb_check();
    return a;
}

struct access go(uint64_t linear, enum oracle_kind kind, bool user)
{
    return go_on(CPU, linear, kind, user);
}

uint64_t leaf(uint64_t linear, unsigned int *level)
{
    const struct shadow_page *sp = CPU->v.root;

    for (;;) {
        spte_t e = sp->entry[(linear >> (12 + 9 * (sp->role.level - 1))) & 511];

        *level = sp->role.level;
        if (!spte_present(e) || spte_is_leaf(e, *level))
            return e.n;
        sp = page_of_frame(d->shadow, spte_mfn(e));
    }
}

enum emulate_result execute(struct emul *e, struct cpu_user_regs *regs, const char *code, unsigned int n)
{
    static const struct emul_segment flat[SEG_COUNT];

    for (unsigned int i = 0; i < n; i++)
        model_store(CODE * PAGE_SIZE + i, 1, (uint8_t)code[i]);
    map(50, CODE, ALL);
    regs->rip = 50 * PAGE_SIZE;
    *e = (struct emul){.mode = INSN_64, .regs = regs, .seg = flat};
    return shadow_emulate(&CPU->v, e, false, false);
}
