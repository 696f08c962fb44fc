// SPDX-License-Identifier: BSD-2-Clause
/* core.h: what the real parts want of the rest of the hypervisor, mostly to be left alone. */
#include "core.h"

#include <stdlib.h>
#include <hv/boot.h>
#include <hv/console.h>
#include <hv/fpu.h>
#include <hv/grant.h>
#include <hv/heap.h>
#include <hv/hvm.h>
#include <hv/irq.h>
#include <hv/timer.h>
#include <xen/hvm/save.h>

struct boot_info boot_info = {.cmdline = "console=com1",
                              .region_count = 2,
                              .region = {{0, 0x9fc00, 1}, {0x100000, 0x1700000, 1}}};
struct acpi_info acpi_info;
DEFINE_PER_CPU(uint32_t, apicid);
DEFINE_PER_CPU(uint32_t, acpi_id);
uint64_t tsc_khz = 2000000;
const char note_build_id_start[36] = {4, 0, 0, 0, 20, 0, 0, 0, 3, 0, 0, 0, 'G', 'N', 'U', 0, 1, 2, 3, 4};
extern const char note_build_id_end[];
__asm__(".globl note_build_id_end\n.set note_build_id_end, note_build_id_start + 36");

size_t strlcpy(char *dst, const char *src, size_t size)
{
    return (size_t)snprintf(dst, size, "%s", src);
}

unsigned long long strtoull_hv(const char *s, const char **end, unsigned int base)
{
    return strtoull(s, (char **)end, (int)base);
}

/* ---- time ---- */
void time_set_wallclock(uint64_t secs, uint32_t nsecs, s_time_t system_time_base)
{
    core.wallclock = secs;
}

void time_update_vcpu(struct vcpu *v)
{
}

void time_update_wallclock(struct domain *d)
{
    if (d->shared_info)
        write_wallclock(d, core.wallclock, FAKE_NANOSECONDS);
}

/* ---- firmware ---- */
int efi_call(enum efi_service service, const unsigned long args[6], unsigned long *status)
{
    return core.efi ? core.efi(service, args, status) : -EOPNOTSUPP;
}

/* ---- console ---- */
void console_write(const char *s, size_t n, bool log)
{
    n = MIN(n, sizeof(core.console) - core.console_len);
    memcpy(core.console + core.console_len, s, n);
    core.console_len += n;
}

size_t console_read(char *buf, size_t n)
{
    size_t have = core.typed ? MIN(strlen(core.typed), n) : 0;

    memcpy(buf, core.typed, have);
    core.typed += have;
    return have;
}

size_t console_ring_read(char *buf, size_t n, uint32_t *index)
{
    n = *index < core.console_len ? MIN(core.console_len - *index, n) : 0;
    memcpy(buf, core.console + MIN(*index, sizeof(core.console)), n);
    *index += (uint32_t)n;
    return n;
}

size_t console_previous(const char **log)
{
    *log = core.previous;
    return core.previous_len;
}

void console_ring_clear(uint32_t index)
{
    if (index > core.console_len)
        return;
    core.console_len -= index;
    memmove(core.console, core.console + index, core.console_len);
}

static void (*debug_keys[128])(void);

void register_debug_key(char key, const char *desc, void (*fn)(void))
{
    debug_keys[(unsigned char)key] = fn;
}

void core_press(char key)
{
    debug_keys[(unsigned char)key]();
}

void handle_debug_key(char key)
{
    console_write(&key, 1, true);
}

/* ---- interrupts ---- */
int irq_domain_init(struct domain *d)
{
    d->irq = hv_alloc(64);
    return d->irq ? 0 : -ENOMEM;
}

int irq_relinquish(struct domain *d)
{
    return 0;
}

void irq_domain_free(struct domain *d)
{
    hv_free(d->irq);
    d->irq = NULL;
}

int pirq_guest_bind(struct vcpu *v, unsigned int pirq, bool share)
{
    return 0;
}

void pirq_guest_unbind(struct domain *d, unsigned int pirq)
{
}

void pirq_set_affinity(struct domain *d, unsigned int pirq, const struct vcpu *v)
{
}

/* ---- power ---- */
void machine_power_off(void)
{
    panic("power off\n");
}

void machine_restart(void)
{
    panic("restart\n");
}

/* ---- the PV processor ---- */
int fpu_vcpu_init(struct vcpu *v)
{
    v->xsave_area = alloc_hv_mem(0);
    return v->xsave_area ? 0 : -ENOMEM;
}

