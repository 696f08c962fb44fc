// SPDX-License-Identifier: BSD-2-Clause
/*
 * State of guests on hardware virtualisation in the public save format: what is saved can be restored and saved again,
 * byte by byte; and of what cannot be, nothing is taken over.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>
#include <hv/cpuid.h>
#include <hv/event.h>
#include <hv/fpu.h>
#include <hv/sched.h>
#include <hv/x86.h>
#include "../../hypervisor/hvm/lapic.h"
#include "../../hypervisor/hvm/state.h"
#include "hvm_state_host.h"
#include "fake/fake.h"

#define ROOM 16384u

static int begin(void **state)
{
    now = 1000000;
    no_memory = false;
    memset(memory, 0, sizeof(memory));
    make_world(&from);
    make_world(&to);
    return 0;
}

static int end(void **state)
{
    unmake_world(&from);
    unmake_world(&to);
    return 0;
}
#define STATE_TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

/* ---- streams ---- */

struct stream {
    uint8_t bytes[ROOM] __attribute__((aligned(16)));
    size_t size;
};

static void *add(struct stream *s, unsigned int type, unsigned int instance, size_t length)
{
    struct hvm_save_descriptor desc = {(uint16_t)type, (uint16_t)instance, (uint32_t)length};
    uint8_t *at = s->bytes + s->size;

    assert_true(s->size + sizeof(desc) + length <= ROOM);
    memcpy(at, &desc, sizeof(desc));
    memset(at + sizeof(desc), 0, length);
    s->size += sizeof(desc) + length;
    return at + sizeof(desc);
}

static void add_header(struct stream *s)
{
    *(struct hvm_save_header *)add(s, HVM_SAVE_CODE(HEADER), 0, HVM_SAVE_LENGTH(HEADER)) =
        (struct hvm_save_header){.magic = HVM_FILE_MAGIC, .version = HVM_FILE_VERSION};
}

static void add_end(struct stream *s)
{
    add(s, HVM_SAVE_CODE(END), 0, 0);
}

static void add_all(struct stream *s, struct world *w)
{
    static uint8_t body[PAGE_SIZE] __attribute__((aligned(16)));

    for (unsigned int type = 2; type <= HVM_SAVE_CODE_MAX; type++)
        for (unsigned int i = 0; hvm_record_max(type) && i < VCPUS; i++) {
            size_t length = hvm_save_record(&w->vcpu[i], type, body);

            assert_true(length <= hvm_record_max(type));
            if (length)
                memcpy(add(s, type, i, length), body, length);
            if (type == HVM_SAVE_CODE(CPU) && length)
                ((struct hvm_hw_cpu *)(s->bytes + s->size - length))->tsc = 0; /* it goes on */
        }
}

static void save(struct stream *s, struct world *w)
{
    s->size = 0;
    add_header(s);
    add_all(s, w);
    add_end(s);
}

static int restore(struct world *w, const struct stream *s)
{
    struct hvm_restore *r = hvm_restore_begin(&w->d, s->bytes, s->size);
    int rc = r ? -ERESTART : -ENOMEM;

    while (rc == -ERESTART) {
        uint32_t before = this_cpu(stretch_now).work;

        rc = hvm_restore_slice(&w->d, r);
        assert_in_range(this_cpu(stretch_now).work - before, rc == -EINVAL ? 0 : 1, STRETCH_BOUND / 8);
    }
    hv_free(r);
    return rc;
}

/* The body of a record of vCPU 0. */
static void *find(struct stream *s, unsigned int type)
{
    struct hvm_save_descriptor desc;

    for (size_t at = 0; at < s->size; at += sizeof(desc) + desc.length) {
        memcpy(&desc, s->bytes + at, sizeof(desc));
        if (desc.typecode == type && !desc.instance)
            return s->bytes + at + sizeof(desc);
    }
    fail();
    return NULL;
}

/* ---- tests ---- */

static struct stream a, b;

