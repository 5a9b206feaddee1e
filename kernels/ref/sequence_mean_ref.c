/* sequence_mean: over the first steps of each sample, as many as it is long; 0 over none. */
#include "ref_sequence.h"

static qn_status run(const qn_call *call) {
    const qn_view *x = &call->in[0], *lengths = &call->in[1];
    const int64_t steps = x->shape[1], channels = x->shape[2];
    int64_t at = 0;
    qn_status status = ref_check_lengths(call, lengths, steps);
    for (int64_t i = 0; i < x->shape[0] && status == QN_OK; i++) {
        int64_t length = ref_length(lengths, i, steps);
        for (int64_t c = 0; c < channels; c++, at++) {
            double total = 0;
            for (int64_t t = 0; t < length; t++)
                total += ref_load(x, i * x->stride[0] + t * x->stride[1] + c * x->stride[2]);
            ref_store(call->out, at, length > 0 ? total / (double)length : 0);
        }
    }
    return status;
}

const qn_kernel qnk_ref_sequence_mean = {
    .size = sizeof(qn_kernel), .op = "sequence_mean", .run = run};

/* dx = g / length in the steps that count, 0 in the others. */
static qn_status run_grad(const qn_call *call) {
    const qn_view *g = &call->in[0], *lengths = &call->in[1];
    const int64_t steps = ((const qn_sequence_attrs *)call->attrs)->steps, channels = g->shape[1];
    int64_t at = 0;
    qn_status status = ref_check_lengths(call, lengths, steps);
    for (int64_t i = 0; i < g->shape[0] && status == QN_OK; i++) {
        int64_t length = ref_length(lengths, i, steps);
        for (int64_t t = 0; t < steps; t++)
            for (int64_t c = 0; c < channels; c++, at++) {
                double value = ref_load(g, i * g->stride[0] + c * g->stride[1]);
                ref_store(call->out, at, t < length ? value / (double)length : 0);
            }
    }
    return status;
}

const qn_kernel qnk_ref_sequence_mean_grad = {.size = sizeof(qn_kernel),
                                              .op = "sequence_mean_grad",
                                              .run = run_grad,
                                              .attrs_size = sizeof(qn_sequence_attrs)};
