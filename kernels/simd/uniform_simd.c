/* uniform_simd.c: y = low + u (high - low), u in [0, 1) from the words of Philox. */
#include "simd_random.h"

/* In f64, product and sum rounded apart, so that every provider gives the same bits. */
SIMD_INLINE vf scale(vi bits, double low, double width) {
    vf u = __builtin_convertvector(bits, vf) * 0x1p-24f;
    vd first = v_low_double(u) * width, second = v_high_double(u) * width;
    __asm__("" : "+x"(first), "+x"(second)); /* no fused multiply-add */
    return v_from_double(first + low, second + low);
}

SIMD_INLINE void uniform_body(const vu word[PHILOX_WORDS], const qn_range_attrs *range,
                              vf value[PHILOX_WORDS]) {
    for (int k = 0; k < PHILOX_WORDS; k++)
        value[k] = scale(v_philox_bits(word[k]), range->low, range->high - range->low);
    v_interleave(value);
}

static void uniform_task(const void *arg, int64_t index) {
    simd_random_piece(arg, index, uniform_body);
}

static qn_status uniform_run(const qn_call *call) { return simd_random_run(call, uniform_task); }

const qn_kernel SIMD_KERNEL(uniform) = {
    .size = sizeof(qn_kernel),
    .op = "uniform",
    .declines = simd_random_declines,
    .run = uniform_run,
    .attrs_size = sizeof(qn_range_attrs),
};