static void test_round_trip(void **state)
{
    fake_seed("hvm state");
    for (unsigned long i = 0; i < fake_ops(500); i++) {
        random_vcpu(&from.vcpu[0]);
        if (fake_chance(70))
            random_vcpu(&from.vcpu[1]);
        save(&a, &from);
        assert_int_equal(restore(&to, &a), 0);
        save(&b, &to);
        assert_int_equal(a.size, b.size);
        assert_memory_equal(a.bytes, b.bytes, a.size);
        assert_int_equal(to.vcpu[1].pause_flags & 1ul << VPF_down, from.vcpu[1].pause_flags);
        assert_int_equal(to.hvm[0].dr6, from.hvm[0].dr6);
        end(state);
        begin(state);
    }
}

/* Who has no registers in the stream is down; who has runs. */
static void test_up_and_down(void **state)
{
    random_vcpu(&from.vcpu[0]);
    to.vcpu[0].pause_flags = 1ul << VPF_blocked | 1ul << VPF_down;
    to.vcpu[1].pause_flags = 0;
    save(&a, &from);
    assert_int_equal(restore(&to, &a), 0);
    assert_int_equal(to.vcpu[0].pause_flags, 0);
    assert_true(to.vcpu[0].is_initialised);
    assert_int_equal(to.vcpu[1].pause_flags, 1ul << VPF_down);
    assert_int_equal(hvm_save_record(&to.vcpu[1], HVM_SAVE_CODE(CPU), b.bytes), 0);
}

/* What a start-up message asked for, and the vCPU has not done yet. */
static void test_start_is_done(void **state)
{
    from.vcpu[0].pause_flags = 0;
    from.hvm[0].lapic->start = 0x1a7;
    save(&a, &from);
    assert_int_equal(((struct hvm_hw_cpu *)find(&a, HVM_SAVE_CODE(CPU)))->cs_base, 0xa7000);
    assert_int_equal(from.hvm[0].lapic->start, 0);
}

static void test_timer(void **state)
{
    struct hvm_hw_lapic_regs *regs;
    uint32_t left;

    from.hvm[0].lapic->initial = 1000;
    from.hvm[0].lapic->expires = now + 400 * LAPIC_TIMER_NS * 2;
    save(&a, &from);
    now += 5000000;
    assert_int_equal(restore(&to, &a), 0);
    assert_int_equal(to.hvm[0].lapic->expires, now + 400 * LAPIC_TIMER_NS * 2);
    regs = find(&a, HVM_SAVE_CODE(LAPIC_REGS));
    left = 0; /* Xen keeps no count */
    memcpy(regs->data + 0x390, &left, sizeof(left));
    assert_int_equal(restore(&to, &a), 0);
    assert_int_equal(to.hvm[0].lapic->expires, now + 1000 * LAPIC_TIMER_NS * 2);
}

/* An event by an instruction that will be executed again is not delivered twice. */
static void test_events_of_instructions(void **state)
{
    random_vcpu(&from.vcpu[0]);
    for (unsigned int type = 4; type <= 6; type++) {
        save(&a, &from);
        ((struct hvm_hw_cpu *)find(&a, HVM_SAVE_CODE(CPU)))->pending_event = 0x80000003 | type << 8;
        to.back_end[0].event = 1;
        assert_int_equal(restore(&to, &a), 0);
        assert_int_equal(to.back_end[0].event, 0);
    }
}

