// SPDX-License-Identifier: BSD-2-Clause
/*
 * Guest memory by linear address, for hypercalls of the current vCPU: its tables are walked in software, page by page,
 * with the rights of its kernel. Stores go the way of all stores, so that page tables among them are followed.
 */
#include <hv/hvm.h>
#include <hv/x86.h>

struct piece {
    gpa_t at;
    unsigned int bytes;
    uint32_t error; /* of the fault, when there is no piece */
};

/* The part within the first page, and where it lies. Supervisor accesses are not looked at for SMAP. */
static bool first_piece(struct vcpu *v, unsigned long linear, size_t n, uint32_t access, struct piece *p)
{
    const struct guest_paging *paging = hvm_paging(v);
    struct guest_mem mem = shadow_memory(v->hvm->shadow.s);
    struct guest_walk w = {.linear = linear, .access = access, .smap_exempt = true};
    enum walk_result r;
    unsigned int tries = 0;

    if (!(v->hvm->efer & EFER_LMA))
        w.linear = linear = (uint32_t)linear;
    do
        r = guest_walk(paging, &mem, &w);
    while (r == WALK_RETRY && ++tries < 16);
    p->error = w.error;
    if (r != WALK_OK)
        return false;
    p->at = _gpa((w.gfn.n << PAGE_SHIFT) | (linear & (PAGE_SIZE - 1)));
    p->bytes = (unsigned int)MIN(n, PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
    return true;
}

static int read_piece(struct domain *d, const struct piece *p, void *dst)
{
    enum p2m_type type;
    struct page_info *pg = p2m_get_page(d, _gfn(p->at.n >> PAGE_SHIFT), &type);

    if (!pg)
        return -EFAULT;
    memcpy(dst, (uint8_t *)page_to_virt(pg) + (p->at.n & (PAGE_SIZE - 1)), p->bytes);
    put_page(pg);
    return 0;
}

static int read_linear(struct vcpu *v, void *dst, unsigned long linear, size_t n, uint32_t access)
{
    struct piece p;

    for (; n; n -= p.bytes, linear += p.bytes, dst = (uint8_t *)dst + p.bytes)
        if (!first_piece(v, linear, n, access, &p) || read_piece(v->domain, &p, dst))
            return -EFAULT;
    return 0;
}

int hvm_copy_from(void *dst, unsigned long linear, size_t n)
{
    return read_linear(current, dst, linear, n, 0);
}

static int write_linear(struct vcpu *v, unsigned long linear, const void *src, size_t n)
{
    struct piece p;

    for (; n; n -= p.bytes, linear += p.bytes) {
        if (!first_piece(v, linear, n, PFEC_W, &p) || shadow_write(v->domain, p.at, p.bytes, src))
            return -EFAULT;
        src = src ? (const uint8_t *)src + p.bytes : NULL;
    }
    return 0;
}

int hvm_copy_to(unsigned long linear, const void *src, size_t n)
{
    return write_linear(current, linear, src, n);
}

int hvm_clear(unsigned long linear, size_t n)
{
    return write_linear(current, linear, NULL, n);
}

enum insn_mode hvm_mode(const struct vcpu *v)
{
    struct hvm_segment cs;

    hvm_ops->get_segment(v, HVM_CS, &cs);
    if ((v->hvm->efer & EFER_LMA) && (cs.attr & SEG_ATTR_L))
        return INSN_64;
    return cs.attr & SEG_ATTR_D ? INSN_32 : INSN_16;
}

/* The tables may have changed since the processor fetched it: then it is the fetch that faults. */
static void no_instruction(struct vcpu *v, unsigned long linear, uint32_t access)
{
    struct piece p;

    if (first_piece(v, linear, 1, access, &p)) {
        hvm_inject(v, TRAP_UD, false, 0); /* no memory is there: all ones */
        return;
    }
    v->hvm->cr2 = linear;
    hvm_inject(v, TRAP_PF, true, p.error);
}

unsigned int hvm_fetch(struct vcpu *v, uint8_t *buf)
{
    unsigned long linear = guest_cpu_user_regs()->rip;
    uint32_t access = PFEC_I | (hvm_ops->cpl(v) == 3 ? PFEC_U : 0);
    unsigned int n = INSN_MAX_LEN, first = (unsigned int)(PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
    struct hvm_segment cs;

    if (hvm_mode(v) != INSN_64) {
        hvm_ops->get_segment(v, HVM_CS, &cs);
        linear = (uint32_t)(linear + cs.base);
        first = (unsigned int)(PAGE_SIZE - (linear & (PAGE_SIZE - 1)));
    }
    if (!read_linear(v, buf, linear, n, access))
        return n;
    if (first < n && !read_linear(v, buf, linear, first, access))
        return first;
    no_instruction(v, linear, access);
    return 0;
}

/* As first_piece; false: the guest has the fault. */
static bool piece_or_fault(struct vcpu *v, unsigned long linear, size_t n, uint32_t access, struct piece *p)
{
    if (first_piece(v, linear, n, access, p))
        return true;
    v->hvm->cr2 = linear;
    hvm_inject(v, TRAP_PF, true, p->error);
    return false;
}

bool hvm_load(struct vcpu *v, unsigned long linear, void *dst, unsigned int n)
{
    uint32_t access = hvm_ops->cpl(v) == 3 ? PFEC_U : 0;
    struct piece p;

    for (; n; n -= p.bytes, linear += p.bytes, dst = (uint8_t *)dst + p.bytes) {
        if (!piece_or_fault(v, linear, n, access, &p))
            return false;
        if (read_piece(v->domain, &p, dst))
            memset(dst, 0xff, p.bytes); /* no memory is there */
    }
    return true;
}

/* Both pages of an operand are looked for before anything is stored. Where there is no memory it goes nowhere. */
bool hvm_store(struct vcpu *v, unsigned long linear, const void *src, unsigned int n)
{
    uint32_t access = PFEC_W | (hvm_ops->cpl(v) == 3 ? PFEC_U : 0);
    struct piece p, next = {.bytes = 0};

    if (!piece_or_fault(v, linear, n, access, &p))
        return false;
    if (p.bytes < n && !piece_or_fault(v, linear + p.bytes, n - p.bytes, access, &next))
        return false;
    (void)shadow_write(v->domain, p.at, p.bytes, src);
    if (next.bytes)
        (void)shadow_write(v->domain, next.at, next.bytes, (const uint8_t *)src + p.bytes);
    return true;
}
