// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: vCPU 0 writes to its L1 table directly, so that the hypervisor fetches and decodes the instruction; vCPU 1
 * rewrites that very instruction and its operand all the time. Whatever is decoded is judged for what it does: the
 * entry never maps a page table writably.
 */
#include "guest.h"

#define ROUNDS 1500

static uint8_t code[64] __attribute__((aligned(64)));
static unsigned long *slot, harmless, evil;

static void morph(void)
{
    /* mov %rax, (%rdi); lock or %rax, (%rdi); xchg %rax, (%rdi); mov %eax, (%rdi); ud2; a prefix without end */
    static const uint8_t forms[][8] = {
        {0x48, 0x89, 0x07, 0xc3},
        {0xf0, 0x48, 0x09, 0x07, 0xc3},
        {0x48, 0x87, 0x07, 0xc3},
        {0x89, 0x07, 0xc3, 0xc3},
        {0x0f, 0x0b, 0xc3, 0xc3},
        {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66},
        {0x48, 0xc7, 0x07, 7, 0, 0, 0, 0xc3},
    };

    for (unsigned int i = 0; !stop; i++)
        WRITE_ONCE(*(uint64_t *)code, *(const uint64_t *)forms[i % ARRAY_SIZE(forms)]);
}

static void execute(void *arg)
{
    void *to = slot;
    unsigned long value = P(arg);

    __asm__ __volatile__("call *%2" : "+D"(to), "+a"(value) : "r"(code) : "memory", "rcx", "rdx", "cc");
}

void guest_main(void)
{
    void *page = new_page();
    unsigned int stored = 0;

    REQUIRE(HYPERCALL2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables) == 0);
    slot = entry_of(page, 1);
    harmless = *slot & ~(PTE_A | PTE_D);
    evil = make_pte(mfn_of(slot), PTE_P | PTE_RW | PTE_US);
    code[0] = code[8] = 0xc3;
    start_vcpu(1, morph);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        unsigned long now;

        (void)faults(execute, (void *)(i & 1 ? evil : harmless), NULL);
        now = READ_ONCE(*slot);
        CHECK((now & (PTE_P | PTE_RW)) != (PTE_P | PTE_RW) || (now & PTE_ADDR) != (evil & PTE_ADDR));
        stored += now != harmless;
        REQUIRE(mmu_store(slot, i & 2 ? evil & ~PTE_RW : harmless) == 0);
    }
    stop = true;
    wait_vcpu(1);
    CHECK_READONLY(slot);
    say("%u stores went through", stored);
}