/* Domain-wide records of Xen say that no wire is high; banks of machine checks stay, empty. */
static void test_of_xen(void **state)
{
    static const uint8_t types[] = {HVM_SAVE_CODE(PCI_IRQ), HVM_SAVE_CODE(ISA_IRQ), HVM_SAVE_CODE(PCI_LINK)};
    static const uint8_t sizes[] = {HVM_SAVE_LENGTH(PCI_IRQ), HVM_SAVE_LENGTH(ISA_IRQ), HVM_SAVE_LENGTH(PCI_LINK)};
    struct vcpu *v = &to.vcpu[0];
    uint64_t value;

    assert_int_equal(hvm_read_msr(v, 0x400, &value), -EINVAL);
    for (unsigned int high = 0; high < 2; high++)
        for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
            a.size = 0;
            add_header(&a);
            *(uint8_t *)add(&a, types[i], 0, sizes[i]) = (uint8_t)high;
            ((struct hvm_vmce_vcpu *)add(&a, HVM_SAVE_CODE(VMCE_VCPU), 0, HVM_SAVE_LENGTH(VMCE_VCPU)))->caps = 0x102;
            add_end(&a);
            assert_int_equal(restore(&to, &a), high ? -EINVAL : 0);
        }
    assert_int_equal(hvm_read_msr(v, 0x179, &value), 0);
    assert_int_equal(value, 0x102);
    for (uint32_t msr = 0x400; msr < 0x408; msr++) {
        assert_int_equal(hvm_read_msr(v, msr, &value), 0);
        assert_true(value == (msr % 4 ? 0 : ~0ull));
        assert_int_equal(hvm_write_msr(v, msr, 0), 0);
        assert_int_equal(hvm_write_msr(v, msr, 5), msr % 4 ? -EINVAL : 0);
    }
    assert_int_equal(hvm_read_msr(v, 0x408, &value), -EINVAL);
    assert_int_equal(hvm_write_msr(v, 0x179, 0x102), 0);
    assert_int_equal(hvm_write_msr(v, 0x179, 0), -EINVAL);
    assert_int_equal(hvm_write_msr(v, 0x17b, 5), 0);
}

/* Stubs of nine bytes, 32 apart; a kernel that has them begins, in its mode. */
static void test_hypercall_page(void **state)
{
    static const uint8_t stub[] = {0xb8, 29, 0, 0, 0, 0x0f, 0x01, 0xd9, 0xc3};
    struct vcpu *v = &to.vcpu[0];

    latches = 0;
    assert_int_equal(hvm_write_msr(v, 0x40000000, 5), -EINVAL);
    assert_int_equal(hvm_write_msr(v, 0x40000000, sizeof(memory)), -EINVAL); /* no memory */
    assert_int_equal(latches, 0);
    assert_int_equal(hvm_write_msr(v, 0x40000000, 0), 0);
    assert_memory_equal((uint8_t *)memory + 29 * 32, stub, sizeof(stub));
    assert_int_equal(latches, 1);
}

static void test_msr_record(void **state)
{
    static const struct {
        uint32_t count, index, reserved;
        uint64_t value;
        int rc;
    } rows[] = {{1, 0xc0010015, 0, 1u << 24, 0},       {1, 0xc0010015, 0, 0, -EINVAL},
                {1, 0xc0010015, 1, 1u << 24, -EINVAL}, {1, 0x48, 0, 1, -EINVAL},
                {2, 0xc0010015, 0, 1u << 24, -EINVAL}, {0, 0xc0010015, 0, 1u << 24, -EINVAL}};

    for (unsigned int i = 0; i < ARRAY_SIZE(rows); i++) {
        struct hvm_msr *m;

        a.size = 0;
        add_header(&a);
        m = add(&a, CPU_MSR_CODE, 1, 24);
        m->count = rows[i].count;
        m->msr[0] = (struct hvm_one_msr){rows[i].index, rows[i].reserved, rows[i].value};
        add_end(&a);
        assert_int_equal(restore(&to, &a), rows[i].rc);
    }
}

/* Counters of vCPUs keep their distance, and go on where they were. */
static void test_counters(void **state)
{
    struct hvm_vcpu *first = &from.hvm[0], *second = &from.hvm[1];
    uint64_t was, is;

    assert_int_equal(first->tsc_offset, second->tsc_offset);
    random_vcpu(&from.vcpu[0]);
    random_vcpu(&from.vcpu[1]);
    second->tsc_offset = first->tsc_offset + 1000;
    hvm_note_tsc(&from.d);
    was = from.d.hvm.save_tsc + first->tsc_offset;
    a.size = 0;
    add_header(&a);
    for (unsigned int i = 0; i < VCPUS; i++)
        hvm_save_cpu(&from.vcpu[i], add(&a, HVM_SAVE_CODE(CPU), i, HVM_SAVE_LENGTH(CPU)));
    add_end(&a);
    assert_int_equal(restore(&to, &a), 0);
    assert_int_equal(to.d.hvm.save_tsc + to.hvm[0].tsc_offset, was);
    assert_int_equal(to.hvm[1].tsc_offset - to.hvm[0].tsc_offset, 1000);
    assert_int_equal(hvm_read_msr(&to.vcpu[0], 0x10, &is), 0);
    assert_in_range(is - was, 1, 1ull << 40);
}

