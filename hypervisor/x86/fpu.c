/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended processor state of vCPUs, switched eagerly: saved when a vCPU leaves its CPU, restored when it comes back.
 * XSAVE with all components of the host when there is XSAVE, else FXSAVE. The area always holds every component,
 * whatever XCR0 the guest chose, so that nothing of another vCPU stays in registers that this guest enables later.
 *
 * CR0.TS is clear while the hypervisor runs; pv/switch.c sets it for guests that asked for #NM.
 */
#include <hv/fpu.h>
#include <hv/heap.h>
#include <hv/x86.h>

#define FXSAVE_SIZE   512
#define XSTATE_BV     512 /* offset of the header's component bitmap */
#define XCOMP_BV      520
#define FCW_DEFAULT   0x037f
#define MXCSR_DEFAULT 0x1f80

static void xsetbv(uint64_t v)
{
    __asm__ __volatile__("xsetbv" ::"c"(0), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)));
}

static uint64_t xgetbv(void)
{
    uint32_t lo, hi;

    __asm__ __volatile__("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

static unsigned int area_order(void)
{
    size_t size = cpu_features.xsave ? cpu_features.xsave_size : FXSAVE_SIZE;

    return get_order_bytes(size);
}

void fpu_reset(struct vcpu *v)
{
    uint8_t *area = v->xsave_area;

    memset(area, 0, PAGE_SIZE << area_order());
    *(uint16_t *)area = FCW_DEFAULT;
    *(uint32_t *)(area + MXCSR_OFFSET) = MXCSR_DEFAULT;
}

int fpu_vcpu_init(struct vcpu *v)
{
    v->xsave_area = alloc_hv_mem(area_order());
    if (!v->xsave_area)
        return -ENOMEM;
    fpu_reset(v);
    v->xcr0 = XCR0_X87;
    v->xcr0_accum = XCR0_X87;
    return 0;
}

void fpu_vcpu_free(struct vcpu *v)
{
    if (v->xsave_area)
        free_hv_mem(v->xsave_area, area_order());
    v->xsave_area = NULL;
}

void fpu_save(struct vcpu *v)
{
    uint8_t *area = v->xsave_area;
    uint64_t now;

    __asm__ __volatile__("clts" ::: "memory");
    if (!cpu_features.xsave) {
        __asm__ __volatile__("fxsave64 (%0)" ::"r"(area) : "memory");
        return;
    }
    /* A guest on hardware virtualisation has loaded it itself where XSETBV is not intercepted (QEMU 7.2). What it has
     * turned on beyond the mask would be saved past the end of the area. */
    now = xgetbv();
    v->xcr0 = now & cpu_features.xcr0_mask;
    v->xcr0_accum |= v->xcr0;
    if (now != cpu_features.xcr0_mask)
        xsetbv(cpu_features.xcr0_mask);
    __asm__ __volatile__("xsave64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
}

/*
 * AMD processors before Zen leave the x87 exception pointers alone when no exception is pending: what a former guest
 * left there would show. Loading any x87 value overwrites them.
 */
static void clear_fpu_pointers(void)
{
    static const uint32_t zero;

    __asm__ __volatile__("fnclex; ffree %%st(7); fildl %0" ::"m"(zero));
}

void fpu_restore(struct vcpu *v)
{
    uint8_t *area = v->xsave_area;

    __asm__ __volatile__("clts" ::: "memory");
    if (memcmp(cpu_features.vendor, "AuthenticAMD", 12) == 0)
        clear_fpu_pointers();
    if (!cpu_features.xsave) {
        __asm__ __volatile__("fxrstor64 (%0)" ::"r"(area) : "memory");
        return;
    }
    xsetbv(cpu_features.xcr0_mask);
    __asm__ __volatile__("xrstor64 (%0)" ::"r"(area), "a"(~0u), "d"(~0u) : "memory");
    if (v->xcr0 != cpu_features.xcr0_mask)
        xsetbv(v->xcr0);
}

bool fpu_set_xcr0(struct vcpu *v, uint64_t xcr0)
{
    if (!cpu_features.xsave || (xcr0 & ~cpu_features.xcr0_mask) || !xcr0_valid(xcr0))
        return false;
    v->xcr0 = xcr0;
    v->xcr0_accum |= xcr0;
    if (v == current)
        xsetbv(xcr0);
    return true;
}

void fpu_import_legacy(struct vcpu *v, const void *fxsave)
{
    uint8_t *area = v->xsave_area;
    uint32_t *mxcsr = (uint32_t *)(area + MXCSR_OFFSET);

    fpu_reset(v);
    memcpy(area, fxsave, 416); /* the rest of the image is reserved or software's */
    /* Reserved bits would make the restore fault. */
    *mxcsr &= MXCSR_MASK_OK;
    *(uint32_t *)(area + MXCSR_OFFSET + 4) = 0;
    if (cpu_features.xsave) {
        *(uint64_t *)(area + XSTATE_BV) = XCR0_X87 | XCR0_SSE;
        *(uint64_t *)(area + XCOMP_BV) = 0;
    }
}

void fpu_export_legacy(struct vcpu *v, void *fxsave)
{
    uint8_t *out = fxsave;
    uint64_t bv = cpu_features.xsave ? *(uint64_t *)((uint8_t *)v->xsave_area + XSTATE_BV) : XCR0_X87 | XCR0_SSE;

    memcpy(out, v->xsave_area, FXSAVE_SIZE);
    /* XSAVE leaves a component that is in its initial state out of the image. */
    if (!(bv & XCR0_X87)) {
        memset(out, 0, MXCSR_OFFSET);
        memset(out + 32, 0, 128);
        *(uint16_t *)out = FCW_DEFAULT;
    }
    if (!(bv & XCR0_SSE))
        memset(out + 160, 0, 256);
}
