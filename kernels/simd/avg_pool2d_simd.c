/* avg_pool2d_simd.c: the sum of each window by its size, padding counted or not; the gradient hands
 * every element of a window its share. 2x2 windows with stride 2 are taken a vector of windows at a
 * time. */
#include "simd_pool.h"

#include <string.h>

/* 1 / the size of a window. */
static float share_of(const simd_pool *p, simd_window rows, simd_window columns) {
    const qn_pool2d_attrs *attrs = p->attrs;
    int64_t size = (rows.end - rows.first) * (columns.end - columns.first);
    if (attrs->count_include_pad)
        size = (int64_t)attrs->kernel[0] * attrs->kernel[1];
    return 1.0f / (float)size;
}

/* ---- forward ----------------------------------------------------------------------------- */

static void pool_2x2(const simd_pool *p, const float *x, float *y) {
    for (int64_t row = 0; row < p->rows; row++, y += p->columns) {
        const float *upper = x + 2 * row * p->width, *lower = upper + p->width;
        for (int64_t j = 0; j < p->columns; j += V_WIDTH) {
            int64_t lanes = cpu_min(p->columns - j, V_WIDTH);
            vf a, b, c, d;
            v_load_pairs(upper + 2 * j, lanes, &a, &b);
            v_load_pairs(lower + 2 * j, lanes, &c, &d);
            v_store_part(y + j, 0.25f * ((a + b) + (c + d)), lanes);
        }
    }
}

static void pool_any(const simd_pool *p, const float *x, float *y) {
    for (int64_t i = 0; i < p->rows; i++) {
        simd_window rows = simd_pool_window(p->attrs, 0, i, p->height);
        for (int64_t j = 0; j < p->columns; j++) {
            simd_window columns = simd_pool_window(p->attrs, 1, j, p->width);
            float sum = 0;
            for (int64_t r = rows.first; r < rows.end; r++)
                for (int64_t c = columns.first; c < columns.end; c++)
                    sum += x[r * p->width + c];
            *y++ = sum * share_of(p, rows, columns);
        }
    }
}

static void avg_pool2d_task(const void *arg, int64_t index) {
    const simd_pool *p = arg;
    for (int64_t plane = index * p->group; plane < simd_pool_end(p, index); plane++) {
        const float *x = (const float *)p->call->in[0].data + plane * p->height * p->width;
        float *y = (float *)p->call->out[0].data + plane * p->rows * p->columns;
        if (simd_pool_is_2x2(p))
            pool_2x2(p, x, y);
        else
            pool_any(p, x, y);
    }
}

static qn_status avg_pool2d_run(const qn_call *call) {
    simd_pool p = simd_pool_open(call, &call->in[0], &call->out[0]);
    return simd_pool_run(&p, avg_pool2d_task);
}

const qn_kernel SIMD_KERNEL(avg_pool2d) = {
    .size = sizeof(qn_kernel),
    .op = "avg_pool2d",
    .declines = simd_pool_declines,
    .run = avg_pool2d_run,
    .attrs_size = sizeof(qn_pool2d_attrs),
};

/* ---- gradient ---------------------------------------------------------------------------- */

static void grad_2x2(const simd_pool *p, const float *g, float *dx) {
    for (int64_t row = 0; row < p->rows; row++, g += p->columns) {
        float *upper = dx + 2 * row * p->width, *lower = upper + p->width;
        for (int64_t j = 0; j < p->columns; j += V_WIDTH) {
            int64_t lanes = cpu_min(p->columns - j, V_WIDTH);
            vf share = 0.25f * v_load_part(g + j, lanes);
            v_store_pairs(upper + 2 * j, 2 * lanes, share, share);
            v_store_pairs(lower + 2 * j, 2 * lanes, share, share);
        }
    }
}

static void grad_any(const simd_pool *p, const float *g, float *dx) {
    for (int64_t i = 0; i < p->rows; i++) {
        simd_window rows = simd_pool_window(p->attrs, 0, i, p->height);
        for (int64_t j = 0; j < p->columns; j++) {
            simd_window columns = simd_pool_window(p->attrs, 1, j, p->width);
            float share = *g++ * share_of(p, rows, columns);
            for (int64_t r = rows.first; r < rows.end; r++)
                for (int64_t c = columns.first; c < columns.end; c++)
                    dx[r * p->width + c] += share;
        }
    }
}

static void avg_pool2d_grad_task(const void *arg, int64_t index) {
    const simd_pool *p = arg;
    int64_t full = p->height * p->width;
    for (int64_t plane = index * p->group; plane < simd_pool_end(p, index); plane++) {
        const float *g = (const float *)p->call->in[0].data + plane * p->rows * p->columns;
        float *dx = (float *)p->call->out[0].data + plane * full;
        bool covered = simd_pool_is_2x2(p);
        if (!covered || 2 * p->rows < p->height || 2 * p->columns < p->width)
            memset(dx, 0, (size_t)full * sizeof(float));
        if (covered)
            grad_2x2(p, g, dx);
        else
            grad_any(p, g, dx);
    }
}

static qn_status avg_pool2d_grad_run(const qn_call *call) {
    simd_pool p = simd_pool_open(call, &call->out[0], &call->in[0]);
    return simd_pool_run(&p, avg_pool2d_grad_task);
}

const qn_kernel SIMD_KERNEL(avg_pool2d_grad) = {
    .size = sizeof(qn_kernel),
    .op = "avg_pool2d_grad",
    .declines = simd_pool_declines,
    .run = avg_pool2d_grad_run,
    .attrs_size = sizeof(qn_pool2d_attrs),
};
