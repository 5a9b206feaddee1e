/* amx_product.c: products by blocks (see amx_product.h).
 *
 *     for matrices, as many as fit the workspace together:
 *       for k in steps of block.k:                      sums of each step are added to C
 *         for rows of C in steps of block.rows:         packed A
 *           for columns of C in steps of block.cols:    packed B
 *             pack the panels of 16 rows or columns     in parallel
 *             32 rows by block.chunk columns            in parallel, 32 by 32 on tiles
 *
 * All cuts follow from the shape, so the bits of the result do not depend on the threads. */
#include "amx_product.h"

#include "amx_machine.h"
#include "cpu_numbers.h"
#include "cpu_threads.h"

/* Sizes measured on a Xeon with 2 MB of L2 and one thread: others were level or slower. */
static const struct {
    int64_t rows, cols, k;
    int64_t chunk;   /* columns in a task */
    int64_t depth;   /* tiles along k for which 32 rows of A stay in L1 */
    int64_t tiles;   /* of small matrices that are packed together */
    double threaded; /* multiplications below which threads do not pay */
} block = {.rows = 1024,
           .cols = 1024,
           .k = 1024,
           .chunk = 256,
           .depth = 16,
           .tiles = 4096,
           .threaded = 1e6};

/* One round of packing and multiplying. */
typedef struct amx_round {
    const amx_product *of;
    const amx_vectors *vectors;
    int64_t matrix, matrices;
    int64_t row, rows, col, cols, at, k; /* the block of C, the part of the sums */
    bool pack_a, pack_b;
    int64_t row_panels, col_panels, blocks; /* panels of a matrix, tiles of a panel */
    uint16_t *a, *b;
} amx_round;

static int64_t panels_of(int64_t extent) { return (extent + AMX_ROWS - 1) / AMX_ROWS; }

/* Elements from the first matrix to number `index`, counted in row-major order. */
static int64_t matrix_offset(const qn_view *lead, int64_t index) {
    int64_t offset = 0;
    for (int axis = lead->rank - 1; axis >= 0; axis--) {
        offset += index % lead->shape[axis] * lead->stride[axis];
        index /= lead->shape[axis];
    }
    return offset;
}

/* ---- tasks ------------------------------------------------------------------------------- */

/* What every index of a call to qnk_amx_parallel() runs. */
typedef struct index_task {
    amx_task task;
    const void *arg;
} index_task;

static void run_indices(void *arg, int64_t first, int64_t end, int thread) {
    const index_task *t = arg;
    (void)thread;
    for (int64_t index = first; index < end; index++)
        t->task(t->arg, index);
}

void qnk_amx_parallel(int threads, int64_t count, amx_task task, const void *arg) {
    index_task t = {.task = task, .arg = arg};
    cpu_threads_divide(threads, count, run_indices, &t);
}

static void pack_a_task(const void *arg, int64_t index) {
    const amx_round *r = arg;
    const int64_t matrix = index / r->row_panels, row = index % r->row_panels * AMX_ROWS;
    amx_operand operand = r->of->a;
    operand.data += matrix_offset(&r->of->a_lead, r->matrix + matrix);
    const amx_part part = {.outer = r->row + row,
                           .outer_count = cpu_min(AMX_ROWS, r->rows - row),
                           .inner = r->at,
                           .inner_count = r->k};
    r->vectors->pack(&operand, &part, false, r->a + index * r->blocks * AMX_TILE);
}

static void pack_b_task(const void *arg, int64_t index) {
    const amx_round *r = arg;
    const int64_t matrix = index / r->col_panels, col = index % r->col_panels * AMX_ROWS;
    amx_operand operand = r->of->b;
    operand.data += matrix_offset(&r->of->b_lead, r->matrix + matrix);
    const amx_part part = {.outer = r->col + col,
                           .outer_count = cpu_min(AMX_ROWS, r->cols - col),
                           .inner = r->at,
                           .inner_count = r->k};
    r->vectors->pack(&operand, &part, true, r->b + index * r->blocks * AMX_TILE);
}

/* A block of C: what of 32 by 32 lies in the matrix. */
typedef struct amx_block {
    float *c;
    int64_t col, rows, cols;
    bool whole; /* tiles may be stored there */
} amx_block;

static amx_block block_at(const amx_round *r, int64_t matrix, int64_t row, int64_t col) {
    const amx_product *p = r->of;
    amx_block b = {.c = p->c + (matrix * p->m + r->row + row) * p->n + r->col + col,
                   .col = r->col + col,
                   .rows = cpu_min(AMX_SIDE, r->rows - row),
                   .cols = cpu_min(AMX_SIDE, r->cols - col)};
    b.whole = b.rows == AMX_SIDE && b.cols == AMX_SIDE;
    return b;
}

