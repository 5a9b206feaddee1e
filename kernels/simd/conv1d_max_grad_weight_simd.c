/* conv1d_max_grad_weight_simd.c: the gradient of conv1d_max with respect to its weight: for each
 * filter the windows that won, times their gradients, added up. */
#include "simd_windows.h"

/* Filters that are summed together, while a sample is in cache. */
enum { BLOCK = 16 };

typedef struct gather {
    const qn_view *g, *x, *index, *dw;
    int64_t samples, steps, channels, kernel, outputs, padding;
    int64_t sample_size;  /* floats from one sample of `ordered` to the next */
    const float *ordered; /* x as [n, t, c] */
    float *rows;          /* x put into order, where it is not */
    float *sums;          /* [o][kernel][channels] */
} gather;

static bool in_order(const qn_view *x) { return x->stride[2] == 1 && x->stride[1] == x->shape[2]; }

static gather gather_of(const qn_call *call) {
    gather s = {.g = &call->in[QN_CONV1D_MAX_GRAD_WEIGHT_G],
                .x = &call->in[QN_CONV1D_MAX_GRAD_WEIGHT_X],
                .index = &call->in[QN_CONV1D_MAX_GRAD_WEIGHT_INDEX],
                .dw = &call->out[0],
                .padding = ((const qn_conv1d_max_attrs *)call->attrs)->padding,
                .sums = call->workspace};
    s.samples = s.x->shape[0];
    s.steps = s.x->shape[1];
    s.channels = s.x->shape[2];
    s.kernel = s.dw->shape[2];
    s.outputs = s.dw->shape[0];
    s.rows = s.sums + gemm_round_up(s.outputs * s.kernel * s.channels, 16);
    const bool ordered = in_order(s.x);
    s.ordered = ordered ? s.x->data : s.rows;
    s.sample_size = ordered ? s.x->stride[0] : s.steps * s.channels + V_WIDTH;
    return s;
}

static void order_task(const void *arg, int64_t n) {
    const gather *s = arg;
    windows_rows((const float *)s->x->data + n * s->x->stride[0], s->x->stride[1], s->x->stride[2],
                 s->steps, s->channels, s->rows + n * s->sample_size);
}

/* sums [kernel][channels] of a filter -> dw [channels][kernel] */
static void store_filter(const gather *s, int64_t o) {
    const float *sums = s->sums + o * s->kernel * s->channels;
    float *dw = (float *)s->dw->data + o * s->kernel * s->channels;
    for (int64_t c = 0; c < s->channels; c++)
        for (int64_t j = 0; j < s->kernel; j++)
            dw[c * s->kernel + j] = sums[j * s->channels + c];
}

static void block_task(const void *arg, int64_t block) {
    const gather *s = arg;
    const int64_t first = block * BLOCK, end = cpu_min(first + BLOCK, s->outputs);
    const int64_t size = s->kernel * s->channels;
    memset(s->sums + first * size, 0, (size_t)((end - first) * size) * sizeof(float));
    for (int64_t n = 0; n < s->samples; n++) {
        const float *g = (const float *)s->g->data + n * s->g->stride[0];
        const int32_t *index = (const int32_t *)s->index->data + n * s->index->stride[0];
        const float *x = s->ordered + n * s->sample_size;
        for (int64_t o = first; o < end; o++) {
            const int64_t start = index[o * s->index->stride[1]] - s->padding;
            const windows_part part = windows_inside(start, s->kernel, s->steps);
            windows_add(g[o * s->g->stride[1]], x + part.first * s->channels,
                        s->sums + o * size + part.skipped * s->channels, part.steps * s->channels);
        }
    }
    for (int64_t o = first; o < end; o++)
        store_filter(s, o);
}

static const char *declines(const qn_call *call) {
    return call->in[QN_CONV1D_MAX_GRAD_WEIGHT_G].dtype == QN_F32 ? NULL : "f32 only";
}

static size_t workspace(const qn_call *call) {
    const gather s = gather_of(call);
    const int64_t sums = gemm_round_up(s.outputs * s.kernel * s.channels, 16);
    return (size_t)(sums + (in_order(s.x) ? 0 : s.samples * s.sample_size)) * sizeof(float);
}

/* g [n, o], x [n, t, c], index [n, o] -> dw [o, c, k] */
static qn_status run(const qn_call *call) {
    const gather s = gather_of(call);
    const int64_t size = s.kernel * s.channels;
    const int threads = simd_threads(call, s.samples * s.outputs * size);
    if (size == 0)
        return QN_OK;
    if (!in_order(s.x))
        simd_parallel(threads, s.samples, order_task, &s);
    simd_parallel(threads, (s.outputs + BLOCK - 1) / BLOCK, block_task, &s);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(conv1d_max_grad_weight) = {.size = sizeof(qn_kernel),
                                                       .op = "conv1d_max_grad_weight",
                                                       .declines = declines,
                                                       .workspace = workspace,
                                                       .run = run,
                                                       .attrs_size = sizeof(qn_conv1d_max_attrs)};
