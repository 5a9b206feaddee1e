/* random_use.h: the random numbers behind shuffling, splitting and augmentation: a
 * function of seed, position and epoch, so that any sample's numbers can be had on any
 * thread and in any order. */
#ifndef QUERN_RANDOM_USE_H
#define QUERN_RANDOM_USE_H

#include "quern.h"

/* What the numbers of this folder are for: the last word of the counter, so that no two uses share
 * a block. */
enum { QNI_RANDOM_SHUFFLE, QNI_RANDOM_PLACE, QNI_RANDOM_FORM, QNI_RANDOM_SPLIT };

/** The block of `seed` at counter (index, epoch mod 2^32, use). */
static inline qn_random_block qni_random_at(uint64_t seed, int64_t index, int64_t epoch,
                                            uint32_t use) {
    const uint32_t counter[4] = {(uint32_t)index, (uint32_t)((uint64_t)index >> 32),
                                 (uint32_t)epoch, use};
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    return qn_philox(counter, key);
}

#endif
