/* ref_philox.h: Philox4x32-10, a random number generator without hidden state.
 *
 * Salmon, Moraes, Dror and Shaw: "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). Block
 * number `counter` of stream `key` is a function of the two alone, so any backend can draw any part
 * of the stream. How elements take words is written in kernels/README.md. */
#ifndef QN_REF_PHILOX_H
#define QN_REF_PHILOX_H

#include <stdint.h>

/** Words in a block. */
enum { PHILOX_WORDS = 4 };

typedef struct philox_block {
    uint32_t word[PHILOX_WORDS];
} philox_block;

/** Ten rounds on four counter words and two key words. */
static inline philox_block philox4x32_10(const uint32_t counter[4], const uint32_t key[2]) {
    uint32_t x0 = counter[0], x1 = counter[1], x2 = counter[2], x3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)0xD2511F53u * x0, b = (uint64_t)0xCD9E8D57u * x2;
        x0 = (uint32_t)(b >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)b;
        x2 = (uint32_t)(a >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)a;
        k0 += 0x9E3779B9u; /* the golden ratio and sqrt(3) - 1, as 32-bit fractions */
        k1 += 0xBB67AE85u;
    }
    return (philox_block){{x0, x1, x2, x3}};
}

/** Block `counter` of the stream `key`: the four words (low, high, 0, 0) are what is scrambled. */
static inline philox_block philox(uint64_t key, uint64_t counter) {
    const uint32_t counters[4] = {(uint32_t)counter, (uint32_t)(counter >> 32), 0, 0};
    const uint32_t keys[2] = {(uint32_t)key, (uint32_t)(key >> 32)};
    return philox4x32_10(counters, keys);
}

/** Blocks that n elements take. */
static inline uint64_t philox_blocks(int64_t n) {
    return ((uint64_t)n + PHILOX_WORDS - 1) / PHILOX_WORDS;
}

/** A word as a number in [0, 1): its upper 24 bits, exact in float. */
static inline double philox_uniform(uint32_t word) { return (word >> 8) * 0x1p-24; }

#endif
