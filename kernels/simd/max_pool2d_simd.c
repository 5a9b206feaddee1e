/* max_pool2d_simd.c: the greatest element of each window, NaN above all, and where it lies in its
 * plane; the gradient goes to that place. 2x2 windows with stride 2 are taken a vector of windows
 * at a time. */
#include "simd_pool.h"

#include <math.h>
#include <string.h>

/* ---- forward ----------------------------------------------------------------------------- */

/* The better of the best so far and a candidate that comes after it: of ties the first, of NaNs
 * too. */
SIMD_INLINE void challenge(vf *best, vi *at, vf candidate, vi candidate_at) {
    vi wins = (candidate > *best) | ((candidate != candidate) & (*best == *best));
    *best = v_select(wins, candidate, *best);
    *at = (vi)v_select(wins, (vf)candidate_at, (vf)*at);
}

static void pool_2x2(const simd_pool *p, const float *x, float *y, int32_t *index) {
    int32_t width = (int32_t)p->width;
    for (int64_t row = 0; row < p->rows; row++, y += p->columns, index += p->columns) {
        const float *upper = x + 2 * row * p->width, *lower = upper + p->width;
        for (int64_t j = 0; j < p->columns; j += V_WIDTH) {
            int64_t lanes = cpu_min(p->columns - j, V_WIDTH);
            vi at = (int32_t)(2 * row * p->width + 2 * j) + 2 * v_iota(), corner = at;
            vf best, right, below, last;
            v_load_pairs(upper + 2 * j, lanes, &best, &right);
            v_load_pairs(lower + 2 * j, lanes, &below, &last);
            challenge(&best, &at, right, corner + 1);
            challenge(&best, &at, below, corner + width);
            challenge(&best, &at, last, corner + width + 1);
            v_store_part(y + j, best, lanes);
            v_store_int_part(index + j, at, lanes);
        }
    }
}

static void pool_window(const simd_pool *p, const float *x, simd_window rows, simd_window columns,
                        float *y, int32_t *index) {
    float best = -INFINITY;
    int64_t best_at = rows.first * p->width + columns.first;
    for (int64_t i = rows.first; i < rows.end; i++)
        for (int64_t j = columns.first; j < columns.end; j++) {
            float value = x[i * p->width + j];
            if (value > best || (value != value && best == best)) {
                best = value;
                best_at = i * p->width + j;
            }
        }
    *y = best;
    *index = (int32_t)best_at;
}

static void pool_any(const simd_pool *p, const float *x, float *y, int32_t *index) {
    for (int64_t i = 0; i < p->rows; i++) {
        simd_window rows = simd_pool_window(p->attrs, 0, i, p->height);
        for (int64_t j = 0; j < p->columns; j++)
            pool_window(p, x, rows, simd_pool_window(p->attrs, 1, j, p->width), y++, index++);
    }
}

static void max_pool2d_task(const void *arg, int64_t index) {
    const simd_pool *p = arg;
    int64_t full = p->height * p->width, pooled = p->rows * p->columns;
    for (int64_t plane = index * p->group; plane < simd_pool_end(p, index); plane++) {
        const float *x = (const float *)p->call->in[0].data + plane * full;
        float *y = (float *)p->call->out[0].data + plane * pooled;
        int32_t *at = (int32_t *)p->call->out[1].data + plane * pooled;
        if (simd_pool_is_2x2(p))
            pool_2x2(p, x, y, at);
        else
            pool_any(p, x, y, at);
    }
}

static qn_status max_pool2d_run(const qn_call *call) {
    simd_pool p = simd_pool_open(call, &call->in[0], &call->out[0]);
    return simd_pool_run(&p, max_pool2d_task);
}

const qn_kernel SIMD_KERNEL(max_pool2d) = {
    .size = sizeof(qn_kernel),
    .op = "max_pool2d",
    .declines = simd_pool_declines,
    .run = max_pool2d_run,
    .attrs_size = sizeof(qn_pool2d_attrs),
};

/* ---- gradient ---------------------------------------------------------------------------- */

/* Windows do not overlap: each hands its g to one of its own four elements. */
static void grad_2x2(const simd_pool *p, const float *g, const int32_t *index, float *dx) {
    int32_t width = (int32_t)p->width;
    vf zero = {0};
    for (int64_t row = 0; row < p->rows; row++, g += p->columns, index += p->columns) {
        float *upper = dx + 2 * row * p->width, *lower = upper + p->width;
        for (int64_t j = 0; j < p->columns; j += V_WIDTH) {
            int64_t lanes = cpu_min(p->columns - j, V_WIDTH);
            vi corner = (int32_t)(2 * row * p->width + 2 * j) + 2 * v_iota();
            vi at = v_load_int_part(index + j, lanes) - corner;
            vf v = v_load_part(g + j, lanes);
            v_store_pairs(upper + 2 * j, 2 * lanes, v_select(at == 0, v, zero),
                          v_select(at == 1, v, zero));
            v_store_pairs(lower + 2 * j, 2 * lanes, v_select(at == width, v, zero),
                          v_select(at == width + 1, v, zero));
        }
        if (p->width > 2 * p->columns) {
            size_t rest = (size_t)(p->width - 2 * p->columns) * sizeof(float);
            memset(upper + 2 * p->columns, 0, rest);
            memset(lower + 2 * p->columns, 0, rest);
        }
    }
    if (p->height > 2 * p->rows)
        memset(dx + 2 * p->rows * p->width, 0,
               (size_t)((p->height - 2 * p->rows) * p->width) * sizeof(float));
}

static void max_pool2d_grad_task(const void *arg, int64_t task) {
    const simd_pool *p = arg;
    int64_t full = p->height * p->width, pooled = p->rows * p->columns;
    for (int64_t plane = task * p->group; plane < simd_pool_end(p, task); plane++) {
        const float *g = (const float *)p->call->in[0].data + plane * pooled;
        const int32_t *index = (const int32_t *)p->call->in[1].data + plane * pooled;
        float *dx = (float *)p->call->out[0].data + plane * full;
        if (simd_pool_is_2x2(p)) {
            grad_2x2(p, g, index, dx);
            continue;
        }
        memset(dx, 0, (size_t)full * sizeof(float));
        for (int64_t i = 0; i < pooled; i++)
            dx[index[i]] += g[i];
    }
}

static qn_status max_pool2d_grad_run(const qn_call *call) {
    simd_pool p = simd_pool_open(call, &call->out[0], &call->in[0]);
    return simd_pool_run(&p, max_pool2d_grad_task);
}

const qn_kernel SIMD_KERNEL(max_pool2d_grad) = {
    .size = sizeof(qn_kernel),
    .op = "max_pool2d_grad",
    .declines = simd_pool_declines,
    .run = max_pool2d_grad_run,
    .attrs_size = sizeof(qn_pool2d_attrs),
};
