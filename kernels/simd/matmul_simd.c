/* matmul_simd.c: f32 matrix products on the tiles of simd_gemm.h.
 *
 *     for columns of C in steps of block.cols:            jc
 *       for k in steps of block.k:                        pc
 *         for rows of C in steps of block.rows:           ic
 *           pack the panels of B (once a pc) and of A     in parallel
 *           for chunks of column panels:                  in parallel, chunk by chunk
 *             for row panels:                             in parallel
 *               for column panels of the chunk: one tile  A panel in L1, B chunk in L2
 *
 * All cuts follow from the shape, and k is never divided among threads, so the bits of the result
 * do not depend on their number. */
#include "simd_bf16.h"
#include "simd_gemm.h"

/* Block sizes: a row panel of A (GEMM_ROWS x k floats) fits L1, a chunk of B (chunk panels of k x
 * GEMM_COLS) half of a 1 MB L2. */
static const struct {
    int64_t rows, cols, k; /* of C and of the sums, for one round of packing */
    int64_t chunk;         /* most column panels in a task */
    int64_t tasks;         /* chunks are made smaller until there are so many tasks */
    int64_t pack;          /* column panels that are packed together, row by row */
    int64_t narrow;        /* columns up to which C is narrow: B fits L2 for longer sums, and to */
    int64_t narrow_k;      /* pack A does not pay if it can be read in place */
    double threaded;       /* multiplications below which threads do not pay */
} block = {.rows = 2016,
           .cols = 1024,
           .k = 384,
           .chunk = 8,
           .tasks = 16,
           .pack = 4,
           .narrow = 128,
           .narrow_k = 1024,
           .threaded = 1e6};

/* What a multiplication of a vector costs is 1; what packing costs, a float. Panels of B are copied
 * side by side, those of A one by one, a part of a cache line at a time. */
static const struct {
    double direct, copy_a, copy_b, transpose; /* an element of an operand */
    double store;                             /* an element of C stored transposed */
} cost = {.direct = 0.1, .copy_a = 0.4, .copy_b = 0.1, .transpose = 0.4, .store = 0.4};

/* C = A B as it is computed: A and B may have changed places, then C is written transposed. */
typedef struct product {
    int64_t m, n, k;
    const float *a, *b;
    int64_t a_row, a_col, b_row, b_col; /* strides */
    float *c;
    int64_t c_step;    /* from one row of the output to the next */
    bool transposed;   /* rows of C are columns of the output */
    const float *bias; /* by column of the output, or NULL */
    int64_t bias_step;
    bool relu;
    bool direct;                /* A is read where it is */
    float *a_panels, *b_panels; /* packed blocks */
} product;

/* One round: the block of C that starts at (ic, jc) and the sums from pc on. */
typedef struct gemm_round {
    const product *of;
    int64_t ic, jc, pc;
    int64_t rows, cols, k;
    int64_t row_panels, col_panels, chunk;
    bool pack_b;
} gemm_round;

/* ---- packing ----------------------------------------------------------------------------- */

/* Floats from one packed row panel to the next: behind its last row gemm_pack writes on. */
static int64_t a_panel_size(int64_t k) { return GEMM_ROWS * k + V_WIDTH; }

static void pack_task(const void *arg, int64_t index) {
    const gemm_round *r = arg;
    const product *p = r->of;
    if (index < r->row_panels) {
        if (p->direct)
            return;
        const int64_t row = gemm_row_start(r->rows, index);
        const int64_t rows = gemm_row_start(r->rows, index + 1) - row;
        gemm_pack(p->a + (r->ic + row) * p->a_row + r->pc * p->a_col, p->a_row, p->a_col, (int)rows,
                  r->k, p->a_panels + index * a_panel_size(r->k), rows);
        return;
    }
    const int64_t col = (index - r->row_panels) * block.pack * GEMM_COLS;
    const int64_t cols = cpu_min(block.pack * GEMM_COLS, r->cols - col);
    const float *src = p->b + r->pc * p->b_row + (r->jc + col) * p->b_col;
    float *dst = p->b_panels + col * r->k;
    if (p->b_col == 1) {
        gemm_pack_panels(src, p->b_row, cols, r->k, dst);
        return;
    }
    for (int64_t j = 0; j < cols; j += V_WIDTH) {
        const int64_t panel = j / GEMM_COLS * GEMM_COLS;
        gemm_pack(src + j * p->b_col, p->b_col, p->b_row, (int)cpu_min(V_WIDTH, cols - j), r->k,
                  dst + panel * r->k + j - panel, gemm_pitch(cols - panel));
    }
}

