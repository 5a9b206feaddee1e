/* layer_norm_simd.c: y = (x - mean) rstd weight + bias over the trailing axes (Ba, Kiros and Hinton
 * 2016), and the gradient. A row is what one mean is taken of. */
#include "simd_reduce.h"

#include <math.h>

/* Rows of a task; the gradient keeps sums over them for weight and bias. */
enum { GROUP = 32 };

static const char *declines(const qn_call *call) {
    if (call->in[0].dtype != QN_F32)
        return "f32 only";
    for (int k = 0; k < call->n_in; k++)
        if (call->in[k].data && !qn_view_is_contiguous(&call->in[k]))
            return "contiguous inputs only";
    return NULL;
}

/* A vector of a row's parameters, or the same value where they are absent. */
SIMD_INLINE vf parameter(const float *p, int64_t i, int64_t lanes, float otherwise) {
    return p ? v_load_part(p + i, lanes) : v_set(otherwise);
}

/* ---- forward ----------------------------------------------------------------------------- */

static void normalise_row(const qn_call *call, int64_t row, int64_t n) {
    const qn_norm_attrs *attrs = call->attrs;
    const float *x = (const float *)call->in[QN_LAYER_NORM_X].data + row * n;
    const float *weight = call->in[QN_LAYER_NORM_WEIGHT].data,
                *bias = call->in[QN_LAYER_NORM_BIAS].data;
    float *y = (float *)call->out[QN_LAYER_NORM_OUT_Y].data + row * n;
    double mean = simd_reduce_sum.row(x, n, 0.0f) / (double)n;
    double var = simd_reduce_squares.row(x, n, (float)mean) / (double)n;
    double rstd = 1 / sqrt(var + attrs->epsilon);
    vf middle = v_set((float)mean), scale = v_set((float)rstd);
    int64_t i = 0;
    if (weight && bias)
        for (; i + V_WIDTH <= n; i += V_WIDTH)
            v_store(y + i,
                    v_fma((v_load(x + i) - middle) * scale, v_load(weight + i), v_load(bias + i)));
    for (; i < n; i += V_WIDTH) {
        int64_t lanes = cpu_min(V_WIDTH, n - i);
        vf xhat = (v_load_part(x + i, lanes) - middle) * scale;
        v_store_part(
            y + i, v_fma(xhat, parameter(weight, i, lanes, 1.0f), parameter(bias, i, lanes, 0.0f)),
            lanes);
    }
    ((float *)call->out[QN_LAYER_NORM_OUT_MEAN].data)[row] = (float)mean;
    ((float *)call->out[QN_LAYER_NORM_OUT_RSTD].data)[row] = (float)rstd;
}

static void layer_norm_task(const void *arg, int64_t index) {
    const qn_call *call = arg;
    int64_t rows = qn_view_count(&call->out[QN_LAYER_NORM_OUT_MEAN]),
            n = qn_view_count(&call->in[QN_LAYER_NORM_X]) / rows;
    int64_t end = cpu_min((index + 1) * GROUP, rows);
    for (int64_t row = index * GROUP; row < end; row++)
        normalise_row(call, row, n);
}

