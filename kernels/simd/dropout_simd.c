/* dropout_simd.c: y = x / (1 - p) where the element's random number u >= p, else 0 (Srivastava et
 * al. 2014). The gradient is the same map with the random numbers of the state before. */
#include "simd_copy.h"
#include "simd_philox.h"

#include <math.h>

typedef struct dropout {
    const float *x;
    float *y;
    int64_t count;
    uint64_t key, counter;
    int32_t threshold; /* u >= p as u's 24 bits >= threshold */
    float factor;
} dropout;

static const char *dropout_declines(const qn_call *call) {
    return call->in[0].dtype == QN_F32 ? NULL : "f32 only";
}

static void dropout_task(const void *arg, int64_t index) {
    const dropout d = *(const dropout *)arg;
    int64_t i = index * PHILOX_PIECE;
    int64_t end = i + PHILOX_PIECE < d.count ? i + PHILOX_PIECE : d.count;
    for (; i < end; i += PHILOX_ELEMENTS) {
        vu word[PHILOX_WORDS];
        vf kept[PHILOX_WORDS];
        v_philox(d.key, d.counter + (uint64_t)i / PHILOX_WORDS, word);
        for (int k = 0; k < PHILOX_WORDS; k++)
            kept[k] = (vf)(v_philox_bits(word[k]) >= d.threshold);
        v_interleave(kept);
        for (int k = 0; k < PHILOX_WORDS; k++) {
            int64_t at = i + k * V_WIDTH, lanes = simd_lanes_before(at, end);
            if (lanes == V_WIDTH)
                v_store(d.y + at, (vf)((vi)(d.factor * v_load(d.x + at)) & (vi)kept[k]));
            else if (lanes > 0)
                v_store_part(d.y + at,
                             (vf)((vi)(d.factor * v_load_part(d.x + at, lanes)) & (vi)kept[k]),
                             lanes);
        }
    }
}

/* Room for a copy of an input whose elements do not lie in order. */
static size_t dropout_workspace(const qn_call *call) {
    const qn_view *x = &call->in[0];
    return qn_view_is_contiguous(x) ? 0 : (size_t)qn_view_count(x) * sizeof(float);
}

/* The input's elements in order. */
static const float *ordered(const qn_call *call) {
    if (qn_view_is_contiguous(&call->in[0]))
        return call->in[0].data;
    qn_view copy = call->out[0];
    copy.data = call->workspace;
    simd_copy(call, &copy, &call->in[0]);
    return copy.data;
}

/* The map with the random numbers that start at state. */
static void drop(const qn_call *call, const uint64_t *state) {
    double p = ((const qn_dropout_attrs *)call->attrs)->probability;
    dropout d = {.x = ordered(call),
                 .y = call->out[0].data,
                 .count = qn_view_count(&call->out[0]),
                 .key = state[0],
                 .counter = state[1],
                 .threshold = (int32_t)ceil(p * 0x1p24),
                 .factor = (float)(1 / (1 - p))};
    int64_t pieces = (d.count + PHILOX_PIECE - 1) / PHILOX_PIECE;
    simd_parallel(simd_threads(call, 4 * d.count), pieces, dropout_task, &d);
}

static qn_status dropout_run(const qn_call *call) {
    uint64_t *state = call->in[1].data, *saved = call->out[1].data;
    saved[0] = state[0];
    saved[1] = state[1];
    drop(call, saved);
    state[1] += (uint64_t)(qn_view_count(&call->out[0]) + PHILOX_WORDS - 1) / PHILOX_WORDS;
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(dropout) = {
    .size = sizeof(qn_kernel),
    .op = "dropout",
    .declines = dropout_declines,
    .workspace = dropout_workspace,
    .run = dropout_run,
    .attrs_size = sizeof(qn_dropout_attrs),
};

static qn_status dropout_grad_run(const qn_call *call) {
    drop(call, call->in[1].data);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(dropout_grad) = {
    .size = sizeof(qn_kernel),
    .op = "dropout_grad",
    .declines = dropout_declines,
    .workspace = dropout_workspace,
    .run = dropout_grad_run,
    .attrs_size = sizeof(qn_dropout_attrs),
};
