/* sequence_max_simd.c: the maximum over the steps of each sample, and its gradient. */
#include <string.h>

#include "simd_sequence.h"

typedef struct extreme {
    const qn_view *x; /* [n, t, c], or for the gradient g [n, c] */
    const qn_view *lengths, *from;
    int64_t steps, channels;
    float *out;
    int64_t *index; /* [n, c] */
} extreme;

/* V_WIDTH channels of one sample: the first greatest, and NaN for good once it was there. */
static void max_task(const void *arg, int64_t sample) {
    const extreme *m = arg;
    const int64_t length = sequence_length(m->lengths, sample, m->steps), step = m->x->stride[1];
    const float *x = (const float *)m->x->data + sample * m->x->stride[0];
    for (int64_t j = 0; j < m->channels; j += V_WIDTH) {
        const int64_t part = m->channels - j < V_WIDTH ? m->channels - j : V_WIDTH;
        vf best = length > 0 ? v_load_part(x + j, part) : (vf){0};
        vi place = v_set_int(length > 0 ? 0 : (int32_t)m->steps);
        for (int64_t t = 1; t < length; t++) {
            const vf y = v_load_part(x + t * step + j, part);
            const vi wins = ((y > best) | (y != y)) & (best == best);
            best = v_select(wins, y, best);
            place = (wins & (int32_t)t) | (~wins & place);
        }
        v_store_part(m->out + sample * m->channels + j, best, part);
        for (int64_t i = 0; i < part; i++)
            m->index[sample * m->channels + j + i] = place[i];
    }
}

static const char *declines(const qn_call *call) {
    if (call->in[0].shape[1] > INT32_MAX)
        return "too many steps";
    return sequence_declines(&call->in[0]);
}

static qn_status run(const qn_call *call) {
    const qn_view *x = &call->in[0];
    const extreme m = {.x = x,
                       .lengths = &call->in[1],
                       .steps = x->shape[1],
                       .channels = x->shape[2],
                       .out = call->out[0].data,
                       .index = call->out[1].data};
    const qn_status status = sequence_check_lengths(call, m.lengths, m.steps);
    if (status == QN_OK)
        simd_parallel(simd_threads(call, qn_view_count(x)), x->shape[0], max_task, &m);
    return status;
}

const qn_kernel SIMD_KERNEL(sequence_max) = {
    .size = sizeof(qn_kernel), .op = "sequence_max", .declines = declines, .run = run};

/* Zeros, and g where the maxima were. */
static void grad_task(const void *arg, int64_t sample) {
    const extreme *m = arg;
    const float *g = (const float *)m->x->data + sample * m->x->stride[0];
    const int64_t *from = (const int64_t *)m->from->data + sample * m->from->stride[0];
    float *dx = m->out + sample * m->steps * m->channels;
    memset(dx, 0, (size_t)(m->steps * m->channels) * sizeof(float));
    for (int64_t j = 0; j < m->channels; j++) {
        const int64_t t = from[j * m->from->stride[1]];
        if (t >= 0 && t < m->steps)
            dx[t * m->channels + j] = g[j * m->x->stride[1]];
    }
}

static const char *declines_grad(const qn_call *call) {
    return call->in[0].dtype == QN_F32 ? NULL : "f32 only";
}

static qn_status run_grad(const qn_call *call) {
    const qn_view *g = &call->in[0];
    const extreme m = {.x = g,
                       .from = &call->in[1],
                       .steps = ((const qn_sequence_attrs *)call->attrs)->steps,
                       .channels = g->shape[1],
                       .out = call->out->data};
    simd_parallel(simd_threads(call, qn_view_count(call->out)), g->shape[0], grad_task, &m);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(sequence_max_grad) = {.size = sizeof(qn_kernel),
                                                  .op = "sequence_max_grad",
                                                  .declines = declines_grad,
                                                  .run = run_grad,
                                                  .attrs_size = sizeof(qn_sequence_attrs)};
