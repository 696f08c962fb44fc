// SPDX-License-Identifier: BSD-2-Clause
/*
 * Attack: I/O ports of a guest that owns none: reset lines, power, interrupt controllers, timers, PCI configuration,
 * the serial line. Without a virtual IOPL each access is a general protection fault, in user mode always. With it,
 * reads give ones and writes go nowhere; a bitmap at a bad address allows nothing. String forms that name memory of
 * the hypervisor fault as any access to it does (in Xen as one that is not canonical).
 */
#include "guest.h"

static const uint16_t ports[] = {0x0,   0x20,  0x21,   0x40,   0x43,  0x60,  0x61,  0x64,  0x70,
                                 0x71,  0x80,  0x92,   0xa0,   0xb2,  0x2f8, 0x3f8, 0x3fc, 0x402,
                                 0x510, 0x604, 0xb000, 0xb004, 0xcf8, 0xcf9, 0xcfc, 0xffff};
static const uint8_t in[] = {0xec}, out[] = {0xee}, inw[] = {0x66, 0xed}, outw[] = {0x66, 0xef}, inl[] = {0xed},
                     outl[] = {0xef};

/* mov port, %edx; mov value, %eax; the access; mov result to memory. */
static int access(uint16_t port, uint32_t value, const uint8_t *op, unsigned int n, uint32_t *result, bool user)
{
    uint8_t code[40] = {0xba, (uint8_t)port, (uint8_t)(port >> 8), 0, 0, 0xb8};
    unsigned int at = 10;

    __builtin_memcpy(code + 6, &value, 4);
    __builtin_memcpy(code + at, op, n);
    at += n;
    code[at++] = 0x48; /* mov result, %rcx; mov %eax, (%rcx) */
    code[at++] = 0xb9;
    __builtin_memcpy(code + at, &result, 8);
    code[at + 8] = 0x89;
    code[at + 9] = 0x01;
    return user ? run_user_code(code, at + 10) : run_code(code, at + 10);
}

static void all(int vector, bool user)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(ports); i++) {
        uint32_t got = 0;

        CHECK_IS(access(ports[i], 0xfefefefe, out, 1, &got, user), vector);
        CHECK_IS(access(ports[i], 0x20062006, outw, 2, &got, user), vector);
        CHECK_IS(access(ports[i], 0xffffffff, outl, 1, &got, user), vector);
        CHECK_IS(access(ports[i], 0, in, 1, &got, user), vector);
        CHECK(vector != -1 || (got & 0xff) == 0xff);
        CHECK_IS(access(ports[i], 0, inw, 2, &got, user), vector);
        CHECK(vector != -1 || (got & 0xffff) == 0xffff);
        CHECK_IS(access(ports[i], 0, inl, 1, &got, user), vector);
        CHECK(vector != -1 || got == 0xffffffff);
    }
}

void guest_main(void)
{
    struct physdev_set_iopl iopl = {.iopl = 1};
    struct physdev_set_iobitmap bitmap = {.nr_ports = 65536};
    static const uint8_t outs[] = {0xba, 0xf8, 3, 0, 0, 0x48, 0xbe, 0, 0, 0, 0, 0, 0x83, 0xff, 0xff, 0x6e}; /* outsb */
    static const uint8_t ins[] = {0xba, 0xf8, 3, 0, 0, 0x48, 0xbf, 0, 0, 0, 0, 0, 0x83, 0xff, 0xff, 0x6c};  /* insb */

    CHECK_IS(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of((void *)start_info->pt_base), 0), 0);
    all(TRAP_GP, false);
    all(TRAP_GP, true);
    set_xen_guest_handle(bitmap.bitmap, (uint8_t *)NOT_MAPPED);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iobitmap, &bitmap), 0);
    CHECK_IS(access(0x64, 0xfe, out, 1, NULL, true), TRAP_GP);
    CHECK_IS(HYPERCALL2(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, &iopl), 0);
    all(-1, false);
    CHECK_IS(access(0x64, 0xfe, out, 1, NULL, true), TRAP_GP);
    CHECK_IS(run_code(outs, sizeof(outs)), on_umbra() ? TRAP_PF : TRAP_GP);
    CHECK_IS(run_code(ins, sizeof(ins)), on_umbra() ? TRAP_PF : TRAP_GP);
    iopl.iopl = 4;
    CHECK_IS(HYPERCALL2(__HYPERVISOR_physdev_op, PHYSDEVOP_set_iopl, &iopl), -XEN_EINVAL);
}