/* One that starts counts as the first does, and is told the time by that counter before it looks. */
static void test_counter_of_start(void **state)
{
    struct vcpu *v = &to.vcpu[1];

    to.hvm[0].tsc_offset = 12345;
    to.hvm[1].tsc_offset = 1ull << 40;
    to.hvm[1].tsc_adjust = 1ull << 30;
    to.hvm[1].lapic->start = 0x101;
    fake_run_on(0, v);
    time_updates = 0;
    hvm_start_if_told(v);
    assert_int_equal(to.hvm[1].tsc_offset, 12345);
    assert_int_equal(to.hvm[1].tsc_adjust, 0);
    assert_int_equal(time_updates, 1);
    assert_int_equal(offset_told, 12345);
    hvm_start_if_told(v);
    assert_int_equal(time_updates, 1);
}

/* So does one that was down where the domain was saved, or has not yet begun. */
static void test_counter_of_one_down(void **state)
{
    random_vcpu(&from.vcpu[0]);
    hvm_note_tsc(&from.d);
    to.hvm[1].tsc_offset = 77;
    a.size = 0;
    add_header(&a);
    hvm_save_cpu(&from.vcpu[0], add(&a, HVM_SAVE_CODE(CPU), 0, HVM_SAVE_LENGTH(CPU)));
    add_end(&a);
    assert_int_equal(restore(&to, &a), 0);
    assert_int_equal(to.hvm[1].tsc_offset, to.hvm[0].tsc_offset);
    assert_true(test_bit(VPF_down, &to.vcpu[1].pause_flags));
}

/* A guest that sets its counter finds in TSC_ADJUST by how much, and the other way round. */
static void test_counter_registers(void **state)
{
    struct vcpu *v = &to.vcpu[0];
    uint64_t before = v->hvm->tsc_offset, value;

    time_updates = 0;
    assert_int_equal(hvm_write_msr(v, 0x10, 5ull << 50), 0);
    assert_int_equal(hvm_read_msr(v, 0x10, &value), 0);
    assert_in_range(value - (5ull << 50), 1, 1ull << 40);
    assert_int_equal(hvm_read_msr(v, 0x3b, &value), 0);
    assert_int_equal(value, v->hvm->tsc_offset - before);
    assert_int_equal(hvm_write_msr(v, 0x3b, 0), 0);
    assert_int_equal(v->hvm->tsc_offset, before);
    assert_int_equal(time_updates, 2);
}

/* ---- what is refused ---- */

static struct world before;

/* Nothing is left of a stream that is refused. */
static void refused(struct world *w, const struct stream *s)
{
    struct lapic lapic[VCPUS];
    uint8_t area[VCPUS][XSAVE_AVX];

    before = *w;
    for (unsigned int i = 0; i < VCPUS; i++) {
        lapic[i] = *w->hvm[i].lapic;
        memcpy(area[i], w->vcpu[i].xsave_area, XSAVE_AVX);
    }
    assert_int_equal(restore(w, s), -EINVAL);
    assert_memory_equal(&before, w, sizeof(*w));
    for (unsigned int i = 0; i < VCPUS; i++) {
        assert_memory_equal(&lapic[i], w->hvm[i].lapic, sizeof(struct lapic));
        assert_memory_equal(area[i], w->vcpu[i].xsave_area, XSAVE_AVX);
    }
}

struct change {
    uint16_t type, offset;
    uint8_t size;
    uint64_t value;
};

#define CPU_FIELD(f, v)                                                                            \
    {                                                                                              \
        HVM_SAVE_CODE(CPU), offsetof(struct hvm_hw_cpu, f), sizeof(((struct hvm_hw_cpu *)0)->f), v \
    }
