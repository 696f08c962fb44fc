/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The hypervisor's own mappings: L4 slots 256-271 of idle_l4, which layout.h describes. map_init_early() builds them
 * from the memory map, replacing the tables of head.S; ioremap and map_pages extend them later.
 *
 * Invariants:
 *   - The L3 tables of all slots in use exist before the first guest: guests' L4 tables hold copies of the L4 entries.
 *     Slot 260 belongs to each domain and is empty here.
 *   - The direct map holds RAM and the firmware's ACPI memory, cached, never executable, and read-only where it aliases
 *     the image's text. Everything else is reached by ioremap, uncached.
 *   - Frame table and M2P exist for ranges of RAM only, in units of 2 MiB.
 *   - Guests see one thing here: the M2P at RO_M2P_VIRT_START, read-only.
 *
 * map_lock guards the tables and the pool. The heap's lock ranks before it, so tables come from a pool that is filled
 * while the lock is not held. A table once made is never freed.
 */
#include <hv/boot.h>
#include <hv/heap.h>
#include <hv/spinlock.h>
#include <hv/x86.h>

#define RAM_FLAGS   (PTE_P | PTE_RW | PTE_A | PTE_D | PTE_NX)
#define RO_FLAGS    (PTE_P | PTE_A | PTE_NX)
#define TEXT_FLAGS  (PTE_P | PTE_A)
#define MMIO_FLAGS  (RAM_FLAGS | PTE_PCD | PTE_PWT) /* PAT entry 3: UC */
#define GUEST_FLAGS (PTE_P | PTE_US | PTE_A | PTE_NX)
#define TABLE_FLAGS (PTE_P | PTE_RW | PTE_A)

#define CHUNK       (1ul << 21) /* of frame table and M2P */
#define BELOW_4G    (1ull << 32)
#define TABLE_POOL  8
#define PAGE_1G     (1ul << 30)
#define PAGE_2M     (1ul << 21)
#define IOREMAP_MAX ((IOREMAP_VIRT_END - IOREMAP_VIRT_START) >> PAGE_SHIFT)

pte_t *idle_l4;
unsigned long image_phys_start = IMAGE_PHYS_START;

static spinlock_t map_lock = SPINLOCK_INIT(RANK_MAP);
static pte_t *table_pool[TABLE_POOL];
static unsigned int table_pool_count;
static bool booting = true; /* tables come from the memory map, L3 tables may be made */
static unsigned long ioremap_used[BITS_TO_LONGS(IOREMAP_MAX)];

extern char image_start[], text_start[], text_end[], rodata_start[], rodata_end[], data_start[], data_end[];
extern char symbols_start[], symbols_end[], cpu0_stack[];

/* ---- tables ---- */

/* One more table in the pool; false: no memory. The lock is not held. */
static bool pool_fill(void)
{
    pte_t *table;

    if (booting)
        table = maddr_to_virt(_maddr(memmap_alloc(PAGE_SIZE, PAGE_SIZE, BELOW_4G)));
    else
        table = alloc_hv_mem(0);
    if (!table)
        return false;
    memset(table, 0, PAGE_SIZE);
    spin_lock(&map_lock);
    if (table_pool_count < TABLE_POOL) {
        table_pool[table_pool_count++] = table;
        table = NULL;
    }
    spin_unlock(&map_lock);
    if (table && !booting)
        free_hv_mem(table, 0);
    return true;
}

/* NULL when the pool is empty. */
static pte_t *pool_take(void)
{
    return table_pool_count ? table_pool[--table_pool_count] : NULL;
}

/* Replaces a large page at level 3 or 2 by a table that maps the same. */
static bool split_page(pte_t *e, unsigned int level)
{
    uint64_t flags = e->n & ~PTE_ADDR, step = level == 3 ? PT_ENTRIES : 1;
    pte_t *table = pool_take();
    unsigned int i;

    if (!table)
        return false;
    if (level == 2)
        flags &= ~PTE_PSE;
    for (i = 0; i < PT_ENTRIES; i++)
        table[i] = pte_make(mfn_add(pte_mfn(*e), i * step), flags);
    WRITE_ONCE(e->n, pte_make(virt_to_mfn(table), TABLE_FLAGS).n);
    return true;
}

/*
 * The entry of a level for an address; tables on the way are made, larger pages split. NULL: the pool is empty; what
 * was made stays for the next attempt.
 */
static pte_t *make_entry(unsigned long linear, unsigned int level)
{
    uint64_t flags = linear < RO_M2P_VIRT_END ? TABLE_FLAGS | PTE_US : TABLE_FLAGS;
    pte_t *table = idle_l4, *e;
    unsigned int l;

    for (l = 4; e = &table[pt_index(linear, l)], l > level; l--) {
        if (!(e->n & PTE_P)) {
            BUG_ON(l == 4 && !booting);
            table = pool_take();
            if (!table)
                return NULL;
            WRITE_ONCE(e->n, pte_make(virt_to_mfn(table), flags).n);
        } else if (l < 4 && (e->n & PTE_PSE) && !split_page(e, l)) {
            return NULL;
        }
        table = mfn_to_virt(pte_mfn(*e));
    }
    return e;
}

