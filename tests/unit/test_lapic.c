// SPDX-License-Identifier: BSD-2-Clause
/* The local APIC of guests: registers, priorities, messages, timer; what is injected when; INIT and start-up. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/x86.h>
#include <xen/sched.h>
#include "../../hypervisor/hvm/lapic.h"
#include "lapic_host.h"
#include "fake/fake.h"

static struct domain d;
static struct vcpu vcpus[VCPUS], *table[VCPUS];
static struct hvm_vcpu hvm[VCPUS];

/* ---- access ---- */

#define EN     0x800ull
#define EXTD   0x400ull
#define BSP    0x100ull
#define BASE   0xfee00000ull
#define FIXED  0x4000u
#define NMI    0x4400u
#define INIT   0x4500u
#define SIPI   0x4600u
#define LOWEST 0x4100u

static struct lapic *apic(unsigned int n)
{
    return hvm[n].lapic;
}

static uint64_t rd(unsigned int n, uint32_t msr)
{
    uint64_t value = 0xdead;

    assert_int_equal(lapic_read_msr(&vcpus[n], msr, &value), 0);
    return value;
}

static void wr(unsigned int n, uint32_t msr, uint64_t value)
{
    assert_int_equal(lapic_write_msr(&vcpus[n], msr, value), 0);
}

static void bad(unsigned int n, uint32_t msr, uint64_t value)
{
    struct lapic before = *apic(n);

    assert_int_equal(lapic_write_msr(&vcpus[n], msr, value), -EINVAL);
    assert_memory_equal(&before, apic(n), sizeof(before));
}

static uint32_t mmio_rd(unsigned int n, unsigned int offset)
{
    uint32_t value = 0xdead;

    assert_true(lapic_mmio(&vcpus[n], _gpa(BASE + offset), 4, false, &value));
    return value;
}

static void mmio_wr(unsigned int n, unsigned int offset, uint32_t value)
{
    assert_true(lapic_mmio(&vcpus[n], _gpa(BASE + offset), 4, true, &value));
}

static int begin(void **state)
{
    memset(kicks, 0, sizeof(kicks));
    memset(segs, 0, sizeof(segs));
    now = 1000000;
    wakes = sleeps = shutdowns = injected = cleared = 0;
    open_for[0] = open_for[1] = true;
    nmi_going_on = window = false;
    d = (struct domain){.max_vcpus = VCPUS, .vcpu = table};
    spin_lock_init(&d.life_lock, RANK_DOMAIN_LIFE);
    for (unsigned int i = 0; i < VCPUS; i++) {
        hvm[i] = (struct hvm_vcpu){0};
        vcpus[i] = (struct vcpu){.domain = &d, .vcpu_id = i, .hvm = &hvm[i], .is_initialised = true};
        table[i] = &vcpus[i];
        vcpus[i].vcpu_info = &vcpus[i].early_info;
        assert_int_equal(lapic_init(&vcpus[i]), 0);
    }
    return 0;
}

static int end(void **state)
{
    for (unsigned int i = 0; i < VCPUS; i++)
        lapic_free(&vcpus[i]);
    assert_int_equal(fake_locks_held, 0);
    return 0;
}
#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

static void x2apic_on(unsigned int n)
{
    wr(n, 0x1b, BASE | EN | EXTD);
    wr(n, 0x80f, 0x1ff);
}

static void xapic_on(unsigned int n)
{
    mmio_wr(n, 0xf0, 0x1ff);
}

static bool requested(unsigned int n, unsigned int vector)
{
    return test_bit(vector, apic(n)->irr);
}

/* ---- modes ---- */

