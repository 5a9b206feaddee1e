/* cuda_moments.h: sums, means and squares about a mean, of lines (cuda_rows.h). */
#ifndef QN_CUDA_MOMENTS_H
#define QN_CUDA_MOMENTS_H

#include "cuda_rows.h"

/** out[line] = sum / divisor, as Out. */
template <class T, class Out> struct line_sum : reduce_plus {
    using value = double;
    using accumulator = gpu_sum<T>;
    Out *out;
    double divisor;

    line_sum(void *to, double by) : out((Out *)to), divisor(by) {}
    __device__ T map(T x, int64_t) const { return x; }
    __device__ accumulator start() const { return {}; }
    __device__ double nothing() const { return 0; }
    __device__ void store(int64_t line, double sum) const { out[line] = (Out)(sum / divisor); }
};

/** out[line] = sum of (x - mean[line])^2 / divisor, as Out. */
template <class T, class Out> struct line_squares : line_sum<T, Out> {
    const double *mean;

    line_squares(void *to, double by, const double *about)
        : line_sum<T, Out>(to, by), mean(about) {}
    __device__ T map(T x, int64_t line) const {
        T distance = x - (T)mean[line];
        return distance * distance;
    }
};

/** The lines of input 0 along the axes of a reduction. */
inline cuda_rows reduced_lines(const qn_call *call) {
    const qn_view *x = &call->in[0];
    return cuda_rows_of(1, &x, ((const qn_reduce_attrs *)call->attrs)->axes);
}

inline size_t reduced_workspace(const qn_call *call) {
    return lines_workspace(reduced_lines(call));
}

/** out = sum of each line of input 0 / divisor. */
inline qn_status reduced_sum(const qn_call *call, const cuda_rows &lines, double divisor) {
    const qn_view *x = &call->in[0];
    void *out = call->out->data;
    if (x->dtype == QN_F64)
        return lines_reduce<double>(call, lines, x->data, line_sum<double, double>(out, divisor),
                                    call->workspace);
    return lines_reduce<float>(call, lines, x->data, line_sum<float, float>(out, divisor),
                               call->workspace);
}

#endif