#define REG(offset, v)                          \
    {                                           \
        HVM_SAVE_CODE(LAPIC_REGS), offset, 4, v \
    }
#define BASE_FIELD(f, v)                                                                                 \
    {                                                                                                    \
        HVM_SAVE_CODE(LAPIC), offsetof(struct hvm_hw_lapic, f), sizeof(((struct hvm_hw_lapic *)0)->f), v \
    }
#define MTRR_FIELD(f, v)                                           \
    {                                                              \
        HVM_SAVE_CODE(MTRR), offsetof(struct hvm_hw_mtrr, f), 8, v \
    }
#define X_FIELD(f, v)                                              \
    {                                                              \
        CPU_XSAVE_CODE, offsetof(struct hvm_hw_cpu_xsave, f), 8, v \
    }
#define VMCE_FIELD(f, v)                                                  \
    {                                                                     \
        HVM_SAVE_CODE(VMCE_VCPU), offsetof(struct hvm_vmce_vcpu, f), 8, v \
    }

/* Of a vCPU in long mode, in x2APIC mode. */
static const struct change changes[] = {
    {HVM_SAVE_CODE(HEADER), 0, 4, 1},
    {HVM_SAVE_CODE(HEADER), 4, 4, 2},
    CPU_FIELD(pad0, 1),
    CPU_FIELD(flags, 3),
    {HVM_SAVE_CODE(CPU), MXCSR_OFFSET, 4, 1 << 16},
    CPU_FIELD(rflags, 1 << 3),
    CPU_FIELD(rflags, 1 << 17), /* VM in long mode */
    CPU_FIELD(rflags, 1ull << 32),
    CPU_FIELD(cr0, CR0_PG),
    CPU_FIELD(cr0, 1ull << 32 | CR0_PG | CR0_PE),
    CPU_FIELD(cr0, CR0_PG | CR0_PE | 1ull << 29), /* NW without CD */
    CPU_FIELD(cr0, CR0_PE),                       /* LMA without PG */
    CPU_FIELD(cr3, 1ull << 40),
    CPU_FIELD(cr4, 0), /* long mode without PAE */
    CPU_FIELD(cr4, CR4_PAE | 1 << 13),
    CPU_FIELD(cr4, CR4_PAE | CR4_PCIDE),
    CPU_FIELD(msr_efer, EFER_LME),
    CPU_FIELD(msr_efer, EFER_LMA),
    CPU_FIELD(msr_efer, EFER_LME | EFER_LMA | 1 << 12), /* SVME */
    CPU_FIELD(dr6, 1ull << 32),
    CPU_FIELD(dr7, 1ull << 63),
    CPU_FIELD(cs_sel, 1 << 16),
    CPU_FIELD(ldtr_arbytes, 1 << 12),
    CPU_FIELD(cs_arbytes, 0x69b), /* L and D */
    CPU_FIELD(gdtr_limit, 1 << 16),
    CPU_FIELD(idtr_limit, ~0u),
    CPU_FIELD(fs_base, 1ull << 47),
    CPU_FIELD(idtr_base, 1ull << 63),
    CPU_FIELD(tr_base, 0xffff000000000000),
    CPU_FIELD(msr_lstar, 1ull << 47),
    CPU_FIELD(msr_cstar, 1ull << 62),
    CPU_FIELD(shadow_gs, 0x8000000000000000),
    CPU_FIELD(sysenter_esp, 1ull << 48),
    CPU_FIELD(sysenter_eip, 1ull << 48),
    CPU_FIELD(msr_syscall_mask, 1ull << 32),
    CPU_FIELD(msr_tsc_aux, 1ull << 32),
    CPU_FIELD(pending_event, 0x8000000f), /* an interrupt with an exception's number */
    CPU_FIELD(pending_event, 0x80000203), /* an NMI by another number */
    CPU_FIELD(pending_event, 0x80000302), /* an NMI as exception */
    CPU_FIELD(pending_event, 0x80000320),
    CPU_FIELD(pending_event, 0x80000b06), /* #UD with an error code */
    CPU_FIELD(pending_event, 0x80000821),
    CPU_FIELD(pending_event, 0x80000121), /* there is no type 1 */
    CPU_FIELD(pending_event, 0x80000721),
    CPU_FIELD(pending_event, 0x80001021), /* reserved */
    BASE_FIELD(apic_base_msr, 0xfee00d00 | 1 << 12),
    BASE_FIELD(apic_base_msr, 0xfee00c00), /* the first one is said not to be */
    BASE_FIELD(apic_base_msr, 0xfee00500), /* EXTD alone */
    BASE_FIELD(apic_base_msr, 0xfee00900), /* the logical identity is that of x2APIC mode */
    BASE_FIELD(disabled, 1),
    BASE_FIELD(disabled, 4),
    BASE_FIELD(timer_divisor, 0),
    BASE_FIELD(timer_divisor, 3),
    BASE_FIELD(timer_divisor, 256),
    BASE_FIELD(tdt_msr, 1),
    REG(0x20, 2),
    REG(0x30, 0x15),
    REG(0x80, 0x100),
    REG(0xe0, 0xf0000000),
    REG(0xf0, 0x1000),
    REG(0xf0, 0xff), /* off, but a source is not masked */
    REG(0x100, 1),
    REG(0x180, 1),
    REG(0x1f0, 1u << 31),
    REG(0x200, 1u << 15),
    REG(0x280, 0x100),
    REG(0x300, 1u << 12),
    REG(0x320, 1u << 18),
    REG(0x370, 1u << 17),
    REG(0x390, 0x2001), /* more than there was to begin with */
    REG(0x3e0, 4),
    MTRR_FIELD(msr_pat_cr, 2),
    MTRR_FIELD(msr_pat_cr, 8ull << 56),
    MTRR_FIELD(msr_mtrr_var[0], 2),
    MTRR_FIELD(msr_mtrr_var[14], 1ull << 40),
    MTRR_FIELD(msr_mtrr_var[15], 1),
    MTRR_FIELD(msr_mtrr_fixed[10], 3ull << 56),
    MTRR_FIELD(msr_mtrr_cap, 0x509),
    MTRR_FIELD(msr_mtrr_def_type, 0x1006),
    X_FIELD(xcr0, 0),
    X_FIELD(xcr0, 5), /* AVX without SSE */
    X_FIELD(xcr0_accum, 3),
    X_FIELD(xcr0_accum, 0xf),
    X_FIELD(save_area.xsave_hdr.xstate_bv, 1 << 3),
    X_FIELD(save_area.xsave_hdr.xcomp_bv, 1ull << 63),
    X_FIELD(save_area.xsave_hdr.reserved[5], 1),
    {CPU_XSAVE_CODE, 24 + MXCSR_OFFSET, 4, 1 << 16},
    VMCE_FIELD(caps, 3),
    VMCE_FIELD(caps, 1 << 9),
    VMCE_FIELD(mci_ctl2_bank0, 1),
    VMCE_FIELD(mci_ctl2_bank1, 1),
    VMCE_FIELD(mcg_ext_ctl, 1),
};

