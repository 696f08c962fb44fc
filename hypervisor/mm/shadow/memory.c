// SPDX-License-Identifier: BSD-2-Clause
/*
 * Guest memory as tables are read from it, and as stores go to it. An entry stands within a frame, naturally aligned,
 * so it is read and changed in one piece.
 */
#include "internal.h"

static void *at_offset(mfn_t m, gpa_t at)
{
    return (uint8_t *)mfn_to_virt(m) + (at.n & (PAGE_SIZE - 1));
}

static uint64_t load(const void *p, unsigned int bytes)
{
    return bytes == 8 ? READ_ONCE(*(const uint64_t *)p) : READ_ONCE(*(const uint32_t *)p);
}

/* A frame of the domain's own with a reference, or NULL. */
static struct page_info *get_ram(struct domain *d, gpa_t at, enum p2m_type *type)
{
    struct page_info *pg = p2m_get_page(d, _gfn(at.n >> PAGE_SHIFT), type);

    if (pg && !p2m_is_ram(*type)) {
        put_page(pg);
        pg = NULL;
    }
    return pg;
}

static bool walk_read(void *ctx, gpa_t at, unsigned int bytes, uint64_t *value)
{
    enum p2m_type type;
    struct page_info *pg = get_ram(ctx, at, &type);

    if (!pg)
        return false;
    *value = load(at_offset(page_to_mfn(pg), at), bytes);
    put_page(pg);
    return true;
}

