/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Time: the TSC, calibrated once at boot against the HPET or the ACPI PM timer, is the only clock. system_time() is
 * nanoseconds since calibration began; guests get the same scale through vcpu_time_info and so read the same clock.
 *
 * There is no periodic re-calibration: an invariant TSC does not need it, and emulators keep theirs at one rate. Each
 * CPU has its own TSC value of time zero; it equals the boot CPU's unless the check at the CPU's start finds its TSC
 * off. Wall-clock time is the CMOS clock at boot, until the control domain sets it.
 */
#include <hv/boot.h>
#include <hv/domain.h>
#include <hv/guest_copy.h>
#include <hv/hvm.h>
#include <hv/irq.h>
#include <hv/time_scale.h>
#include <hv/timer.h>
#include <hv/x86.h>
#include <xen/foreign/x86_32.h>

#define HPET_ID      0x000
#define HPET_PERIOD  0x004
#define HPET_CONFIG  0x010
#define HPET_COUNTER 0x0f0
#define PM_TIMER_HZ  3579545u

#define CALIBRATION_MS    50u
#define SAMPLES           16u
#define SYNC_TOLERANCE_NS 100000u /* beyond the reading's own uncertainty */

uint64_t tsc_khz;
static uint64_t tsc_hz;
static struct time_scale tsc_scale;
static DEFINE_PER_CPU(uint64_t, tsc_zero); /* this CPU's TSC at system time 0 */

s_time_t system_time(void)
{
    if (!tsc_hz)
        return 0;
    return (s_time_t)time_scale_delta(tsc_scale, rdtsc_ordered() - this_cpu(tsc_zero));
}

/* ---- the reference clock ---- */

static struct {
    volatile uint32_t *hpet; /* NULL: PM timer */
    uint64_t hz;
    uint32_t mask; /* the counter's width */
    uint32_t zero; /* its value at TSC zero */
} ref;

static uint32_t ref_read(void)
{
    return ref.hpet ? ref.hpet[HPET_COUNTER / 4] : inl(acpi_info.pm_timer_port) & 0xffffff;
}

struct sample {
    uint32_t count;
    uint64_t tsc;    /* half-way between the two readings around the counter's */
    uint64_t window; /* their distance */
};

/* Reads both clocks at one moment: the best of several tries, since an emulator may stall in any of them. */
static struct sample take_sample(void)
{
    struct sample best = {0, 0, UINT64_MAX};

    for (unsigned int i = 0; i < SAMPLES; i++) {
        uint64_t before = rdtsc_ordered();
        uint32_t count = ref_read();
        uint64_t after = rdtsc_ordered();

        if (after - before < best.window)
            best = (struct sample){count, before + (after - before) / 2, after - before};
    }
    return best;
}

static bool hpet_init(void)
{
    volatile uint32_t *h;
    uint32_t period;

    if (!acpi_info.hpet_address)
        return false;
    h = ioremap(_maddr(acpi_info.hpet_address), 1024);
    if (!h)
        return false;
    period = h[HPET_PERIOD / 4];
    /* Femtoseconds; at most 100 ns by the specification. */
    if (h[HPET_ID / 4] == 0xffffffffu || period < 100000 || period > 100000000) {
        iounmap((void *)(uintptr_t)h);
        return false;
    }
    h[HPET_CONFIG / 4] = (h[HPET_CONFIG / 4] & ~2u) | 1;
    ref.hpet = h;
    ref.hz = 1000000000000000ull / period;
    ref.mask = 0xffffffffu;
    return true;
}

static bool pm_timer_init(void)
{
    uint32_t first;

    if (!acpi_info.pm_timer_port)
        return false;
    first = inl(acpi_info.pm_timer_port);
    for (unsigned int i = 0; i < 10000; i++)
        if (inl(acpi_info.pm_timer_port) != first) {
            ref.hz = PM_TIMER_HZ;
            ref.mask = 0xffffff;
            return true;
        }
    return false;
}

/* ---- calibration ---- */

/* What the processor or an emulator below says about its TSC, in Hz; 0: nothing. */
static uint64_t tsc_hz_by_cpuid(void)
{
    uint32_t r[4];

    if (cpu_features.max_leaf >= 0x15) {
        cpuid(0x15, 0, r);
        if (r[0] && r[1] && r[2])
            return (uint64_t)r[2] * r[1] / r[0];
    }
    cpuid(1, 0, r);
    if (!(r[2] & (1u << 31)))
        return 0;
    cpuid(0x40000000, 0, r);
    if (r[0] < 0x40000010 || r[0] > 0x400000ff)
        return 0;
    cpuid(0x40000010, 0, r);
    return (uint64_t)r[0] * 1000;
}

