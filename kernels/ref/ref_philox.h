/* ref_philox.h: streams of random numbers, as kernels/README.md describes them. */
#ifndef QN_REF_PHILOX_H
#define QN_REF_PHILOX_H

#include "quern_backend.h"

/** Words in a block. */
enum { PHILOX_WORDS = 4 };

/** Block `counter` of the stream `key`: the four words (low, high, 0, 0) are what is scrambled. */
static inline qn_random_block philox(uint64_t key, uint64_t counter) {
    const uint32_t counters[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0};
    const uint32_t keys[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    return qn_philox(counters, keys);
}

/** Blocks that n elements take. */
static inline uint64_t philox_blocks(int64_t n) {
    return ((uint64_t)n + PHILOX_WORDS - 1) / PHILOX_WORDS;
}

/** A word as a number in [0, 1): its upper 24 bits, exact in float. */
static inline double philox_uniform(uint32_t word) { return (word >> 8) * 0x1p-24; }

#endif