static void test_modes(void **state)
{
    static const uint64_t mode[] = {0, EN, EN | EXTD, EXTD};
    static const bool fine[4][4] = {{true, true, false, false}, {true, true, true, false}, {true, false, true, false}};

    assert_int_equal(rd(0, 0x1b), BASE | EN | BSP);
    assert_int_equal(rd(1, 0x1b), BASE | EN);
    for (unsigned int from = 0; from < 3; from++)
        for (unsigned int to = 0; to < 4; to++) {
            apic(1)->base = BASE | mode[from];
            if (fine[from][to])
                wr(1, 0x1b, BASE | mode[to]);
            else
                bad(1, 0x1b, BASE | mode[to]);
            assert_int_equal(rd(1, 0x1b), BASE | mode[fine[from][to] ? to : from]);
        }
    apic(1)->base = BASE | EN;
    bad(1, 0x1b, 0xfee01000 | EN); /* elsewhere */
    bad(1, 0x1b, EN);
    for (unsigned int bit = 0; bit < 64; bit++)
        if (bit < 8 || bit == 9 || bit > 11)
            bad(1, 0x1b, (BASE | EN) ^ 1ull << bit);
    wr(1, 0x1b, BASE | EN | BSP); /* not its to say */
    assert_int_equal(rd(1, 0x1b), BASE | EN);
}

/* What was on begins anew after it was off; from xAPIC to x2APIC it stays as it is. */
static void test_off_and_on(void **state)
{
    xapic_on(0);
    mmio_wr(0, 0x80, 0x40);
    mmio_wr(0, 0x310, 0x05000000);
    lapic_set_irq(&vcpus[0], 0x30);
    x2apic_on(0);
    assert_int_equal(rd(0, 0x808), 0x40);
    assert_int_equal(rd(0, 0x821), 1 << 16);
    assert_int_equal(rd(0, 0x830), 0); /* the destination means something else now */
    wr(0, 0x838, 1000);
    wr(0, 0x1b, BASE);
    assert_int_equal(apic(0)->timer.expires, STIME_MAX);
    lapic_set_irq(&vcpus[0], 0x31);
    assert_int_equal(lapic_pending(&vcpus[0]), -1);
    wr(0, 0x1b, BASE | EN);
    assert_int_equal(mmio_rd(0, 0x80), 0);
    assert_int_equal(mmio_rd(0, 0xf0), 0xff);
    assert_int_equal(mmio_rd(0, 0x210), 0);
    assert_int_equal(mmio_rd(0, 0x380), 0);
}

/* ---- registers ---- */

/* Every MSR of the range with every bit: what may be read, written, and what is refused. */
static void test_msr_rules(void **state)
{
    static const uint32_t readable[] = {2,    3,    8,    0xa,  0xd,  0xf,  0x28, 0x30, 0x32,
                                        0x33, 0x34, 0x35, 0x36, 0x37, 0x38, 0x39, 0x3e};
    static const struct {
        uint32_t reg;
        uint64_t bits;
    } writable[] = {
        {8, 0xff},       {0xb, 0},           {0xf, 0x3ff},    {0x28, 0},       {0x30, 0xffffffff000ccfff},
        {0x32, 0x300ff}, {0x33, 0x107ff},    {0x34, 0x107ff}, {0x35, 0x1a7ff}, {0x36, 0x1a7ff},
        {0x37, 0x100ff}, {0x38, 0xffffffff}, {0x3e, 0xb},     {0x3f, 0xff},
    };

    x2apic_on(0);
    for (uint32_t reg = 0; reg < 0x100; reg++) {
        bool can_read = reg >= 0x10 && reg < 0x28;
        uint64_t value, bits = 0;
        bool can_write = false;

        for (unsigned int i = 0; i < ARRAY_SIZE(readable); i++)
            can_read = can_read || readable[i] == reg;
        for (unsigned int i = 0; i < ARRAY_SIZE(writable); i++)
            if (writable[i].reg == reg) {
                can_write = true;
                bits = writable[i].bits;
            }
        assert_int_equal(lapic_read_msr(&vcpus[0], 0x800 + reg, &value), can_read ? 0 : -EINVAL);
        assert_int_equal(lapic_write_msr(&vcpus[0], 0x800 + reg, 0), can_write ? 0 : -EINVAL);
        for (unsigned int bit = 0; bit < 64; bit++)
            assert_int_equal(lapic_write_msr(&vcpus[0], 0x800 + reg, 1ull << bit), bits >> bit & 1 ? 0 : -EINVAL);
    }
    wr(1, 0x1b, BASE | EN);
    for (uint32_t reg = 0; reg < 0x100; reg++) {
        uint64_t value;

        assert_int_equal(lapic_read_msr(&vcpus[1], 0x800 + reg, &value), -EINVAL); /* xAPIC mode */
        bad(1, 0x800 + reg, 0);
    }
}