static void long_mode(struct world *w)
{
    struct vcpu *v = &w->vcpu[0];

    random_vcpu(v);
    random_vcpu(&w->vcpu[1]);
    v->hvm->cr0 = CR0_ET | CR0_PE | CR0_PG;
    v->hvm->cr4 = CR4_PAE;
    v->hvm->efer = EFER_LME | EFER_LMA;
    v->hvm->cr3 = 0x1000;
    hvm_paging_changed(v);
    w->back_end[0].seg[HVM_CS].attr = 0xa9b;
    w->back_end[0].event = 0;
    v->hvm->lapic->base = LAPIC_MMIO | LAPIC_BASE_EN | LAPIC_BASE_EXTD | LAPIC_BASE_BSP;
    v->hvm->lapic->svr = 0x1ff;
    v->hvm->lapic->lvt[0] = 0x31;
    v->hvm->lapic->initial = 0x2000;
    v->hvm->lapic->expires = now + 0x100000;
    v->hvm->lapic->divide = 0;
    v->xcr0 = v->xcr0_accum = 7;
    ((struct hvm_hw_cpu_xsave_hdr *)((uint8_t *)v->xsave_area + 512))->xstate_bv = 7;
}

static void test_hostile_records(void **state)
{
    long_mode(&from);
    long_mode(&to);
    save(&a, &from);
    for (unsigned int i = 0; i < ARRAY_SIZE(changes); i++) {
        b = a;
        memcpy((uint8_t *)find(&b, changes[i].type) + changes[i].offset, &changes[i].value, changes[i].size);
        if (memcmp(a.bytes, b.bytes, a.size) == 0 || restore(&from, &b) != -EINVAL)
            fail_msg("change %u is taken", i);
        refused(&to, &b);
    }
    assert_int_equal(restore(&to, &a), 0);
}

