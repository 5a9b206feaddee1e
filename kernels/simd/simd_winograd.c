/* simd_winograd.c: see simd_winograd.h.
 *
 * A tile row is the tiles side by side of one image and group. A task takes some tile rows, n tiles in all:
 *
 *     for channels: B^T d B of the n tiles              v[16][channels][n]
 *     for blocks of output channels:
 *       for the 16 places: a product with G w G^T       m[16][block][n]
 *       for output channels: A^T m A, bias, relu        to the destination
 *
 * Tiles of a row lie side by side in vectors. The last vector of a tile row may be longer than the row: what it
 * puts behind it is overwritten by the next row, or lies behind the last. */
#include "simd_winograd.h"

#include <math.h>

/* Outputs of a tile along an axis, elements that it reads, and places of its transform. */
enum { OUT = 2, IN = 4, PLACES = IN * IN, TAPS = 3 };
/* Row panels of the products between two visits of the destination. */
enum { BLOCK_PANELS = 2 };

static const struct {
    int64_t v;        /* floats of a task's transformed tiles */
    double transform; /* what a tile's transforms cost for a channel, in multiplications */
    double threaded;  /* multiplications below which threads do not pay */
} block = {.v = 128 * 1024, .transform = 240, .threaded = 1e6};

/* Where things lie; all follows from the pass. */
typedef struct layout {
    const conv_pass *pass;
    int64_t lowest[2];          /* least source position that output 0 reads */
    int64_t tile_rows, tiles;   /* of a plane, of a tile row */
    int64_t band;               /* tile rows of a task */
    int64_t pitch;              /* floats from one channel of v and m to the next */
    int64_t width;              /* of a staged row */
    int64_t panels, panel_size; /* of the weights of a group at one place */
    int64_t stage_size, v_size, m_size;
    int64_t tasks, slots; /* tasks of all groups */
    float *weights;       /* [groups, PLACES, panels] */
    float *scratch;       /* of slot 0: a staged plane, v, m */
} layout;

/* ---- layout ------------------------------------------------------------------------------ */

static bool axis_serves(const conv_axis *axis) {
    return axis->taps == TAPS && axis->step == 1 && axis->to_step == 1 &&
           (axis->shift_step == 1 || axis->shift_step == -1);
}

static int64_t tiles_along(const conv_axis *axis) { return (axis->out + OUT - 1) / OUT; }

bool winograd_serves(const conv_pass *pass) {
    const conv_axis *y = &pass->axis[0], *x = &pass->axis[1];
    if (!pass->winograd || !axis_serves(y) || !axis_serves(x))
        return false;
    const double pairs = (double)(pass->channels * pass->rows);
    const double tile = PLACES * pairs + block.transform * (double)(pass->channels + pass->rows);
    const double direct = TAPS * TAPS * pairs * (double)(y->out * x->out);
    return tile * (double)(tiles_along(y) * tiles_along(x)) < direct;
}

/* Tile rows of a task: as many as v has room for, where their tiles fill whole columns of products best. */
static int64_t band_of(const layout *l, int64_t rows) {
    const int64_t most = gemm_max(1, block.v / (PLACES * l->pass->channels) / l->tiles);
    int64_t best = 1;
    double best_fill = 0;
    for (int64_t band = 1; band <= gemm_min(most, rows); band++) {
        const int64_t n = band * l->tiles;
        const double fill = (double)n / (double)gemm_round_up(n, GEMM_COLS);
        if (fill >= best_fill) {
            best_fill = fill;
            best = band;
        }
    }
    return best;
}