static void test_identity(void **state)
{
    assert_int_equal(mmio_rd(3, 0x20), 6u << 24);
    assert_int_equal(mmio_rd(3, 0x30), 0x50014);
    x2apic_on(3);
    x2apic_on(20);
    assert_int_equal(rd(3, 0x802), 6);
    assert_int_equal(rd(3, 0x80d), 1 << 6);
    assert_int_equal(rd(20, 0x80d), 2 << 16 | 1 << 8); /* identity 40 */
}

/* Off by software: nothing comes in, and local sources stay masked. */
static void test_software_off(void **state)
{
    x2apic_on(0);
    wr(0, 0x832, 0x40);
    assert_int_equal(rd(0, 0x832), 0x40);
    lapic_set_irq(&vcpus[0], 0x50);
    wr(0, 0x80f, 0xff);
    assert_int_equal(rd(0, 0x832), 0x10040);
    wr(0, 0x832, 0x41);
    assert_int_equal(rd(0, 0x832), 0x10041);
    assert_int_equal(lapic_pending(&vcpus[0]), -1);
    lapic_set_irq(&vcpus[0], 0x51);
    assert_false(requested(0, 0x51));
    wr(0, 0x80f, 0x1ff);
    assert_int_equal(lapic_pending(&vcpus[0]), 0x50); /* what had come stays */
}

static void test_mmio(void **state)
{
    uint32_t value = 5;

    xapic_on(0);
    assert_false(lapic_mmio(&vcpus[0], _gpa(BASE + 0x1000), 4, false, &value));
    assert_false(lapic_mmio(&vcpus[0], _gpa(BASE - 4), 4, false, &value));
    mmio_wr(0, 0x80, 0xffffff35); /* what cannot be set is dropped */
    assert_int_equal(mmio_rd(0, 0x80), 0x35);
    mmio_wr(0, 0xe0, 0);
    assert_int_equal(mmio_rd(0, 0xe0), 0x0fffffff);
    mmio_wr(0, 0x20, 0);
    assert_int_equal(mmio_rd(0, 0x20), 0);
    mmio_wr(0, 0x280, 0);
    assert_int_equal(mmio_rd(0, 0x280), 0x80); /* no such register to write */
    mmio_wr(0, 0x280, 0);
    assert_int_equal(mmio_rd(0, 0x280), 0);
    assert_int_equal(mmio_rd(0, 0x84), ~0u);
    assert_int_equal(mmio_rd(0, 0x400), ~0u);
    assert_int_equal(mmio_rd(0, 0x3f0), ~0u); /* x2APIC's */
    assert_int_equal(mmio_rd(0, 0xffc), ~0u);
    assert_true(lapic_mmio(&vcpus[0], _gpa(BASE + 0x80), 1, false, &value));
    assert_int_equal(value, ~0u);
    x2apic_on(0);
    assert_false(lapic_mmio(&vcpus[0], _gpa(BASE + 0x80), 4, false, &value));
}

/* ---- priorities ---- */

static void test_priorities(void **state)
{
    struct vcpu *v = &vcpus[0];

    x2apic_on(0);
    lapic_set_irq(v, 0x35);
    lapic_set_irq(v, 0x61);
    assert_int_equal(kicks[0], 2);
    lapic_set_irq(v, 0x61);
    assert_int_equal(kicks[0], 2); /* it is pending already */
    assert_int_equal(lapic_pending(v), 0x61);
    assert_int_equal(lapic_set_cr8(v, 16), -EINVAL);
    assert_int_equal(lapic_set_cr8(v, 6), 0);
    assert_int_equal(rd(0, 0x808), 0x60);
    assert_int_equal(lapic_pending(v), -1); /* its class is not above */
    wr(0, 0x808, 0x5f);
    assert_int_equal(lapic_get_cr8(v), 5);
    assert_int_equal(lapic_pending(v), 0x61);
    lapic_ack(v, 0x61);
    assert_int_equal(rd(0, 0x80a), 0x60);
    assert_int_equal(rd(0, 0x813), 1 << 1);
    assert_int_equal(rd(0, 0x823), 0);
    lapic_set_irq(v, 0x6f);
    assert_int_equal(lapic_pending(v), -1);
    lapic_set_irq(v, 0x70);
    assert_int_equal(lapic_pending(v), 0x70);
    lapic_ack(v, 0x70);
    wr(0, 0x80b, 0); /* ends the highest */
    assert_int_equal(rd(0, 0x80a), 0x60);
    wr(0, 0x80b, 0);
    assert_int_equal(rd(0, 0x80a), 0x5f);
    assert_int_equal(lapic_pending(v), 0x6f);
    lapic_ack(v, 0x6f);
    wr(0, 0x80b, 0);
    wr(0, 0x80b, 0); /* none is in service: nothing happens */
    wr(0, 0x808, 0);
    assert_int_equal(lapic_pending(v), 0x35);
    for (unsigned int vector = 16; vector < 256; vector++)
        lapic_set_irq(v, (uint8_t)vector);
    assert_int_equal(lapic_pending(v), 255);
}

