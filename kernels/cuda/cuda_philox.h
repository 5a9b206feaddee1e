/* cuda_philox.h: random numbers on the device: the stream that kernels/README.md describes, so that
 * a GPU draws what the CPU draws. */
#ifndef QN_CUDA_PHILOX_H
#define QN_CUDA_PHILOX_H

#include "cuda_math.h"
#include "cuda_walk.h"

enum { PHILOX_WORDS = 4, PHILOX_BLOCK = 256 };

/** Words of a block. */
struct philox_words {
    uint32_t word[PHILOX_WORDS];
};

/** Block `counter` of the stream `key`: Philox4x32-10 (Salmon et al. 2011), as
 * core/include/quern/random.h has it. */
__device__ inline philox_words philox(uint64_t key, uint64_t counter) {
    uint32_t x0 = (uint32_t)counter, x1 = (uint32_t)(counter >> 32), x2 = 0, x3 = 0;
    uint32_t k0 = (uint32_t)key, k1 = (uint32_t)(key >> 32);
    for (int round = 0; round < 10; round++) {
        const uint64_t a = (uint64_t)0xD2511F53u * x0, b = (uint64_t)0xCD9E8D57u * x2;
        x0 = (uint32_t)(b >> 32) ^ x1 ^ k0;
        x1 = (uint32_t)b;
        x2 = (uint32_t)(a >> 32) ^ x3 ^ k1;
        x3 = (uint32_t)a;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{x0, x1, x2, x3}};
}

/** A word as a number in [0, 1): its upper 24 bits, exact in float. */
__device__ inline float philox_uniform(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

/** Blocks that n elements take. */
inline int64_t philox_blocks(int64_t n) { return (n + PHILOX_WORDS - 1) / PHILOX_WORDS; }

/** Lets the stream go on behind what a call drew. A launch of its own: the call's threads read the
 * state. */
static __global__ void philox_advance(uint64_t *state, uint64_t blocks) {
    if (threadIdx.x == 0)
        state[1] += blocks;
}

inline qn_status philox_advance_launch(const qn_call *call, uint64_t *state, int64_t elements) {
    return gpu_launch(call, philox_advance, 1, GPU_WARP, 0, state,
                      (uint64_t)philox_blocks(elements));
}

#endif