static layout plan(const conv_pass *pass, int threads) {
    layout l = {.pass = pass};
    for (int i = 0; i < 2; i++)
        l.lowest[i] = pass->axis[i].shift_first - (pass->axis[i].shift_step < 0 ? TAPS - 1 : 0);
    l.tile_rows = tiles_along(&pass->axis[0]);
    l.tiles = tiles_along(&pass->axis[1]);
    const int64_t rows = pass->batch * l.tile_rows, whole = gemm_round_up(l.tiles, V_WIDTH);
    l.band = band_of(&l, rows);
    l.pitch = gemm_round_up((l.band - 1) * l.tiles + whole, GEMM_COLS);
    l.width = OUT * whole + V_WIDTH;
    l.panels = gemm_row_panels(pass->rows);
    l.panel_size = GEMM_ROWS * pass->channels + V_WIDTH;
    l.stage_size = gemm_round_up((OUT * gemm_min(l.band, l.tile_rows) + IN - OUT) * l.width, 16);
    l.v_size = PLACES * pass->channels * l.pitch;
    l.m_size = PLACES * BLOCK_PANELS * GEMM_ROWS * l.pitch;
    l.tasks = pass->groups * ((rows + l.band - 1) / l.band);
    const double work = (double)(rows * l.tiles) * PLACES * (double)(pass->channels * pass->rows);
    l.slots = work < block.threaded ? 1 : gemm_max(1, gemm_min(threads, l.tasks));
    return l;
}

static int64_t weights_size(const layout *l) {
    return gemm_round_up(l->pass->groups * PLACES * l->panels * l->panel_size, 16);
}

static int64_t slot_size(const layout *l) { return l->stage_size + l->v_size + l->m_size; }

size_t winograd_workspace(const conv_pass *pass, int threads) {
    const layout l = plan(pass, threads);
    return (size_t)(weights_size(&l) + l.slots * slot_size(&l)) * sizeof(float);
}

/* ---- weights ----------------------------------------------------------------------------- */

/* G g of three numbers `step` apart. */
static void spread(const float *g, int64_t step, float *u, int64_t u_step) {
    const float first = g[0], middle = g[step], last = g[2 * step];
    u[0] = first;
    u[u_step] = 0.5f * (first + middle + last);
    u[2 * u_step] = 0.5f * (first - middle + last);
    u[3 * u_step] = last;
}

/* G w G^T of an output channel and a source channel. */
static void transform_weight(const conv_pass *pass, const float *w, float u[PLACES]) {
    const conv_axis *y = &pass->axis[0], *x = &pass->axis[1];
    float taps[TAPS][TAPS], half[TAPS][IN];
    for (int i = 0; i < TAPS; i++)
        for (int j = 0; j < TAPS; j++) {
            const int64_t row = y->shift_step < 0 ? TAPS - 1 - i : i;
            const int64_t col = x->shift_step < 0 ? TAPS - 1 - j : j;
            taps[i][j] = w[(y->tap_first + row * y->tap_step) * pass->weight_tap[0] +
                           (x->tap_first + col * x->tap_step) * pass->weight_tap[1]];
        }
    for (int i = 0; i < TAPS; i++)
        spread(taps[i], 1, half[i], 1);
    for (int j = 0; j < IN; j++)
        spread(&half[0][j], IN, &u[j], IN);
}

/* Packs one row panel of one group: at each place, channel c of row i at c * rows + i. */
static void pack_task(const void *arg, int64_t index) {
    const layout *l = arg;
    const conv_pass *pass = l->pass;
    const int64_t panel = index % l->panels, group = index / l->panels;
    const int64_t row = gemm_row_start(pass->rows, panel);
    const int64_t rows = gemm_row_start(pass->rows, panel + 1) - row;
    float *dst = l->weights + (group * PLACES * l->panels + panel) * l->panel_size;
    for (int64_t c = 0; c < pass->channels; c++)
        for (int64_t i = 0; i < rows; i++) {
            float u[PLACES];
            transform_weight(pass,
                             pass->weight + group * pass->weight_group +
                                 (row + i) * pass->weight_row + c * pass->weight_channel,
                             u);
            for (int place = 0; place < PLACES; place++)
                dst[place * l->panels * l->panel_size + c * rows + i] = u[place];
        }
}

/* ---- tiles of the source ----------------------------------------------------------------- */

/* B^T of four numbers. */
SIMD_INLINE void gather_differences(vf d[IN]) {
    const vf first = d[0] - d[2], sum = d[1] + d[2], difference = d[2] - d[1], last = d[1] - d[3];
    d[0] = first;
    d[1] = sum;
    d[2] = difference;
    d[3] = last;
}

/* B^T d B of the tiles that start at `from` in a staged plane, a vector of them; to `to`, a place `step` after the
 * other. */