/* PAE's roots come from memory, which may have none. */
static void test_roots(void **state)
{
    random_vcpu(&from.vcpu[0]);
    from.hvm[0].cr0 = CR0_ET | CR0_PE | CR0_PG;
    from.hvm[0].cr4 = CR4_PAE;
    from.hvm[0].efer = 0;
    from.hvm[0].cr3 = 0x40;
    memory[8] = 0x5001;
    save(&a, &from);
    assert_int_equal(restore(&to, &a), 0);
    assert_int_equal(to.hvm[0].shadow.paging.pdpte[0], 0x5001);
    memory[8] = 0x5003; /* a bit that is reserved there */
    refused(&to, &a);
    ((struct hvm_hw_cpu *)find(&a, HVM_SAVE_CODE(CPU)))->cr3 = 1 << 20;
    refused(&to, &a);
}

static void test_hostile_framing(void **state)
{
    static const struct hvm_save_descriptor bad[] = {
        {HVM_SAVE_CODE(PIC), 0, HVM_SAVE_LENGTH(PIC)},
        {HVM_SAVE_CODE(IOAPIC), 0, HVM_SAVE_LENGTH(IOAPIC)},
        {HVM_SAVE_CODE(HPET), 0, HVM_SAVE_LENGTH(HPET)},
        {HVM_SAVE_CODE(VIRIDIAN_DOMAIN), 0, HVM_SAVE_LENGTH(VIRIDIAN_DOMAIN)},
        {HVM_SAVE_CODE_MAX + 1, 0, 8},
        {0xffff, 0, 8},
        {HVM_SAVE_CODE(HEADER), 0, HVM_SAVE_LENGTH(HEADER)}, /* a second one */
        {HVM_SAVE_CODE(TSC_ADJUST), 0, 8},                   /* twice */
        {HVM_SAVE_CODE(TSC_ADJUST), VCPUS, 8},               /* no such vCPU */
        {HVM_SAVE_CODE(TSC_ADJUST), 0xffff, 8},
        {HVM_SAVE_CODE(PCI_LINK), 1, HVM_SAVE_LENGTH(PCI_LINK)},
        {HVM_SAVE_CODE(PCI_LINK), 0, HVM_SAVE_LENGTH(PCI_LINK) - 4},
        {CPU_MSR_CODE, 0, 0},
        {CPU_MSR_CODE, 0, 4},
        {HVM_SAVE_CODE(END), 0, 8},
        {HVM_SAVE_CODE(END), 1, 0},
    };

    long_mode(&from);
    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        a.size = 0;
        add_header(&a);
        add_all(&a, &from);
        add(&a, bad[i].typecode, bad[i].instance, bad[i].length);
        add_end(&a);
        refused(&to, &a);
    }
    a.size = 0;
    add_all(&a, &from); /* without a header */
    add_end(&a);
    refused(&to, &a);
}

/* Cut anywhere it has no end; and a record's length is that of the record. */
static void test_cut(void **state)
{
    struct hvm_save_descriptor *desc;

    long_mode(&from);
    save(&a, &from);
    b = a;
    for (b.size = 0; b.size < a.size; b.size += b.size % 3 ? 1 : 5)
        refused(&to, &b);
    for (size_t at = 0; at < a.size - sizeof(*desc); at += sizeof(*desc) + desc->length) {
        uint32_t length = ((struct hvm_save_descriptor *)(void *)(a.bytes + at))->length;

        for (int by = -8; by <= 8; by += 4) {
            b = a;
            desc = (void *)(b.bytes + at);
            desc->length = length + (uint32_t)by;
            if (by)
                refused(&to, &b);
        }
        desc = (void *)(a.bytes + at);
    }
}