/* Copies a block that is no place for tiles from C or to it. */
static void copy_block(const amx_product *p, const amx_block *b, float *sums, bool to_c) {
    const size_t bytes = (size_t)b->cols * sizeof(float);
    for (int64_t i = 0; i < b->rows; i++, sums += AMX_SIDE)
        memcpy(to_c ? b->c + i * p->n : sums, to_c ? sums : b->c + i * p->n, bytes);
}

/* max(x, 0) of 32 by 32, NaN and -0 stay. */
static void relu_block(float *c, int64_t pitch) {
    for (int i = 0; i < AMX_SIDE; i++, c += pitch)
        for (int j = 0; j < AMX_SIDE; j++)
            c[j] = c[j] < 0 ? 0 : c[j];
}

static void set_bias(const amx_product *p, const amx_block *b, float *start) {
    for (int64_t j = 0; j < b->cols; j++)
        start[j] = p->bias[(b->col + j) * p->bias_step];
}

/* The panels from number `panel` of `count` on, two, or the last one, from tile `at` on. */
static amx_panels panels_at(const uint16_t *tiles, int64_t panel, int64_t count, int64_t blocks,
                            int64_t at) {
    const uint16_t *first = tiles + (panel * blocks + at) * AMX_TILE;
    return (amx_panels){.first = first,
                        .second = first + blocks * AMX_TILE,
                        .count = panel + 1 < count ? 2 : 1,
                        .pitch = AMX_DEPTH * sizeof(uint16_t),
                        .step = AMX_TILE};
}

static int64_t chunks_of(const amx_round *r) { return (r->cols + block.chunk - 1) / block.chunk; }

/* Room beside a block of C. */
typedef struct amx_scratch {
    float sums[AMX_SIDE * AMX_SIDE];
    float start[AMX_SIDE]; /* of each row */
} amx_scratch;

/* Tiles along k that are multiplied together: those of A stay in L1. */
typedef struct amx_depth {
    int64_t at, blocks;
    bool first, last; /* of all that the product sums over */
} amx_depth;

static amx_depth depth_at(const amx_round *r, int64_t at) {
    const int64_t count = cpu_min(block.depth, r->blocks - at);
    return (amx_depth){.at = at,
                       .blocks = count,
                       .first = r->at + at == 0,
                       .last = at + count == r->blocks && r->at + r->k == r->of->k};
}

/* Adds the sums over one depth to a block of C. */
static void multiply_block(const amx_product *p, const amx_block *b, const amx_depth *depth,
                           amx_panels rows, amx_panels cols, amx_scratch *scratch) {
    amx_sums sums = {.c = b->whole ? b->c : scratch->sums,
                     .pitch = (size_t)(b->whole ? p->n : AMX_SIDE) * sizeof(float)};
    if (!depth->first) {
        if (!b->whole)
            copy_block(p, b, scratch->sums, false);
        sums.start = sums.c;
        sums.start_pitch = sums.pitch;
    } else if (p->bias) {
        set_bias(p, b, scratch->start);
        sums.start = scratch->start;
    }
    qnk_amx_multiply(rows, cols, depth->blocks, sums);
    if (p->relu && depth->last)
        relu_block(sums.c, (int64_t)(sums.pitch / sizeof(float)));
    if (!b->whole)
        copy_block(p, b, scratch->sums, true);
}

/* 32 rows by a chunk of columns of one matrix. */
static void multiply_task(const void *arg, int64_t index) {
    const amx_round *r = arg;
    const int64_t pairs = (r->row_panels + 1) / 2, chunks = chunks_of(r);
    const int64_t row = index % pairs * AMX_SIDE, chunk = index / pairs % chunks;
    const int64_t matrix = index / pairs / chunks;
    const uint16_t *a = r->a + matrix * r->row_panels * r->blocks * AMX_TILE;
    const uint16_t *b = r->b + matrix * r->col_panels * r->blocks * AMX_TILE;
    const int64_t end = cpu_min((chunk + 1) * block.chunk, r->cols);
    amx_scratch scratch __attribute__((aligned(64)));
    int64_t at = 0;
    qnk_amx_begin();
    do { /* sums over nothing are stored as well */
        const amx_depth depth = depth_at(r, at);
        for (int64_t col = chunk * block.chunk; col < end; col += AMX_SIDE) {
            const amx_block c = block_at(r, r->matrix + matrix, row, col);
            multiply_block(r->of, &c, &depth,
                           panels_at(a, row / AMX_ROWS, r->row_panels, r->blocks, at),
                           panels_at(b, col / AMX_ROWS, r->col_panels, r->blocks, at), &scratch);
        }
        at += depth.blocks;
    } while (at < r->blocks);
    qnk_amx_end();
}

