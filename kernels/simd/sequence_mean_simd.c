/* sequence_mean_simd.c: the mean over the steps of each sample, and its gradient. */
#include <string.h>

#include "simd_sequence.h"

typedef struct mean {
    const qn_view *x; /* [n, t, c], or for the gradient g [n, c] */
    const qn_view *lengths;
    int64_t steps, channels;
    float *out;
} mean;

/* V_WIDTH channels of one sample at a time, down its steps. */
static void mean_task(const void *arg, int64_t sample) {
    const mean *m = arg;
    const int64_t length = sequence_length(m->lengths, sample, m->steps), step = m->x->stride[1];
    const float *x = (const float *)m->x->data + sample * m->x->stride[0];
    float *y = m->out + sample * m->channels;
    const float scale = length > 0 ? 1 / (float)length : 0;
    for (int64_t j = 0; j < m->channels; j += V_WIDTH) {
        const int64_t part = m->channels - j < V_WIDTH ? m->channels - j : V_WIDTH;
        const float *column = x + j;
        vf even = {0}, odd = {0};
        for (int64_t t = 0; t + 1 < length; t += 2, column += 2 * step) {
            even += v_load_part(column, part);
            odd += v_load_part(column + step, part);
        }
        if (length % 2 == 1)
            even += v_load_part(column, part);
        v_store_part(y + j, (even + odd) * scale, part);
    }
}

static const char *declines(const qn_call *call) { return sequence_declines(&call->in[0]); }

static qn_status run(const qn_call *call) {
    const qn_view *x = &call->in[0];
    const mean m = {x, &call->in[1], x->shape[1], x->shape[2], call->out->data};
    const qn_status status = sequence_check_lengths(call, m.lengths, m.steps);
    if (status == QN_OK)
        simd_parallel(simd_threads(call, qn_view_count(x)), x->shape[0], mean_task, &m);
    return status;
}

const qn_kernel SIMD_KERNEL(sequence_mean) = {
    .size = sizeof(qn_kernel), .op = "sequence_mean", .declines = declines, .run = run};

/* g / length in the steps of the sample, then zeros. */
static void grad_task(const void *arg, int64_t sample) {
    const mean *m = arg;
    const int64_t length = sequence_length(m->lengths, sample, m->steps), c = m->channels;
    const float *g = (const float *)m->x->data + sample * m->x->stride[0];
    float *dx = m->out + sample * m->steps * c;
    for (int64_t j = 0; j < c && length > 0; j += V_WIDTH) {
        const int64_t part = c - j < V_WIDTH ? c - j : V_WIDTH;
        v_store_part(dx + j, v_load_part(g + j, part) / (float)length, part);
    }
    for (int64_t t = 1; t < length; t++)
        memcpy(dx + t * c, dx, (size_t)c * sizeof(float));
    memset(dx + length * c, 0, (size_t)((m->steps - length) * c) * sizeof(float));
}

static qn_status run_grad(const qn_call *call) {
    const int64_t steps = ((const qn_sequence_attrs *)call->attrs)->steps;
    const mean m = {&call->in[0], &call->in[1], steps, call->in[0].shape[1], call->out->data};
    const qn_status status = sequence_check_lengths(call, m.lengths, steps);
    if (status == QN_OK)
        simd_parallel(simd_threads(call, qn_view_count(call->out)), m.x->shape[0], grad_task, &m);
    return status;
}

const qn_kernel SIMD_KERNEL(sequence_mean_grad) = {.size = sizeof(qn_kernel),
                                                   .op = "sequence_mean_grad",
                                                   .declines = declines,
                                                   .run = run_grad,
                                                   .attrs_size = sizeof(qn_sequence_attrs)};
