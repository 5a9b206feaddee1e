/* simd_recurrent.c: packed weights of lstm and gru, their steps, and the order of the work. */
#include "simd_recurrent.h"

#include <string.h>

#include "simd_copy.h"

/* Most gates that weights have. */
enum { MOST_GATES = 4 };

static const struct {
    int64_t cached;  /* floats of weights that a second-level cache holds */
    int64_t rows;    /* least rows that a thread takes, to keep its pipelines busy */
    double threaded; /* multiplications in all below which threads do not pay */
    double step;     /* and in an iteration, where threads wait for each other at its end */
} limit = {.cached = 128 * 1024, .rows = 8, .threaded = 1e6, .step = 1e6};

/* ---- the order of the work --------------------------------------------------------------- */

/* Work in `iterations` rounds on rows x blocks of columns, each round after the one before. */
typedef struct workload {
    int64_t iterations, rows, blocks;
    int64_t weights; /* floats of packed weights */
    double products; /* multiplications in an iteration */
    /* Does `rows` rows from `row` on of one block. */
    void (*part)(const recurrent_pass *pass, int64_t iteration, int64_t row, int64_t rows,
                 int64_t block);
    const recurrent_pass *pass;
} workload;

/* The rows of the work in `groups` of nearly equal size. */
typedef struct grouped {
    const workload *work;
    int64_t groups;
} grouped;

/* One group of rows through all iterations. */
static void rows_task(const void *arg, int64_t group) {
    const grouped *g = arg;
    const workload *w = g->work;
    const int64_t row = w->rows * group / g->groups;
    const int64_t rows = w->rows * (group + 1) / g->groups - row;
    for (int64_t iteration = 0; iteration < w->iterations; iteration++)
        for (int64_t block = 0; block < w->blocks; block++)
            w->part(w->pass, iteration, row, rows, block);
}

/* One iteration. */
typedef struct round {
    const workload *work;
    int64_t iteration;
} round;

static void block_task(const void *arg, int64_t block) {
    const round *r = arg;
    r->work->part(r->work->pass, r->iteration, 0, r->work->rows, block);
}

static void run(const workload *work, int threads) {
    if (work->products * (double)work->iterations < limit.threaded)
        threads = 1;
    if (threads > 1 && work->weights > limit.cached && work->products >= limit.step) {
        for (int64_t iteration = 0; iteration < work->iterations; iteration++)
            simd_parallel(threads, work->blocks, block_task, &(round){work, iteration});
        return;
    }
    int64_t groups = cpu_min(threads, work->rows / limit.rows);
    groups = groups < 1 ? 1 : groups;
    simd_parallel(threads, groups, rows_task, &(grouped){work, groups});
}

/* ---- weights ----------------------------------------------------------------------------- */

typedef struct packing {
    const qn_view *w;
    int gates;
    float *packed;
} packing;

/* Blocks of V_WIDTH columns of a state, as the way forward takes them, and of GEMM_COLS, as the way
 * back does. */
static int64_t forward_blocks(int64_t hidden) { return (hidden + V_WIDTH - 1) / V_WIDTH; }

static int64_t backward_blocks(int64_t hidden) { return (hidden + GEMM_COLS - 1) / GEMM_COLS; }

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
                  p->w->stride[0], p->w->stride[1], (int)cpu_min(V_WIDTH, hidden - j), hidden,
                  dst + gate / 2 * GEMM_COLS * hidden + gate % 2 * V_WIDTH,
                  pair_pitch(p->gates, gate));
}

/* Packs W_hh for the way forward: for each block of columns of the state the rows of all its gates,
 * two gates side by side. */
static void pack_gates(const qn_call *call, const qn_view *w, int gates, float *packed) {
    const packing p = {w, gates, packed};
    simd_parallel(simd_threads(call, qn_view_count(w)), forward_blocks(w->shape[1]),
                  pack_gates_task, &p);
}

static void pack_back_task(const void *arg, int64_t block) {
    const packing *p = arg;
    const int64_t rows = p->w->shape[0], j = block * GEMM_COLS;
    const int64_t cols = cpu_min(GEMM_COLS, p->w->shape[1] - j);
    for (int64_t i = 0; i < cols; i += V_WIDTH)
        gemm_pack((const float *)p->w->data + (j + i) * p->w->stride[1], p->w->stride[1],
                  p->w->stride[0], (int)cpu_min(V_WIDTH, cols - i), rows, p->packed + j * rows + i,
                  gemm_pitch(cols));
}

/* Packs W_hh for the way back: panels of GEMM_COLS columns, all rows. */
static void pack_back(const qn_call *call, const qn_view *w, float *packed) {
    const packing p = {w, 0, packed};
    simd_parallel(simd_threads(call, qn_view_count(w)), backward_blocks(w->shape[1]),
                  pack_back_task, &p);
}

/* ---- products ---------------------------------------------------------------------------- */

