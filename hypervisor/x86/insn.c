/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Instruction decoding: length and operands of the one-byte and 0f maps, and lengths of the 0f 38 and 0f 3a maps.
 * Used by the emulation of privileged instructions and of page-table writes, which then pick the few forms they accept.
 *
 * Pure: no state, no guest memory. Deliberately not decoded: VEX, EVEX and XOP encodings, far immediate pointers.
 */
#include <hv/insn.h>

/* What follows the opcode. */
enum { OP_BAD = 0, OP_NONE = 1, OP_MODRM = 2, OP_IMM8 = 4, OP_IMM16 = 8, OP_IMMZ = 16, OP_BYTE = 32 };

struct cursor {
    const uint8_t *p, *end;
};

static int fetch(struct cursor *c, unsigned int bytes, uint64_t *v)
{
    if ((size_t)(c->end - c->p) < bytes)
        return -ENODATA;
    *v = 0;
    for (unsigned int i = 0; i < bytes; i++)
        *v |= (uint64_t)c->p[i] << (8 * i);
    c->p += bytes;
    return 0;
}

static int64_t sign_extend(uint64_t v, unsigned int bytes)
{
    unsigned int shift = 64 - 8 * bytes;

    return (int64_t)(v << shift) >> shift;
}

/* The arithmetic block 00-3f: eight operations, six forms each. */
static unsigned int arith_form(uint8_t op, bool long_mode)
{
    switch (op & 7) {
    case 0:
    case 2:
        return OP_MODRM | OP_BYTE;
    case 1:
    case 3:
        return OP_MODRM;
    case 4:
        return OP_IMM8 | OP_BYTE;
    case 5:
        return OP_IMMZ;
    default:
        return long_mode ? OP_BAD : OP_NONE;
    }
}

static unsigned int form_40_bf(uint8_t op, bool long_mode)
{
    if (op < 0x60)
        return OP_NONE;
    if (op >= 0x70 && op < 0x80)
        return OP_IMM8 | OP_BYTE;
    switch (op) {
    case 0x60:
    case 0x61:
        return long_mode ? OP_BAD : OP_NONE;
    case 0x62: /* EVEX or BOUND */
    case 0x9a: /* far call */
        return OP_BAD;
    case 0x63:
        return OP_MODRM;
    case 0x68:
        return OP_IMMZ;
    case 0x69:
        return OP_MODRM | OP_IMMZ;
    case 0x6a:
        return OP_IMM8;
    case 0x6b:
        return OP_MODRM | OP_IMM8;
    case 0x6c:
    case 0x6e:
    case 0xa4:
    case 0xa6:
    case 0xaa:
    case 0xac:
    case 0xae:
        return OP_NONE | OP_BYTE;
    case 0x80:
        return OP_MODRM | OP_IMM8 | OP_BYTE;
    case 0x81:
        return OP_MODRM | OP_IMMZ;
    case 0x82:
        return long_mode ? OP_BAD : OP_MODRM | OP_IMM8 | OP_BYTE;
    case 0x83:
        return OP_MODRM | OP_IMM8;
    case 0x84:
    case 0x86:
    case 0x88:
    case 0x8a:
        return OP_MODRM | OP_BYTE;
    case 0x85:
    case 0x87:
    case 0x89:
    case 0x8b ... 0x8e:
        return OP_MODRM;
    case 0x8f: /* POP, or XOP when the modrm's reg is not 0: decided with the modrm */
        return OP_MODRM;
    case 0xa8:
        return OP_IMM8 | OP_BYTE;
    case 0xa9:
        return OP_IMMZ;
    case 0xb0 ... 0xb7:
        return OP_IMM8 | OP_BYTE;
    default:
        return OP_NONE;
    }
}