/* ---- messages ---- */

static unsigned int receivers(unsigned int vector)
{
    unsigned int n = 0;

    for (unsigned int i = 0; i < VCPUS; i++)
        n += requested(i, vector);
    return n;
}

static void test_x2apic_messages(void **state)
{
    for (unsigned int i = 0; i < VCPUS; i++)
        x2apic_on(i);
    wr(0, 0x830, 10ull << 32 | FIXED | 0x40);
    assert_true(requested(5, 0x40));
    assert_int_equal(receivers(0x40), 1);
    wr(0, 0x830, 11ull << 32 | FIXED | 0x41); /* nobody is that */
    assert_int_equal(receivers(0x41), 0);
    wr(0, 0x830, 0xffffffffull << 32 | FIXED | 0x42);
    assert_int_equal(receivers(0x42), VCPUS);
    wr(0, 0x830, (2ull << 16 | 1 << 8 | 1 << 6) << 32 | 0x800 | FIXED | 0x43); /* identities 40 and 38 */
    assert_true(requested(20, 0x43) && requested(19, 0x43));
    assert_int_equal(receivers(0x43), 2);
    wr(7, 0x830, 1 << 18 | FIXED | 0x44);
    assert_true(requested(7, 0x44));
    assert_int_equal(receivers(0x44), 1);
    wr(7, 0x830, 2 << 18 | FIXED | 0x45);
    assert_int_equal(receivers(0x45), VCPUS);
    wr(7, 0x830, 3 << 18 | FIXED | 0x46);
    assert_int_equal(receivers(0x46), VCPUS - 1);
    assert_false(requested(7, 0x46));
    wr(7, 0x83f, 0x47);
    assert_true(requested(7, 0x47));
    assert_int_equal(receivers(0x47), 1);
    wr(8, 0x1b, BASE);
    wr(7, 0x830, 2 << 18 | FIXED | 0x48);
    assert_int_equal(receivers(0x48), VCPUS - 1); /* one is off */
}

static void test_xapic_messages(void **state)
{
    for (unsigned int i = 0; i < 8; i++) {
        xapic_on(i);
        mmio_wr(i, 0xd0, 1u << (24 + i));
    }
    mmio_wr(0, 0x310, 6u << 24);
    mmio_wr(0, 0x300, FIXED | 0x40);
    assert_true(requested(3, 0x40));
    assert_int_equal(receivers(0x40), 1);
    mmio_wr(0, 0x310, 0xa1u << 24); /* flat */
    mmio_wr(0, 0x300, 0x800 | FIXED | 0x41);
    assert_true(requested(0, 0x41) && requested(5, 0x41) && requested(7, 0x41));
    assert_int_equal(receivers(0x41), 3);
    for (unsigned int i = 0; i < 8; i++) {
        mmio_wr(i, 0xe0, 0x0fffffff);
        mmio_wr(i, 0xd0, (i < 4 ? 1u << (28) : 2u << 28) | 1u << (24 + i % 4));
    }
    mmio_wr(0, 0x310, 0x26u << 24); /* the second and third of cluster 2 */
    mmio_wr(0, 0x300, 0x800 | FIXED | 0x42);
    assert_true(requested(5, 0x42) && requested(6, 0x42));
    assert_int_equal(receivers(0x42), 2);
    mmio_wr(0, 0x310, 0xffu << 24);
    mmio_wr(0, 0x300, FIXED | 0x43);
    assert_int_equal(receivers(0x43), 8);
}

