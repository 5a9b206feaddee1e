/* philox.h: Philox4x32-10, the counter-based random numbers behind shuffling and augmentation.
 *
 * A block of four random words is a function of key and counter, so any sample's numbers can be had
 * at any time, on any thread, in any order (Salmon, Moraes, Dror and Shaw 2011). */
#ifndef QUERN_PHILOX_H
#define QUERN_PHILOX_H

#include <stdint.h>

/** Four words of random bits. */
typedef struct qni_random_block {
    uint32_t word[4];
} qni_random_block;

/* What the numbers of this folder are for: the last word of the counter, so that no two uses share
 * a block. */
enum { QNI_RANDOM_SHUFFLE, QNI_RANDOM_PLACE, QNI_RANDOM_FORM };

/** The block of `seed` at counter (index, epoch mod 2^32, use). */
static inline qni_random_block qni_philox(uint64_t seed, int64_t index, int64_t epoch,
                                          uint32_t use) {
    uint32_t c0 = (uint32_t)index, c1 = (uint32_t)((uint64_t)index >> 32);
    uint32_t c2 = (uint32_t)epoch, c3 = use;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (qni_random_block){{c0, c1, c2, c3}};
}

#endif