static unsigned int form_c0_ff(uint8_t op, bool long_mode)
{
    switch (op) {
    case 0xc0:
    case 0xc6:
        return OP_MODRM | OP_IMM8 | OP_BYTE;
    case 0xc1:
        return OP_MODRM | OP_IMM8;
    case 0xc7:
        return OP_MODRM | OP_IMMZ;
    case 0xc2:
    case 0xca:
        return OP_IMM16;
    case 0xc8:
        return OP_IMM16 | OP_IMM8;
    case 0xc4: /* VEX or LES, LDS */
    case 0xc5:
    case 0xea: /* far jump */
        return OP_BAD;
    case 0xcd:
    case 0xd4:
    case 0xd5:
    case 0xe0 ... 0xe5:
    case 0xeb:
        return (op == 0xd4 || op == 0xd5) && long_mode ? OP_BAD : OP_IMM8 | (op == 0xe5 ? 0 : OP_BYTE);
    case 0xe6:
        return OP_IMM8 | OP_BYTE;
    case 0xe7:
        return OP_IMM8;
    case 0xec:
    case 0xee:
        return OP_NONE | OP_BYTE;
    case 0xd0:
    case 0xd2:
    case 0xf6:
    case 0xfe:
        return OP_MODRM | OP_BYTE;
    case 0xd1:
    case 0xd3:
    case 0xd8 ... 0xdf:
    case 0xf7:
    case 0xff:
        return OP_MODRM;
    case 0xe8:
    case 0xe9:
        return OP_IMMZ;
    default:
        return OP_NONE;
    }
}

static unsigned int form_map0(uint8_t op, bool long_mode)
{
    if (op < 0x40)
        return arith_form(op, long_mode);
    if (op < 0xc0)
        return form_40_bf(op, long_mode);
    return form_c0_ff(op, long_mode);
}

static unsigned int form_map1(uint8_t op)
{
    switch (op) {
    case 0x05 ... 0x09: /* syscall clts sysret invd wbinvd */
    case 0x0b:          /* ud2 */
    case 0x0e:
    case 0x30 ... 0x35: /* wrmsr rdtsc rdmsr rdpmc sysenter sysexit */
    case 0x37:
    case 0x77:
    case 0xa0 ... 0xa2: /* push fs, pop fs, cpuid */
    case 0xa8 ... 0xaa:
    case 0xc8 ... 0xcf: /* bswap */
        return OP_NONE;
    case 0x04:
    case 0x0a:
    case 0x0c:
    case 0x0f: /* 3DNow!: suffix opcode */
    case 0x24 ... 0x27:
    case 0x36:
    case 0x39:
    case 0x3b ... 0x3f:
    case 0xa6:
    case 0xa7:
        return OP_BAD;
    case 0x70 ... 0x73:
    case 0xa4:
    case 0xac:
    case 0xba:
    case 0xc2:
    case 0xc4 ... 0xc6:
        return OP_MODRM | OP_IMM8;
    case 0x80 ... 0x8f:
        return OP_IMMZ;
    case 0x90 ... 0x9f:
    case 0xb0:
    case 0xb6:
    case 0xbe:
    case 0xc0:
        return OP_MODRM | OP_BYTE;
    default:
        return OP_MODRM;
    }
}

/* Legacy prefixes, then REX. A REX that is not the last prefix counts for nothing. */
static int decode_prefixes(struct insn *in, struct cursor *c, bool long_mode)
{
    uint64_t b;

    for (;;) {
        int rc = fetch(c, 1, &b);

        if (rc)
            return rc;
        if (long_mode && (b & 0xf0) == 0x40) {
            in->rex = (uint8_t)b;
            continue;
        }
        switch (b) {
        case 0x66:
            in->opsize = true;
            break;
        case 0x67:
            in->addrsize = true;
            break;
        case 0xf0:
            in->lock = true;
            break;
        case 0xf2:
            in->repne = true;
            in->rep = false;
            break;
        case 0xf3:
            in->rep = true;
            in->repne = false;
            break;
        case 0x26:
        case 0x2e:
        case 0x36:
        case 0x3e:
        case 0x64:
        case 0x65:
            in->seg = (uint8_t)b;
            break;
        default:
            in->opcode = (uint8_t)b;
            return 0;
        }
        in->rex = 0;
    }
}

static int decode_opcode(struct insn *in, struct cursor *c, bool long_mode, unsigned int *form)
{
    uint64_t b;
    int rc;

    if (in->opcode != 0x0f) {
        *form = form_map0(in->opcode, long_mode);
        return *form == OP_BAD ? -EINVAL : 0;
    }
    rc = fetch(c, 1, &b);
    if (rc)
        return rc;
    in->map = 1;
    *form = form_map1((uint8_t)b);
    if (b == 0x38 || b == 0x3a) {
        in->map = b == 0x38 ? 2 : 3;
        *form = b == 0x38 ? OP_MODRM : OP_MODRM | OP_IMM8;
        rc = fetch(c, 1, &b);
        if (rc)
            return rc;
    }
    in->opcode = (uint8_t)b;
    return *form == OP_BAD ? -EINVAL : 0;
}

