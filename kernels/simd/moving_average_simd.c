/* moving_average_simd.c: the mean over a sliding window, and its gradient, in f32.
 *
 * A slice is all steps of the axis at one place of the axes before it: [count, inner], with the
 * axes behind in `inner`. A step is inner floats, so that with the ends repeated around a copy of
 * the slice the window around any float is that float's neighbours at distances of inner, ends and
 * columns alike. */
#include <string.h>

#include "simd_copy.h"

typedef struct slices {
    const float *x;
    float *y;
    int64_t outer, count, inner, half;
    float scale;
    float *scratch; /* a piece for each strand of slices, i, i + strands, ... */
    int64_t scratch_size, strands;
    float *copy; /* x in order, if it is not */
} slices;

static int64_t product(const qn_view *x, int first, int end) {
    int64_t total = 1;
    for (int axis = first; axis < end; axis++)
        total *= x->shape[axis];
    return total;
}

static slices slices_of(const qn_call *call) {
    const qn_moving_average_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0];
    slices s = {.x = x->data,
                .y = call->out[0].data,
                .outer = product(x, 0, attrs->axis),
                .count = x->shape[attrs->axis],
                .inner = product(x, attrs->axis + 1, x->rank),
                .half = attrs->window / 2,
                .scale = 1.0f / (float)attrs->window,
                .scratch = call->workspace};
    /* The gradient's: a slice with 2 half steps at both ends, and one with half steps. */
    s.scratch_size = (2 * s.count + 6 * s.half) * s.inner;
    const int threads = simd_threads(call, s.outer * s.count * s.inner * (attrs->window / 4 + 1));
    s.strands = s.outer < threads ? s.outer : threads;
    s.copy = qn_view_is_contiguous(x) ? NULL : s.scratch + s.strands * s.scratch_size;
    return s;
}

/* y[i] = scale times the sum of x[i + j step] over all j in 0 .. window - 1. */
static void average(const float *x, int64_t step, int64_t window, float scale, float *y,
                    int64_t count) {
    int64_t i = 0;
    for (; i + 2 * V_WIDTH <= count; i += 2 * V_WIDTH) {
        vf a = {0}, b = {0};
        for (int64_t j = 0; j < window; j++) {
            a += v_load(x + i + j * step);
            b += v_load(x + i + V_WIDTH + j * step);
        }
        v_store(y + i, a * scale);
        v_store(y + i + V_WIDTH, b * scale);
    }
    for (; i < count; i += V_WIDTH) {
        const int64_t part = count - i < V_WIDTH ? count - i : V_WIDTH;
        vf sum = {0};
        for (int64_t j = 0; j < window; j++)
            sum += v_load_part(x + i + j * step, part);
        v_store_part(y + i, sum * scale, part);
    }
}

static void average_slice(const slices *s, const float *x, float *y, float *scratch) {
    const size_t step = (size_t)s->inner * sizeof(float);
    float *at = scratch;
    for (int64_t i = -s->half; i < 0; i++, at += s->inner)
        memcpy(at, x, step);
    memcpy(at, x, (size_t)s->count * step);
    at += s->count * s->inner;
    for (int64_t i = 0; i < s->half; i++, at += s->inner)
        memcpy(at, x + (s->count - 1) * s->inner, step);
    average(scratch, s->inner, 2 * s->half + 1, s->scale, y, s->count * s->inner);
}

static void strand_task(const void *arg, int64_t strand) {
    const slices *s = arg;
    const int64_t size = s->count * s->inner;
    for (int64_t i = strand; i < s->outer; i += s->strands)
        average_slice(s, s->x + i * size, s->y + i * size, s->scratch + strand * s->scratch_size);
}

static const char *declines(const qn_call *call) {
    return call->in[0].dtype == QN_F32 ? NULL : "f32 only";
}

static size_t workspace(const qn_call *call) {
    const slices s = slices_of(call);
    const int64_t copy = s.copy ? qn_view_count(call->in) : 0;
    return (size_t)(s.strands * s.scratch_size + copy) * sizeof(float);
}

static qn_status run_slices(const qn_call *call, simd_task task) {
    slices s = slices_of(call);
    if (qn_view_count(call->in) == 0)
        return QN_OK;
    if (s.copy) {
        qn_view copy = call->out[0]; /* contiguous, and of x's shape */
        copy.data = s.copy;
        simd_copy(call, &copy, call->in);
        s.x = s.copy;
    }
    simd_parallel((int)s.strands, s.strands, task, &s);
    return QN_OK;
}

static qn_status run(const qn_call *call) { return run_slices(call, strand_task); }

const qn_kernel SIMD_KERNEL(moving_average) = {.size = sizeof(qn_kernel),
                                               .op = "moving_average",
                                               .declines = declines,
                                               .workspace = workspace,
                                               .run = run,
                                               .attrs_size = sizeof(qn_moving_average_attrs)};

/* The same sums over g with zeros around it give the gradient of the slice with its ends repeated;
 * what the repetitions got is the ends'. */
static void grad_slice(const slices *s, const float *g, float *dx, float *scratch) {
    const int64_t size = s->count * s->inner, end = s->half * s->inner;
    float *wide = scratch + size + 4 * end;
    memset(scratch, 0, (size_t)(2 * end) * sizeof(float));
    memcpy(scratch + 2 * end, g, (size_t)size * sizeof(float));
    memset(scratch + 2 * end + size, 0, (size_t)(2 * end) * sizeof(float));
    average(scratch, s->inner, 2 * s->half + 1, s->scale, wide, size + 2 * end);
    memcpy(dx, wide + end, (size_t)size * sizeof(float));
    float *last = dx + size - s->inner;
    for (int64_t i = 0; i < end; i++) {
        dx[i % s->inner] += wide[i];
        last[i % s->inner] += wide[end + size + i];
    }
}

static void grad_strand_task(const void *arg, int64_t strand) {
    const slices *s = arg;
    const int64_t size = s->count * s->inner;
    for (int64_t i = strand; i < s->outer; i += s->strands)
        grad_slice(s, s->x + i * size, s->y + i * size, s->scratch + strand * s->scratch_size);
}

static qn_status run_grad(const qn_call *call) { return run_slices(call, grad_strand_task); }

const qn_kernel SIMD_KERNEL(moving_average_grad) = {.size = sizeof(qn_kernel),
                                                    .op = "moving_average_grad",
                                                    .declines = declines,
                                                    .workspace = workspace,
                                                    .run = run_grad,
                                                    .attrs_size = sizeof(qn_moving_average_attrs)};
