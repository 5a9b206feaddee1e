/* cuda_norm.h: the sums that the gradients of layer_norm and batch_norm share. */
#ifndef QN_CUDA_NORM_H
#define QN_CUDA_NORM_H

#include "cuda_math.h"
#include "cuda_rows.h"

/** Two sums that go together: of g, and of g xhat. */
struct norm_pair {
    double sum, along;
};

__device__ inline norm_pair operator+(norm_pair a, norm_pair b) {
    return {a.sum + b.sum, a.along + b.along};
}

__device__ inline norm_pair gpu_shuffle_xor(norm_pair mine, int bits) {
    return {gpu_shuffle_xor(mine.sum, bits), gpu_shuffle_xor(mine.along, bits)};
}

/** Element `at` of a vector, `otherwise` where it is absent. */
template <class T> __device__ inline T norm_element(const T *vector, int64_t at, T otherwise) {
    return vector ? vector[at] : otherwise;
}

/** One pair a segment of each line of g, x, mean and rstd, with xhat = (x - mean) rstd. */
template <class T> struct norm_sums_first {
    cuda_rows lines;
    lines_cut cut;
    const T *g, *x, *mean, *rstd;
    norm_pair *partial; /**< [segments, lines] */

    template <int team> __device__ void run(int64_t item, int lane) const {
        const int64_t line = item % lines.outer.count, segment = item / lines.outer.count;
        const int64_t begin = segment * cut.length;
        const int64_t end =
            begin + cut.length < lines.inner.count ? begin + cut.length : lines.inner.count;
        int64_t start[4], at[4];
        lines_at<4>(lines.outer, line, start);
        gpu_sum<T> sum, along;
        for (int64_t i = begin + lane; i < end; i += team) {
            lines_at<4>(lines.inner, i, at);
            const T value = g[start[0] + at[0]];
            const T about = norm_element(mean, start[2] + at[2], T(0));
            const T scale = norm_element(rstd, start[3] + at[3], T(1));
            sum.add(value);
            along.add(value * ((x[start[1] + at[1]] - about) * scale));
        }
        const norm_pair pair = team_sum<team>(norm_pair{sum.value(), along.value()});
        if (lane == 0)
            partial[item] = pair;
    }
};

template <class T> struct norm_sums_second {
    int64_t lines, segments;
    const norm_pair *partial;
    T *along, *sum;

    __device__ void operator()(int64_t line) const {
        norm_pair total = {0, 0};
        for (int64_t i = 0; i < segments; i++)
            total = total + partial[i * lines + line];
        along[line] = (T)total.along;
        sum[line] = (T)total.sum;
    }
};

/* What follows serves the gradients of both norms, whose operands stand in the same places. */
static_assert((int)QN_LAYER_NORM_GRAD_G == (int)QN_BATCH_NORM_GRAD_G &&
                  (int)QN_LAYER_NORM_GRAD_X == (int)QN_BATCH_NORM_GRAD_X &&
                  (int)QN_LAYER_NORM_GRAD_MEAN == (int)QN_BATCH_NORM_GRAD_MEAN &&
                  (int)QN_LAYER_NORM_GRAD_RSTD == (int)QN_BATCH_NORM_GRAD_RSTD &&
                  (int)QN_LAYER_NORM_GRAD_OUT_DWEIGHT == (int)QN_BATCH_NORM_GRAD_OUT_DWEIGHT &&
                  (int)QN_LAYER_NORM_GRAD_OUT_DBIAS == (int)QN_BATCH_NORM_GRAD_OUT_DBIAS,
              "the two gradients have their operands in the same places");

/** The lines of g, x, mean and rstd along `axes`; mean and rstd lie along the axes of x from
 * `first` on. */
inline cuda_rows norm_lines(const qn_call *call, uint32_t axes, int first) {
    const qn_view *g = &call->in[QN_LAYER_NORM_GRAD_G], *x = &call->in[QN_LAYER_NORM_GRAD_X];
    const qn_view mean = lines_spread(&call->in[QN_LAYER_NORM_GRAD_MEAN], x, first);
    const qn_view rstd = lines_spread(&call->in[QN_LAYER_NORM_GRAD_RSTD], x, first);
    const qn_view *views[] = {g, x, &mean, &rstd};
    return cuda_rows_of(4, views, axes);
}

/** Bytes of workspace for norm_sums(). */
inline size_t norm_sums_workspace(const cuda_rows &lines) {
    return (size_t)(lines_cut_of(lines).segments * lines.outer.count) * sizeof(norm_pair);
}

/** dweight = sum(g xhat) and dbias = sum(g) of every line. */
template <class T> inline qn_status norm_sums(const qn_call *call, const cuda_rows &lines) {
    const lines_cut cut = lines_cut_of(lines);
    auto *partial = (norm_pair *)call->workspace;
    const norm_sums_first<T> first{lines,
                                   cut,
                                   (const T *)call->in[QN_LAYER_NORM_GRAD_G].data,
                                   (const T *)call->in[QN_LAYER_NORM_GRAD_X].data,
                                   (const T *)call->in[QN_LAYER_NORM_GRAD_MEAN].data,
                                   (const T *)call->in[QN_LAYER_NORM_GRAD_RSTD].data,
                                   partial};
    qn_status status = team_launch(call, cut.team, cut.segments * lines.outer.count, first);
    if (status != QN_OK)
        return status;
    const norm_sums_second<T> second{lines.outer.count, cut.segments, partial,
                                     (T *)call->out[QN_LAYER_NORM_GRAD_OUT_DWEIGHT].data,
                                     (T *)call->out[QN_LAYER_NORM_GRAD_OUT_DBIAS].data};
    return each_launch(call, lines.outer.count, second);
}

#endif