static int decode_sib(struct insn *in, struct cursor *c)
{
    uint64_t sib;
    int rc = fetch(c, 1, &sib);
    uint8_t index = (uint8_t)((sib >> 3) & 7) | (in->rex & 2 ? 8 : 0);

    if (rc)
        return rc;
    in->scale = (uint8_t)(1u << (sib >> 6));
    in->index = index == 4 ? 0xff : index;
    in->base = (uint8_t)(sib & 7) | (in->rex & 1 ? 8 : 0);
    return 0;
}

/* Memory operand in 32- or 64-bit addressing. */
static int decode_memory(struct insn *in, struct cursor *c, bool long_mode)
{
    unsigned int mod = in->modrm >> 6, disp_bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;
    uint64_t disp;
    int rc = 0;

    in->mem = true;
    if ((in->modrm & 7) == 4) {
        rc = decode_sib(in, c);
        if (rc)
            return rc;
        if (mod == 0 && (in->base & 7) == 5) {
            in->base = 0xff;
            disp_bytes = 4;
        }
    } else if (mod == 0 && (in->modrm & 7) == 5) {
        in->rip_relative = long_mode;
        disp_bytes = 4;
    } else {
        in->base = (in->modrm & 7) | (in->rex & 1 ? 8 : 0);
    }
    if (!disp_bytes)
        return 0;
    rc = fetch(c, disp_bytes, &disp);
    in->disp = rc ? 0 : sign_extend(disp, disp_bytes);
    return rc;
}

/* 16-bit addressing, of compatibility code: only its length is kept; base 0xff with no displacement means unusable. */
static int decode_memory16(struct insn *in, struct cursor *c)
{
    unsigned int mod = in->modrm >> 6;
    unsigned int disp_bytes = mod == 1 ? 1 : mod == 2 || (in->modrm & 7) == 6 ? 2 : 0;
    uint64_t disp;

    in->mem = true;
    return disp_bytes ? fetch(c, disp_bytes, &disp) : 0;
}

static int decode_modrm(struct insn *in, struct cursor *c, bool long_mode)
{
    uint64_t modrm;
    int rc = fetch(c, 1, &modrm);

    if (rc)
        return rc;
    in->has_modrm = true;
    in->modrm = (uint8_t)modrm;
    in->reg = (uint8_t)((modrm >> 3) & 7) | (in->rex & 4 ? 8 : 0);
    in->rm = (uint8_t)(modrm & 7) | (in->rex & 1 ? 8 : 0);
    if (in->map == 0 && in->opcode == 0x8f && (in->reg & 7))
        return -EINVAL;
    /* MOV to and from control and debug registers has no memory form. */
    if (modrm >> 6 == 3 || (in->map == 1 && in->opcode >= 0x20 && in->opcode <= 0x23))
        return 0;
    if (!long_mode && in->addrsize)
        return decode_memory16(in, c);
    return decode_memory(in, c, long_mode);
}

static unsigned int operand_bytes(const struct insn *in, unsigned int form)
{
    if (form & OP_BYTE)
        return 1;
    if (in->rex & 8)
        return 8;
    return in->opsize ? 2 : 4;
}

/* Bytes of immediate data; the odd ones out are TEST in group 3, MOV with a full immediate and MOV with an address. */
static unsigned int immediate_bytes(const struct insn *in, unsigned int form, bool long_mode)
{
    unsigned int n = 0, z = in->opsize ? 2 : 4;

    if (form & OP_IMM8)
        n += 1;
    if (form & OP_IMM16)
        n += 2;
    if (form & OP_IMMZ) /* branches ignore the operand size prefix on Intel only: such code is refused by its users */
        n += z;
    if (in->map)
        return n;
    if ((in->opcode == 0xf6 || in->opcode == 0xf7) && (in->reg & 7) < 2)
        n += in->opcode == 0xf6 ? 1 : z;
    if (in->opcode >= 0xb8 && in->opcode <= 0xbf)
        n += in->op_bytes;
    if (in->opcode >= 0xa0 && in->opcode <= 0xa3)
        n += long_mode ? (in->addrsize ? 4 : 8) : (in->addrsize ? 2 : 4);
    return n;
}