static void test_lowest_priority(void **state)
{
    for (unsigned int i = 0; i < 4; i++) {
        x2apic_on(i);
        wr(i, 0x808, 0x80 - i * 0x10);
    }
    wr(0, 0x830, (uint64_t)0xffff << 32 | 0x800 | LOWEST | 0x90);
    assert_int_equal(receivers(0x90), 1);
    assert_true(requested(3, 0x90));
    lapic_ack(&vcpus[3], 0x90);
    wr(0, 0x830, (uint64_t)0xffff << 32 | 0x800 | LOWEST | 0x91);
    assert_true(requested(2, 0x91));
}

/* A vector of an exception's is an error for both, and reaches nobody. */
static void test_bad_vectors(void **state)
{
    x2apic_on(0);
    x2apic_on(1);
    wr(0, 0x837, 0x60);
    wr(0, 0x830, 2ull << 32 | FIXED | 0x0f);
    assert_int_equal(receivers(0x0f), 0);
    assert_true(requested(0, 0x60));
    assert_int_equal(rd(0, 0x828), 0);
    wr(0, 0x828, 0);
    wr(1, 0x828, 0);
    assert_int_equal(rd(0, 0x828), 0x20);
    assert_int_equal(rd(1, 0x828), 0x40);
    wr(1, 0x837, 3); /* an error vector that is one itself */
    wr(1, 0x83f, 4);
    wr(1, 0x828, 0);
    assert_int_equal(rd(1, 0x828), 0x60);
}

/* ---- the timer ---- */

static void expire(unsigned int n)
{
    struct timer *t = &apic(n)->timer;

    assert_true(t->expires != STIME_MAX);
    now = MAX(now, t->expires);
    t->expires = STIME_MAX;
    t->fn(t->data);
}

static void test_one_shot(void **state)
{
    static const struct {
        uint32_t code;
        unsigned int by;
    } divide[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};

    x2apic_on(0);
    wr(0, 0x832, 0x31);
    for (unsigned int i = 0; i < ARRAY_SIZE(divide); i++) {
        s_time_t begun = now;

        wr(0, 0x83e, divide[i].code);
        wr(0, 0x838, 1000);
        assert_int_equal(apic(0)->timer.expires, begun + 10000 * divide[i].by);
        assert_int_equal(rd(0, 0x839), 1000);
        now += 2500 * divide[i].by;
        assert_int_equal(rd(0, 0x839), 750);
        assert_false(requested(0, 0x31));
        expire(0);
        assert_true(lapic_timer_due(&vcpus[0]));
        assert_true(hvm_interrupt_pending(&vcpus[0]));
        lapic_update(&vcpus[0]);
        assert_int_equal(lapic_pending(&vcpus[0]), 0x31);
        assert_int_equal(rd(0, 0x839), 0);
        assert_int_equal(apic(0)->timer.expires, STIME_MAX);
        lapic_ack(&vcpus[0], 0x31);
        wr(0, 0x80b, 0);
    }
    wr(0, 0x838, 1000);
    wr(0, 0x838, 0); /* stops it */
    assert_int_equal(apic(0)->timer.expires, STIME_MAX);
    wr(0, 0x838, 0xffffffff);
    wr(0, 0x83e, 0); /* what is left goes on at the new pace */
    assert_int_equal(apic(0)->timer.expires, now + 0xffffffffll * 20);
    now += 20 * 1000;
    wr(0, 0x83e, 11);
    assert_int_equal(apic(0)->timer.expires, now + (0xffffffffll - 1000) * 10);
}

