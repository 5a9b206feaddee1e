/* simd_reduce.c: the walk over reduced axes, and the loops of each
 * reduction (see simd_reduce.h). */
#include "simd_reduce.h"

#include <math.h>

/* Elements of a block that f32 accumulators may sum before f64 takes over. */
enum { ROW_BLOCK = 8192, COLUMN_BLOCK = 64 };
/* Elements of one piece of work, and rows of one piece of a band. */
enum { PIECE = 16384, PIECE_ROWS = 1024 };
/* Accumulators in flight along a row. */
enum { LANES = 4 };

/* ---- layout ------------------------------------------------------------------------------ */

/* Axes of one kind, outermost first, neighbours joined. */
typedef struct axes {
    int rank;
    int64_t shape[QN_MAX_DIMS], stride[QN_MAX_DIMS];
    int64_t count;
} axes;

static void push_axis(axes *a, int64_t shape, int64_t stride) {
    a->count *= shape;
    if (shape == 1)
        return;
    if (a->rank > 0 && a->stride[a->rank - 1] == stride * shape) {
        a->shape[a->rank - 1] *= shape;
        a->stride[a->rank - 1] = stride;
        return;
    }
    a->shape[a->rank] = shape;
    a->stride[a->rank++] = stride;
}

static int64_t offset_of(const axes *a, int64_t index) {
    int64_t offset = 0;
    for (int axis = a->rank - 1; axis > 0; axis--) {
        offset += index % a->shape[axis] * a->stride[axis];
        index /= a->shape[axis];
    }
    return a->rank > 0 ? offset + index * a->stride[0] : 0;
}

/* Takes the innermost axis away: its extent, 1 if there is none. */
static int64_t pop_axis(axes *a) {
    if (a->rank == 0)
        return 1;
    int64_t extent = a->shape[--a->rank];
    a->count = extent ? a->count / extent : 0;
    return extent;
}

/* How a call is cut up. In the row form an output is `rows` rows of `inner` elements; in the column
 * form `inner` kept columns stand side by side. Pieces are made of rows_per_piece rows of one
 * output or band, or of a part of a row where rows are long. */
typedef struct plan {
    const simd_reduction *reduction;
    const float *x;
    const float *center;
    double *result;  /* outputs, or pieces x outputs */
    axes kept, rows; /* without the contiguous axis */
    int64_t outputs, inner;
    bool columns;
    int64_t bands;          /* column form: bands of the inner axis */
    int64_t pieces;         /* of each output or band */
    int64_t rows_per_piece; /* 0 where pieces are parts of a row */
    int64_t group, groups;  /* row form: outputs of one task, and tasks */
} plan;

static const char *make_plan(const qn_call *call, plan *p) {
    const qn_reduce_attrs *attrs = call->attrs;
    const qn_view *x = &call->in[0];
    *p = (plan){.x = x->data, .kept.count = 1, .rows.count = 1};
    for (int axis = 0; axis < x->rank; axis++)
        push_axis(attrs->axes >> axis & 1 ? &p->rows : &p->kept, x->shape[axis], x->stride[axis]);
    p->outputs = p->kept.count;
    const axes *kept = &p->kept, *rows = &p->rows;
    bool rows_contiguous = rows->rank == 0 || rows->stride[rows->rank - 1] == 1;
    p->columns = rows->rank > 0 && kept->rank > 0 && kept->stride[kept->rank - 1] == 1;
    if (p->columns) {
        p->inner = pop_axis(&p->kept);
        p->bands = (p->inner + SIMD_BAND - 1) / SIMD_BAND;
        p->rows_per_piece = PIECE_ROWS;
        p->pieces = (p->rows.count + PIECE_ROWS - 1) / PIECE_ROWS;
    } else if (rows_contiguous) {
        p->inner = pop_axis(&p->rows);
        if (p->inner <= PIECE) {
            p->rows_per_piece = p->inner > 0 ? PIECE / p->inner : 1;
            p->pieces = (p->rows.count + p->rows_per_piece - 1) / p->rows_per_piece;
        } else {
            p->pieces = p->rows.count * ((p->inner + PIECE - 1) / PIECE);
        }
    } else {
        return "neither a reduced nor a kept axis is contiguous";
    }
    if (p->pieces < 1)
        p->pieces = 1;
    int64_t work = p->inner * p->rows.count;
    p->group = p->columns || work >= PIECE || p->pieces > 1 ? 1 : PIECE / (work + 32);
    p->groups = p->group ? (p->outputs + p->group - 1) / p->group : p->outputs;
    return NULL;
}

/* ---- the row form ------------------------------------------------------------------------ */

