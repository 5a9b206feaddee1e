/* simd_recurrent.c: packed weights of lstm and gru, and the order of the work. */
#include "simd_recurrent.h"

#include <string.h>

#include "simd_copy.h"

static const struct {
    int64_t cached;  /* floats of weights that a second-level cache holds */
    int64_t rows;    /* least rows that a thread takes, to keep its pipelines busy */
    double threaded; /* multiplications in all below which threads do not pay */
    double step;     /* and in an iteration, where threads wait for each other at its end */
} limit = {.cached = 128 * 1024, .rows = 8, .threaded = 1e6, .step = 1e6};

/* ---- the order of the work --------------------------------------------------------------- */

/* The rows of the work in `groups` of nearly equal size. */
typedef struct grouped {
    const recurrent_work *work;
    int64_t groups;
} grouped;

/* One group of rows through all iterations. */
static void rows_task(const void *arg, int64_t group) {
    const grouped *g = arg;
    const recurrent_work *w = g->work;
    const int64_t row = w->rows * group / g->groups;
    const int64_t rows = w->rows * (group + 1) / g->groups - row;
    for (int64_t iteration = 0; iteration < w->iterations; iteration++)
        for (int64_t block = 0; block < w->blocks; block++)
            w->part(w->arg, iteration, row, rows, block);
}

/* One iteration. */
typedef struct round {
    const recurrent_work *work;
    int64_t iteration;
} round;

static void block_task(const void *arg, int64_t block) {
    const round *r = arg;
    r->work->part(r->work->arg, r->iteration, 0, r->work->rows, block);
}

void recurrent_run(const recurrent_work *work, int threads) {
    if (work->products * (double)work->iterations < limit.threaded)
        threads = 1;
    if (threads > 1 && work->weights > limit.cached && work->products >= limit.step) {
        for (int64_t iteration = 0; iteration < work->iterations; iteration++)
            simd_parallel(threads, work->blocks, block_task, &(round){work, iteration});
        return;
    }
    int64_t groups = gemm_min(threads, work->rows / limit.rows);
    groups = groups < 1 ? 1 : groups;
    simd_parallel(threads, groups, rows_task, &(grouped){work, groups});
}

/* ---- weights ----------------------------------------------------------------------------- */

typedef struct packing {
    const qn_view *w;
    int gates;
    float *packed;
} packing;

/* Floats of one block of the way forward. */
static int64_t block_size(int gates, int64_t hidden) { return gates * hidden * V_WIDTH; }

/* The pair of gates of which `gate` is one takes two vectors for each k; the last may be alone. */
static int64_t pair_pitch(int gates, int gate) {
    return gate / 2 * 2 + 1 < gates ? GEMM_COLS : V_WIDTH;
}

static void pack_gates_task(const void *arg, int64_t block) {
    const packing *p = arg;
    const int64_t hidden = p->w->shape[1], j = block * V_WIDTH;
    float *dst = p->packed + block * block_size(p->gates, hidden);
    for (int gate = 0; gate < p->gates; gate++)
        gemm_pack((const float *)p->w->data + (gate * hidden + j) * p->w->stride[0],
                  p->w->stride[0], p->w->stride[1], (int)gemm_min(V_WIDTH, hidden - j), hidden,
                  dst + gate / 2 * GEMM_COLS * hidden + gate % 2 * V_WIDTH,
                  pair_pitch(p->gates, gate));
}

void recurrent_pack_gates(const qn_view *w, int gates, float *packed, int threads) {
    const packing p = {w, gates, packed};
    simd_parallel(threads, recurrent_blocks(w->shape[1]), pack_gates_task, &p);
}

static void pack_back_task(const void *arg, int64_t block) {
    const packing *p = arg;
    const int64_t rows = p->w->shape[0], j = block * GEMM_COLS;
    const int64_t cols = gemm_min(GEMM_COLS, p->w->shape[1] - j);
    for (int64_t i = 0; i < cols; i += V_WIDTH)
        gemm_pack((const float *)p->w->data + (j + i) * p->w->stride[1], p->w->stride[1],
                  p->w->stride[0], (int)gemm_min(V_WIDTH, cols - i), rows, p->packed + j * rows + i,
                  gemm_pitch(cols));
}

void recurrent_pack_back(const qn_view *w, float *packed, int threads) {
    const packing p = {w, 0, packed};
    simd_parallel(threads, recurrent_blocks_back(w->shape[1]), pack_back_task, &p);
}

/* ---- products ---------------------------------------------------------------------------- */

void recurrent_product(const float *h, int rows, int64_t hidden, int gates, const float *packed,
                       int64_t block, float *sums) {
    const float *b = packed + block * block_size(gates, hidden);
    for (int gate = 0; gate < gates; gate += 2) {
        const int64_t pitch = pair_pitch(gates, gate);
        const gemm_tile tile = {.rows = rows,
                                .cols = pitch,
                                .k = hidden,
                                .a = h,
                                .a_step = hidden,
                                .b = b + gate * V_WIDTH * hidden,
                                .b_step = pitch,
                                .c = sums + gate * V_WIDTH,
                                .c_step = gates * V_WIDTH};
        gemm_tile_run(&tile);
    }
}

void recurrent_product_back(const float *g, int64_t rows, int64_t count, const float *packed,
                            int64_t block, float *dh, int64_t hidden) {
    const int64_t j = block * GEMM_COLS, cols = gemm_min(GEMM_COLS, hidden - j);
    for (int64_t panel = 0; panel < gemm_row_panels(rows); panel++) {
        const int64_t row = gemm_row_start(rows, panel);
        const gemm_tile tile = {.rows = (int)(gemm_row_start(rows, panel + 1) - row),
                                .cols = cols,
                                .k = count,
                                .a = g + row * count,
                                .a_step = count,
                                .b = packed + j * count,
                                .b_step = gemm_pitch(cols),
                                .c = dh + row * hidden + j,
                                .c_step = hidden,
                                .accumulate = true};
        gemm_tile_run(&tile);
    }
}

/* ---- the rest ---------------------------------------------------------------------------- */

void recurrent_copy(const qn_call *call, const qn_view *from, int64_t count, float *to) {
    if (!from->data) {
        memset(to, 0, (size_t)count * sizeof(float));
        return;
    }
    qn_view solid = *from;
    solid.data = to;
    int64_t stride = 1;
    for (int axis = from->rank - 1; axis >= 0; axis--) {
        solid.stride[axis] = stride;
        stride *= from->shape[axis];
    }
    simd_copy(call, &solid, from);
}