static void test_without_memory(void **state)
{
    save(&a, &from);
    no_memory = true;
    assert_int_equal(restore(&to, &a), -ENOMEM);
}

/* Components that this processor does not have may be named if there is nothing in them; without XSAVE, none. */
static void test_other_processors(void **state)
{
    struct hvm_hw_cpu_xsave *x;

    a.size = 0;
    add_header(&a);
    x = add(&a, CPU_XSAVE_CODE, 0, 24 + 2688);
    x->xcr0 = x->xcr0_accum = 3;
    add_end(&a);
    assert_int_equal(restore(&to, &a), 0);
    ((uint8_t *)x)[24 + 2687] = 1;
    refused(&to, &a);
    ((uint8_t *)x)[24 + 2687] = 0;
    cpu_features.xsave = false;
    refused(&to, &a);
    assert_int_equal(hvm_record_max(CPU_XSAVE_CODE) | hvm_save_record(&to.vcpu[0], CPU_XSAVE_CODE, b.bytes), 0);
    cpu_features.xsave = true;
}

/* The record of a PV vCPU says the same as its own. */
static void test_context(void **state)
{
    static struct vcpu_guest_context c;
    static struct hvm_hw_cpu r;
    bool kernel;

    fake_seed("hvm context");
    for (unsigned int i = 0; i < 100; i++) {
        random_vcpu(&from.vcpu[0]);
        hvm_save_cpu(&from.vcpu[0], &r);
        hvm_get_context(&from.vcpu[0], &c);
        kernel = !(r.ss_arbytes >> 5 & 3);
        assert_true(c.user_regs.rip == r.rip && c.user_regs.rsp == r.rsp && c.user_regs.rflags == r.rflags &&
                    c.user_regs.rax == r.rax && c.user_regs.r15 == r.r15);
        assert_true(c.user_regs.cs == r.cs_sel && c.user_regs.ss == r.ss_sel && c.user_regs.gs == r.gs_sel);
        assert_true(c.ctrlreg[0] == r.cr0 && c.ctrlreg[2] == r.cr2 && c.ctrlreg[3] == r.cr3 && c.ctrlreg[4] == r.cr4);
        assert_int_equal(c.fs_base, r.fs_base);
        assert_int_equal(kernel ? c.gs_base_kernel : c.gs_base_user, r.gs_base);
        assert_int_equal(kernel ? c.gs_base_user : c.gs_base_kernel, r.shadow_gs);
        assert_int_equal(!(c.flags & VGCF_in_kernel), !kernel);
        assert_true(c.debugreg[0] == r.dr0 && c.debugreg[3] == r.dr3 && c.debugreg[6] == r.dr6);
        assert_memory_equal(&c.fpu_ctxt, r.fpu_regs, sizeof(r.fpu_regs));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STATE_TEST(test_round_trip),
        STATE_TEST(test_context),
        STATE_TEST(test_up_and_down),
        STATE_TEST(test_start_is_done),
        STATE_TEST(test_timer),
        STATE_TEST(test_events_of_instructions),
        STATE_TEST(test_of_xen),
        STATE_TEST(test_hypercall_page),
        STATE_TEST(test_msr_record),
        STATE_TEST(test_counters),
        STATE_TEST(test_counter_registers),
        STATE_TEST(test_counter_of_start),
        STATE_TEST(test_counter_of_one_down),
        STATE_TEST(test_hostile_records),
        STATE_TEST(test_roots),
        STATE_TEST(test_hostile_framing),
        STATE_TEST(test_cut),
        STATE_TEST(test_without_memory),
        STATE_TEST(test_other_processors),
    };

    return cmocka_run_group_tests_name("hvm_state", tests, NULL, NULL);
}
