/* normal_simd.c: y = mean + deviation z, z from pairs of Philox's words (Box and Muller 1958). */
#include "simd_math.h"
#include "simd_random.h"

/* Two words into r cos(a) and r sin(a), r = sqrt(-2 ln(u1)), a = 2 pi u2. */
SIMD_INLINE void box_muller(vu first, vu second, vf *x, vf *y) {
    vf u1 = __builtin_convertvector(v_philox_bits(first) + 1, vf) * 0x1p-24f;
    vf u2 = __builtin_convertvector(v_philox_bits(second), vf) * 0x1p-24f;
    vf radius = v_sqrt(-2.0f * v_log(u1)), cosine, sine;
    v_turn(u2, &cosine, &sine);
    *x = radius * cosine;
    *y = radius * sine;
}

SIMD_INLINE void normal_body(const vu word[PHILOX_WORDS], const qn_range_attrs *range,
                             vf value[PHILOX_WORDS]) {
    box_muller(word[0], word[1], &value[0], &value[1]);
    box_muller(word[2], word[3], &value[2], &value[3]);
    vf mean = v_set((float)range->low), deviation = v_set((float)range->high);
    for (int k = 0; k < PHILOX_WORDS; k++)
        value[k] = v_fma(deviation, value[k], mean);
    v_interleave(value);
}

static void normal_task(const void *arg, int64_t index) {
    simd_random_piece(arg, index, normal_body);
}

static qn_status normal_run(const qn_call *call) { return simd_random_run(call, normal_task); }

const qn_kernel SIMD_KERNEL(normal) = {
    .size = sizeof(qn_kernel),
    .op = "normal",
    .declines = simd_random_declines,
    .run = normal_run,
    .attrs_size = sizeof(qn_range_attrs),
};