static double reduce_rows(const plan *p, int64_t output, int64_t piece) {
    const simd_reduction *r = p->reduction;
    const float *x = p->x + offset_of(&p->kept, output);
    float center = p->center ? p->center[output] : 0.0f;
    if (p->rows_per_piece == 0) {
        int64_t parts = (p->inner + PIECE - 1) / PIECE, begin = piece % parts * PIECE;
        x += offset_of(&p->rows, piece / parts) + begin;
        return r->row(x, cpu_min(PIECE, p->inner - begin), center);
    }
    double total = r->identity;
    int64_t end = cpu_min((piece + 1) * p->rows_per_piece, p->rows.count);
    for (int64_t row = piece * p->rows_per_piece; row < end; row++)
        total = r->join(total, r->row(x + offset_of(&p->rows, row), p->inner, center));
    return total;
}

static void row_task(const void *arg, int64_t index) {
    const plan *p = arg;
    int64_t piece = index / p->groups, first = index % p->groups * p->group;
    int64_t end = cpu_min(first + p->group, p->outputs);
    for (int64_t output = first; output < end; output++)
        p->result[piece * p->outputs + output] = reduce_rows(p, output, piece);
}

/* ---- the column form --------------------------------------------------------------------- */

static void column_task(const void *arg, int64_t index) {
    const plan *p = arg;
    int64_t outer = p->kept.count * p->bands;
    int64_t piece = index / outer, kept = index % outer / p->bands;
    int64_t column = index % p->bands * SIMD_BAND;
    int64_t columns = cpu_min(SIMD_BAND, p->inner - column);
    int64_t output = kept * p->inner + column;
    double total[SIMD_BAND];
    float center[SIMD_BAND] = {0};
    for (int64_t c = 0; c < columns; c++) {
        total[c] = p->reduction->identity;
        center[c] = p->center ? p->center[output + c] : 0.0f;
    }
    const float *x = p->x + offset_of(&p->kept, kept) + column;
    int64_t row = piece * PIECE_ROWS, end = cpu_min(row + PIECE_ROWS, p->rows.count);
    int64_t inner = p->rows.shape[p->rows.rank - 1], stride = p->rows.stride[p->rows.rank - 1];
    while (row < end) { /* rows one stride apart, at most a block of them */
        int64_t run = cpu_min(cpu_min(inner - row % inner, end - row), COLUMN_BLOCK);
        p->reduction->column(x + offset_of(&p->rows, row), columns, run, stride, center, total);
        row += run;
    }
    for (int64_t c = 0; c < columns; c++)
        p->result[piece * p->outputs + output + c] = total[c];
}

/* ---- the whole --------------------------------------------------------------------------- */

const char *simd_reduce_declines(const qn_call *call) {
    plan p;
    return call->in[0].dtype == QN_F32 ? make_plan(call, &p) : "f32 only";
}

size_t simd_reduce_workspace(const qn_call *call) {
    plan p;
    make_plan(call, &p);
    int64_t partial = p.pieces > 1 ? p.pieces * p.outputs : 0;
    return (size_t)(p.outputs + partial) * sizeof(double);
}

void simd_reduce(const qn_call *call, const simd_reduction *reduction, const float *center,
                 double *result, void *scratch) {
    plan p;
    make_plan(call, &p);
    p.reduction = reduction;
    p.center = center;
    p.result = p.pieces > 1 ? scratch : result;
    int64_t tasks = p.pieces * (p.columns ? p.kept.count * p.bands : p.groups);
    int threads = simd_threads(call, qn_view_count(&call->in[0]));
    if (p.outputs > 0)
        simd_parallel(threads, tasks, p.columns ? column_task : row_task, &p);
    if (p.pieces == 1)
        return;
    for (int64_t output = 0; output < p.outputs; output++) {
        result[output] = p.result[output];
        for (int64_t piece = 1; piece < p.pieces; piece++)
            result[output] = reduction->join(result[output], p.result[piece * p.outputs + output]);
    }
}

qn_status simd_reduce_run(const qn_call *call, const simd_reduction *reduction, double scale) {
    int64_t outputs = qn_view_count(&call->out[0]);
    double *result = call->workspace;
    float *out = call->out[0].data;
    simd_reduce(call, reduction, NULL, result, result + outputs);
    for (int64_t i = 0; i < outputs; i++)
        out[i] = (float)(result[i] * scale);
    return QN_OK;
}

/* ---- loops ------------------------------------------------------------------------------- */

/* One vector onto an accumulator. */
typedef vf (*step_function)(vf total, vf x, vf center);