static int decode_immediate(struct insn *in, struct cursor *c, unsigned int n)
{
    uint64_t v;
    int rc;

    if (!n)
        return 0;
    rc = fetch(c, n, &v);
    if (rc)
        return rc;
    in->imm_bytes = (uint8_t)n;
    in->imm = sign_extend(v, n);
    return 0;
}

int insn_decode(struct insn *in, const uint8_t *bytes, size_t n, bool long_mode)
{
    struct cursor c = {bytes, bytes + MIN(n, (size_t)INSN_MAX_LEN)};
    unsigned int form;
    int rc;

    *in = (struct insn){.base = 0xff, .index = 0xff, .scale = 1};
    rc = decode_prefixes(in, &c, long_mode);
    if (!rc)
        rc = decode_opcode(in, &c, long_mode, &form);
    if (!rc && (form & OP_MODRM))
        rc = decode_modrm(in, &c, long_mode);
    if (!rc) {
        in->op_bytes = (uint8_t)operand_bytes(in, form);
        if (in->map == 0 && (in->opcode == 0xa0 || in->opcode == 0xa2))
            in->op_bytes = 1;
        rc = decode_immediate(in, &c, immediate_bytes(in, form, long_mode));
    }
    in->len = (uint8_t)(c.p - bytes);
    /* Out of bytes although the longest instruction would have fit: it is longer than allowed. */
    return rc == -ENODATA && n >= INSN_MAX_LEN ? -EINVAL : rc;
}

/* Register r in the encoding's order: ax cx dx bx sp bp si di r8-r15. */
static uint64_t *reg_slot(struct cpu_user_regs *regs, unsigned int r)
{
    switch (r & 15) {
    case 0:
        return &regs->rax;
    case 1:
        return &regs->rcx;
    case 2:
        return &regs->rdx;
    case 3:
        return &regs->rbx;
    case 4:
        return &regs->rsp;
    case 5:
        return &regs->rbp;
    case 6:
        return &regs->rsi;
    case 7:
        return &regs->rdi;
    case 8:
        return &regs->r8;
    case 9:
        return &regs->r9;
    case 10:
        return &regs->r10;
    case 11:
        return &regs->r11;
    case 12:
        return &regs->r12;
    case 13:
        return &regs->r13;
    case 14:
        return &regs->r14;
    default:
        return &regs->r15;
    }
}

static bool is_high_byte(unsigned int r, unsigned int bytes, bool rex)
{
    return bytes == 1 && !rex && r >= 4 && r < 8;
}

static uint64_t value_mask(unsigned int bytes)
{
    return bytes == 8 ? ~0ull : (1ull << (8 * bytes)) - 1;
}

unsigned long insn_read_reg(const struct cpu_user_regs *regs, unsigned int r, unsigned int bytes, bool rex)
{
    struct cpu_user_regs *m = (struct cpu_user_regs *)regs;

    if (is_high_byte(r, bytes, rex))
        return (*reg_slot(m, r - 4) >> 8) & 0xff;
    return *reg_slot(m, r) & value_mask(bytes);
}

void insn_write_reg(struct cpu_user_regs *regs, unsigned int r, unsigned int bytes, bool rex, unsigned long v)
{
    bool high = is_high_byte(r, bytes, rex);
    uint64_t *slot = reg_slot(regs, high ? r - 4 : r);

    if (high)
        *slot = (*slot & ~0xff00ull) | ((v & 0xff) << 8);
    else if (bytes >= 4)
        *slot = v & value_mask(bytes);
    else
        *slot = (*slot & ~value_mask(bytes)) | (v & value_mask(bytes));
}

unsigned long insn_address(const struct insn *in, const struct cpu_user_regs *regs, unsigned long rip)
{
    unsigned long a = (unsigned long)in->disp;

    if (in->rip_relative)
        a += rip + in->len;
    if (in->base != 0xff)
        a += insn_read_reg(regs, in->base, 8, true);
    if (in->index != 0xff)
        a += insn_read_reg(regs, in->index, 8, true) * in->scale;
    return in->addrsize ? (uint32_t)a : a;
}