static void run_round(amx_round *r, int threads) {
    r->row_panels = panels_of(r->rows);
    r->col_panels = panels_of(r->cols);
    r->blocks = amx_blocks(r->k);
    if (r->pack_a)
        qnk_amx_parallel(threads, r->matrices * r->row_panels, pack_a_task, r);
    if (r->pack_b)
        qnk_amx_parallel(threads, r->matrices * r->col_panels, pack_b_task, r);
    qnk_amx_parallel(threads, r->matrices * chunks_of(r) * ((r->row_panels + 1) / 2), multiply_task,
                     r);
}

const amx_vectors *qnk_amx_vectors(void) {
#if QN_AMX_AVX512
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        return &qnk_amx_vectors_avx512;
#endif
    return &qnk_amx_vectors_avx2;
}

/* ---- calls ------------------------------------------------------------------------------- */

/* Sixteen steps of each axis must fit a gather's 32 bits. */
static bool has_short_steps(const qn_view *view) {
    enum { LONGEST = INT32_MAX / 16 };
    for (int axis = 0; axis < view->rank; axis++)
        if (view->shape[axis] > 1 && view->stride[axis] > LONGEST)
            return false;
    return true;
}

const char *qnk_amx_declines(const qn_call *call) {
    if (call->precision != QN_PRECISION_BF16)
        return "for precision bf16 only";
    if (call->in[0].dtype != QN_F32)
        return "f32 only";
    return has_short_steps(&call->in[0]) && has_short_steps(&call->in[1])
               ? qnk_amx_missing()
               : "strides below 2^27 only";
}

/* ---- rounds ------------------------------------------------------------------------------ */

/* Tiles of A and of B that one matrix takes in a round. */
static int64_t tiles_of_a(const amx_product *p) {
    return panels_of(cpu_min(p->m, block.rows)) * amx_blocks(cpu_min(p->k, block.k));
}

static int64_t tiles_of_b(const amx_product *p) {
    return panels_of(cpu_min(p->n, block.cols)) * amx_blocks(cpu_min(p->k, block.k));
}

/* Matrices in a round: one, unless several are small. */
static int64_t matrices_together(const amx_product *p) {
    if (p->m > block.rows || p->n > block.cols || p->k > block.k)
        return 1;
    const int64_t fit = block.tiles / (tiles_of_a(p) + tiles_of_b(p) + 1);
    return fit < 1 ? 1 : cpu_min(fit, p->count);
}

static bool is_empty(const amx_product *p) { return p->m == 0 || p->n == 0 || p->count == 0; }

size_t qnk_amx_product_workspace(const amx_product *product) {
    if (is_empty(product))
        return 0;
    const int64_t tiles = matrices_together(product) * (tiles_of_a(product) + tiles_of_b(product));
    return (size_t)(tiles + 1) * AMX_TILE * sizeof(uint16_t); /* sums over nothing have none */
}

/* All blocks of C for one part of the sums. */
static void run_sums(amx_round *r, int threads) {
    const amx_product *p = r->of;
    for (r->row = 0; r->row < p->m; r->row += block.rows) {
        r->rows = cpu_min(block.rows, p->m - r->row);
        for (r->col = 0; r->col < p->n; r->col += block.cols) {
            r->cols = cpu_min(block.cols, p->n - r->col);
            r->pack_a = r->col == 0;
            r->pack_b =
                r->row == 0 || p->n > block.cols; /* else the B of the row before is there */
            run_round(r, threads);
        }
    }
}

void qnk_amx_product_run(const amx_product *product, void *workspace, int threads) {
    const amx_product *p = product;
    if (is_empty(p))
        return;
    const int64_t together = matrices_together(p);
    const double work = (double)p->m * (double)p->n * (double)p->k * (double)p->count;
    amx_round r = {.of = p, .vectors = qnk_amx_vectors(), .a = workspace};
    r.b = r.a + together * tiles_of_a(p) * AMX_TILE;
    for (r.matrix = 0; r.matrix < p->count; r.matrix += r.matrices) {
        r.matrices = cpu_min(together, p->count - r.matrix);
        r.at = 0;
        do { /* sums over nothing are stored as well */
            r.k = cpu_min(block.k, p->k - r.at);
            run_sums(&r, work < block.threaded ? 1 : threads);
            r.at += r.k;
        } while (r.at < p->k);
    }
}