static void test_periodic(void **state)
{
    s_time_t begun = now;

    x2apic_on(0);
    wr(0, 0x832, 0x20031);
    wr(0, 0x83e, 11);
    wr(0, 0x838, 100000); /* 1 ms */
    expire(0);
    lapic_update(&vcpus[0]);
    assert_true(requested(0, 0x31));
    assert_int_equal(apic(0)->timer.expires, begun + MILLISECS(2));
    now = begun + MILLISECS(2) + MILLISECS(7) / 2; /* it comes late: in step, once */
    expire(0);
    lapic_update(&vcpus[0]);
    assert_int_equal(apic(0)->timer.expires, begun + MILLISECS(6));
    wr(0, 0x832, 0x30031);
    lapic_ack(&vcpus[0], 0x31);
    kicks[0] = 0;
    expire(0);
    assert_int_equal(kicks[0], 0); /* masked: nobody is woken */
    assert_false(lapic_timer_due(&vcpus[0]));
    wr(0, 0x832, 0x20031);
    assert_false(requested(0, 0x31));
    wr(0, 0x838, 1); /* shorter than is good for anybody */
    expire(0);
    lapic_update(&vcpus[0]);
    assert_int_equal(apic(0)->timer.expires, now + MICROSECS(100));
    wr(0, 0x832, 0x20003);
    expire(0);
    lapic_update(&vcpus[0]);
    wr(0, 0x828, 0);
    assert_int_equal(rd(0, 0x828), 0x40);
}

/* An expiry that was under way when the timer was set again is not the new one's. */
static void test_stale_expiry(void **state)
{
    x2apic_on(0);
    wr(0, 0x832, 0x31);
    wr(0, 0x838, 1000);
    now = apic(0)->timer.expires;
    wr(0, 0x838, 500000);
    apic(0)->timer.fn(&vcpus[0]);
    lapic_update(&vcpus[0]);
    assert_false(requested(0, 0x31));
    assert_int_equal(rd(0, 0x839), 500000);
    expire(0);
    now -= MICROSECS(50); /* the clock of the CPU that expired it was ahead */
    lapic_update(&vcpus[0]);
    assert_true(requested(0, 0x31));
}

/* ---- what is injected ---- */

static void deliver(struct vcpu *v)
{
    injected = 0;
    hvm_deliver(v);
}

static void test_injection(void **state)
{
    struct vcpu *v = &vcpus[0];

    x2apic_on(0);
    deliver(v);
    assert_int_equal(injected, 0);
    assert_false(window || hvm_interrupt_pending(v));
    lapic_set_irq(v, 0x40);
    open_for[HVM_EVENT_INTERRUPT] = false;
    deliver(v);
    assert_int_equal(injected, 0);
    assert_true(window && hvm_interrupt_pending(v) && requested(0, 0x40)); /* nothing is lost */
    open_for[HVM_EVENT_INTERRUPT] = true;
    deliver(v);
    assert_int_equal(injected, 0x40);
    assert_false(window || requested(0, 0x40));
    assert_int_equal(rd(0, 0x812), 1);
    lapic_set_irq(v, 0x41); /* held back by priority: no window either */
    deliver(v);
    assert_false(window || injected);
    lapic_set_irq(v, 0x50);
    deliver(v);
    assert_int_equal(injected, 0x50);
}

/* The domain's vector: while events are pending, without the APIC, before all of the APIC's. */
static void test_callback(void **state)
{
    struct vcpu *v = &vcpus[0];

    x2apic_on(0);
    v->vcpu_info->evtchn_upcall_pending = 1;
    v->vcpu_info->evtchn_upcall_mask = 1; /* means nothing here */
    deliver(v);
    assert_int_equal(injected, 0); /* no vector */
    d.hvm.callback_vector = 0xf3;
    lapic_set_irq(v, 0xf8);
    lapic_set_cr8(v, 15);
    hvm_upcall(v); /* nothing to do */
    deliver(v);
    assert_int_equal(injected, 0xf3);
    assert_false(window);
    lapic_set_cr8(v, 0);
    deliver(v);
    assert_int_equal(injected, 0xf3); /* for as long as it lasts */
    assert_true(window);              /* the APIC's is next */
    lapic_set_cr8(v, 15);
    assert_int_equal(rd(0, 0x817), 0);
    wr(0, 0x1b, BASE); /* even with the APIC off */
    deliver(v);
    assert_int_equal(injected, 0xf3);
    v->vcpu_info->evtchn_upcall_pending = 0;
    deliver(v);
    assert_int_equal(injected, 0);
}

