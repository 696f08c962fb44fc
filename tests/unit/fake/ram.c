// SPDX-License-Identifier: BSD-2-Clause
/* RAM with a hole for the real heap and frame table: see ram.h. */
#include <sys/mman.h>
#include <hv/boot.h>
#include "fake.h"
#include "ram.h"

struct page_info *frame_table;
unsigned long *m2p_table;
uint64_t max_page, total_pages;

static uint8_t *ram;

bool mfn_is_ram(mfn_t m)
{
    return m.n >= RAM_START && m.n < RAM_END && (m.n < RAM_HOLE || m.n >= RAM_HOLE_END);
}

void *mfn_to_virt(mfn_t m)
{
    if (!mfn_is_ram(m))
        panic("mfn %lx has no memory\n", m.n);
    return ram + m.n * PAGE_SIZE;
}

maddr_t virt_to_maddr(const void *p)
{
    maddr_t a = {(uint64_t)((const uint8_t *)p - ram)};

    if (!mfn_is_ram(maddr_to_mfn(a)))
        panic("%p is no memory of the heap\n", p);
    return a;
}

/* Anonymous memory comes as zeros, and only when it is touched. */
static void *map(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED)
        panic("no memory for the test\n");
    return p;
}

void ram_init(void)
{
    if (ram)
        return;
    ram = map(RAM_END * PAGE_SIZE);
    frame_table = map(RAM_END * sizeof(*frame_table));
    m2p_table = map(RAM_END * sizeof(*m2p_table));
    memset(ram + RAM_START * PAGE_SIZE, 0xcc, (RAM_END - RAM_START) * PAGE_SIZE);
    max_page = RAM_END;
    total_pages = RAM_FRAMES;
    heap_add(_mfn(RAM_START), _mfn(RAM_HOLE));
    heap_add(_mfn(RAM_HOLE_END), _mfn(RAM_END));
}
