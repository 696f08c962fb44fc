// SPDX-License-Identifier: BSD-2-Clause
/*
 * The decoder: prefixes, opcode, modrm, immediate, as the row of the opcode table says. Used by the emulation of guest
 * stores and of privileged instructions, which then pick the forms they accept.
 *
 * Pure: no state, no guest memory. Deliberately not decoded: VEX, EVEX and XOP encodings, LES, LDS, BOUND, 3DNow!.
 */
#include "opcodes.h"

#define NO_REG 0xff

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

/* ---- prefixes ---- */

/* In 64-bit code the four segments without a base are ignored: they do not even undo a prefix before them. */
static void segment_prefix(struct insn *in, enum insn_seg seg, enum insn_mode mode)
{
    if (mode != INSN_64 || seg >= SEG_FS)
        in->seg = seg;
}

static bool is_prefix(struct insn *in, uint8_t b, enum insn_mode mode)
{
    switch (b) {
    case 0x66:
        in->opsize = true;
        return true;
    case 0x67:
        in->addrsize = true;
        return true;
    case 0xf0:
        in->lock = true;
        return true;
    case 0xf2:
    case 0xf3:
        in->repne = b == 0xf2;
        in->rep = b == 0xf3;
        return true;
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
        segment_prefix(in, (enum insn_seg)((b >> 3) & 3), mode);
        return true;
    case 0x64:
    case 0x65:
        segment_prefix(in, (enum insn_seg)(b - 0x60), mode);
        return true;
    default:
        return false;
    }
}

/* Legacy prefixes, then REX. A REX that is not the last prefix counts for nothing. */
static int decode_prefixes(struct insn *in, struct cursor *c, enum insn_mode mode)
{
    uint64_t b;

    for (;;) {
        int rc = fetch(c, 1, &b);

        if (rc)
            return rc;
        if (mode == INSN_64 && (b & 0xf0) == 0x40) {
            in->rex = (uint8_t)b;
        } else if (is_prefix(in, (uint8_t)b, mode)) {
            in->rex = 0;
        } else {
            in->opcode = (uint8_t)b;
            return 0;
        }
    }
}

/* ---- opcode ---- */

static int decode_opcode(struct insn *in, struct cursor *c, struct opcode *row)
{
    uint64_t b;
    int rc;

    if (in->opcode != 0x0f) {
        *row = opcode_map0[in->opcode];
        return 0;
    }
    rc = fetch(c, 1, &b);
    if (rc)
        return rc;
    in->map = 1;
    *row = opcode_map1[b];
    if (b == 0x38 || b == 0x3a) {
        in->map = b == 0x38 ? 2 : 3;
        *row = (struct opcode){.form = b == 0x38 ? F_MODRM : F_MODRM | F_IMM8};
        rc = fetch(c, 1, &b);
        if (rc)
            return rc;
    }
    in->opcode = (uint8_t)b;
    return 0;
}

/* Is it an opcode with these prefixes in this mode, and is its length known? */
static bool row_applies(const struct insn *in, const struct opcode *row, enum insn_mode mode)
{
    if (!row->form || ((row->form & F_NO64) && mode == INSN_64))
        return false;
    return !(row->form & F_NOPREFIX) || !(in->opsize || in->rep || in->repne);
}

/* ---- modrm ---- */

static int decode_sib(struct insn *in, struct cursor *c)
{
    uint64_t sib;
    int rc = fetch(c, 1, &sib);
    uint8_t index = (uint8_t)((sib >> 3) & 7) | (in->rex & 2 ? 8 : 0);

    if (rc)
        return rc;
    in->scale = (uint8_t)(1u << (sib >> 6));
    in->index = index == 4 ? NO_REG : index;
    in->base = (uint8_t)(sib & 7) | (in->rex & 1 ? 8 : 0);
    return 0;
}

static int decode_displacement(struct insn *in, struct cursor *c, unsigned int bytes)
{
    uint64_t disp;
    int rc;

    if (!bytes)
        return 0;
    rc = fetch(c, bytes, &disp);
    in->disp = rc ? 0 : sign_extend(disp, bytes);
    return rc;
}

/* Memory operand in 32- or 64-bit addressing. */
static int decode_memory(struct insn *in, struct cursor *c, enum insn_mode mode)
{
    unsigned int mod = in->modrm >> 6, disp_bytes = mod == 1 ? 1 : mod == 2 ? 4 : 0;

    if ((in->modrm & 7) == 4) {
        int rc = decode_sib(in, c);

        if (rc)
            return rc;
        if (mod == 0 && (in->base & 7) == 5) {
            in->base = NO_REG;
            disp_bytes = 4;
        }
    } else if (mod == 0 && (in->modrm & 7) == 5) {
        in->rip_relative = mode == INSN_64;
        disp_bytes = 4;
    } else {
        in->base = (in->modrm & 7) | (in->rex & 1 ? 8 : 0);
    }
    return decode_displacement(in, c, disp_bytes);
}