/* Sets A and D: from an entry that was not there, or not writable, in any shadow. So shadows stay right as they are. */
static bool walk_swap(void *ctx, gpa_t at, unsigned int bytes, uint64_t old, uint64_t new)
{
    enum p2m_type type;
    struct page_info *pg = get_ram(ctx, at, &type);
    bool done = true; /* a store that read-only memory ignores */

    if (!pg)
        return true;
    if (type != P2M_RAM_RO) {
        void *p = at_offset(page_to_mfn(pg), at);
        uint32_t old32 = (uint32_t)old;

        done = bytes == 8
                   ? __atomic_compare_exchange_n((uint64_t *)p, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
                   : __atomic_compare_exchange_n((uint32_t *)p, &old32, (uint32_t) new, false, __ATOMIC_SEQ_CST,
                                                 __ATOMIC_SEQ_CST);
    }
    if (type != P2M_RAM_RO)
        logdirty_mark_frame(ctx, page_to_mfn(pg)); /* wherever it is by now */
    put_page(pg);
    return done;
}

struct guest_mem shadow_mem(struct domain *d)
{
    return (struct guest_mem){.read = walk_read, .swap = walk_swap, .ctx = d};
}

/* As much of the store under way as is in the entry there. */
static uint64_t with_coming(const struct coming *c, unsigned int offset, unsigned int bytes, uint64_t e)
{
    for (unsigned int i = 0; i < bytes; i++)
        if (offset + i - c->offset < c->bytes)
            ((uint8_t *)&e)[i] = c->value[offset + i - c->offset];
    return e;
}

gpte_t table_entry(const struct shadow *s, const struct shadow_page *sp, unsigned int offset)
{
    const void *table = sp->unsynced ? (const void *)s->unsynced[sp->unsynced - 1].seen : mfn_to_virt(sp->table);
    unsigned int bytes = sp->role.levels == 2 ? 4 : 8;
    uint64_t e = load((const uint8_t *)table + offset, bytes);

    if (unlikely(s->coming.bytes) && mfn_eq(s->coming.table, sp->table))
        e = with_coming(&s->coming, offset, bytes, e);
    return _gpte(e);
}

/* ---- stores ---- */

static bool may_store(enum p2m_type t)
{
    return t == P2M_RAM_RW || t == P2M_LOGDIRTY || t == P2M_GRANT_RW || t == P2M_FOREIGN;
}

/* Naturally aligned ones in one piece, as a processor's are. */
static void store(void *p, unsigned int bytes, uint64_t value)
{
    switch ((uintptr_t)p % bytes ? 0 : bytes) {
    case 8:
        WRITE_ONCE(*(uint64_t *)p, value);
        break;
    case 4:
        WRITE_ONCE(*(uint32_t *)p, (uint32_t)value);
        break;
    case 2:
        WRITE_ONCE(*(uint16_t *)p, (uint16_t)value);
        break;
    default:
        memcpy(p, &value, bytes);
    }
}

static uint64_t fetch(const void *p, unsigned int bytes)
{
    uint64_t value = 0;

    switch ((uintptr_t)p % bytes ? 0 : bytes) {
    case 8:
        return READ_ONCE(*(const uint64_t *)p);
    case 4:
        return READ_ONCE(*(const uint32_t *)p);
    case 2:
        return READ_ONCE(*(const uint16_t *)p);
    default:
        memcpy(&value, p, bytes);
        return value;
    }
}

#define SWAP(type, p, old, new)                                                                                    \
    do {                                                                                                           \
        type found_ = (type) * (old);                                                                              \
                                                                                                                   \
        __atomic_compare_exchange_n((type *)(p), &found_, (type)(new), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
        *(old) = found_;                                                                                           \
    } while (0)

/* It is not naturally aligned: other processors may see, or undo, a part of it. */
static void swap_in_parts(void *p, unsigned int bytes, uint64_t *old, uint64_t new)
{
    uint64_t found = 0;

    memcpy(&found, p, bytes);
    if (!memcmp(&found, old, bytes))
        store(p, bytes, new);
    *old = found;
}

/* In one piece where it is naturally aligned: walk_swap, which takes no lock, may be setting A and D. */
static void swap(void *p, unsigned int bytes, uint64_t *old, uint64_t new)
{
    switch ((uintptr_t)p % bytes ? 0 : bytes) {
    case 8:
        SWAP(uint64_t, p, old, new);
        break;
    case 4:
        SWAP(uint32_t, p, old, new);
        break;
    case 2:
        SWAP(uint16_t, p, old, new);
        break;
    case 1:
        SWAP(uint8_t, p, old, new);
        break;
    default:
        swap_in_parts(p, bytes, old, new);
    }
}

/* A change of bytes within a frame that may be stored to, with the lock held. */
struct change {
    struct domain *d;
    gpa_t at;
    unsigned int bytes;
    struct p2m_entry p2m;
};

/* Takes the lock; -EFAULT: no such memory, and the lock is not held. */
static int begin(struct change *c, struct domain *d, gpa_t at, unsigned int bytes)
{
    if (bytes == 0 || (at.n & (PAGE_SIZE - 1)) + bytes > PAGE_SIZE)
        return -EFAULT;
    paging_lock(d);
    *c = (struct change){d, at, bytes, p2m_lookup_locked(d, _gfn(at.n >> PAGE_SHIFT))};
    if (may_store(c->p2m.type))
        return 0;
    paging_unlock(d);
    return -EFAULT;
}

static void follow(const struct change *c)
{
    table_written(c->d->shadow, c->p2m.mfn, c->at.n & (PAGE_SIZE - 1), c->bytes);
}

/*
 * Shadows come first. Another vCPU that sees the store may flush its own TLB, which hardware does without us while no
 * table is out of sync, and has to translate by what was stored from then on. The AMD64 manual, volume 2, section 5.5.
 */
static void announce(const struct change *c, const void *value)
{
    struct shadow *s = c->d->shadow;
    uint32_t begun = work_begun();

    if (!p2m_is_ram(c->p2m.type) || !is_table(c->p2m.mfn))
        return;
    if (c->bytes > STORE_BYTES) {
        table_overwritten(s, c->p2m.mfn);
    } else {
        s->coming = (struct coming){c->p2m.mfn, value, c->at.n & (PAGE_SIZE - 1), c->bytes};
        follow(c);
        s->coming.bytes = 0;
    }
    work_done(s, WORK_STORE, begun);
}

/* It was not stored after all; a TLB may have what never stood there. */
static void withdraw(const struct change *c)
{
    struct shadow *s = c->d->shadow;

    if (is_table(c->p2m.mfn))
        follow(c);
    has_lost(s);
    shadow_flush(s);
}

static void end(const struct change *c)
{
    if (p2m_is_ram(c->p2m.type)) /* of others the entry holds a reference of type WRITABLE */
        logdirty_mark(c->d, _gfn(c->at.n >> PAGE_SHIFT), 0);
    shadow_unlock(c->d->shadow);
}

int shadow_store(struct domain *d, gpa_t at, unsigned int bytes, uint64_t value)
{
    struct change c;
    int rc = bytes > STORE_BYTES ? -EFAULT : begin(&c, d, at, bytes);

    if (rc)
        return rc;
    announce(&c, &value);
    store(at_offset(c.p2m.mfn, at), bytes, value);
    if (p2m_is_ram(c.p2m.type))
        table_shrunk(d->shadow, c.p2m.mfn);
    end(&c);
    return 0;
}

/* What differs is not stored to, though a walk may make it what was expected just then: nothing was announced. */
int shadow_swap(struct domain *d, gpa_t at, unsigned int bytes, uint64_t *old, uint64_t new)
{
    struct change c;
    int rc = bytes > STORE_BYTES ? -EFAULT : begin(&c, d, at, bytes);
    uint64_t expected = *old;
    void *p;

    if (rc)
        return rc;
    p = at_offset(c.p2m.mfn, at);
    *old = fetch(p, bytes);
    if (!memcmp(old, &expected, bytes)) {
        announce(&c, &new);
        swap(p, bytes, old, new);
        if (memcmp(old, &expected, bytes)) /* a walk has set A or D meanwhile */
            withdraw(&c);
    }
    end(&c);
    return 0;
}

int shadow_write(struct domain *d, gpa_t at, unsigned int bytes, const void *src)
{
    static const uint8_t zeros[STORE_BYTES];
    struct change c;
    int rc = begin(&c, d, at, bytes);

    if (rc)
        return rc;
    announce(&c, src ? src : zeros);
    if (src)
        memcpy(at_offset(c.p2m.mfn, at), src, bytes);
    else
        memset(at_offset(c.p2m.mfn, at), 0, bytes);
    end(&c);
    return 0;
}

struct guest_mem shadow_memory(struct shadow *s)
{
    return shadow_mem(s->d);
}

const struct guest_cpu *shadow_cpu(const struct shadow *s)
{
    return &s->cpu;
}
