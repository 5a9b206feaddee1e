/* sequence_max: over the first steps of each sample, as many as it is long, and where it was found:
 * the first of ties, NaN before all else. Over none: 0, and the number of steps as its place. */
#include "ref_sequence.h"

/* The step of the maximum of a line of `length` elements, `stride` apart. */
static int64_t find_max(const qn_view *x, int64_t at, int64_t stride, int64_t length) {
    int64_t best = 0;
    double greatest = ref_load(x, at);
    for (int64_t t = 1; t < length && greatest == greatest; t++) {
        double value = ref_load(x, at + t * stride);
        if (value > greatest || value != value) {
            greatest = value;
            best = t;
        }
    }
    return best;
}

static qn_status run(const qn_call *call) {
    const qn_view *x = &call->in[0], *lengths = &call->in[1], *y = &call->out[0];
    const int64_t steps = x->shape[1], channels = x->shape[2];
    int64_t *index = call->out[1].data, out = 0;
    qn_status status = ref_check_lengths(call, lengths, steps);
    for (int64_t i = 0; i < x->shape[0] && status == QN_OK; i++) {
        int64_t length = ref_length(lengths, i, steps);
        for (int64_t c = 0; c < channels; c++, out++) {
            int64_t at = i * x->stride[0] + c * x->stride[2];
            index[out] = length > 0 ? find_max(x, at, x->stride[1], length) : steps;
            ref_store(y, out, length > 0 ? ref_load(x, at + index[out] * x->stride[1]) : 0);
        }
    }
    return status;
}

const qn_kernel qnk_ref_sequence_max = {
    .size = sizeof(qn_kernel), .op = "sequence_max", .run = run};

/* dx = g where the maximum was found, 0 elsewhere. */
static qn_status run_grad(const qn_call *call) {
    const qn_view *g = &call->in[0], *index = &call->in[1];
    const int64_t steps = ((const qn_sequence_attrs *)call->attrs)->steps, channels = g->shape[1];
    int64_t at = 0;
    for (int64_t i = 0; i < g->shape[0]; i++)
        for (int64_t t = 0; t < steps; t++)
            for (int64_t c = 0; c < channels; c++, at++) {
                int64_t found = ref_load_index(index, i * index->stride[0] + c * index->stride[1]);
                double value = ref_load(g, i * g->stride[0] + c * g->stride[1]);
                ref_store(call->out, at, t == found ? value : 0);
            }
    return QN_OK;
}

const qn_kernel qnk_ref_sequence_max_grad = {.size = sizeof(qn_kernel),
                                             .op = "sequence_max_grad",
                                             .run = run_grad,
                                             .attrs_size = sizeof(qn_sequence_attrs)};