/* ---- tiles ------------------------------------------------------------------------------- */

/* The bias of `part` columns of the output, from `col` on; -0 if there is none, which changes
 * nothing, -0 included. */
static vf bias_part(const product *p, int64_t col, int64_t part) {
    vf shift = v_set(-0.0f);
    if (!p->bias)
        return shift;
    const float *bias = p->bias + col * p->bias_step;
    if (p->bias_step == 1)
        return v_load_part(bias, part);
    for (int64_t i = 0; i < part; i++)
        shift[i] = bias[i * p->bias_step];
    return shift;
}

/* Bias and activation on a finished part of the output; `col` is its first column. */
static void finish(const product *p, int64_t col, int64_t rows, int64_t cols, float *c) {
    for (int64_t j = 0; j < cols; j += V_WIDTH) {
        const int64_t part = cpu_min(V_WIDTH, cols - j);
        const vf shift = bias_part(p, col + j, part);
        for (int64_t i = 0; i < rows; i++) {
            float *at = c + i * p->c_step + j;
            const vf x = (part == V_WIDTH ? v_load(at) : v_load_part(at, part)) + shift;
            const vf y = p->relu ? v_max((vf){0}, x) : x;
            if (part == V_WIDTH)
                v_store(at, y);
            else
                v_store_part(at, y, part);
        }
    }
}

/* The tile of C at row `i`, column `j`; `last` ends the sums. */
static void finished_tile(const product *p, gemm_tile *t, int64_t i, int64_t j, bool first,
                          bool last) {
    if (!p->transposed) {
        t->c = p->c + i * p->c_step + j;
        t->c_step = p->c_step;
        t->accumulate = !first;
        gemm_tile_run(t);
        if (last && (p->bias || p->relu))
            finish(p, j, t->rows, t->cols, t->c);
        return;
    }
    float tile[GEMM_ROWS * GEMM_COLS] __attribute__((aligned(64)));
    float *out = p->c + j * p->c_step + i;
    t->c = tile;
    t->c_step = GEMM_COLS;
    t->accumulate = false;
    gemm_tile_run(t);
    gemm_transpose(tile, GEMM_COLS, t->rows, t->cols, out, p->c_step, !first);
    if (last && (p->bias || p->relu))
        finish(p, i, t->cols, t->rows, out);
}

/* One row panel times the column panels of one chunk. */
static void tile_task(const void *arg, int64_t index) {
    const gemm_round *r = arg;
    const product *p = r->of;
    const int64_t panel = index % r->row_panels, chunk = index / r->row_panels;
    const int64_t row = gemm_row_start(r->rows, panel);
    gemm_tile t = {.rows = (int)(gemm_row_start(r->rows, panel + 1) - row), .k = r->k};
    if (p->direct) {
        t.a = p->a + (r->ic + row) * p->a_row + r->pc;
        t.a_step = p->a_row;
    } else {
        t.a = p->a_panels + panel * a_panel_size(r->k);
    }
    const int64_t end = cpu_min((chunk + 1) * r->chunk, r->col_panels);
    for (int64_t j = chunk * r->chunk; j < end; j++) {
        t.cols = cpu_min(GEMM_COLS, r->cols - j * GEMM_COLS);
        t.b = p->b_panels + j * GEMM_COLS * r->k;
        t.b_step = gemm_pitch(t.cols);
        finished_tile(p, &t, r->ic + row, r->jc + j * GEMM_COLS, r->pc == 0, r->pc + r->k == p->k);
    }
}

