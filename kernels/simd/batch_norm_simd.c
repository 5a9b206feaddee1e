/* batch_norm_simd.c: y = (x - mean) rstd weight + bias for each channel (Ioffe and Szegedy 2015),
 * and the gradient. One task is one channel: its rows, one an image, are contiguous and stay in the
 * cache between the passes. */
#include "simd_reduce.h"

#include <math.h>

/* Places of the inputs of batch_norm and of its gradient. */
enum { X, WEIGHT, BIAS, RUNNING_MEAN, RUNNING_VAR };
enum { G, GRAD_X, GRAD_WEIGHT, MEAN, RSTD };

/* Shortest row that is worth it. */
enum { SHORTEST = 4 };

/* One channel of a contiguous [n, c, ..]: n rows of `inner` elements, `stride` apart. */
typedef struct channel {
    int64_t rows, inner, stride;
    int64_t start;
} channel;

static int64_t inner_of(const qn_view *x) {
    int64_t inner = 1;
    for (int axis = 2; axis < x->rank; axis++)
        inner *= x->shape[axis];
    return inner;
}

static channel channel_of(const qn_view *x, int64_t c) {
    int64_t inner = inner_of(x);
    return (channel){x->shape[0], inner, x->shape[1] * inner, c * inner};
}

static const char *layout_declines(const qn_view *x) {
    if (x->dtype != QN_F32)
        return "f32 only";
    if (!qn_view_is_contiguous(x))
        return "contiguous input only";
    return inner_of(x) < SHORTEST ? "rows of a channel too short" : NULL;
}

/* Element c of a vector, `otherwise` where it is absent. */
static double element(const qn_view *vector, int64_t c, double otherwise) {
    return vector->data ? ((const float *)vector->data)[c * vector->stride[0]] : otherwise;
}

/* running = (1 - momentum) running + momentum value. */
static void move(const qn_view *running, int64_t c, double momentum, double value) {
    float *at = (float *)running->data + c * running->stride[0];
    *at = (float)((1 - momentum) * *at + momentum * value);
}

static double reduce_channel(const simd_reduction *reduction, const float *x, channel ch,
                             float center) {
    double total = reduction->identity;
    for (int64_t row = 0; row < ch.rows; row++)
        total += reduction->row(x + ch.start + row * ch.stride, ch.inner, center);
    return total;
}

/* ---- forward ----------------------------------------------------------------------------- */

/* y = (x - mean) scale + shift over a row. */
static void normalise_row(float *y, const float *x, int64_t n, vf mean, vf scale, vf shift) {
    int64_t i = 0;
    for (; i + V_WIDTH <= n; i += V_WIDTH)
        v_store(y + i, v_fma(v_load(x + i) - mean, scale, shift));
    if (i < n)
        v_store_part(y + i, v_fma(v_load_part(x + i, n - i) - mean, scale, shift), n - i);
}

static void batch_norm_task(const void *arg, int64_t c) {
    const qn_call *call = arg;
    const qn_norm_attrs *attrs = call->attrs;
    const float *x = call->in[X].data;
    channel ch = channel_of(&call->in[X], c);
    double mean = element(&call->in[RUNNING_MEAN], c, 0),
           var = element(&call->in[RUNNING_VAR], c, 1);
    if (attrs->training) {
        double count = (double)(ch.rows * ch.inner);
        mean = reduce_channel(&simd_reduce_sum, x, ch, 0.0f) / count;
        double squares = reduce_channel(&simd_reduce_squares, x, ch, (float)mean);
        var = squares / count;
        move(&call->in[RUNNING_MEAN], c, attrs->momentum, mean);
        move(&call->in[RUNNING_VAR], c, attrs->momentum, squares / (count - 1));
    }
    double rstd = 1 / sqrt(var + attrs->epsilon);
    vf scale = v_set((float)(rstd * element(&call->in[WEIGHT], c, 1)));
    vf shift = v_set((float)element(&call->in[BIAS], c, 0));
    float *y = call->out[0].data;
    for (int64_t row = 0; row < ch.rows; row++) {
        int64_t at = ch.start + row * ch.stride;
        normalise_row(y + at, x + at, ch.inner, v_set((float)mean), scale, shift);
    }
    ((float *)call->out[1].data)[c] = (float)mean;
    ((float *)call->out[2].data)[c] = (float)rstd;
}

static const char *batch_norm_declines(const qn_call *call) {
    return layout_declines(&call->in[X]);
}

