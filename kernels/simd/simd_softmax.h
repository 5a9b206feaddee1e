/* simd_softmax.h: what softmax, log_softmax and cross_entropy share. */
#ifndef QN_SIMD_SOFTMAX_H
#define QN_SIMD_SOFTMAX_H

#include <math.h>

#include "simd_math.h"
#include "simd_reduce.h"
#include "simd_rows.h"

/** sum(e^(x - greatest)) over n elements; where y is not NULL it gets the terms. */
SIMD_INLINE double simd_exp_sum(const float *x, int64_t n, float greatest, float *y) {
    enum { BLOCK = 4096 }; /* elements that f32 accumulators may sum before f64 takes over */
    double total = 0;
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        int64_t end = begin + BLOCK < n ? begin + BLOCK : n, i = begin;
        vf sum = {0};
        for (; i + V_WIDTH <= end; i += V_WIDTH) {
            vf e = v_exp(v_load(x + i) - greatest);
            if (y)
                v_store(y + i, e);
            sum += e;
        }
        if (i < end) {
            vf e = v_exp(v_load_part(x + i, end - i) - greatest);
            if (y)
                v_store_part(y + i, e, end - i);
            sum += v_select(v_iota() < (int32_t)(end - i), e, v_set(0.0f));
        }
        total += v_sum(sum);
    }
    return total;
}

/** ln(sum(e^x)) over n elements. */
static inline double simd_log_sum_exp(const float *x, int64_t n) {
    float greatest = (float)simd_reduce_max.row(x, n, 0.0f);
    return greatest + log(simd_exp_sum(x, n, greatest, NULL));
}

#endif
