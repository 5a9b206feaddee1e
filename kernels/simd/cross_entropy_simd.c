/* cross_entropy_simd.c: mean over rows of lse - sum(q x), with lse = ln(sum(e^x)) and the smoothed
 * target q = (1 - s) one-hot + s / classes; and the gradient g scale (e^(x - lse) - q). */
#include "simd_softmax.h"

#include <stdio.h>

static const char *cross_entropy_declines(const qn_call *call) {
    return simd_rows_declines(call, 1, 1);
}

static size_t cross_entropy_workspace(const qn_call *call) {
    return (size_t)call->in[QN_CROSS_ENTROPY_LOGITS].shape[0] * sizeof(double);
}

static int64_t target_of(const qn_view *target, int64_t row) {
    return ((const int64_t *)target->data)[row * target->stride[0]];
}

/* Whether a row does not count. INT64_MIN ignores nothing. */
static bool ignored(const qn_cross_entropy_attrs *attrs, int64_t target) {
    return target == attrs->ignore_index && target != INT64_MIN;
}

/* The row's log-sum-exp goes to its output, its loss to the workspace. */
static void cross_entropy_row(const qn_call *call, int64_t row) {
    const qn_cross_entropy_attrs *attrs = call->attrs;
    const float *x = simd_row(&call->in[QN_CROSS_ENTROPY_LOGITS], row);
    int64_t classes = call->in[QN_CROSS_ENTROPY_LOGITS].shape[1],
            target = target_of(&call->in[QN_CROSS_ENTROPY_TARGET], row);
    double lse = simd_log_sum_exp(x, classes), s = attrs->label_smoothing, loss = 0;
    ((float *)call->out[QN_CROSS_ENTROPY_OUT_LSE].data)[row] = (float)lse;
    if (!ignored(attrs, target))
        loss = lse - (1 - s) * x[target];
    if (s != 0 && !ignored(attrs, target))
        loss -= s / (double)classes * simd_reduce_sum.row(x, classes, 0.0f);
    ((double *)call->workspace)[row] = loss;
}

static qn_status cross_entropy_run(const qn_call *call) {
    const qn_view *logits = &call->in[QN_CROSS_ENTROPY_LOGITS];
    int64_t classes = logits->shape[1], counted = 0;
    for (int64_t row = 0; row < logits->shape[0]; row++) {
        int64_t target = target_of(&call->in[QN_CROSS_ENTROPY_TARGET], row);
        if (ignored(call->attrs, target))
            continue;
        if (target < 0 || target >= classes) {
            snprintf(call->reason, QN_REASON_SIZE, "target of row %lld is %lld, expected 0 .. %lld",
                     (long long)row, (long long)target, (long long)classes - 1);
            return QN_INVALID_ARGUMENT;
        }
        counted++;
    }
    double total = 0;
    if (classes > 0)
        simd_rows_run(call, cross_entropy_row);
    for (int64_t row = 0; row < logits->shape[0] && classes > 0; row++)
        total += ((const double *)call->workspace)[row];
    *(float *)call->out[QN_CROSS_ENTROPY_OUT_LOSS].data = (float)(total / (double)counted);
    *(float *)call->out[QN_CROSS_ENTROPY_OUT_SCALE].data = (float)(1 / (double)counted);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(cross_entropy) = {
    .size = sizeof(qn_kernel),
    .op = "cross_entropy",
    .declines = cross_entropy_declines,
    .workspace = cross_entropy_workspace,
    .run = cross_entropy_run,
    .attrs_size = sizeof(qn_cross_entropy_attrs),
};

static const char *cross_entropy_grad_declines(const qn_call *call) {
    const qn_view *logits = &call->in[QN_CROSS_ENTROPY_GRAD_LOGITS];
    if (logits->dtype != QN_F32)
        return "f32 only";
    return qn_view_is_contiguous(logits) ? NULL : "contiguous logits only";
}

/* Rows of a task of the gradient. */
static int64_t rows_of_task(int64_t classes) {
    return classes < 8192 ? 8192 / (classes + 1) + 1 : 1;
}

static void cross_entropy_grad_row(const qn_call *call, int64_t row, float factor) {
    const qn_cross_entropy_attrs *attrs = call->attrs;
    int64_t classes = call->in[QN_CROSS_ENTROPY_GRAD_LOGITS].shape[1],
            target = target_of(&call->in[QN_CROSS_ENTROPY_GRAD_TARGET], row), i = 0;
    const float *x = (const float *)call->in[QN_CROSS_ENTROPY_GRAD_LOGITS].data + row * classes;
    float *dx = (float *)call->out[QN_CROSS_ENTROPY_GRAD_OUT_DLOGITS].data + row * classes;
    float lse = ((const float *)call->in[QN_CROSS_ENTROPY_GRAD_LSE]
                     .data)[row * call->in[QN_CROSS_ENTROPY_GRAD_LSE].stride[0]];
    if (ignored(attrs, target)) {
        for (i = 0; i < classes; i++)
            dx[i] = 0.0f;
        return;
    }
    float smooth = (float)(attrs->label_smoothing / (double)classes);
    for (; i + V_WIDTH <= classes; i += V_WIDTH)
        v_store(dx + i, factor * (v_exp(v_load(x + i) - lse) - smooth));
    if (i < classes) {
        vf e = v_exp(v_load_part(x + i, classes - i) - lse);
        v_store_part(dx + i, factor * (e - smooth), classes - i);
    }
    dx[target] -= factor * (float)(1 - attrs->label_smoothing);
}

static void cross_entropy_grad_task(const void *arg, int64_t index) {
    const qn_call *call = arg;
    float factor = *(const float *)call->in[QN_CROSS_ENTROPY_GRAD_G].data *
                   *(const float *)call->in[QN_CROSS_ENTROPY_GRAD_SCALE].data;
    int64_t group = rows_of_task(call->in[QN_CROSS_ENTROPY_GRAD_LOGITS].shape[1]),
            row = index * group;
    int64_t end = call->in[QN_CROSS_ENTROPY_GRAD_LOGITS].shape[0];
    end = end < row + group ? end : row + group;
    for (; row < end; row++)
        cross_entropy_grad_row(call, row, factor);
}

static qn_status cross_entropy_grad_run(const qn_call *call) {
    const qn_view *logits = &call->in[QN_CROSS_ENTROPY_GRAD_LOGITS];
    int64_t elements = qn_view_count(logits), group = rows_of_task(logits->shape[1]);
    int64_t tasks = elements > 0 ? (logits->shape[0] + group - 1) / group : 0;
    simd_parallel(simd_threads(call, 4 * elements), tasks, cross_entropy_grad_task, call);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(cross_entropy_grad) = {
    .size = sizeof(qn_kernel),
    .op = "cross_entropy_grad",
    .declines = cross_entropy_grad_declines,
    .run = cross_entropy_grad_run,
    .attrs_size = sizeof(qn_cross_entropy_attrs),
};
