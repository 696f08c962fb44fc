// SPDX-License-Identifier: BSD-2-Clause
/*
 * Hardware's account of an exit into struct vmexit. It only reads; AMD64 manual volume 2, appendix C; what not every
 * processor tells: sections 15.7.1 (next rip) and 15.8 (decode assists).
 */
#include <hv/x86.h>
#include "vmcb.h"

uint32_t svm_features = ~0u;

#define IS_MOV (1ull << 63) /* of EXITINFO1: none of CLTS, LMSW, SMSW */
#define TO_REG 0x10u        /* of the exit's code */
#define REG_NR 0x0fu

static void decode_mov(const struct vmcb *c, struct vmexit *x, bool is_mov)
{
    x->has_operand = is_mov && (svm_features & SVM_DECODE_ASSISTS);
    x->mov.to = c->exitcode & TO_REG;
    x->mov.nr = c->exitcode & REG_NR;
    x->mov.rm = c->exitinfo1 & REG_NR;
}

static void decode_bytes(const struct vmcb *c, struct vmexit *x)
{
    x->fetched = svm_features & SVM_DECODE_ASSISTS ? c->fetched & 0xf : 0;
    memcpy(x->bytes, c->bytes, sizeof(x->bytes));
}

static void decode_exception(const struct vmcb *c, struct vmexit *x)
{
    x->vector = (uint8_t)(c->exitcode - EXIT_EXC_FIRST);
    x->reason = HVM_EXIT_EXCEPTION;
    if (x->vector == TRAP_PF) {
        x->reason = HVM_EXIT_PAGE_FAULT;
        x->linear = c->exitinfo2;
        x->error = (uint32_t)c->exitinfo1;
        decode_bytes(c, x);
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
    decode_bytes(c, x);
}

static void decode_io(const struct vmcb *c, struct vmexit *x)
{
    x->reason = HVM_EXIT_IO;
    x->io.in = c->exitinfo1 & 1;
    x->io.string = c->exitinfo1 & 4;
    x->io.bytes = (uint8_t)(c->exitinfo1 >> 4 & 7);
    x->io.port = (uint16_t)(c->exitinfo1 >> 16);
    x->next = c->exitinfo2;
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
    x->has_operand = c->exitcode == EXIT_INVLPG && (svm_features & SVM_DECODE_ASSISTS);
    if (x->has_operand)
        x->linear = c->exitinfo1;
}

void svm_decode(const struct vmcb *c, struct vmexit *x)
{
    x->code = c->exitcode;
    x->next = svm_features & SVM_NRIP_SAVE ? c->nrip : 0;
    if (c->exitcode <= EXIT_DR_LAST) {
        x->reason = c->exitcode <= EXIT_CR_LAST ? HVM_EXIT_CR : HVM_EXIT_DR;
        decode_mov(c, x, x->reason == HVM_EXIT_DR || (c->exitinfo1 & IS_MOV));
    } else if (c->exitcode <= EXIT_EXC_LAST)
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
