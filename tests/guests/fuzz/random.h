/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SplitMix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014): a counter, and a function that
 * mixes it. One number of it begins the generator of each call.
 */
#ifndef FUZZ_RANDOM_H
#define FUZZ_RANDOM_H

#include <stdint.h>

#define GOLDEN_GAMMA 0x9e3779b97f4a7c15ull

static inline uint64_t fuzz_mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

static inline uint64_t fuzz_next(uint64_t *state)
{
    return fuzz_mix(*state += GOLDEN_GAMMA);
}

/* The state with which call i of a vCPU begins. */
static inline uint64_t fuzz_begin(uint64_t seed, unsigned int vcpu, uint64_t i)
{
    return fuzz_mix(fuzz_mix(fuzz_mix(seed + GOLDEN_GAMMA) + vcpu) + i);
}

#endif