static qn_status batch_norm_run(const qn_call *call) {
    const qn_view *x = &call->in[X];
    simd_parallel(simd_threads(call, 4 * qn_view_count(x)), x->shape[1], batch_norm_task, call);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(batch_norm) = {
    .size = sizeof(qn_kernel),
    .op = "batch_norm",
    .declines = batch_norm_declines,
    .run = batch_norm_run,
};

/* ---- gradient ---------------------------------------------------------------------------- */

/* Onto sums[0]: sum(g); onto sums[1]: sum(g (x - mean)). Two accumulators each, f64 between blocks.
 */
static void grad_sums(const float *g, const float *x, int64_t n, vf mean, double sums[2]) {
    enum { BLOCK = 4096 };
    for (int64_t begin = 0; begin < n; begin += BLOCK) {
        int64_t end = begin + BLOCK < n ? begin + BLOCK : n, i = begin;
        vf sum[2] = {{0}}, along[2] = {{0}};
        for (; i + 2 * V_WIDTH <= end; i += 2 * V_WIDTH)
            for (int k = 0; k < 2; k++) {
                vf v = v_load(g + i + k * V_WIDTH);
                sum[k] += v;
                along[k] = v_fma(v, v_load(x + i + k * V_WIDTH) - mean, along[k]);
            }
        for (; i < end; i += V_WIDTH) {
            int64_t lanes = end - i < V_WIDTH ? end - i : V_WIDTH;
            vf v = v_load_part(g + i, lanes);
            vf d = v_load_part(x + i, lanes) - mean;
            sum[0] += v;
            along[0] = v_fma(v, v_select(v_iota() < (int32_t)lanes, d, v_set(0.0f)), along[0]);
        }
        sums[0] += v_sum(sum[0] + sum[1]);
        sums[1] += v_sum(along[0] + along[1]);
    }
}

/* dx = factor g - (x - mean) slope - shift over a row. */
static void grad_row(float *dx, const float *g, const float *x, int64_t n, const vf constant[4]) {
    vf factor = constant[0], mean = constant[1], slope = constant[2], shift = constant[3];
    int64_t i = 0;
    for (; i + V_WIDTH <= n; i += V_WIDTH)
        v_store(dx + i, v_fma(factor, v_load(g + i), v_fma(v_load(x + i) - mean, -slope, -shift)));
    if (i < n)
        v_store_part(dx + i,
                     v_fma(factor, v_load_part(g + i, n - i),
                           v_fma(v_load_part(x + i, n - i) - mean, -slope, -shift)),
                     n - i);
}

/* With xhat = (x - mean) rstd: dbias = sum(g), dweight = sum(g xhat), and
 * dx = weight rstd (g - mean(g) - xhat mean(g xhat)); without the means where the statistics were
 * constants. */
static void batch_norm_grad_task(const void *arg, int64_t c) {
    const qn_call *call = arg;
    const qn_norm_attrs *attrs = call->attrs;
    const float *g = call->in[G].data, *x = call->in[GRAD_X].data;
    channel ch = channel_of(&call->in[GRAD_X], c);
    double mean = element(&call->in[MEAN], c, 0), rstd = element(&call->in[RSTD], c, 1);
    double sums[2] = {0};
    for (int64_t row = 0; row < ch.rows; row++) {
        int64_t at = ch.start + row * ch.stride;
        grad_sums(g + at, x + at, ch.inner, v_set((float)mean), sums);
    }
    double along = sums[1] * rstd;
    double share = attrs->training ? 1 / (double)(ch.rows * ch.inner) : 0;
    double factor = element(&call->in[GRAD_WEIGHT], c, 1) * rstd;
    const vf constant[4] = {v_set((float)factor), v_set((float)mean),
                            v_set((float)(factor * share * along * rstd)),
                            v_set((float)(factor * share * sums[0]))};
    float *dx = call->out[0].data;
    for (int64_t row = 0; row < ch.rows; row++) {
        int64_t at = ch.start + row * ch.stride;
        grad_row(dx + at, g + at, x + at, ch.inner, constant);
    }
    ((float *)call->out[1].data)[c] = (float)along;
    ((float *)call->out[2].data)[c] = (float)sums[0];
}

static const char *batch_norm_grad_declines(const qn_call *call) {
    const char *reason = layout_declines(&call->in[G]);
    return reason ? reason : layout_declines(&call->in[GRAD_X]);
}

static qn_status batch_norm_grad_run(const qn_call *call) {
    const qn_view *x = &call->in[GRAD_X];
    simd_parallel(simd_threads(call, 4 * qn_view_count(x)), x->shape[1], batch_norm_grad_task,
                  call);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(batch_norm_grad) = {
    .size = sizeof(qn_kernel),
    .op = "batch_norm_grad",
    .declines = batch_norm_grad_declines,
    .run = batch_norm_grad_run,
};