SIMD_INLINE void transform_tiles(const float *from, int64_t width, float *to, int64_t step) {
    vf d[IN][IN];
    GEMM_UNROLL
    for (int i = 0; i < IN; i++) {
        const float *row = from + i * width;
        v_unzip(v_load(row), v_load(row + V_WIDTH), &d[i][0], &d[i][1]);
        v_unzip(v_load(row + 2), v_load(row + V_WIDTH + 2), &d[i][2], &d[i][3]);
        gather_differences(d[i]);
    }
    GEMM_UNROLL
    for (int j = 0; j < IN; j++) {
        vf column[IN] = {d[0][j], d[1][j], d[2][j], d[3][j]};
        gather_differences(column);
        GEMM_UNROLL
        for (int i = 0; i < IN; i++)
            v_store(to + (i * IN + j) * step, column[i]);
    }
}

/* Tile rows of one image. */
typedef struct segment {
    int64_t image, first, count;
    int64_t at; /* place of its first tile in the task */
} segment;

/* The segment of the tile rows from `row` on, up to `end`. */
static segment segment_at(const layout *l, int64_t row, int64_t begin, int64_t end) {
    const int64_t image = row / l->tile_rows, first = row % l->tile_rows;
    return (segment){.image = image,
                     .first = first,
                     .count = gemm_min(l->tile_rows - first, end - row),
                     .at = (row - begin) * l->tiles};
}

/* One channel of a segment to v. */
static void transform_segment(const layout *l, const segment *s, int64_t channel, float *staged,
                              float *v) {
    const conv_pass *pass = l->pass;
    const conv_window w = {.source = pass->source + s->image * pass->source_stride[0] +
                                     channel * pass->source_stride[1],
                           .extent = {pass->axis[0].in, pass->axis[1].in},
                           .stride = {pass->source_stride[2], pass->source_stride[3]},
                           .first = {l->lowest[0] + OUT * s->first, l->lowest[1]},
                           .step = {1, 1},
                           .count = {OUT * s->count + IN - OUT, l->width}};
    conv_stage(&w, staged);
    for (int64_t row = 0; row < s->count; row++)
        for (int64_t tile = 0; tile < l->tiles; tile += V_WIDTH)
            transform_tiles(staged + OUT * (row * l->width + tile), l->width,
                            v + s->at + row * l->tiles + tile, pass->channels * l->pitch);
}

/* ---- products ---------------------------------------------------------------------------- */

/* m of row panels [panel, end), for n tiles. */
static void multiply(const layout *l, const float *weights, int64_t panel, int64_t end, int64_t n,
                     const float *v, float *m) {
    const conv_pass *pass = l->pass;
    const int64_t first = gemm_row_start(pass->rows, panel);
    const int64_t m_step = BLOCK_PANELS * GEMM_ROWS * l->pitch;
    for (int place = 0; place < PLACES; place++)
        for (int64_t q = 0; q < n; q += GEMM_COLS)
            for (int64_t i = panel; i < end; i++) {
                const int64_t row = gemm_row_start(pass->rows, i);
                const gemm_tile t = {.rows = (int)(gemm_row_start(pass->rows, i + 1) - row),
                                     .cols = GEMM_COLS,
                                     .k = pass->channels,
                                     .a = weights + (place * l->panels + i) * l->panel_size,
                                     .b = v + place * pass->channels * l->pitch + q,
                                     .b_step = l->pitch,
                                     .c = m + place * m_step + (row - first) * l->pitch + q,
                                     .c_step = l->pitch};
                gemm_tile_run(&t);
            }
}

/* ---- tiles of the output ----------------------------------------------------------------- */

/* A^T of four numbers: two. */
SIMD_INLINE void gather_sums(const vf m[IN], vf y[OUT]) {
    y[0] = m[0] + m[1] + m[2];
    y[1] = m[1] - m[2] - m[3];
}

/* The tiles Y from m, a vector of them: y[row][column]. */
SIMD_INLINE void finish_tiles(const float *m, int64_t step, vf y[OUT][OUT]) {
    vf half[OUT][IN];
    GEMM_UNROLL
    for (int j = 0; j < IN; j++) {
        const vf column[IN] = {v_load(m + j * step), v_load(m + (IN + j) * step),
                               v_load(m + (2 * IN + j) * step), v_load(m + (3 * IN + j) * step)};
        vf two[OUT];
        gather_sums(column, two);
        half[0][j] = two[0];
        half[1][j] = two[1];
    }
    gather_sums(half[0], y[0]);
    gather_sums(half[1], y[1]);
}

