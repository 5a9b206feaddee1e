/* quern/random.h: Philox4x32-10, the random numbers of programs, kernels and backends alike.
 *
 * A block of four random words is a function of a counter and a key, so any part of a stream
 * can be drawn at any time, on any thread, on any device (Salmon, Moraes, Dror and Shaw:
 * "Parallel random numbers: as easy as 1, 2, 3", SC 2011). How elements take words is
 * written in kernels/README.md. */
#ifndef QUERN_RANDOM_H
#define QUERN_RANDOM_H

#include <stdint.h>

/** Four words of random bits. */
typedef struct qn_random_block {
    uint32_t word[4];
} qn_random_block;

/** Ten rounds on four counter words and two key words. */
static inline qn_random_block qn_philox(const uint32_t counter[4], const uint32_t key[2]) {
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
    qn_random_block block = {{x0, x1, x2, x3}};
    return block;
}

#endif
