// SPDX-License-Identifier: BSD-2-Clause
/* Hardware's account of an exit into struct vmexit. It only reads; AMD64 manual volume 2, appendix C. */
#include <hv/x86.h>
#include "vmcb.h"

static void decode_exception(const struct vmcb *c, struct vmexit *x)
{
    x->vector = (uint8_t)(c->exitcode - EXIT_EXC_FIRST);
    x->reason = HVM_EXIT_EXCEPTION;
    if (x->vector == TRAP_PF) {
        x->reason = HVM_EXIT_PAGE_FAULT;
        x->linear = c->exitinfo2;
        x->error = (uint32_t)c->exitinfo1;
    } else if (x->vector == TRAP_MC) {
        x->reason = HVM_EXIT_NOTHING; /* the machine's: svm_run raises it at the host */
    } else {
        x->has_error = x->vector == TRAP_AC;
        x->error = (uint32_t)c->exitinfo1;
    }
}

static void decode_nested_fault(const struct vmcb *c, struct vmexit *x)
{
    x->reason = HVM_EXIT_NESTED_FAULT;
    x->gpa = _gpa(c->exitinfo2);
    x->error = (uint32_t)c->exitinfo1;
}

static void decode_io(const struct vmcb *c, struct vmexit *x)
{
    x->reason = HVM_EXIT_IO;
    x->io.in = c->exitinfo1 & 1;
    x->io.string = c->exitinfo1 & 4;
    x->io.bytes = (uint8_t)(c->exitinfo1 >> 4 & 7);
    x->io.port = (uint16_t)(c->exitinfo1 >> 16);
    x->io.next = c->exitinfo2;
}

static const struct {
    uint8_t code, reason;
} plain[] = {
    {EXIT_INTR, HVM_EXIT_NOTHING},          {EXIT_NMI, HVM_EXIT_NOTHING},     {EXIT_SMI, HVM_EXIT_NOTHING},
    {EXIT_VINTR, HVM_EXIT_NOTHING},         {EXIT_IRET, HVM_EXIT_NOTHING},    {EXIT_INIT, HVM_EXIT_NOTHING},
    {EXIT_CPUID, HVM_EXIT_CPUID},           {EXIT_HLT, HVM_EXIT_HLT},         {EXIT_VMMCALL, HVM_EXIT_HYPERCALL},
    {EXIT_INVLPG, HVM_EXIT_INVLPG},         {EXIT_XSETBV, HVM_EXIT_XSETBV},   {EXIT_INVD, HVM_EXIT_SKIP},
    {EXIT_WBINVD, HVM_EXIT_SKIP},           {EXIT_RSM, HVM_EXIT_UNDEFINED},   {EXIT_INVLPGA, HVM_EXIT_UNDEFINED},
    {EXIT_MONITOR, HVM_EXIT_UNDEFINED},     {EXIT_MWAIT, HVM_EXIT_UNDEFINED}, {EXIT_RDPMC, HVM_EXIT_PRIVILEGED},
    {EXIT_SHUTDOWN, HVM_EXIT_TRIPLE_FAULT}, {EXIT_RDPRU, HVM_EXIT_UNDEFINED},
};

static void decode_plain(const struct vmcb *c, struct vmexit *x)
{
    x->reason = c->exitcode >= EXIT_VMRUN && c->exitcode <= EXIT_SKINIT ? HVM_EXIT_UNDEFINED : HVM_EXIT_FATAL;
    for (unsigned int i = 0; i < ARRAY_SIZE(plain); i++)
        if (plain[i].code == c->exitcode)
            x->reason = (enum hvm_exit_reason)plain[i].reason;
}

void svm_decode(const struct vmcb *c, struct vmexit *x)
{
    x->code = c->exitcode;
    if (c->exitcode <= EXIT_CR_LAST)
        x->reason = HVM_EXIT_CR;
    else if (c->exitcode <= EXIT_DR_LAST)
        x->reason = HVM_EXIT_DR;
    else if (c->exitcode <= EXIT_EXC_LAST)
        decode_exception(c, x);
    else if (c->exitcode == EXIT_IOIO)
        decode_io(c, x);
    else if (c->exitcode == EXIT_NPF)
        decode_nested_fault(c, x);
    else if (c->exitcode == EXIT_MSR)
        x->reason = c->exitinfo1 & 1 ? HVM_EXIT_WRMSR : HVM_EXIT_RDMSR;
    else
        decode_plain(c, x);
}