static uint64_t measure_tsc(struct sample *first)
{
    uint32_t want = (uint32_t)(ref.hz * CALIBRATION_MS / 1000);
    struct sample last;

    *first = take_sample();
    while (((ref_read() - first->count) & ref.mask) < want)
        cpu_relax();
    last = take_sample();
    return mul_div(last.tsc - first->tsc, ref.hz, (last.count - first->count) & ref.mask);
}

/* A stated frequency is exact and wins over the measurement, if the two agree within one per cent. */
static uint64_t choose_hz(uint64_t measured)
{
    uint64_t stated = tsc_hz_by_cpuid();
    uint64_t diff = stated > measured ? stated - measured : measured - stated;

    return stated && diff < measured / 100 ? stated : measured;
}

static void wallclock_init(void);

void time_init(void)
{
    struct sample first;

    if (!hpet_init() && !pm_timer_init())
        panic("Neither HPET nor ACPI PM timer: the TSC cannot be calibrated");
    tsc_hz = choose_hz(measure_tsc(&first));
    if (tsc_hz < 1000000)
        panic("The TSC counts at %lu Hz only", tsc_hz);
    tsc_khz = tsc_hz / 1000;
    tsc_scale = time_scale_of(tsc_hz);
    this_cpu(tsc_zero) = first.tsc;
    ref.zero = first.count;
    printk(XLOG_INFO "TSC: %lu.%03lu MHz by %s, %sinvariant\n", tsc_khz / 1000, tsc_khz % 1000,
           ref.hpet ? "HPET" : "PM timer", cpu_features.invariant_tsc ? "" : "not ");
    wallclock_init();
    apic_calibrate_timer();
}

/* value * to / from, of either sign. */
static int64_t convert(int64_t value, uint64_t to, uint64_t from)
{
    return value < 0 ? -(int64_t)mul_div((uint64_t)-value, to, from) : (int64_t)mul_div((uint64_t)value, to, from);
}

/* How many ticks this CPU's TSC is behind the reference clock, as far as the width of the reference's counter tells. */
static int64_t tsc_behind(const struct sample *s)
{
    int64_t predicted = convert((int64_t)(s->tsc - this_cpu(tsc_zero)), ref.hz, tsc_hz);
    int64_t behind = (int64_t)((s->count - ref.zero - (uint32_t)predicted) & ref.mask);

    if (behind > (int64_t)(ref.mask / 2))
        behind -= (int64_t)ref.mask + 1;
    return convert(behind, tsc_hz, ref.hz);
}

/*
 * A CPU whose TSC is off gets a time zero of its own. What the calibration's error has piled up since then, at most 100
 * parts in a million, and the uncertainty of the reading are allowed for.
 */
void time_init_ap(void)
{
    struct sample s = take_sample();
    int64_t behind;
    uint64_t tolerance;

    this_cpu(tsc_zero) = per_cpu(tsc_zero, 0);
    behind = tsc_behind(&s);
    tolerance = s.window + time_ns_to_ticks(tsc_khz, SYNC_TOLERANCE_NS + (uint64_t)system_time() / 10000);
    if ((uint64_t)(behind < 0 ? -behind : behind) <= tolerance)
        return;
    this_cpu(tsc_zero) -= (uint64_t)behind;
    printk(XLOG_WARNING "CPU%u: TSC behind by %ld ticks, compensated\n", smp_processor_id(), behind);
}

/* ---- records for guests ---- */

static void time_record(const struct vcpu *v, struct vcpu_time_info *t)
{
    uint64_t tsc = rdtsc_ordered();

    t->tsc_timestamp = tsc + hvm_tsc_offset(v);
    t->system_time = time_scale_delta(tsc_scale, tsc - this_cpu(tsc_zero));
    t->tsc_to_system_mul = tsc_scale.mul;
    t->tsc_shift = tsc_scale.shift;
    t->flags = 0;
}

static_assert(sizeof(struct vcpu_time_info) == sizeof(struct vcpu_time_info_x86_32) &&
                  offsetof(struct vcpu_time_info, flags) == offsetof(struct vcpu_time_info_x86_32, flags),
              "i386 has the same, aligned to 4 bytes only");

/* An odd version says: being written. The version is ours: what the guest makes of its copy does not matter. */
static void publish(struct vcpu_time_info_x86_32 *to, const struct vcpu_time_info *t, uint32_t version)
{
    WRITE_ONCE(to->version, version | 1);
    smp_wmb();
    to->tsc_timestamp = t->tsc_timestamp;
    to->system_time = t->system_time;
    to->tsc_to_system_mul = t->tsc_to_system_mul;
    to->tsc_shift = t->tsc_shift;
    to->flags = t->flags;
    smp_wmb();
    WRITE_ONCE(to->version, version + 2);
}

/*
 * The copy in the guest's own memory, reached through its kernel's page tables: only the current vCPU's. In user mode
 * it waits for the kernel (pv_toggle_mode).
 */