static qn_status layer_norm_run(const qn_call *call) {
    int64_t groups = (qn_view_count(&call->out[QN_LAYER_NORM_OUT_MEAN]) + GROUP - 1) / GROUP;
    int threads = simd_threads(call, 4 * qn_view_count(&call->in[QN_LAYER_NORM_X]));
    simd_parallel(threads, groups, layer_norm_task, call);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(layer_norm) = {
    .size = sizeof(qn_kernel),
    .op = "layer_norm",
    .declines = declines,
    .run = layer_norm_run,
    .attrs_size = sizeof(qn_norm_attrs),
};

/* ---- gradient ---------------------------------------------------------------------------- */

/* What the two passes over a row need. dweight and dbias are sums over the group's rows. */
typedef struct row_grad {
    const float *g, *x, *weight;
    float *dx, *dweight, *dbias;
    int64_t n;
    float mean, rstd;
} row_grad;

/* V_WIDTH or fewer lanes of g, xhat and h = g weight. */
typedef struct lanes_grad {
    vf g, xhat, h;
} lanes_grad;

SIMD_INLINE lanes_grad load_lanes(const row_grad *r, int64_t i, int64_t lanes) {
    lanes_grad l;
    if (lanes == V_WIDTH) {
        l.g = v_load(r->g + i);
        l.xhat = (v_load(r->x + i) - r->mean) * r->rstd;
        l.h = r->weight ? l.g * v_load(r->weight + i) : l.g;
    } else {
        l.g = v_load_part(r->g + i, lanes);
        l.xhat = (v_load_part(r->x + i, lanes) - r->mean) * r->rstd;
        l.xhat = v_select(v_iota() < (int32_t)lanes, l.xhat, v_set(0.0f));
        l.h = l.g * parameter(r->weight, i, lanes, 1.0f);
    }
    return l;
}

/* Adds g xhat and g to dweight and dbias; gives sum(h) and sum(h xhat). */
static void first_pass(const row_grad *row, double sums[2]) {
    const row_grad r = *row;
    vf sum = {0}, along = {0};
    int64_t i = 0;
    for (; i + V_WIDTH <= r.n; i += V_WIDTH) {
        lanes_grad l = load_lanes(&r, i, V_WIDTH);
        sum += l.h;
        along = v_fma(l.h, l.xhat, along);
        v_store(r.dweight + i, v_fma(l.g, l.xhat, v_load(r.dweight + i)));
        v_store(r.dbias + i, l.g + v_load(r.dbias + i));
    }
    int64_t rest = r.n - i;
    if (rest > 0) {
        lanes_grad l = load_lanes(&r, i, rest);
        sum += l.h;
        along = v_fma(l.h, l.xhat, along);
        v_store_part(r.dweight + i, v_fma(l.g, l.xhat, v_load_part(r.dweight + i, rest)), rest);
        v_store_part(r.dbias + i, l.g + v_load_part(r.dbias + i, rest), rest);
    }
    sums[0] = v_sum(sum);
    sums[1] = v_sum(along);
}

/* dx = rstd (h - mean(h) - xhat mean(h xhat)). */
static void second_pass(const row_grad *row, const double sums[2]) {
    const row_grad r = *row;
    vf shift = v_set((float)(sums[0] / (double)r.n)), slope = v_set((float)(sums[1] / (double)r.n));
    int64_t i = 0;
    for (; i + V_WIDTH <= r.n; i += V_WIDTH) {
        lanes_grad l = load_lanes(&r, i, V_WIDTH);
        v_store(r.dx + i, r.rstd * v_fma(-l.xhat, slope, l.h - shift));
    }
    if (i < r.n) {
        lanes_grad l = load_lanes(&r, i, r.n - i);
        v_store_part(r.dx + i, r.rstd * v_fma(-l.xhat, slope, l.h - shift), r.n - i);
    }
}

static void layer_norm_grad_task(const void *arg, int64_t index) {
    const qn_call *call = arg;
    int64_t rows = qn_view_count(&call->in[QN_LAYER_NORM_GRAD_MEAN]),
            n = qn_view_count(&call->out[QN_LAYER_NORM_GRAD_OUT_DWEIGHT]);
    int64_t end = cpu_min((index + 1) * GROUP, rows);
    float *dweight = (float *)call->workspace + index * 2 * n;
    row_grad r = {.weight = call->in[QN_LAYER_NORM_GRAD_WEIGHT].data,
                  .dweight = dweight,
                  .dbias = dweight + n,
                  .n = n};
    for (int64_t i = 0; i < 2 * n; i++)
        dweight[i] = 0.0f;
    for (int64_t row = index * GROUP; row < end; row++) {
        double sums[2];
        r.g = (const float *)call->in[QN_LAYER_NORM_GRAD_G].data + row * n;
        r.x = (const float *)call->in[QN_LAYER_NORM_GRAD_X].data + row * n;
        r.dx = (float *)call->out[QN_LAYER_NORM_GRAD_OUT_DX].data + row * n;
        r.mean = ((const float *)call->in[QN_LAYER_NORM_GRAD_MEAN].data)[row];
        r.rstd = ((const float *)call->in[QN_LAYER_NORM_GRAD_RSTD].data)[row];
        first_pass(&r, sums);
        second_pass(&r, sums);
    }
}

static int64_t groups_of(const qn_call *call) {
    return (qn_view_count(&call->in[QN_LAYER_NORM_GRAD_MEAN]) + GROUP - 1) / GROUP;
}

static size_t layer_norm_grad_workspace(const qn_call *call) {
    return (size_t)(groups_of(call) * 2 *
                    qn_view_count(&call->out[QN_LAYER_NORM_GRAD_OUT_DWEIGHT])) *
           sizeof(float);
}

/* out[i] = sum of the groups' element i, `stride` apart; in f64, a vector of elements at a time. */
static void add_groups(float *out, const float *partial, int64_t n, int64_t groups,
                       int64_t stride) {
    for (int64_t i = 0; i < n; i += V_WIDTH) {
        int64_t lanes = cpu_min(V_WIDTH, n - i);
        vd low = {0}, high = {0};
        for (int64_t group = 0; group < groups; group++) {
            vf v = v_load_part(partial + group * stride + i, lanes);
            low += v_low_double(v);
            high += v_high_double(v);
        }
        v_store_part(out + i, v_from_double(low, high), lanes);
    }
}

static qn_status layer_norm_grad_run(const qn_call *call) {
    int64_t groups = groups_of(call), n = qn_view_count(&call->out[QN_LAYER_NORM_GRAD_OUT_DWEIGHT]);
    const float *partial = call->workspace;
    int threads = simd_threads(call, 8 * qn_view_count(&call->in[QN_LAYER_NORM_GRAD_G]));
    if (n > 0)
        simd_parallel(threads, groups, layer_norm_grad_task, call);
    add_groups(call->out[QN_LAYER_NORM_GRAD_OUT_DWEIGHT].data, partial, n, groups, 2 * n);
    add_groups(call->out[QN_LAYER_NORM_GRAD_OUT_DBIAS].data, partial + n, n, groups, 2 * n);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(layer_norm_grad) = {
    .size = sizeof(qn_kernel),
    .op = "layer_norm_grad",
    .declines = declines,
    .workspace = layer_norm_grad_workspace,
    .run = layer_norm_grad_run,
    .attrs_size = sizeof(qn_norm_attrs),
};
