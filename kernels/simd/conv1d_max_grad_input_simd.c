/* conv1d_max_grad_input_simd.c: the gradient of conv1d_max with respect to its input: each filter's
 * weights, times its gradient, added to the window that won. */
#include "simd_windows.h"

typedef struct scatter {
    const qn_view *g, *w, *index, *dx;
    int64_t steps, channels, kernel, outputs, padding;
    float *weight; /* [o][kernel][channels] */
} scatter;

/* Floats from one filter's weights to the next: windows_rows() writes on behind the last row. */
static int64_t filter_size(const scatter *s) { return s->kernel * s->channels + V_WIDTH; }

static scatter scatter_of(const qn_call *call) {
    scatter s = {.g = &call->in[QN_CONV1D_MAX_GRAD_INPUT_G],
                 .w = &call->in[QN_CONV1D_MAX_GRAD_INPUT_W],
                 .index = &call->in[QN_CONV1D_MAX_GRAD_INPUT_INDEX],
                 .dx = &call->out[0],
                 .padding = ((const qn_conv1d_max_attrs *)call->attrs)->padding,
                 .weight = call->workspace};
    s.steps = s.dx->shape[1];
    s.channels = s.dx->shape[2];
    s.kernel = s.w->shape[2];
    s.outputs = s.w->shape[0];
    return s;
}

static void weight_task(const void *arg, int64_t o) {
    const scatter *s = arg;
    windows_rows((const float *)s->w->data + o * s->w->stride[0], s->w->stride[2], s->w->stride[1],
                 s->kernel, s->channels, s->weight + o * filter_size(s));
}

static void sample_task(const void *arg, int64_t n) {
    const scatter *s = arg;
    const float *g = (const float *)s->g->data + n * s->g->stride[0];
    const int32_t *index = (const int32_t *)s->index->data + n * s->index->stride[0];
    float *dx = (float *)s->dx->data + n * s->steps * s->channels;
    memset(dx, 0, (size_t)(s->steps * s->channels) * sizeof(float));
    for (int64_t o = 0; o < s->outputs; o++) {
        const int64_t start = index[o * s->index->stride[1]] - s->padding;
        const windows_part part = windows_inside(start, s->kernel, s->steps);
        windows_add(g[o * s->g->stride[1]],
                    s->weight + o * filter_size(s) + part.skipped * s->channels,
                    dx + part.first * s->channels, part.steps * s->channels);
    }
}

static const char *declines(const qn_call *call) {
    return call->in[QN_CONV1D_MAX_GRAD_INPUT_G].dtype == QN_F32 ? NULL : "f32 only";
}

static size_t workspace(const qn_call *call) {
    const scatter s = scatter_of(call);
    return (size_t)(s.outputs * filter_size(&s)) * sizeof(float);
}

/* g [n, o], w [o, c, k], index [n, o] -> dx [n, t, c] */
static qn_status run(const qn_call *call) {
    const scatter s = scatter_of(call);
    const int64_t filters = s.outputs * filter_size(&s), samples = s.dx->shape[0];
    const int threads = simd_threads(call, samples * filters);
    if (s.channels > 0)
        simd_parallel(threads, s.outputs, weight_task, &s);
    simd_parallel(threads, samples, sample_task, &s);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(conv1d_max_grad_input) = {.size = sizeof(qn_kernel),
                                                      .op = "conv1d_max_grad_input",
                                                      .declines = declines,
                                                      .workspace = workspace,
                                                      .run = run,
                                                      .attrs_size = sizeof(qn_conv1d_max_attrs)};