/* One output channel of a segment from m to its plane. */
static void finish_segment(const layout *l, const segment *s, const float *m, float bias,
                           float *plane) {
    const conv_pass *pass = l->pass;
    const conv_axis *y = &pass->axis[0], *x = &pass->axis[1];
    const int64_t step = BLOCK_PANELS * GEMM_ROWS * l->pitch, pitch = pass->out_extent[1];
    const vf add = v_set(bias), lowest = v_set(pass->relu ? 0 : -INFINITY);
    for (int64_t row = 0; row < s->count; row++) {
        const int64_t top = OUT * (s->first + row);
        float *dst = plane + (y->to_first + top) * pitch + x->to_first;
        for (int64_t tile = 0; tile < l->tiles; tile += V_WIDTH) {
            vf two[OUT][OUT];
            finish_tiles(m + s->at + row * l->tiles + tile, step, two);
            for (int i = 0; i < OUT && top + i < y->out; i++)
                v_store_pairs(dst + i * pitch + OUT * tile,
                              gemm_min(OUT * V_WIDTH, x->out - OUT * tile),
                              v_max(lowest, two[i][0] + add), v_max(lowest, two[i][1] + add));
        }
    }
}

/* ---- tasks ------------------------------------------------------------------------------- */

static void finish_block(const layout *l, int64_t group, int64_t begin, int64_t end, int64_t row,
                         int64_t last, const float *m) {
    const conv_pass *pass = l->pass;
    const int64_t size = pass->out_extent[0] * pass->out_extent[1];
    for (int64_t k = row; k < last; k++) {
        const int64_t channel = group * pass->rows + k;
        const float bias = pass->bias ? pass->bias[channel * pass->bias_step] : 0;
        for (int64_t at = begin; at < end;) {
            const segment s = segment_at(l, at, begin, end);
            finish_segment(l, &s, m + (k - row) * l->pitch, bias,
                           pass->out + (s.image * pass->groups * pass->rows + channel) * size);
            at += s.count;
        }
    }
}

static void compute(const layout *l, int64_t group, int64_t begin, int64_t end, float *staged) {
    const conv_pass *pass = l->pass;
    float *v = staged + l->stage_size, *m = v + l->v_size;
    for (int64_t c = 0; c < pass->channels; c++)
        for (int64_t at = begin; at < end;) {
            const segment s = segment_at(l, at, begin, end);
            transform_segment(l, &s, group * pass->channels + c, staged, v + c * l->pitch);
            at += s.count;
        }
    const float *weights = l->weights + group * PLACES * l->panels * l->panel_size;
    for (int64_t panel = 0; panel < l->panels; panel += BLOCK_PANELS) {
        const int64_t next = gemm_min(panel + BLOCK_PANELS, l->panels);
        multiply(l, weights, panel, next, (end - begin) * l->tiles, v, m);
        finish_block(l, group, begin, end, gemm_row_start(pass->rows, panel),
                     gemm_row_start(pass->rows, next), m);
    }
}

/* The tasks of one slot, which has scratch memory of its own. */
static void slot_task(const void *arg, int64_t slot) {
    const layout *l = arg;
    const int64_t rows = l->pass->batch * l->tile_rows, bands = l->tasks / l->pass->groups;
    for (int64_t task = l->tasks * slot / l->slots; task < l->tasks * (slot + 1) / l->slots;
         task++) {
        const int64_t begin = task % bands * l->band;
        compute(l, task / bands, begin, gemm_min(begin + l->band, rows),
                l->scratch + slot * slot_size(l));
    }
}

void winograd_run(const conv_pass *pass, void *workspace, int threads) {
    layout l = plan(pass, threads);
    if (l.tasks == 0)
        return;
    l.weights = workspace;
    l.scratch = l.weights + weights_size(&l);
    simd_parallel((int)l.slots, pass->groups * l.panels, pack_task, &l);
    simd_parallel((int)l.slots, l.slots, slot_task, &l);
}
