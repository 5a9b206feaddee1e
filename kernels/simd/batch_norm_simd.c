/* batch_norm_simd.c: y = (x - mean) rstd weight + bias for each channel (Ioffe and Szegedy 2015),
 * and the gradient. Of images, one task is one channel: its rows, one an image, are contiguous and
 * stay in the cache between the passes. Of [n, c], where channels lie side by side, a task is a
 * band of columns in a group of rows. */
#include "simd_reduce.h"

#include <math.h>

/* Shortest row that is worth it. */
enum { SHORTEST = 4 };

/* Rows of [n, c] that a task sums; f32 accumulators take no more than that. */
enum { GROUP = 256 };

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
    const int64_t inner = inner_of(x);
    return inner > 1 && inner < SHORTEST ? "rows of a channel too short" : NULL;
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

/* What a channel's elements are normalised with: y = max((x - mean) scale + shift, lowest), where
 * NaN stays; lowest is 0 for relu, else -inf. */
typedef struct constants {
    float mean, scale, shift;
} constants;

static float lowest_of(const qn_call *call) {
    return ((const qn_norm_attrs *)call->attrs)->relu ? 0 : -INFINITY;
}

SIMD_INLINE vf normalise(vf x, vf mean, vf scale, vf shift, vf lowest) {
    return v_max(lowest, v_fma(x - mean, scale, shift));
}

static void normalise_row(float *y, const float *x, int64_t n, constants k, float lowest) {
    const vf mean = v_set(k.mean), scale = v_set(k.scale), shift = v_set(k.shift);
    const vf least = v_set(lowest);
    int64_t i = 0;
    for (; i + V_WIDTH <= n; i += V_WIDTH)
        v_store(y + i, normalise(v_load(x + i), mean, scale, shift, least));
    if (i < n)
        v_store_part(y + i, normalise(v_load_part(x + i, n - i), mean, scale, shift, least), n - i);
}

/* The constants of a channel with this mean and this sum of squares about it (evaluation: the
 * running ones count); moves the running statistics, and sets the outputs mean and rstd. */
static constants settle(const qn_call *call, int64_t c, double mean, double squares, double count) {
    const qn_norm_attrs *attrs = call->attrs;
    double var = squares / count;
    if (attrs->training) {
        move(&call->in[QN_BATCH_NORM_RUNNING_MEAN], c, attrs->momentum, mean);
        move(&call->in[QN_BATCH_NORM_RUNNING_VAR], c, attrs->momentum, squares / (count - 1));
    } else {
        mean = element(&call->in[QN_BATCH_NORM_RUNNING_MEAN], c, 0);
        var = element(&call->in[QN_BATCH_NORM_RUNNING_VAR], c, 1);
    }
    double rstd = 1 / sqrt(var + attrs->epsilon);
    ((float *)call->out[QN_BATCH_NORM_OUT_MEAN].data)[c] = (float)mean;
    ((float *)call->out[QN_BATCH_NORM_OUT_RSTD].data)[c] = (float)rstd;
    return (constants){(float)mean, (float)(rstd * element(&call->in[QN_BATCH_NORM_WEIGHT], c, 1)),
                       (float)element(&call->in[QN_BATCH_NORM_BIAS], c, 0)};
}

static void batch_norm_task(const void *arg, int64_t c) {
    const qn_call *call = arg;
    const float *x = call->in[QN_BATCH_NORM_X].data;
    channel ch = channel_of(&call->in[QN_BATCH_NORM_X], c);
    double count = (double)(ch.rows * ch.inner), mean = 0, squares = 0;
    if (((const qn_norm_attrs *)call->attrs)->training) {
        mean = reduce_channel(&simd_reduce_sum, x, ch, 0.0f) / count;
        squares = reduce_channel(&simd_reduce_squares, x, ch, (float)mean);
    }
    constants k = settle(call, c, mean, squares, count);
    const float lowest = lowest_of(call);
    float *y = call->out[QN_BATCH_NORM_OUT_Y].data;
    for (int64_t row = 0; row < ch.rows; row++) {
        int64_t at = ch.start + row * ch.stride;
        normalise_row(y + at, x + at, ch.inner, k, lowest);
    }
}

/* ---- columns ----------------------------------------------------------------------------- */