/* A vCPU with a vector of its own gets it once for each time it is told, by its APIC. */
static void test_upcall_vector(void **state)
{
    struct vcpu *v = &vcpus[0];

    x2apic_on(0);
    d.hvm.callback_vector = 0xf3;
    hvm[0].upcall_vector = 0x90;
    v->vcpu_info->evtchn_upcall_pending = 1;
    hvm_upcall(v);
    deliver(v);
    assert_int_equal(injected, 0x90);
    deliver(v);
    assert_int_equal(injected, 0);
    wr(0, 0x80b, 0);
    hvm_upcall(v);
    deliver(v);
    assert_int_equal(injected, 0x90);
    wr(0, 0x80b, 0);
    wr(0, 0x80f, 0xff); /* off while its kernel comes out of a suspension */
    hvm_upcall(v);
    deliver(v);
    assert_int_equal(injected, 0);
    wr(0, 0x80f, 0x1ff);
    deliver(v);
    assert_int_equal(injected, 0x90);
    wr(0, 0x1b, BASE); /* off by its base: the rest of it begins anew */
    hvm_upcall(v);
    wr(0, 0x1b, BASE | EN);
    x2apic_on(0);
    deliver(v);
    assert_int_equal(injected, 0x90);
}

static void test_nmi(void **state)
{
    struct vcpu *v = &vcpus[1];

    x2apic_on(0);
    x2apic_on(1);
    wr(1, 0x80f, 0xff); /* comes even so */
    wr(0, 0x830, 2ull << 32 | NMI);
    assert_true(v->nmi_pending && kicks[1]);
    open_for[HVM_EVENT_INTERRUPT] = false;
    deliver(v);
    assert_int_equal(injected, 0x102);
    assert_false(window || v->nmi_pending);
    hvm_nmi(v); /* waits for IRET, which tells by itself */
    deliver(v);
    assert_false(window || injected || hvm_interrupt_pending(v));
    nmi_going_on = false;
    open_for[HVM_EVENT_NMI] = false;
    deliver(v);
    assert_true(window && v->nmi_pending && hvm_interrupt_pending(v));
    open_for[HVM_EVENT_NMI] = open_for[HVM_EVENT_INTERRUPT] = true;
    wr(1, 0x80f, 0x1ff);
    lapic_set_irq(v, 0x40);
    deliver(v);
    assert_int_equal(injected, 0x102);
    assert_true(window); /* the interrupt is next */
    deliver(v);
    assert_int_equal(injected, 0x40);
}

/* ---- INIT and start-up ---- */

static void test_startup(void **state)
{
    struct vcpu *v = &vcpus[1];
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    fake_run_on(0, v);
    x2apic_on(0);
    x2apic_on(1);
    wr(0, 0x830, 2ull << 32 | SIPI | 0x9a); /* it runs: not heard */
    hvm_start_if_told(v);
    assert_int_equal(cleared, 0);
    wr(0, 0x830, 2ull << 32 | 0x8500); /* the end of an INIT is none */
    assert_true(v->is_initialised);
    lapic_set_irq(v, 0x40);
    v->nmi_pending = true;
    hvm[1].cr4 = 0x20;
    hvm[1].exception.valid = true;
    regs->rbx = 77;
    set_bit(VPF_blocked, &v->pause_flags); /* in HLT */
    wr(0, 0x830, 2ull << 32 | INIT);
    wr(0, 0x830, 2ull << 32 | INIT);
    assert_false(v->is_initialised);
    assert_true(test_bit(VPF_down, &v->pause_flags));
    assert_int_equal(sleeps, 1);
    wr(0, 0x830, 2ull << 32 | SIPI | 0x9a);
    wr(0, 0x830, 2ull << 32 | SIPI | 0x55); /* the second is too much */
    assert_true(v->is_initialised);
    assert_int_equal(wakes, 1);
    assert_int_equal(v->pause_flags, 0);
    hvm_start_if_told(v);
    hvm_start_if_told(v);
    assert_int_equal(cleared, 1);
    assert_int_equal(segs[HVM_CS].sel, 0x9a00);
    assert_int_equal(segs[HVM_CS].base, 0x9a000);
    assert_int_equal(segs[HVM_CS].limit, 0xffff);
    assert_int_equal(segs[HVM_CS].attr, 0x9b);
    assert_int_equal(segs[HVM_DS].attr, 0x93);
    assert_int_equal(segs[HVM_TR].attr, 0x8b);
    assert_int_equal(segs[HVM_IDTR].limit, 0xffff);
    assert_int_equal(regs->rip, 0);
    assert_int_equal(regs->rbx, 0);
    assert_int_equal(regs->rdx, 0x800f12);
    assert_int_equal(regs->rflags, 2);
    assert_int_equal(hvm[1].cr0, CR0_ET);
    assert_int_equal(hvm[1].cr4 | hvm[1].efer | hvm[1].cr3, 0);
    assert_true(hvm[1].paging_due);
    assert_false(v->nmi_pending || hvm[1].exception.valid || requested(1, 0x40));
    assert_int_equal(rd(1, 0x1b), BASE | EN | EXTD);
    assert_int_equal(rd(1, 0x80f), 0xff);
    wr(1, 0x1b, BASE); /* an APIC that is off hears nothing */
    wr(0, 0x830, 2ull << 32 | INIT);
    assert_true(v->is_initialised);
}

