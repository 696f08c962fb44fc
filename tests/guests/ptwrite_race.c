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

/*
 * A byte at a time, since not every processor fetches several in one piece: every mixture is a form too, and changes no
 * register but rax. mov, xchg, or, xor, add %rax, (%rdi), and one that faults; with REX.W, 16 bits, LOCK, or 32 bits.
 */
static void morph(void)
{
    static const uint8_t prefix[] = {0x48, 0x66, 0xf0, 0x90}, opcode[] = {0x89, 0x87, 0x09, 0x31, 0x01, 0x0f};

    for (unsigned int i = 0; !stop; i++) {
        WRITE_ONCE(code[0], prefix[i % ARRAY_SIZE(prefix)]);
        WRITE_ONCE(code[1], opcode[i / 3 % ARRAY_SIZE(opcode)]);
    }
}

static void execute(void *arg)
{
    void *to = slot;
    unsigned long value = P(arg);

    __asm__ __volatile__("call *%2" : "+D"(to), "+a"(value) : "r"(code) : "memory", "rcx", "rdx", "cc");
}

static void put_back(unsigned long value)
{
    long rc = mmu_store(slot, value);

    if (rc)
        say("%lx instead of %lx: %ld", value, READ_ONCE(*slot), rc);
    REQUIRE(rc == 0);
}

void guest_main(void)
{
    void *page = new_page();
    unsigned int stored = 0;

    REQUIRE(HYPERCALL2(__HYPERVISOR_vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables) == 0);
    slot = entry_of(page, 1);
    harmless = *slot & ~(PTE_A | PTE_D);
    evil = make_pte(mfn_of(slot), PTE_P | PTE_RW | PTE_US);
    __builtin_memcpy(code, "\x48\x89\x07\xc3", 4);
    start_vcpu(1, morph);
    for (unsigned int i = 0; i < ROUNDS; i++) {
        unsigned long now;

        (void)faults(execute, (void *)(i & 1 ? evil : harmless), NULL);
        now = READ_ONCE(*slot);
        CHECK((now & (PTE_P | PTE_RW)) != (PTE_P | PTE_RW) || (now & PTE_ADDR) != (evil & PTE_ADDR));
        stored += now != harmless;
        put_back(i & 2 ? evil & ~PTE_RW : harmless);
    }
    stop = true;
    wait_vcpu(1);
    CHECK_READONLY(slot);
    say("%u stores went through", stored);
}