/* A call on [n, c], and its scratch. */
typedef struct columns {
    const qn_call *call;
    const float *x, *g;
    int64_t rows, channels, groups, bands;
    double *partial;    /* [groups, 2, channels] */
    float *constant[4]; /* [channels] each, in whole bands */
    const simd_reduction *reduction;
} columns;

static columns columns_of(const qn_call *call, int x) {
    const qn_view *view = &call->in[x];
    columns s = {.call = call,
                 .x = view->data,
                 .rows = view->shape[0],
                 .channels = view->shape[1],
                 .partial = call->workspace};
    s.groups = s.rows > 0 ? (s.rows + GROUP - 1) / GROUP : 1;
    s.bands = (s.channels + SIMD_BAND - 1) / SIMD_BAND;
    float *constant = (float *)(s.partial + 2 * s.groups * s.channels);
    for (int k = 0; k < 4; k++)
        s.constant[k] = constant + k * s.bands * SIMD_BAND;
    return s;
}

static size_t columns_workspace(const qn_call *call, int x) {
    if (inner_of(&call->in[x]) != 1)
        return 0;
    const columns s = columns_of(call, x);
    return (size_t)(2 * s.groups * s.channels) * sizeof(double) +
           (size_t)(4 * s.bands * SIMD_BAND) * sizeof(float);
}

/* The rows of a group. */
static int64_t group_end(const columns *s, int64_t group) {
    return cpu_min((group + 1) * GROUP, s->rows);
}

/* The sum of a channel's partial sums number `which`. */
static double join(const columns *s, int which, int64_t c) {
    double total = 0;
    for (int64_t group = 0; group < s->groups; group++)
        total += s->partial[(2 * group + which) * s->channels + c];
    return total;
}

static void reduce_columns_task(const void *arg, int64_t index) {
    const columns *s = arg;
    const int64_t group = index / s->bands, first = index % s->bands * SIMD_BAND;
    const int64_t row = group * GROUP, count = cpu_min(SIMD_BAND, s->channels - first);
    double total[SIMD_BAND] = {0};
    s->reduction->column(s->x + row * s->channels + first, count, group_end(s, group) - row,
                         s->channels, s->constant[0] + first, total);
    for (int64_t c = 0; c < count; c++)
        s->partial[2 * group * s->channels + first + c] = total[c];
}

static void normalise_columns_task(const void *arg, int64_t group) {
    const columns *s = arg;
    float *y = s->call->out[QN_BATCH_NORM_OUT_Y].data;
    const vf lowest = v_set(lowest_of(s->call));
    for (int64_t row = group * GROUP; row < group_end(s, group); row++)
        for (int64_t c = 0; c < s->channels; c += V_WIDTH) {
            const int64_t at = row * s->channels + c, part = cpu_min(V_WIDTH, s->channels - c);
            const vf x = part == V_WIDTH ? v_load(s->x + at) : v_load_part(s->x + at, part);
            const vf out = normalise(x, v_load(s->constant[0] + c), v_load(s->constant[1] + c),
                                     v_load(s->constant[2] + c), lowest);
            if (part == V_WIDTH)
                v_store(y + at, out);
            else
                v_store_part(y + at, out, part);
        }
}

static void batch_norm_columns(const qn_call *call, int threads) {
    columns s = columns_of(call, QN_BATCH_NORM_X);
    const bool training = ((const qn_norm_attrs *)call->attrs)->training != 0;
    const double count = (double)s.rows;
    for (int64_t c = 0; c < s.bands * SIMD_BAND; c++)
        s.constant[0][c] = 0.0f;
    double *mean = s.partial + s.channels; /* the second sums are not needed here */
    if (training) {
        s.reduction = &simd_reduce_sum;
        simd_parallel(threads, s.groups * s.bands, reduce_columns_task, &s);
        for (int64_t c = 0; c < s.channels; c++) {
            mean[c] = join(&s, 0, c) / count;
            s.constant[0][c] = (float)mean[c];
        }
        s.reduction = &simd_reduce_squares;
        simd_parallel(threads, s.groups * s.bands, reduce_columns_task, &s);
    }
    for (int64_t c = 0; c < s.channels; c++) {
        constants k = training ? settle(call, c, mean[c], join(&s, 0, c), count)
                               : settle(call, c, 0, 0, count);
        s.constant[0][c] = k.mean;
        s.constant[1][c] = k.scale;
        s.constant[2][c] = k.shift;
    }
    simd_parallel(threads, s.groups, normalise_columns_task, &s);
}

