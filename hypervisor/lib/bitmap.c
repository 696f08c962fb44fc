/* SPDX-License-Identifier: BSD-2-Clause */
/* Searching bit arrays a word at a time. */
#include <hv/lib.h>

static unsigned int find_next(const unsigned long *addr, unsigned int nbits, unsigned int start, unsigned long invert)
{
    unsigned int i;

    if (start >= nbits)
        return nbits;
    for (i = start / 64; i < BITS_TO_LONGS(nbits); i++) {
        unsigned long w = addr[i] ^ invert;

        if (i == start / 64)
            w &= ~0ul << (start % 64);
        if (w) {
            unsigned int bit = i * 64 + ffs_u64(w);

            return bit < nbits ? bit : nbits;
        }
    }
    return nbits;
}

unsigned int find_next_bit(const unsigned long *addr, unsigned int nbits, unsigned int start)
{
    return find_next(addr, nbits, start, 0);
}

unsigned int find_next_zero_bit(const unsigned long *addr, unsigned int nbits, unsigned int start)
{
    return find_next(addr, nbits, start, ~0ul);
}
