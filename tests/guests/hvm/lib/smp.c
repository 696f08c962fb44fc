// SPDX-License-Identifier: BSD-2-Clause
/*
 * A second CPU, started as the manuals say: INIT and a start-up message by way of the local APIC, whose registers are
 * memory at APIC. There are no interrupts afterwards; the CPUs tell each other by memory.
 */
#include "smp.h"
#include "internal.h"

#define APIC     0xfee00000ul
#define ICR_LOW  0x300
#define ICR_HIGH 0x310
#define SPURIOUS 0x0f0
#define INIT     0x000c4500 /* to all but this one */
#define STARTUP  0x000c4600

uint32_t smp_mode[4];
volatile bool stop;
extern const uint8_t smp_code[], smp_code_end[];
void smp_main(void);

static volatile bool running;
static void (*job)(void);

void smp_main(void)
{
    init_traps(1);
    running = true;
    job();
    running = false;
    for (;;)
        __asm__ __volatile__("cli; hlt");
}

static void send(uint32_t message)
{
    *at(APIC + ICR_HIGH) = 0;
    *at(APIC + ICR_LOW) = message;
}

void start_cpu(void (*fn)(void))
{
    volatile uint8_t *code = (volatile uint8_t *)SMP_CODE;

    for (unsigned int i = 0; i < (unsigned int)(smp_code_end - smp_code); i++)
        code[i] = smp_code[i];
    map(APIC, (void *)APIC, PTE_P | PTE_RW | PTE_A | PTE_D);
    if (LEVELS == 3)
        reload_cr3(); /* its pointer may be new */
    smp_mode[0] = (uint32_t)read_cr0();
    smp_mode[1] = (uint32_t)read_cr3();
    smp_mode[2] = (uint32_t)read_cr4();
    smp_mode[3] = LEVELS > 2 ? (uint32_t)read_msr(MSR_EFER) & (EFER_LME | EFER_NXE) : 0;
    stop = running = false;
    job = fn;
    *at(APIC + SPURIOUS) = 0x1ff;
    send(INIT);
    for (unsigned int i = 0; i < 100000 && !running; i++)
        if (i % 10000 == 100)
            send(STARTUP | SMP_CODE >> 12);
    WAIT_FOR(running);
}

void stop_cpu(void)
{
    stop = true;
    WAIT_FOR(!running);
}