/* ---- the kernel -------------------------------------------------------------------------- */

static const char *batch_norm_declines(const qn_call *call) {
    return layout_declines(&call->in[QN_BATCH_NORM_X]);
}

static size_t batch_norm_workspace(const qn_call *call) {
    return columns_workspace(call, QN_BATCH_NORM_X);
}

static qn_status batch_norm_run(const qn_call *call) {
    const qn_view *x = &call->in[QN_BATCH_NORM_X];
    const int threads = simd_threads(call, 4 * qn_view_count(x));
    if (inner_of(x) == 1)
        batch_norm_columns(call, threads);
    else
        simd_parallel(threads, x->shape[1], batch_norm_task, call);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(batch_norm) = {
    .size = sizeof(qn_kernel),
    .op = "batch_norm",
    .declines = batch_norm_declines,
    .workspace = batch_norm_workspace,
    .run = batch_norm_run,
    .attrs_size = sizeof(qn_norm_attrs),
};

/* ---- gradient ---------------------------------------------------------------------------- */

/* Onto sums[0]: sum(g); onto sums[1]: sum(g (x - mean)). Two accumulators
 * each, f64 between blocks. */
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

/* The constants of grad_row() for a channel with the sums of g and of g (x - mean); sets dweight
 * and dbias. With xhat = (x - mean) rstd: dbias = sum(g), dweight = sum(g xhat), and dx = weight
 * rstd (g - mean(g) - xhat mean(g xhat)); without the means where the statistics were constants. */
static void settle_grad(const qn_call *call, int64_t c, const double sums[2], double count,
                        float constant[4]) {
    const qn_norm_attrs *attrs = call->attrs;
    double mean = element(&call->in[QN_BATCH_NORM_GRAD_MEAN], c, 0),
           rstd = element(&call->in[QN_BATCH_NORM_GRAD_RSTD], c, 1);
    double along = sums[1] * rstd, share = attrs->training ? 1 / count : 0;
    double factor = element(&call->in[QN_BATCH_NORM_GRAD_WEIGHT], c, 1) * rstd;
    constant[0] = (float)factor;
    constant[1] = (float)mean;
    constant[2] = (float)(factor * share * along * rstd);
    constant[3] = (float)(factor * share * sums[0]);
    ((float *)call->out[QN_BATCH_NORM_GRAD_OUT_DWEIGHT].data)[c] = (float)along;
    ((float *)call->out[QN_BATCH_NORM_GRAD_OUT_DBIAS].data)[c] = (float)sums[0];
}

static void batch_norm_grad_task(const void *arg, int64_t c) {
    const qn_call *call = arg;
    const float *g = call->in[QN_BATCH_NORM_GRAD_G].data, *x = call->in[QN_BATCH_NORM_GRAD_X].data;
    channel ch = channel_of(&call->in[QN_BATCH_NORM_GRAD_X], c);
    double sums[2] = {0};
    for (int64_t row = 0; row < ch.rows; row++) {
        int64_t at = ch.start + row * ch.stride;
        grad_sums(g + at, x + at, ch.inner,
                  v_set((float)element(&call->in[QN_BATCH_NORM_GRAD_MEAN], c, 0)), sums);
    }
    float k[4];
    settle_grad(call, c, sums, (double)(ch.rows * ch.inner), k);
    const vf constant[4] = {v_set(k[0]), v_set(k[1]), v_set(k[2]), v_set(k[3])};
    float *dx = call->out[QN_BATCH_NORM_GRAD_OUT_DX].data;
    for (int64_t row = 0; row < ch.rows; row++) {
        int64_t at = ch.start + row * ch.stride;
        grad_row(dx + at, g + at, x + at, ch.inner, constant);
    }
}

/* Adds g and g (x - mean) of one row to sums[0] and sums[1]. */
SIMD_INLINE void add_row(const columns *s, int64_t at, int64_t part, vf mean, vf sums[2]) {
    const vf g = part == V_WIDTH ? v_load(s->g + at) : v_load_part(s->g + at, part);
    const vf x = part == V_WIDTH ? v_load(s->x + at) : v_load_part(s->x + at, part);
    sums[0] += g;
    sums[1] = v_fma(g, x - mean, sums[1]);
}

/* Sums of g and of g (x - mean) over a group of rows; constant[1] has the means. */
static void sum_grad_columns_task(const void *arg, int64_t group) {
    const columns s = *(const columns *)arg;
    const int64_t end = group_end(&s, group);
    double *partial = s.partial + 2 * group * s.channels;
    for (int64_t c = 0; c < s.channels; c += V_WIDTH) {
        const int64_t part = cpu_min(V_WIDTH, s.channels - c);
        const vf mean = v_load(s.constant[1] + c);
        vf even[2] = {{0}}, odd[2] = {{0}};
        int64_t row = group * GROUP;
        for (; row + 2 <= end; row += 2) {
            add_row(&s, row * s.channels + c, part, mean, even);
            add_row(&s, (row + 1) * s.channels + c, part, mean, odd);
        }
        if (row < end)
            add_row(&s, row * s.channels + c, part, mean, even);
        const vf sum = even[0] + odd[0], along = even[1] + odd[1];
        for (int64_t k = 0; k < part; k++) {
            partial[c + k] = sum[k];
            partial[s.channels + c + k] = along[k];
        }
    }
}

static void grad_columns_task(const void *arg, int64_t group) {
    const columns *s = arg;
    float *dx = s->call->out[QN_BATCH_NORM_GRAD_OUT_DX].data;
    for (int64_t row = group * GROUP; row < group_end(s, group); row++)
        for (int64_t c = 0; c < s->channels; c += V_WIDTH) {
            const int64_t at = row * s->channels + c;
            const vf constant[4] = {v_load(s->constant[0] + c), v_load(s->constant[1] + c),
                                    v_load(s->constant[2] + c), v_load(s->constant[3] + c)};
            grad_row(dx + at, s->g + at, s->x + at, cpu_min(V_WIDTH, s->channels - c), constant);
        }
}

static void batch_norm_grad_columns(const qn_call *call, int threads) {
    columns s = columns_of(call, QN_BATCH_NORM_GRAD_X);
    s.g = call->in[QN_BATCH_NORM_GRAD_G].data;
    for (int64_t c = 0; c < s.bands * SIMD_BAND; c++)
        s.constant[1][c] =
            c < s.channels ? (float)element(&call->in[QN_BATCH_NORM_GRAD_MEAN], c, 0) : 0.0f;
    simd_parallel(threads, s.groups, sum_grad_columns_task, &s);
    for (int64_t c = 0; c < s.channels; c++) {
        const double sums[2] = {join(&s, 0, c), join(&s, 1, c)};
        float k[4];
        settle_grad(call, c, sums, (double)s.rows, k);
        for (int i = 0; i < 4; i++)
            s.constant[i][c] = k[i];
    }
    simd_parallel(threads, s.groups, grad_columns_task, &s);
}

static const char *batch_norm_grad_declines(const qn_call *call) {
    const char *reason = layout_declines(&call->in[QN_BATCH_NORM_GRAD_G]);
    return reason ? reason : layout_declines(&call->in[QN_BATCH_NORM_GRAD_X]);
}

static size_t batch_norm_grad_workspace(const qn_call *call) {
    return columns_workspace(call, QN_BATCH_NORM_GRAD_X);
}

static qn_status batch_norm_grad_run(const qn_call *call) {
    const qn_view *x = &call->in[QN_BATCH_NORM_GRAD_X];
    const int threads = simd_threads(call, 4 * qn_view_count(x));
    if (inner_of(x) == 1)
        batch_norm_grad_columns(call, threads);
    else
        simd_parallel(threads, x->shape[1], batch_norm_grad_task, call);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(batch_norm_grad) = {
    .size = sizeof(qn_kernel),
    .op = "batch_norm_grad",
    .declines = batch_norm_grad_declines,
    .workspace = batch_norm_grad_workspace,
    .run = batch_norm_grad_run,
    .attrs_size = sizeof(qn_norm_attrs),
};