/* The last one that halts for good ends the domain; one that is told to start again meanwhile goes on. */
static void test_stop(void **state)
{
    for (unsigned int i = 0; i < VCPUS; i++)
        x2apic_on(i);
    for (unsigned int i = 1; i < VCPUS; i++)
        hvm_stop_for_good(&vcpus[i]);
    assert_int_equal(shutdowns, 0);
    wr(0, 0x830, 2ull << 32 | INIT);
    wr(0, 0x830, 2ull << 32 | SIPI | 1);
    hvm_stop_for_good(&vcpus[1]); /* of what it did before */
    assert_false(test_bit(VPF_down, &vcpus[1].pause_flags));
    hvm_stop_for_good(&vcpus[0]);
    assert_int_equal(shutdowns, 0);
    fake_run_on(0, &vcpus[1]);
    hvm_start_if_told(&vcpus[1]);
    hvm_stop_for_good(&vcpus[1]);
    assert_int_equal(shutdowns, 1);
    assert_int_equal(shut_down_for, SHUTDOWN_poweroff);
}

/* INIT to oneself, when the others are down already: nobody could start it again. */
static void test_last_init(void **state)
{
    for (unsigned int i = 0; i < VCPUS; i++)
        x2apic_on(i);
    fake_run_on(0, &vcpus[0]);
    wr(0, 0x830, 3ull << 18 | INIT); /* all but itself */
    assert_int_equal(shutdowns, 0);
    wr(0, 0x830, 2ull << 18 | INIT); /* all */
    assert_int_equal(shutdowns, 1);
    assert_int_equal(shut_down_for, SHUTDOWN_poweroff);
    assert_true(test_bit(VPF_down, &vcpus[0].pause_flags));
    wr(0, 0x830, 2ull << 18 | INIT);
    assert_int_equal(shutdowns, 1);
}

/* What it means is the domain's to say. */
static void test_triple_fault(void **state)
{
    vcpus[1].domain->hvm.param[HVM_PARAM_TRIPLE_FAULT_REASON] = SHUTDOWN_crash;
    fake_run_on(0, &vcpus[1]);
    hvm_triple_fault(&vcpus[1]);
    assert_int_equal(shutdowns, 1);
    assert_int_equal(shut_down_for, SHUTDOWN_crash);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_modes),          TEST(test_off_and_on),
        TEST(test_msr_rules),      TEST(test_identity),
        TEST(test_software_off),   TEST(test_mmio),
        TEST(test_priorities),     TEST(test_x2apic_messages),
        TEST(test_xapic_messages), TEST(test_lowest_priority),
        TEST(test_bad_vectors),    TEST(test_one_shot),
        TEST(test_periodic),       TEST(test_stale_expiry),
        TEST(test_injection),      TEST(test_callback),
        TEST(test_upcall_vector),  TEST(test_nmi),
        TEST(test_startup),        TEST(test_stop),
        TEST(test_last_init),      TEST(test_triple_fault),
    };

    return cmocka_run_group_tests_name("lapic", tests, NULL, NULL);
}
