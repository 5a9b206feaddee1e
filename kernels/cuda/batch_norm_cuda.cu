/* batch_norm_cuda.cu: y = (x - mean) rstd weight + bias for each channel, with the batch's
 * statistics while training, else the running ones; rstd = 1 / sqrt(var + epsilon). */
#include "cuda_moments.h"
#include "cuda_norm.h"

namespace {

/** All axes of x but that of the channels, as bits. */
uint32_t channel_axes(const qn_view *x) { return ((UINT32_C(1) << x->rank) - 1) & ~UINT32_C(2); }

/** Elements of one channel of one sample. */
int64_t plane_of(const qn_view *x) {
    int64_t plane = 1;
    for (int axis = 2; axis < x->rank; axis++)
        plane *= x->shape[axis];
    return plane;
}

/** A vector with an element a channel, or one that is absent. */
template <class T> struct channel_vector {
    T *data;
    int64_t stride;

    __device__ T get(int64_t c, T otherwise) const { return data ? data[c * stride] : otherwise; }
};

template <class T> channel_vector<T> vector_of(const qn_view *view) {
    return {(T *)view->data, view->data ? view->stride[0] : 0};
}

/** A channel's mean and rstd; while training, its running statistics move:
 * running = (1 - momentum) running + momentum value. */
template <class T> struct channel_statistics {
    const double *batch_mean, *squares; /**< sums of (x - mean)^2; NULL outside training */
    double count, momentum, epsilon;
    channel_vector<T> running_mean, running_var;
    T *mean, *rstd;

    __device__ void move(const channel_vector<T> &running, int64_t c, double value) const {
        if (running.data)
            running.data[c * running.stride] =
                (T)((1 - momentum) * (double)running.get(c, 0) + momentum * value);
    }

    __device__ void operator()(int64_t c) const {
        double centre = (double)running_mean.get(c, 0), var = (double)running_var.get(c, 1);
        if (batch_mean) {
            centre = batch_mean[c];
            var = squares[c] / count;
            move(running_mean, c, centre);
            move(running_var, c, squares[c] / (count - 1));
        }
        mean[c] = (T)centre;
        rstd[c] = (T)(1 / m_sqrt(var + epsilon));
    }
};

template <class T> struct normalised {
    cuda_walk walk; /**< of x; y lies densely */
    int64_t channels, plane;
    channel_vector<T> weight, bias;
    const T *x, *mean, *rstd;
    T *y;
    bool relu;

    __device__ void operator()(int64_t i) const {
        const int64_t c = i / plane % channels;
        int64_t at;
        lines_at<1>(walk, i, &at);
        const T value = (x[at] - mean[c]) * rstd[c] * weight.get(c, 1) + bias.get(c, 0);
        y[i] = relu && value < 0 ? (T)0 : value;
    }
};

cuda_rows channel_lines(const qn_call *call) {
    const qn_view *x = &call->in[QN_BATCH_NORM_X];
    return cuda_rows_of(1, &x, channel_axes(x));
}

/* The workspace while training: the means, the sums of squares, then what the reductions need. */

size_t workspace(const qn_call *call) {
    if (!((const qn_norm_attrs *)call->attrs)->training)
        return 0;
    const cuda_rows lines = channel_lines(call);
    return 2 * (size_t)lines.outer.count * sizeof(double) + lines_workspace(lines);
}

/** Leaves the batch's means and sums of squares in the workspace. */
template <class T> qn_status batch_moments(const qn_call *call, const cuda_rows &lines) {
    const int64_t channels = lines.outer.count;
    double *mean = (double *)call->workspace, *squares = mean + channels;
    const line_sum<T, double> sum(mean, (double)lines.inner.count);
    qn_status status = lines_reduce<T>(call, lines, call->in->data, sum, squares + channels);
    if (status != QN_OK)
        return status;
    return lines_reduce<T>(call, lines, call->in->data, line_squares<T, double>(squares, 1, mean),
                           squares + channels);
}

template <class T> qn_status batch_norm(const qn_call *call) {
    const auto *attrs = (const qn_norm_attrs *)call->attrs;
    const qn_view *x = &call->in[QN_BATCH_NORM_X];
    const cuda_rows lines = channel_lines(call);
    const double *batch = attrs->training ? (const double *)call->workspace : nullptr;
    T *mean = (T *)call->out[QN_BATCH_NORM_OUT_MEAN].data,
      *rstd = (T *)call->out[QN_BATCH_NORM_OUT_RSTD].data;
    qn_status status = batch ? batch_moments<T>(call, lines) : QN_OK;
    if (status != QN_OK)
        return status;
    const channel_statistics<T> statistics{batch,
                                           batch ? batch + lines.outer.count : nullptr,
                                           (double)lines.inner.count,
                                           attrs->momentum,
                                           attrs->epsilon,
                                           vector_of<T>(&call->in[QN_BATCH_NORM_RUNNING_MEAN]),
                                           vector_of<T>(&call->in[QN_BATCH_NORM_RUNNING_VAR]),
                                           mean,
                                           rstd};
    status = each_launch(call, lines.outer.count, statistics);
    if (status != QN_OK)
        return status;
    const normalised<T> element{cuda_walk_of(x),
                                x->shape[1],
                                plane_of(x),
                                vector_of<T>(&call->in[QN_BATCH_NORM_WEIGHT]),
                                vector_of<T>(&call->in[QN_BATCH_NORM_BIAS]),
                                (const T *)x->data,
                                mean,
                                rstd,
                                (T *)call->out[QN_BATCH_NORM_OUT_Y].data,
                                attrs->relu != 0};
    return each_launch(call, element.walk.count, element);
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? batch_norm<double>(call) : batch_norm<float>(call);
}

/* With xhat = (x - mean) rstd: dx = weight rstd (g - mean(g) - xhat mean(g xhat)); without the
 * means where the statistics were constants. */
template <class T> struct grad_of_element {
    cuda_walk walk; /**< of g and x; dx lies densely */
    int64_t channels, plane;
    T share; /**< 1 / (elements a channel) while training, else 0 */
    channel_vector<T> weight, mean, rstd;
    const T *g, *x, *along, *sum;
    T *dx;

    __device__ void operator()(int64_t i) const {
        const int64_t c = i / plane % channels;
        int64_t at[2];
        lines_at<2>(walk, i, at);
        const T scale = rstd.get(c, 1), xhat = (x[at[1]] - mean.get(c, 0)) * scale;
        dx[i] = weight.get(c, 1) * scale * (g[at[0]] - share * sum[c] - xhat * (share * along[c]));
    }
};

cuda_rows grad_lines(const qn_call *call) {
    return norm_lines(call, channel_axes(&call->in[QN_BATCH_NORM_GRAD_X]), 1);
}

size_t workspace_grad(const qn_call *call) { return norm_sums_workspace(grad_lines(call)); }

template <class T> qn_status batch_norm_grad(const qn_call *call) {
    const qn_view *g = &call->in[QN_BATCH_NORM_GRAD_G], *x = &call->in[QN_BATCH_NORM_GRAD_X];
    const bool training = ((const qn_norm_attrs *)call->attrs)->training;
    const cuda_rows lines = grad_lines(call);
    qn_status status = norm_sums<T>(call, lines);
    if (status != QN_OK)
        return status;
    const grad_of_element<T> element{cuda_walk_of(g, x),
                                     x->shape[1],
                                     plane_of(x),
                                     training ? (T)(1 / (double)lines.inner.count) : 0,
                                     vector_of<T>(&call->in[QN_BATCH_NORM_GRAD_WEIGHT]),
                                     vector_of<T>(&call->in[QN_BATCH_NORM_GRAD_MEAN]),
                                     vector_of<T>(&call->in[QN_BATCH_NORM_GRAD_RSTD]),
                                     (const T *)g->data,
                                     (const T *)x->data,
                                     (const T *)call->out[QN_BATCH_NORM_GRAD_OUT_DWEIGHT].data,
                                     (const T *)call->out[QN_BATCH_NORM_GRAD_OUT_DBIAS].data,
                                     (T *)call->out[QN_BATCH_NORM_GRAD_OUT_DX].data};
    return each_launch(call, element.walk.count, element);
}

qn_status run_grad(const qn_call *call) {
    return call->in->dtype == QN_F64 ? batch_norm_grad<double>(call) : batch_norm_grad<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_batch_norm;
const qn_kernel qnk_cuda_batch_norm = {.size = sizeof(qn_kernel),
                                       .op = "batch_norm",
                                       .workspace = workspace,
                                       .run = run,
                                       .attrs_size = sizeof(qn_norm_attrs)};

extern "C" const qn_kernel qnk_cuda_batch_norm_grad;
const qn_kernel qnk_cuda_batch_norm_grad = {.size = sizeof(qn_kernel),
                                            .op = "batch_norm_grad",
                                            .workspace = workspace_grad,
                                            .run = run_grad,
                                            .attrs_size = sizeof(qn_norm_attrs)};