static void publish_area(struct vcpu_time_info *area, struct vcpu_time_info *t, uint32_t version)
{
    t->version = version | 1;
    if (guest_copy_to(&area->version, &t->version, sizeof(t->version)) != 0)
        return;
    smp_wmb();
    if (guest_copy_to(area, t, sizeof(*t)) != 0)
        return;
    smp_wmb();
    t->version = version + 2;
    copy_field_to_guest(area, t, version);
}

void time_update_vcpu(struct vcpu *v)
{
    struct vcpu_time_info t = {0};
    uint32_t version = v->time_version;

    time_record(v, &t);
    if (v->vcpu_info)
        publish(&((struct vcpu_info_x86_32 *)v->vcpu_info)->time, &t, version);
    if (v->time_area_guest && v == current && (is_hvm_vcpu(v) || v->pv.kernel_mode))
        publish_area((struct vcpu_time_info *)v->time_area_guest, &t, version);
    v->time_version = version + 2;
}

/* ---- wall clock ---- */

/* Guards the base below and the writing of all domains' records. */
static spinlock_t wallclock_lock = SPINLOCK_INIT(RANK_LEAF);
static uint64_t wallclock_base; /* ns of the epoch at system time 0 */

static uint8_t cmos_read(uint8_t reg)
{
    outb(0x70, reg | 0x80);
    return inb(0x71);
}

static unsigned int from_bcd(uint8_t v, bool bcd)
{
    return bcd ? (v >> 4) * 10u + (v & 15u) : v;
}

/* Seconds of the epoch by the Gregorian calendar; days are counted from the first of March. */
static uint64_t epoch_seconds(unsigned int year, unsigned int mon, unsigned int day, unsigned int sec_of_day)
{
    uint64_t days;

    mon = (mon + 9) % 12;
    year -= mon / 10;
    days = 365ull * year + year / 4 - year / 100 + year / 400 + (mon * 306 + 5) / 10 + (day - 1) - 719468;
    return days * 86400 + sec_of_day;
}

static uint64_t cmos_seconds(void)
{
    uint8_t r[6], status_b;
    static const uint8_t regs[6] = {0, 2, 4, 7, 8, 9};
    unsigned int hour, n[6];
    bool bcd;

    /* Twice the same outside an update is a good reading. */
    for (unsigned int tries = 0; tries < 10; tries++) {
        bool same = true;

        for (unsigned int i = 0; i < 1000000 && (cmos_read(10) & 0x80); i++)
            cpu_relax();
        for (unsigned int i = 0; i < 6; i++)
            r[i] = cmos_read(regs[i]);
        for (unsigned int i = 0; i < 6; i++)
            same &= r[i] == cmos_read(regs[i]);
        if (same)
            break;
    }
    status_b = cmos_read(11);
    outb(0x70, 0); /* NMI enabled again */
    bcd = !(status_b & 4);
    hour = from_bcd(r[2] & 0x7f, bcd);
    if (!(status_b & 2))
        hour = hour % 12 + (r[2] & 0x80 ? 12 : 0);
    for (unsigned int i = 0; i < 6; i++)
        n[i] = from_bcd(r[i], bcd);
    if (n[4] < 1 || n[4] > 12 || n[3] < 1 || n[3] > 31)
        return 0;
    return epoch_seconds(n[5] + (n[5] < 70 ? 2000 : 1900), n[4], n[3], hour * 3600 + n[1] * 60 + n[0]);
}

static void wallclock_init(void)
{
    wallclock_base = cmos_seconds() * 1000000000ull - (uint64_t)system_time();
}

void time_update_wallclock(struct domain *d)
{
    unsigned long flags;

    if (!d->shared_info)
        return;
    flags = spin_lock_irqsave(&wallclock_lock);
    write_wallclock(d, wallclock_base / 1000000000 + d->time_offset_s, (uint32_t)(wallclock_base % 1000000000));
    spin_unlock_irqrestore(&wallclock_lock, flags);
}

void time_set_wallclock(uint64_t secs, uint32_t nsecs, s_time_t system_time_base)
{
    unsigned long flags = spin_lock_irqsave(&wallclock_lock);
    struct domain *d;
    unsigned int id = 0;

    wallclock_base = secs * 1000000000ull + nsecs - (uint64_t)system_time_base;
    spin_unlock_irqrestore(&wallclock_lock, flags);
    while (id < DOMID_FIRST_RESERVED && (d = domain_get_next((domid_t)id)) != NULL) {
        id = d->id + 1u;
        time_update_wallclock(d);
        domain_put(d);
    }
}

uint64_t wallclock_seconds(uint32_t *nsecs)
{
    unsigned long flags = spin_lock_irqsave(&wallclock_lock);
    uint64_t now = wallclock_base + (uint64_t)system_time();

    spin_unlock_irqrestore(&wallclock_lock, flags);
    if (nsecs)
        *nsecs = (uint32_t)(now % 1000000000);
    return now / 1000000000;
}