unsigned int xstate_size(uint64_t mask)
{
    return mask & XCR0_AVX ? 832 : 576;
}

void fpu_vcpu_free(struct vcpu *v)
{
    free_hv_mem(v->xsave_area, 0);
    v->xsave_area = NULL;
}

void pv_inject(struct vcpu *v, unsigned int vector, uint32_t error_code)
{
}

void pv_inject_page_fault(struct vcpu *v, uint32_t error_code, unsigned long cr2)
{
}

mfn_t m2p_frame(unsigned long rw_address)
{
    return _mfn(rw_address >> 21);
}

#define UNUSED_CALL(name)            \
    long do_##name(struct hcall *hc) \
    {                                \
        return -EOPNOTSUPP;          \
    }
UNUSED_CALL(callback_op)
UNUSED_CALL(fpu_taskswitch)
UNUSED_CALL(nmi_op)
UNUSED_CALL(get_debugreg)
UNUSED_CALL(set_callbacks)
UNUSED_CALL(set_debugreg)
UNUSED_CALL(set_segment_base)
UNUSED_CALL(set_trap_table)
UNUSED_CALL(vm_assist)

long do_physdev_op(struct hcall *hc)
{
    core.physdev_cmd = (uint32_t)hc->arg[0];
    core.physdev_arg = (void *)hc->arg[1];
    return -EOPNOTSUPP;
}

/* The entry frame must not change inside a multicall. */
long do_iret(struct hcall *hc)
{
    fail();
    return 0;
}

long do_stack_switch(struct hcall *hc)
{
    return core.stack_switch ? core.stack_switch(hc) : 0;
}

/* ---- hardware virtualisation: the machine has none ---- */
const struct hvm_ops *hvm_ops;
bool hvm_nested;

int hvm_vcpu_init(struct vcpu *v)
{
    v->hvm = hv_new(struct hvm_vcpu);
    return v->hvm ? 0 : -ENOMEM;
}

void hvm_vcpu_free(struct vcpu *v)
{
    hv_free(v->hvm);
    v->hvm = NULL;
}

void hvm_vcpu_stop(struct vcpu *v)
{
}

enum insn_mode hvm_mode(const struct vcpu *v)
{
    return core.code_32 ? INSN_32 : INSN_64;
}

void hvm_upcall(struct vcpu *v)
{
    core.upcalls++;
    if (core.upcall_hook)
        core.upcall_hook(v);
}

bool hvm_interrupt_pending(const struct vcpu *v)
{
    return v->vcpu_info->evtchn_upcall_pending;
}

/* A CPU record of vCPUs that are up, with their number in it. */
size_t hvm_record_max(unsigned int type)
{
    return type == HVM_SAVE_CODE(CPU) ? HVM_SAVE_LENGTH(CPU) : 0;
}

size_t hvm_save_record(struct vcpu *v, unsigned int type, void *buf)
{
    assert_true(v->pause_count || v->domain->pause_count);
    if (type != HVM_SAVE_CODE(CPU) || test_bit(VPF_down, &v->pause_flags))
        return 0;
    *(struct hvm_hw_cpu *)buf = (struct hvm_hw_cpu){.rip = v->vcpu_id};
    return HVM_SAVE_LENGTH(CPU);
}

void hvm_note_tsc(struct domain *d)
{
}

struct hvm_restore {
    const struct hvm_save_descriptor *first;
    size_t size;
    unsigned int slice;
};

struct hvm_restore *hvm_restore_begin(const struct domain *d, const void *records, size_t size)
{
    struct hvm_restore *r = hv_new(struct hvm_restore);

    if (r)
        *r = (struct hvm_restore){records, size, 0};
    return r;
}

int hvm_restore_slice(struct domain *d, struct hvm_restore *r)
{
    assert_true(d->pause_count);
    if (r->slice++ < 2)
        return -ERESTART;
    core.restored += r->size;
    return r->size < sizeof(*r->first) || r->first->typecode != HVM_SAVE_CODE(HEADER) ? -EINVAL : 0;
}

void hvm_get_context(struct vcpu *v, struct vcpu_guest_context *c)
{
    *c = (struct vcpu_guest_context){.user_regs.rip = 77 + v->vcpu_id, .ctrlreg[3] = 0x3000};
}

int hvm_set_start(struct vcpu *v, const struct vcpu_hvm_context *s)
{
    assert_true(spin_is_locked(&v->domain->life_lock) && !v->is_running);
    if (core.context_error)
        return core.context_error;
    v->is_initialised = true;
    return 0;
}
