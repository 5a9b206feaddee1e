/* cross_entropy_cuda.cu: mean over rows of lse - sum(q x), where lse = log(sum(e^x)) and q is the
 * smoothed target: (1 - s) one-hot + s / classes. Gradient: g scale (e^(x - lse) - q). */
#include "cuda_softmax.h"

namespace {

/** A row's target, and whether the row does not count. */
struct row_target {
    int64_t value;
    bool ignored;
};

struct target_reader {
    const int64_t *target;
    int64_t stride, ignore_index; /**< INT64_MIN ignores nothing */

    __device__ row_target operator()(int64_t row) const {
        const int64_t value = target[row * stride];
        return {value, value == ignore_index && value != INT64_MIN};
    }
};

target_reader reader_of(const qn_call *call, const qn_view *target) {
    return {(const int64_t *)target->data, target->stride[0],
            ((const qn_cross_entropy_attrs *)call->attrs)->ignore_index};
}

template <class T> struct loss_of_row {
    const T *logits;
    int64_t classes, stride[2];
    target_reader target;
    T smoothing, *lse;
    double *loss; /**< [rows, 2]: the loss, and 1 where the row counts */
    cuda_fault *fault;
    uint64_t op;

    /** sum(q x). Without smoothing only the target counts: another logit may be infinite. */
    template <int team> __device__ T expected_logit(const T *x, int64_t at, int lane) const {
        const T value = (1 - smoothing) * x[at * stride[1]];
        if (smoothing == 0)
            return value;
        gpu_sum<T> sum;
        for (int64_t j = lane; j < classes; j += team)
            sum.add(x[j * stride[1]]);
        return value + smoothing / (T)classes * (T)team_sum<team>(sum.value());
    }

    template <int team> __device__ void run(int64_t row, int lane) const {
        const T *x = logits + row * stride[0];
        const line_exponentials<T> e = line_sum_exp<team>(x, stride[1], classes, lane);
        const T row_lse = e.greatest + m_log(e.sum);
        const row_target t = target(row);
        const bool valid = t.value >= 0 && t.value < classes, counts = valid && !t.ignored;
        const T value = counts ? row_lse - expected_logit<team>(x, t.value, lane) : 0;
        if (lane > 0)
            return;
        if (!valid && !t.ignored)
            gpu_fault(fault, CUDA_FAULT_TARGET, op, t.value, row, classes - 1);
        lse[row] = row_lse;
        loss[2 * row] = (double)value;
        loss[2 * row + 1] = counts ? 1 : 0;
    }
};

template <class T> struct mean_loss {
    const double *loss;
    int64_t rows;
    T *out, *scale;

    template <int team> __device__ void run(int64_t, int lane) const {
        double total = 0, counted = 0;
        for (int64_t i = lane; i < rows; i += team) {
            total += loss[2 * i];
            counted += loss[2 * i + 1];
        }
        total = team_sum<team>(total);
        counted = team_sum<team>(counted);
        if (lane > 0)
            return;
        *out = (T)(total / counted);
        *scale = (T)(1 / counted);
    }
};

size_t workspace(const qn_call *call) {
    return 2 * (size_t)call->in[QN_CROSS_ENTROPY_LOGITS].shape[0] * sizeof(double);
}

template <class T> qn_status cross_entropy(const qn_call *call) {
    const qn_view *x = &call->in[QN_CROSS_ENTROPY_LOGITS];
    const auto *attrs = (const qn_cross_entropy_attrs *)call->attrs;
    double *loss = (double *)call->workspace;
    const loss_of_row<T> row{(const T *)x->data,
                             x->shape[1],
                             {x->stride[0], x->stride[1]},
                             reader_of(call, &call->in[QN_CROSS_ENTROPY_TARGET]),
                             (T)attrs->label_smoothing,
                             (T *)call->out[QN_CROSS_ENTROPY_OUT_LSE].data,
                             loss,
                             cuda_queue_of(call)->fault,
                             gpu_op(call)};
    const int team = x->shape[1] <= 1024 ? TEAM_WARP : TEAM_BLOCK;
    qn_status status = team_launch(call, team, x->shape[0], row);
    if (status != QN_OK)
        return status;
    const mean_loss<T> mean{loss, x->shape[0], (T *)call->out[QN_CROSS_ENTROPY_OUT_LOSS].data,
                            (T *)call->out[QN_CROSS_ENTROPY_OUT_SCALE].data};
    return team_launch(call, TEAM_BLOCK, 1, mean);
}

qn_status run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? cross_entropy<double>(call) : cross_entropy<float>(call);
}

template <class T> struct grad_of_logit {
    const T *g, *scale, *logits, *lse;
    int64_t classes, stride[2], lse_stride;
    target_reader target;
    T smoothing, *out;

    __device__ void operator()(int64_t i) const {
        const int64_t row = i / classes, j = i % classes;
        const row_target t = target(row);
        const T q = (j == t.value ? 1 - smoothing : 0) + smoothing / (T)classes;
        const T x = logits[row * stride[0] + j * stride[1]];
        out[i] = t.ignored ? 0 : *g * *scale * (m_exp(x - lse[row * lse_stride]) - q);
    }
};

template <class T> qn_status cross_entropy_grad(const qn_call *call) {
    const qn_view *x = &call->in[QN_CROSS_ENTROPY_GRAD_LOGITS],
                  *lse = &call->in[QN_CROSS_ENTROPY_GRAD_LSE];
    const auto *attrs = (const qn_cross_entropy_attrs *)call->attrs;
    const grad_of_logit<T> logit{(const T *)call->in[QN_CROSS_ENTROPY_GRAD_G].data,
                                 (const T *)call->in[QN_CROSS_ENTROPY_GRAD_SCALE].data,
                                 (const T *)x->data,
                                 (const T *)lse->data,
                                 x->shape[1],
                                 {x->stride[0], x->stride[1]},
                                 lse->stride[0],
                                 reader_of(call, &call->in[QN_CROSS_ENTROPY_GRAD_TARGET]),
                                 (T)attrs->label_smoothing,
                                 (T *)call->out->data};
    return each_launch(call, qn_view_count(x), logit);
}

qn_status run_grad(const qn_call *call) {
    return call->in->dtype == QN_F64 ? cross_entropy_grad<double>(call)
                                     : cross_entropy_grad<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_cross_entropy;
const qn_kernel qnk_cuda_cross_entropy = {.size = sizeof(qn_kernel),
                                          .op = "cross_entropy",
                                          .workspace = workspace,
                                          .run = run,
                                          .attrs_size = sizeof(qn_cross_entropy_attrs)};

extern "C" const qn_kernel qnk_cuda_cross_entropy_grad;
const qn_kernel qnk_cuda_cross_entropy_grad = {.size = sizeof(qn_kernel),
                                               .op = "cross_entropy_grad",
                                               .run = run_grad,
                                               .attrs_size = sizeof(qn_cross_entropy_attrs)};