/* Sets one entry; 0 or -ENOMEM. */
static int set_entry(unsigned long linear, unsigned int level, pte_t value)
{
    pte_t *e;

    for (;;) {
        spin_lock(&map_lock);
        e = make_entry(linear, level);
        if (e)
            WRITE_ONCE(e->n, value.n);
        spin_unlock(&map_lock);
        if (e)
            return 0;
        if (!pool_fill())
            return -ENOMEM;
    }
}

/* Is anything mapped at the address? */
static bool is_mapped(unsigned long linear)
{
    const pte_t *table = idle_l4;
    unsigned int l;

    for (l = 4; l > 0; l--) {
        pte_t e = table[pt_index(linear, l)];

        if (!(e.n & PTE_P))
            return false;
        if (l < 4 && (e.n & PTE_PSE))
            return true;
        table = mfn_to_virt(pte_mfn(e));
    }
    return true;
}

mfn_t m2p_frame(unsigned long rw_address)
{
    const pte_t *table = idle_l4;
    unsigned int l;

    if (rw_address < RW_M2P_VIRT_START || rw_address >= RW_M2P_VIRT_START + (RO_M2P_VIRT_END - RO_M2P_VIRT_START))
        return INVALID_MFN;
    for (l = 4; l > 2; l--) {
        pte_t e = table[pt_index(rw_address, l)];

        if (!(e.n & PTE_P))
            return INVALID_MFN;
        table = mfn_to_virt(pte_mfn(e));
    }
    if (!(table[pt_index(rw_address, 2)].n & PTE_P))
        return INVALID_MFN;
    return pte_mfn(table[pt_index(rw_address, 2)]);
}

/* ---- later changes ---- */

int map_pages(unsigned long linear, mfn_t m, size_t count, uint64_t flags)
{
    size_t i;

    for (i = 0; i < count; i++) {
        int rc = set_entry(linear + i * PAGE_SIZE, 1, pte_make(mfn_add(m, i), flags));

        if (rc) {
            unmap_pages(linear, i);
            return rc;
        }
    }
    return 0;
}

void unmap_pages(unsigned long linear, size_t count)
{
    size_t i;

    for (i = 0; i < count; i++) {
        unsigned long at = linear + i * PAGE_SIZE;

        if (is_mapped(at) && set_entry(at, 1, _pte(0)))
            panic("no memory to unmap %lx\n", at);
    }
    if (count)
        tlb_flush_mask(cpu_online_map);
}

/* Index of n free pages of the ioremap area, marked used together with a guard page behind; IOREMAP_MAX: none. */
static unsigned int ioremap_reserve(size_t n)
{
    unsigned int first = 0, past, i;

    spin_lock(&map_lock);
    for (;;) {
        first = find_next_zero_bit(ioremap_used, IOREMAP_MAX, first);
        if (first + n + 1 > IOREMAP_MAX) {
            first = IOREMAP_MAX;
            break;
        }
        past = find_next_bit(ioremap_used, IOREMAP_MAX, first);
        if (past - first >= n + 1) {
            for (i = 0; i <= n; i++)
                __set_bit(first + i, ioremap_used);
            break;
        }
        first = past;
    }
    spin_unlock(&map_lock);
    return first;
}

static void ioremap_release(unsigned int first, size_t n)
{
    size_t i;

    spin_lock(&map_lock);
    for (i = 0; i <= n; i++)
        __clear_bit(first + (unsigned int)i, ioremap_used);
    spin_unlock(&map_lock);
}

void *ioremap(maddr_t start, size_t size)
{
    unsigned long offset = start.n & ~PAGE_MASK, linear;
    size_t n = (offset + size + PAGE_SIZE - 1) >> PAGE_SHIFT;
    unsigned int first;

    if (size == 0 || n >= IOREMAP_MAX || start.n + size > 1ull << cpu_features.phys_bits)
        return NULL;
    first = ioremap_reserve(n);
    if (first == IOREMAP_MAX)
        return NULL;
    linear = IOREMAP_VIRT_START + ((unsigned long)first << PAGE_SHIFT);
    if (map_pages(linear, maddr_to_mfn(start), n, MMIO_FLAGS)) {
        ioremap_release(first, n);
        return NULL;
    }
    return (void *)(linear + offset);
}

/* The length is found by the guard page. */
void iounmap(void *p)
{
    unsigned long linear = (unsigned long)p & PAGE_MASK;
    size_t n = 0;

    ASSERT(linear >= IOREMAP_VIRT_START && linear < IOREMAP_VIRT_END);
    while (is_mapped(linear + n * PAGE_SIZE))
        n++;
    unmap_pages(linear, n);
    ioremap_release((unsigned int)((linear - IOREMAP_VIRT_START) >> PAGE_SHIFT), n);
}

