/* cross_entropy: mean over rows of lse - sum(q x), where lse = log(sum(e^x)) and q is the smoothed
 * target: (1 - s) one-hot + s / classes. Gradient: g scale (e^(x - lse) - q). */
#include "ref_lines.h"

/** Whether a row's target says that the row does not count. INT64_MIN ignores nothing. */
static bool ignored(const qn_cross_entropy_attrs *attrs, int64_t target) {
    return target == attrs->ignore_index && target != INT64_MIN;
}

/** sum(q x) of a row. Without smoothing only the target counts: another logit may be infinite. */
static double expected_logit(const qn_view *row, int64_t target, double smoothing) {
    double value = (1 - smoothing) * ref_load(row, target * row->stride[0]), total = 0;
    if (smoothing == 0)
        return value;
    for (int64_t j = 0; j < row->shape[0]; j++)
        total += ref_load(row, j * row->stride[0]);
    return value + smoothing / (double)row->shape[0] * total;
}

static qn_status bad_target(const qn_call *call, int64_t row, int64_t target, int64_t classes) {
    snprintf(call->reason, QN_REASON_SIZE, "target of row %lld is %lld, expected 0 .. %lld",
             (long long)row, (long long)target, (long long)classes - 1);
    return QN_INVALID_ARGUMENT;
}

static qn_status run(const qn_call *call) {
    const qn_cross_entropy_attrs *attrs = call->attrs;
    const qn_view *logits = &call->in[QN_CROSS_ENTROPY_LOGITS],
                  *target = &call->in[QN_CROSS_ENTROPY_TARGET];
    int64_t classes = logits->shape[1], counted = 0;
    double total = 0;
    for (int64_t i = 0; i < logits->shape[0]; i++) {
        qn_view row = ref_line_at(logits, 1, i * logits->stride[0]);
        double lse = ref_line_log_sum_exp(&row);
        ref_store(&call->out[QN_CROSS_ENTROPY_OUT_LSE], i, lse);
        int64_t class = ref_load_index(target, i * target->stride[0]);
        if (ignored(attrs, class))
            continue;
        if (class < 0 || class >= classes)
            return bad_target(call, i, class, classes);
        total += lse - expected_logit(&row, class, attrs->label_smoothing);
        counted++;
    }
    ref_store(&call->out[QN_CROSS_ENTROPY_OUT_LOSS], 0, total / (double)counted);
    ref_store(&call->out[QN_CROSS_ENTROPY_OUT_SCALE], 0, 1 / (double)counted);
    return QN_OK;
}

const qn_kernel qnk_ref_cross_entropy = {.size = sizeof(qn_kernel),
                                         .op = "cross_entropy",
                                         .run = run,
                                         .attrs_size = sizeof(qn_cross_entropy_attrs)};

static qn_status run_grad(const qn_call *call) {
    const qn_cross_entropy_attrs *attrs = call->attrs;
    const qn_view *logits = &call->in[QN_CROSS_ENTROPY_GRAD_LOGITS],
                  *target = &call->in[QN_CROSS_ENTROPY_GRAD_TARGET],
                  *lse = &call->in[QN_CROSS_ENTROPY_GRAD_LSE];
    double factor = ref_load(&call->in[QN_CROSS_ENTROPY_GRAD_G], 0) *
                    ref_load(&call->in[QN_CROSS_ENTROPY_GRAD_SCALE], 0);
    int64_t classes = logits->shape[1], at = 0;
    for (int64_t i = 0; i < logits->shape[0]; i++) {
        int64_t class = ref_load_index(target, i * target->stride[0]);
        double row_lse = ref_load(lse, i * lse->stride[0]);
        for (int64_t j = 0; j < classes; j++, at++) {
            double x = ref_load(logits, i * logits->stride[0] + j * logits->stride[1]);
            double q = (j == class ? 1 - attrs->label_smoothing : 0) +
                       attrs->label_smoothing / (double)classes;
            double value = ignored(attrs, class) ? 0 : factor * (exp(x - row_lse) - q);
            ref_store(call->out, at, value);
        }
    }
    return QN_OK;
}

const qn_kernel qnk_ref_cross_entropy_grad = {.size = sizeof(qn_kernel),
                                              .op = "cross_entropy_grad",
                                              .run = run_grad,
                                              .attrs_size = sizeof(qn_cross_entropy_attrs)};