/* sums[row][gate][V_WIDTH] = h W_hh^T for up to GEMM_ROWS rows of h [.., hidden] and one block. */
static void product(const float *h, int rows, int64_t hidden, int gates, const float *packed,
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

/* dh += g W_hh for `rows` rows of g [.., count] and one block of columns of dh [.., hidden]. */
static void product_back(const float *g, int64_t rows, int64_t count, const float *packed,
                         int64_t block, float *dh, int64_t hidden) {
    const int64_t j = block * GEMM_COLS, cols = cpu_min(GEMM_COLS, hidden - j);
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

/* ---- steps ------------------------------------------------------------------------------- */

/* The step that is taken as number `count`. */
static int64_t step_at(const recurrent_shape *s, int64_t count) {
    return s->reverse ? s->steps - 1 - count : count;
}

/* Whether the step is within the length of any of these samples. */
static bool any_within(const recurrent_shape *s, int64_t step, int64_t first, int64_t count) {
    bool any = false;
    for (int64_t i = first; i < first + count; i++)
        any = any || recurrent_within(&s->lengths, step, i);
    return any;
}

/* Some samples at the step taken as number `count`; columns are the caller's. */
static recurrent_cells cells_at(const recurrent_shape *s, int64_t count, int64_t first,
                                int64_t rows) {
    const int64_t step = step_at(s, count);
    return (recurrent_cells){.step = step,
                             .first = first,
                             .rows = rows,
                             .row = step * s->n,
                             .before = count > 0 ? step_at(s, count - 1) * s->n : -1};
}

/* Up to GEMM_ROWS samples from `first` on at one step, of the columns of one block. */
static void forward_panel(const recurrent_pass *pass, int64_t count, int64_t first, int rows,
                          int64_t block) {
    const recurrent_shape *s = pass->shape;
    float sums[GEMM_ROWS * MOST_GATES * V_WIDTH] __attribute__((aligned(64)));
    recurrent_cells at = cells_at(s, count, first, rows);
    at.j = block * V_WIDTH;
    at.end = cpu_min(s->hidden, at.j + V_WIDTH);
    at.sums = sums;
    const float *h_before = recurrent_before(&at, pass->h, pass->h0, s->hidden);
    if (h_before && any_within(s, at.step, first, rows))
        product(h_before + first * s->hidden, rows, s->hidden, s->gates, pass->packed, block, sums);
    else
        memset(sums, 0, sizeof(sums));
    pass->cells(pass->arg, at);
}

static void forward_part(const recurrent_pass *pass, int64_t iteration, int64_t row, int64_t rows,
                         int64_t block) {
    for (int64_t panel = 0; panel < gemm_row_panels(rows); panel++) {
        const int64_t first = gemm_row_start(rows, panel);
        forward_panel(pass, iteration, row + first, (int)(gemm_row_start(rows, panel + 1) - first),
                      block);
    }
}

/* The product of the step taken last, then the gates of the step at hand: iteration 0 has none
 * before it, and the one after the last has no step. */
static void backward_part(const recurrent_pass *pass, int64_t iteration, int64_t row, int64_t rows,
                          int64_t block) {
    const recurrent_shape *s = pass->shape;
    const int64_t h = s->hidden, count = s->steps - 1 - iteration, width = s->gates * h;
    if (iteration > 0) {
        const int64_t step = step_at(s, count + 1);
        if (any_within(s, step, row, rows))
            product_back(pass->g + (step * s->n + row) * width, rows, width, pass->packed, block,
                         pass->dh + row * h, h);
    }
    if (count < 0)
        return;
    recurrent_cells at = cells_at(s, count, row, rows);
    at.j = block * GEMM_COLS;
    at.end = cpu_min(h, at.j + GEMM_COLS);
    pass->cells(pass->arg, at);
}

/* What both ways have in common. */
static workload workload_of(const recurrent_pass *pass) {
    const recurrent_shape *s = pass->shape;
    const int64_t weights = s->gates * s->hidden * s->hidden;
    return (workload){
        .rows = s->n, .weights = weights, .products = (double)s->n * (double)weights, .pass = pass};
}

recurrent_shape recurrent_shape_of(const qn_call *call, int gates, int64_t hidden, int like,
                                   int lengths) {
    return (recurrent_shape){.gates = gates,
                             .steps = call->in[like].shape[0],
                             .n = call->in[like].shape[1],
                             .hidden = hidden,
                             .reverse = ((const qn_recurrent_attrs *)call->attrs)->reverse,
                             .lengths = call->in[lengths]};
}

void recurrent_forward(const qn_call *call, const recurrent_pass *pass) {
    pack_gates(call, pass->w, pass->shape->gates, pass->packed);
    workload work = workload_of(pass);
    work.iterations = pass->shape->steps;
    work.blocks = forward_blocks(pass->shape->hidden);
    work.part = forward_part;
    run(&work, call->threads);
}

void recurrent_backward(const qn_call *call, const recurrent_pass *pass) {
    const recurrent_shape *s = pass->shape;
    memset(pass->dh, 0, (size_t)(s->n * s->hidden) * sizeof(float));
    pack_back(call, pass->w, pass->packed);
    workload work = workload_of(pass);
    work.iterations = s->steps + 1;
    work.blocks = backward_blocks(s->hidden);
    work.part = backward_part;
    run(&work, call->threads);
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

const char *recurrent_declines(const qn_call *call) {
    if (call->in[0].dtype != QN_F32)
        return "f32 only";
    return qn_view_is_contiguous(&call->in[0]) ? NULL : "input products are not contiguous";
}

const char *recurrent_declines_grad(const qn_call *call, int states) {
    const qn_view *kept = &call->in[states];
    if (kept[0].dtype != QN_F32)
        return "f32 only";
    return qn_view_is_contiguous(&kept[0]) && qn_view_is_contiguous(&kept[1])
               ? NULL
               : "states are not contiguous";
}