/* ---- boot ---- */

/* Maps a range with the largest pages that fit. */
static void map_range(unsigned long linear, uint64_t start, uint64_t size, uint64_t flags)
{
    uint64_t end = start + size, step;
    unsigned int level;

    for (; start < end; start += step, linear += step) {
        uint64_t both = start | linear;

        if (cpu_features.page1gb && !(both & (PAGE_1G - 1)) && end - start >= PAGE_1G) {
            level = 3;
            step = PAGE_1G;
        } else if (!(both & (PAGE_2M - 1)) && end - start >= PAGE_2M) {
            level = 2;
            step = PAGE_2M;
        } else {
            level = 1;
            step = PAGE_SIZE;
        }
        if (set_entry(linear, level, pte_make(maddr_to_mfn(_maddr(start)), level > 1 ? flags | PTE_PSE : flags)))
            panic("no memory for the hypervisor's page tables\n");
    }
}

static void map_direct(void)
{
    mfn_t start, end;
    unsigned int i;

    for (i = 0; memmap_ram(i, &start, &end); i++)
        map_range(DIRECTMAP_VIRT + mfn_to_maddr(start).n, mfn_to_maddr(start).n, (end.n - start.n) << PAGE_SHIFT,
                  RAM_FLAGS);
    for (i = 0; i < boot_info.region_count; i++) {
        const struct mem_region *r = &boot_info.region[i];
        uint64_t first = ROUND_DOWN(r->start, PAGE_SIZE), past = ROUND_UP(r->start + r->size, PAGE_SIZE);

        if ((r->type == 3 || r->type == 4) && past <= DIRECTMAP_SIZE)
            map_range(DIRECTMAP_VIRT + first, first, past - first, RAM_FLAGS);
    }
}

static void map_image_part(const char *start, const char *end, uint64_t flags)
{
    map_range((unsigned long)start, maddr_x(virt_to_maddr(start)), (unsigned long)(end - start), flags);
}

/* The image at its linked address, and its unchangeable parts read-only in the direct map too. */
static void map_image(void)
{
    uint64_t text = maddr_x(virt_to_maddr(text_start));

    map_image_part(image_start, text_start, RAM_FLAGS);
    map_image_part(text_start, text_end, TEXT_FLAGS);
    map_image_part(rodata_start, rodata_end, RO_FLAGS);
    map_image_part(data_start, data_end, RAM_FLAGS);
    map_image_part(symbols_start, symbols_end, RO_FLAGS);
    set_entry((unsigned long)cpu0_stack + STACK_GUARD, 1, _pte(0));
    map_range(DIRECTMAP_VIRT + text, text, (unsigned long)(rodata_end - text_start), RO_FLAGS);
}

/* A zero-filled or -1-filled chunk of table memory at each unit that the table of [start, end) touches. */
static void map_table(unsigned long start, unsigned long end, int fill, unsigned long guest_view)
{
    unsigned long at;

    for (at = ROUND_DOWN(start, CHUNK); at < end; at += CHUNK) {
        uint64_t block;

        if (is_mapped(at))
            continue;
        block = memmap_alloc(CHUNK, CHUNK, DIRECTMAP_SIZE);
        memset(maddr_to_virt(_maddr(block)), fill, CHUNK);
        map_range(at, block, CHUNK, RAM_FLAGS);
        if (guest_view)
            map_range(at - RW_M2P_VIRT_START + guest_view, block, CHUNK, GUEST_FLAGS);
    }
}

static void map_frame_tables(void)
{
    mfn_t start, end;
    unsigned int i;

    for (i = 0; memmap_ram(i, &start, &end); i++) {
        map_table((unsigned long)&frame_table[start.n], (unsigned long)&frame_table[end.n], 0, 0);
        map_table(RW_M2P_VIRT_START + start.n * sizeof(unsigned long),
                  RW_M2P_VIRT_START + end.n * sizeof(unsigned long), 0xff, RO_M2P_VIRT_START);
    }
}

static void make_l3_tables(void)
{
    unsigned int slot;

    for (slot = HYPERVISOR_L4_FIRST; slot <= HYPERVISOR_L4_LAST; slot++) {
        unsigned long linear = HYPERVISOR_BASE + ((unsigned long)(slot - HYPERVISOR_L4_FIRST) << 39);

        if (slot != PERDOMAIN_L4_SLOT)
            set_entry(linear, 3, _pte(0));
    }
}

void map_init_early(void)
{
    idle_l4 = maddr_to_virt(_maddr(memmap_alloc(PAGE_SIZE, PAGE_SIZE, BELOW_4G)));
    memset(idle_l4, 0, PAGE_SIZE);
    make_l3_tables();
    map_direct();
    map_image();
    switch_cr3(maddr_x(virt_to_maddr(idle_l4)));
    map_frame_tables();
    memmap_release_to_heap();
    booting = false;
}