static void run_round(gemm_round *r, int threads) {
    r->row_panels = gemm_row_panels(r->rows);
    r->col_panels = (r->cols + GEMM_COLS - 1) / GEMM_COLS;
    r->chunk = r->row_panels * r->col_panels / block.tasks;
    r->chunk = r->chunk < 1 ? 1 : cpu_min(r->chunk, block.chunk);
    const int64_t packs = (r->col_panels + block.pack - 1) / block.pack;
    simd_parallel(threads, r->row_panels + (r->pack_b ? packs : 0), pack_task, r);
    const int64_t chunks = (r->col_panels + r->chunk - 1) / r->chunk;
    simd_parallel(threads, chunks * r->row_panels, tile_task, r);
}

/* Length of the blocks of k for a C of n columns: as even as they can be. */
static int64_t block_length(int64_t n, int64_t k) {
    const int64_t most = n <= block.narrow ? block.narrow_k : block.k;
    const int64_t blocks = (k + most - 1) / most;
    return blocks > 1 ? gemm_round_up((k + blocks - 1) / blocks, V_WIDTH) : k;
}

static void multiply(const product *p, int threads) {
    const int64_t kc = block_length(p->n, p->k);
    gemm_round r = {.of = p};
    for (r.jc = 0; r.jc < p->n; r.jc += block.cols) {
        r.cols = cpu_min(block.cols, p->n - r.jc);
        r.pc = 0;
        do { /* sums over nothing are to be stored as well */
            r.k = cpu_min(kc, p->k - r.pc);
            for (r.ic = 0; r.ic < p->m; r.ic += block.rows) {
                r.rows = cpu_min(block.rows, p->m - r.ic);
                r.pack_b = r.ic == 0;
                run_round(&r, threads);
            }
            r.pc += r.k;
        } while (r.pc < p->k);
    }
}

/* ---- planning ---------------------------------------------------------------------------- */

/* Whether A may be read in place: rows along k, few panels to read it for, and rows that do not all
 * fall into the same sets of L1. */
static bool reads_direct(const product *p) {
    return p->a_col == 1 && p->n <= block.narrow && p->a_row % 1024 != 0;
}

/* What the product costs for each step of k: vectors multiplied, and packing. */
static double step_cost(const product *p) {
    const int64_t vectors = (p->n + V_WIDTH - 1) / V_WIDTH;
    const double a = reads_direct(p) ? cost.direct : p->a_row == 1 ? cost.copy_a : cost.transpose;
    return (double)((p->m < 4 ? 4 : p->m) * vectors) + (double)p->m * a +
           (double)p->n * (p->b_col == 1 ? cost.copy_b : cost.transpose);
}

/* The same product, rows of C as columns. */
static product turn(const product *p) {
    product q = *p;
    q.transposed = true;
    q.m = p->n;
    q.n = p->m;
    q.a_row = p->b_col;
    q.a_col = p->b_row;
    q.b_row = p->a_col;
    q.b_col = p->a_row;
    return q;
}

/* The product of matrices number 0 of a call. */
static product plan(const qn_call *call) {
    const qn_view *a = &call->in[QN_MATMUL_A], *b = &call->in[QN_MATMUL_B];
    const int rank = a->rank;
    product p = {.m = a->shape[rank - 2], .k = a->shape[rank - 1], .n = b->shape[rank - 1]};
    p.a_row = a->stride[rank - 2];
    p.a_col = a->stride[rank - 1];
    p.b_row = b->stride[rank - 2];
    p.b_col = b->stride[rank - 1];
    p.c_step = p.n;
    p.relu = ((const qn_matmul_attrs *)call->attrs)->relu != 0;
    if (call->n_in > QN_MATMUL_BIAS && call->in[QN_MATMUL_BIAS].data) {
        p.bias = call->in[QN_MATMUL_BIAS].data;
        p.bias_step = call->in[QN_MATMUL_BIAS].stride[0];
    }
    const product turned = turn(&p);
    const double store =
        cost.store * (double)(p.m * p.n) / (double)(block_length(turned.n, p.k) + 1);
    if (step_cost(&turned) + store < step_cost(&p))
        p = turned;
    p.direct = reads_direct(&p);
    return p;
}

