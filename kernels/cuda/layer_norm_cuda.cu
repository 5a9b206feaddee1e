/* layer_norm_cuda.cu: y = (x - mean) rstd weight + bias over the last `axes` axes;
 * rstd = 1 / sqrt(var + epsilon). */
#include "cuda_norm.h"

namespace {

/** The last `axes` axes of a view of rank `rank`, as bits. */
uint32_t trailing_axes(int rank, int axes) {
    return (UINT32_C(1) << rank) - (UINT32_C(1) << (rank - axes));
}

template <class T> struct layer_norm_line {
    cuda_rows lines; /**< of x, y, weight, bias */
    double epsilon;
    const T *x, *weight, *bias;
    T *y, *mean, *rstd;

    template <int team> __device__ void run(int64_t line, int lane) const {
        const int64_t count = lines.inner.count;
        int64_t start[4], at[4];
        lines_at<4>(lines.outer, line, start);
        gpu_sum<T> sum, squares;
        for (int64_t i = lane; i < count; i += team) {
            lines_at<4>(lines.inner, i, at);
            sum.add(x[start[0] + at[0]]);
        }
        const T centre = (T)(team_sum<team>(sum.value()) / (double)count);
        for (int64_t i = lane; i < count; i += team) {
            lines_at<4>(lines.inner, i, at);
            const T distance = x[start[0] + at[0]] - centre;
            squares.add(distance * distance);
        }
        const double var = team_sum<team>(squares.value()) / (double)count;
        const T scale = (T)(1 / m_sqrt(var + epsilon));
        for (int64_t i = lane; i < count; i += team) {
            lines_at<4>(lines.inner, i, at);
            const T xhat = (x[start[0] + at[0]] - centre) * scale;
            y[start[1] + at[1]] =
                xhat * norm_element(weight, at[2], T(1)) + norm_element(bias, at[3], T(0));
        }
        if (lane > 0)
            return;
        mean[line] = centre;
        rstd[line] = scale;
    }
};

template <class T> qn_status layer_norm(const qn_call *call) {
    const auto *attrs = (const qn_norm_attrs *)call->attrs;
    const qn_view *x = &call->in[QN_LAYER_NORM_X];
    const int first = x->rank - attrs->axes;
    const qn_view weight = lines_spread(&call->in[QN_LAYER_NORM_WEIGHT], x, first);
    const qn_view bias = lines_spread(&call->in[QN_LAYER_NORM_BIAS], x, first);
    const qn_view *views[] = {x, &call->out[QN_LAYER_NORM_OUT_Y], &weight, &bias};
    const layer_norm_line<T> line{cuda_rows_of(4, views, trailing_axes(x->rank, attrs->axes)),
                                  attrs->epsilon,
                                  (const T *)x->data,
                                  (const T *)weight.data,
                                  (const T *)bias.data,
                                  (T *)call->out[QN_LAYER_NORM_OUT_Y].data,
                                  (T *)call->out[QN_LAYER_NORM_OUT_MEAN].data,
                                  (T *)call->out[QN_LAYER_NORM_OUT_RSTD].data};
    return team_launch(call, lines_team(line.lines), line.lines.outer.count, line);
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? layer_norm<double>(call) : layer_norm<float>(call);
}

/* With xhat = (x - mean) rstd and h = g weight: dx = rstd (h - mean(h) - xhat mean(h xhat)). */
template <class T> struct layer_norm_grad_line {
    cuda_rows lines;      /**< of g, x, weight, dx */
    cuda_walk statistics; /**< mean and rstd of each line */
    const T *g, *x, *weight, *mean, *rstd;
    T *dx;

    template <int team> __device__ void run(int64_t line, int lane) const {
        int64_t start[4], at[4], of_line[2];
        lines_at<4>(lines.outer, line, start);
        lines_at<2>(statistics, line, of_line);
        const T centre = mean[of_line[0]], scale = rstd[of_line[1]];
        gpu_sum<T> sum, along;
        for (int64_t i = lane; i < lines.inner.count; i += team) {
            lines_at<4>(lines.inner, i, at);
            const T h = g[start[0] + at[0]] * norm_element(weight, at[2], T(1));
            sum.add(h);
            along.add(h * ((x[start[1] + at[1]] - centre) * scale));
        }
        const norm_pair pair = team_sum<team>(norm_pair{sum.value(), along.value()});
        const T mean_h = (T)(pair.sum / (double)lines.inner.count);
        const T mean_along = (T)(pair.along / (double)lines.inner.count);
        for (int64_t i = lane; i < lines.inner.count; i += team) {
            lines_at<4>(lines.inner, i, at);
            const T h = g[start[0] + at[0]] * norm_element(weight, at[2], T(1));
            const T xhat = (x[start[1] + at[1]] - centre) * scale;
            dx[start[3] + at[3]] = scale * (h - mean_h - xhat * mean_along);
        }
    }
};

/** Lines for dweight and dbias: along the leading axes. */
cuda_rows weight_lines(const qn_call *call) {
    const int rank = call->in[QN_LAYER_NORM_GRAD_X].rank,
              axes = ((const qn_norm_attrs *)call->attrs)->axes;
    return norm_lines(call, trailing_axes(rank, rank) & ~trailing_axes(rank, axes), 0);
}

size_t workspace_grad(const qn_call *call) { return norm_sums_workspace(weight_lines(call)); }

template <class T> qn_status layer_norm_grad(const qn_call *call) {
    const qn_view *x = &call->in[QN_LAYER_NORM_GRAD_X];
    const int axes = ((const qn_norm_attrs *)call->attrs)->axes;
    const qn_view weight = lines_spread(&call->in[QN_LAYER_NORM_GRAD_WEIGHT], x, x->rank - axes);
    const qn_view *views[] = {&call->in[QN_LAYER_NORM_GRAD_G], x, &weight,
                              &call->out[QN_LAYER_NORM_GRAD_OUT_DX]};
    const layer_norm_grad_line<T> line{
        cuda_rows_of(4, views, trailing_axes(x->rank, axes)),
        cuda_walk_of(&call->in[QN_LAYER_NORM_GRAD_MEAN], &call->in[QN_LAYER_NORM_GRAD_RSTD]),
        (const T *)call->in[QN_LAYER_NORM_GRAD_G].data,
        (const T *)x->data,
        (const T *)weight.data,
        (const T *)call->in[QN_LAYER_NORM_GRAD_MEAN].data,
        (const T *)call->in[QN_LAYER_NORM_GRAD_RSTD].data,
        (T *)call->out[QN_LAYER_NORM_GRAD_OUT_DX].data};
    qn_status status = team_launch(call, lines_team(line.lines), line.lines.outer.count, line);
    return status == QN_OK ? norm_sums<T>(call, weight_lines(call)) : status;
}

qn_status run_grad(const qn_call *call) {
    return call->in->dtype == QN_F64 ? layer_norm_grad<double>(call) : layer_norm_grad<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_layer_norm;
const qn_kernel qnk_cuda_layer_norm = {
    .size = sizeof(qn_kernel), .op = "layer_norm", .run = run, .attrs_size = sizeof(qn_norm_attrs)};

extern "C" const qn_kernel qnk_cuda_layer_norm_grad;
const qn_kernel qnk_cuda_layer_norm_grad = {.size = sizeof(qn_kernel),
                                            .op = "layer_norm_grad",
                                            .workspace = workspace_grad,
                                            .run = run_grad,
                                            .attrs_size = sizeof(qn_norm_attrs)};