/* Memory operand in 16-bit addressing: one or two of bx, bp, si, di. */
static int decode_memory16(struct insn *in, struct cursor *c)
{
    static const uint8_t base[8] = {3, 3, 5, 5, 6, 7, 5, 3}, index[8] = {6, 7, 6, 7, NO_REG, NO_REG, NO_REG, NO_REG};
    unsigned int mod = in->modrm >> 6, rm = in->modrm & 7;

    if (mod == 0 && rm == 6)
        return decode_displacement(in, c, 2);
    in->base = base[rm];
    in->index = index[rm];
    return decode_displacement(in, c, mod);
}

static int decode_modrm(struct insn *in, struct cursor *c, struct opcode *row, enum insn_mode mode)
{
    uint64_t modrm;
    int rc = fetch(c, 1, &modrm);

    if (rc)
        return rc;
    in->has_modrm = true;
    in->modrm = (uint8_t)modrm;
    in->reg = (uint8_t)((modrm >> 3) & 7) | (in->rex & 4 ? 8 : 0);
    in->rm = (uint8_t)(modrm & 7) | (in->rex & 1 ? 8 : 0);
    if (row->form & F_GROUP) {
        const struct opcode *member = &opcode_groups[row->group][in->reg & 7];

        if (row->group == GROUP_1A && !member->form) /* XOP */
            return -EINVAL;
        row->form |= member->form;
        row->op = member->op;
        row->args = member->args;
        row->lockable = member->lockable;
    }
    if (modrm >> 6 == 3 || (row->form & F_REGS))
        return 0;
    in->mem = true;
    return in->addr_bytes == 2 ? decode_memory16(in, c) : decode_memory(in, c, mode);
}

/* ---- sizes and the immediate ---- */

static uint8_t operand_bytes(const struct insn *in, unsigned int form, enum insn_mode mode)
{
    if (form & F_BYTE)
        return 1;
    if (form & F_WORD)
        return 2;
    if (in->rex & 8)
        return 8;
    if (form & F_DWORD)
        return 4;
    if (in->opsize != (mode == INSN_16))
        return 2;
    return (form & F_WIDE) && mode == INSN_64 ? 8 : 4;
}

static uint8_t address_bytes(const struct insn *in, enum insn_mode mode)
{
    if (mode == INSN_64)
        return in->addrsize ? 4 : 8;
    return in->addrsize != (mode == INSN_16) ? 2 : 4;
}

static unsigned int immediate_bytes(const struct insn *in, unsigned int form)
{
    unsigned int n = 0;

    if (form & F_IMM8)
        n += 1;
    if (form & F_IMM16)
        n += 2;
    if (form & F_IMMZ)
        n += in->op_bytes == 2 ? 2 : 4;
    if (form & F_IMMV)
        n += in->op_bytes;
    if (form & F_OFFSET)
        n += in->addr_bytes;
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

/* Without a prefix the stack pointer and the frame pointer as base choose SS, all else DS. */
static void default_segment(struct insn *in)
{
    if (in->seg == SEG_COUNT)
        in->seg = in->base == 4 || in->base == 5 ? SEG_SS : SEG_DS;
}

static int decode_all(struct insn *in, struct cursor *c, enum insn_mode mode)
{
    struct opcode row;
    int rc = decode_prefixes(in, c, mode);

    if (!rc)
        rc = decode_opcode(in, c, &row);
    if (rc)
        return rc;
    if (!row_applies(in, &row, mode))
        return -EINVAL;
    in->addr_bytes = address_bytes(in, mode);
    if (row.form & F_MODRM)
        rc = decode_modrm(in, c, &row, mode);
    if (rc)
        return rc;
    in->op = (enum insn_op)row.op;
    in->args = (enum insn_args)row.args;
    in->lockable = row.lockable;
    in->op_bytes = operand_bytes(in, row.form, mode);
    default_segment(in);
    return decode_immediate(in, c, immediate_bytes(in, row.form));
}

int insn_decode(struct insn *in, const uint8_t *bytes, size_t n, enum insn_mode mode)
{
    struct cursor c = {bytes, bytes + MIN(n, (size_t)INSN_MAX_LEN)};
    int rc;

    *in = (struct insn){.base = NO_REG, .index = NO_REG, .scale = 1, .seg = SEG_COUNT};
    rc = decode_all(in, &c, mode);
    in->len = (uint8_t)(c.p - bytes);
    /* Out of bytes although the longest instruction would have fit. */
    return rc == -ENODATA && n >= INSN_MAX_LEN ? -E2BIG : rc;
}

unsigned long insn_address(const struct insn *in, const struct cpu_user_regs *regs, unsigned long rip)
{
    unsigned long a = (unsigned long)in->disp;

    if (in->args == INSN_OFF_ACC || in->args == INSN_ACC_OFF)
        a = (unsigned long)in->imm;
    if (in->rip_relative)
        a += rip + in->len;
    if (in->base != NO_REG)
        a += insn_read_reg(regs, in->base, 8, true);
    if (in->index != NO_REG)
        a += insn_read_reg(regs, in->index, 8, true) * in->scale;
    return a & insn_mask(in->addr_bytes);
}