/* Floats of packed A and of packed B. */
static int64_t a_room(const product *p) {
    const int64_t rows = cpu_min(p->m, block.rows);
    return p->direct ? 0 : gemm_row_panels(rows) * a_panel_size(block_length(p->n, p->k));
}

static int64_t product_room(const product *p) {
    const int64_t cols = gemm_round_up(cpu_min(p->n, block.cols), GEMM_COLS);
    return gemm_round_up(a_room(p), 16) + gemm_round_up(cols * block_length(p->n, p->k), 16);
}

/* ---- the batch --------------------------------------------------------------------------- */

/* All products of a call; each of `slots` runs of them has packing room of its own. */
typedef struct batch {
    const qn_call *call;
    product first;
    int64_t count, slots;
} batch;

static batch plan_batch(const qn_call *call) {
    batch all = {.call = call, .first = plan(call), .slots = 1};
    const product *p = &all.first;
    all.count = p->m * p->n == 0 ? 0 : qn_view_count(&call->out[0]) / (p->m * p->n);
    if (all.count > 1 && (double)p->m * (double)p->n * (double)p->k < 8 * block.threaded)
        all.slots = cpu_min(all.count, call->threads);
    return all;
}

/* Elements from the view's start to matrix number `index`, counted in row-major order. */
static int64_t batch_offset(const qn_view *view, int64_t index) {
    int64_t offset = 0;
    for (int axis = view->rank - 3; axis >= 0; axis--) {
        offset += index % view->shape[axis] * view->stride[axis];
        index /= view->shape[axis];
    }
    return offset;
}

static void multiply_one(const batch *all, int64_t index, int64_t slot, int threads) {
    const qn_call *call = all->call;
    product p = all->first;
    const qn_view *a_view = &call->in[QN_MATMUL_A], *b_view = &call->in[QN_MATMUL_B];
    const float *a = (const float *)a_view->data + batch_offset(a_view, index);
    const float *b = (const float *)b_view->data + batch_offset(b_view, index);
    p.a = p.transposed ? b : a;
    p.b = p.transposed ? a : b;
    p.c = (float *)call->out[0].data + index * p.m * p.n;
    p.a_panels = (float *)call->workspace + slot * product_room(&p);
    p.b_panels = p.a_panels + gemm_round_up(a_room(&p), 16);
    multiply(&p, threads);
}

/* A run of products, each on one thread. */
static void slot_task(const void *arg, int64_t slot) {
    const batch *all = arg;
    const int64_t end = all->count * (slot + 1) / all->slots;
    for (int64_t index = all->count * slot / all->slots; index < end; index++)
        multiply_one(all, index, slot, 1);
}

/* ---- the kernel -------------------------------------------------------------------------- */

static const char *declines(const qn_call *call) {
    return call->in[QN_MATMUL_A].dtype == QN_F32 ? NULL : "f32 only";
}

static size_t workspace_f32(const qn_call *call) {
    const batch all = plan_batch(call);
    return all.count ? (size_t)(all.slots * product_room(&all.first)) * sizeof(float) : 0;
}

/* [.., m, k] x [.., k, n] (+ bias [n]) -> [.., m, n], then relu if asked for. */
static qn_status run_f32(const qn_call *call) {
    const batch all = plan_batch(call);
    const product *p = &all.first;
    const double work = (double)p->m * (double)p->n * (double)p->k;
    const int threads = work * (double)all.count < block.threaded ? 1 : call->threads;
    if (all.slots > 1) {
        simd_parallel(threads, all.slots, slot_task, &all);
        return QN_OK;
    }
    for (int64_t index = 0; index < all.count; index++)
        multiply_one(&all, index, 0, threads);
    return QN_OK;
}

static size_t workspace(const qn_call *call) { return simd_product_workspace(call, workspace_f32); }

static qn_status run(const qn_call *call) { return simd_product_run(call, run_f32); }

const qn_kernel SIMD_KERNEL(matmul) = {.size = sizeof(qn_kernel),
                                       .op = "matmul",
                                       .declines = declines,
                                       .workspace = workspace,
                                       .run = run,
                                       .attrs_size = sizeof(qn_matmul_attrs)};
