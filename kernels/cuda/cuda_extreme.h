/* cuda_extreme.h: max and min over a set of axes; NaN if any element is. */
#ifndef QN_CUDA_EXTREME_H
#define QN_CUDA_EXTREME_H

#include "cuda_moments.h"

/** out[line] = the element that Pick (reduce_max, reduce_min) prefers; `nothing` over none. */
template <class T, class Pick> struct line_extreme : Pick {
    using value = T;
    struct accumulator {
        T best;
        __device__ void add(T x) { best = Pick{}(best, x); }
        __device__ T value() const { return best; }
    };
    T *out;
    T worst;

    line_extreme(void *to, T otherwise) : out((T *)to), worst(otherwise) {}
    __device__ T map(T x, int64_t) const { return x; }
    __device__ accumulator start() const { return {worst}; }
    __device__ T nothing() const { return worst; }
    __device__ void store(int64_t line, T best) const { out[line] = best; }
};

template <class Pick> inline qn_status extreme_run(const qn_call *call, double worst) {
    const qn_view *x = &call->in[0];
    const cuda_rows lines = reduced_lines(call);
    if (x->dtype == QN_F64)
        return lines_reduce<double>(call, lines, x->data,
                                    line_extreme<double, Pick>(call->out->data, worst),
                                    call->workspace);
    return lines_reduce<float>(call, lines, x->data,
                               line_extreme<float, Pick>(call->out->data, (float)worst),
                               call->workspace);
}

#endif