/* Template of a row: LANES accumulators over a block, then joined across. */
SIMD_INLINE double reduce_row(const float *x, int64_t n, float center, float identity,
                              step_function step, vf (*merge)(vf, vf), float (*across)(vf),
                              double (*join)(double, double)) {
    vf middle = v_set(center), lowest = v_set(identity);
    double total = identity;
    for (int64_t begin = 0; begin < n; begin += ROW_BLOCK) {
        int64_t end = cpu_min(begin + ROW_BLOCK, n), i = begin;
        vf lane[LANES] = {lowest, lowest, lowest, lowest};
        for (; i + LANES * V_WIDTH <= end; i += LANES * V_WIDTH)
            for (int k = 0; k < LANES; k++)
                lane[k] = step(lane[k], v_load(x + i + k * V_WIDTH), middle);
        for (; i + V_WIDTH <= end; i += V_WIDTH)
            lane[0] = step(lane[0], v_load(x + i), middle);
        if (i < end) {
            vf stepped = step(lane[1], v_load_part(x + i, end - i), middle);
            lane[1] = v_select(v_iota() < (int32_t)(end - i), stepped, lane[1]);
        }
        vf all = merge(merge(lane[0], lane[1]), merge(lane[2], lane[3]));
        total = join(total, across(all));
    }
    return total;
}

/* Template of a band: four vectors down a block of rows, then joined to the totals. */
SIMD_INLINE void reduce_column(const float *x, int64_t columns, int64_t rows, int64_t stride,
                               const float *center, double *total, float identity,
                               step_function step, double (*join)(double, double)) {
    float sum[SIMD_BAND];
    if (columns == SIMD_BAND) {
        vf lane[4], middle[4];
        for (int k = 0; k < 4; k++) {
            lane[k] = v_set(identity);
            middle[k] = v_load(center + k * V_WIDTH);
        }
        for (int64_t row = 0; row < rows; row++, x += stride)
            for (int k = 0; k < 4; k++)
                lane[k] = step(lane[k], v_load(x + k * V_WIDTH), middle[k]);
        for (int k = 0; k < 4; k++)
            v_store(sum + k * V_WIDTH, lane[k]);
    } else {
        for (int64_t c = 0; c < columns; c += V_WIDTH) {
            int64_t width = cpu_min(columns - c, V_WIDTH);
            vf lane = v_set(identity), middle = v_load(center + c);
            const float *from = x + c;
            for (int64_t row = 0; row < rows; row++, from += stride)
                lane = step(lane, v_load_part(from, width), middle);
            v_store(sum + c, lane);
        }
    }
    for (int64_t c = 0; c < columns; c++)
        total[c] = join(total[c], sum[c]);
}

SIMD_INLINE vf add_step(vf total, vf x, vf center) {
    (void)center;
    return total + x;
}

SIMD_INLINE vf square_step(vf total, vf x, vf center) {
    vf d = x - center;
    return v_fma(d, d, total);
}

SIMD_INLINE vf max_step(vf total, vf x, vf center) {
    (void)center;
    return v_max_nan(total, x);
}

SIMD_INLINE vf min_step(vf total, vf x, vf center) {
    (void)center;
    return v_min_nan(total, x);
}

SIMD_INLINE vf add_merge(vf a, vf b) { return a + b; }

static double add_join(double a, double b) { return a + b; }

static double max_join(double a, double b) { return a > b || a != a ? a : b; }

static double min_join(double a, double b) { return a < b || a != a ? a : b; }

/* The eight loops, one row and one band for each reduction. */

static double sum_row(const float *x, int64_t n, float center) {
    return reduce_row(x, n, center, 0.0f, add_step, add_merge, v_sum, add_join);
}

static double squares_row(const float *x, int64_t n, float center) {
    return reduce_row(x, n, center, 0.0f, square_step, add_merge, v_sum, add_join);
}

static double max_row(const float *x, int64_t n, float center) {
    return reduce_row(x, n, center, -INFINITY, max_step, v_max_nan, v_greatest, max_join);
}

static double min_row(const float *x, int64_t n, float center) {
    return reduce_row(x, n, center, INFINITY, min_step, v_min_nan, v_smallest, min_join);
}

static void sum_column(const float *x, int64_t columns, int64_t rows, int64_t stride,
                       const float *center, double *total) {
    reduce_column(x, columns, rows, stride, center, total, 0.0f, add_step, add_join);
}

static void squares_column(const float *x, int64_t columns, int64_t rows, int64_t stride,
                           const float *center, double *total) {
    reduce_column(x, columns, rows, stride, center, total, 0.0f, square_step, add_join);
}

static void max_column(const float *x, int64_t columns, int64_t rows, int64_t stride,
                       const float *center, double *total) {
    reduce_column(x, columns, rows, stride, center, total, -INFINITY, max_step, max_join);
}

static void min_column(const float *x, int64_t columns, int64_t rows, int64_t stride,
                       const float *center, double *total) {
    reduce_column(x, columns, rows, stride, center, total, INFINITY, min_step, min_join);
}

const simd_reduction simd_reduce_sum = {0.0, add_join, sum_row, sum_column};
const simd_reduction simd_reduce_squares = {0.0, add_join, squares_row, squares_column};
const simd_reduction simd_reduce_max = {-INFINITY, max_join, max_row, max_column};
const simd_reduction simd_reduce_min = {INFINITY, min_join, min_row, min_column};
