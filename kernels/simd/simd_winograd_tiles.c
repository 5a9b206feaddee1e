/* simd_winograd_tiles.c: see simd_winograd_tiles.h. */
#include "simd_winograd_tiles.h"

enum { OUT = WINOGRAD_OUT };

/* What a tile's transforms cost for a channel and a place, in multiplications of a product: they
 * wait for memory, whatever the width of a vector. */
static const double transform = 0.8 * V_WIDTH;

/* ---- the grid ---------------------------------------------------------------------------- */

static int64_t tiles_along(int64_t out) { return (out + OUT - 1) / OUT; }

bool winograd_pays(int64_t taps, int64_t channels, int64_t rows, int64_t out_h, int64_t out_w) {
    const double pairs = (double)(channels * rows), places = (double)((taps + 1) * (taps + 1));
    const int64_t lanes = gemm_round_up(channels, V_WIDTH) + gemm_round_up(rows, V_WIDTH);
    const double tile = places * (pairs + transform * (double)lanes);
    const double direct = (double)(taps * taps) * pairs * (double)(out_h * out_w);
    return tile * (double)(tiles_along(out_h) * tiles_along(out_w)) < direct;
}

winograd_grid winograd_grid_of(int64_t taps, int64_t planes, int64_t out_h, int64_t out_w,
                               int64_t most) {
    winograd_grid g = {
        .in = (int)taps + 1, .tile_rows = tiles_along(out_h), .tiles = tiles_along(out_w)};
    g.rows = planes * g.tile_rows;
    const int64_t fit = cpu_max(1, cpu_min(most / g.tiles, g.rows));
    const int64_t bands = (g.rows + fit - 1) / fit;
    g.band = bands ? (g.rows + bands - 1) / bands : 0;
    const int64_t width = OUT * g.tiles + g.in - OUT;
    g.pixels = (OUT * cpu_min(g.band, g.tile_rows) + g.in - OUT) * width;
    g.columns = width * g.in * V_WIDTH;
    return g;
}

/* ---- transforms -------------------------------------------------------------------------- */

/* B^T of `in` numbers, which take their places. */
SIMD_INLINE void spread_source(int in, vf *d) {
    if (in == 4) {
        const vf first = d[0] - d[2], sum = d[1] + d[2], difference = d[2] - d[1];
        d[3] = d[1] - d[3];
        d[0] = first;
        d[1] = sum;
        d[2] = difference;
        return;
    }
    const vf p = v_set(WINOGRAD_P), q = v_set(WINOGRAD_Q);
    const vf pp = v_set(-WINOGRAD_PP), qq = v_set(-WINOGRAD_QQ);
    const vf sum = v_set(-WINOGRAD_PP - WINOGRAD_QQ), product = v_set(WINOGRAD_PP * WINOGRAD_QQ);
    const vf even_p = v_fma(qq, d[2], d[4]), odd_p = p * v_fma(qq, d[1], d[3]);
    const vf even_q = v_fma(pp, d[2], d[4]), odd_q = q * v_fma(pp, d[1], d[3]);
    d[0] = v_fma(product, d[0], v_fma(sum, d[2], d[4]));
    d[5] = v_fma(product, d[1], v_fma(sum, d[3], d[5]));
    d[1] = even_p + odd_p;
    d[2] = even_p - odd_p;
    d[3] = even_q + odd_q;
    d[4] = even_q - odd_q;
}

/* A of two numbers. */
SIMD_INLINE void spread_outputs(int in, const vf y[OUT], vf *a) {
    a[0] = y[0];
    if (in == 4) {
        a[1] = y[0] + y[1];
        a[2] = y[0] - y[1];
        a[3] = -y[1];
        return;
    }
    const vf p = WINOGRAD_P * y[1], q = WINOGRAD_Q * y[1];
    a[1] = y[0] + p;
    a[2] = y[0] - p;
    a[3] = y[0] + q;
    a[4] = y[0] - q;
    a[5] = y[1];
}

/* Staged elements, channels last, of a segment. */
typedef struct stage {
    const float *data;
    int64_t pixel, row; /* floats from one to the next */
} stage;

/* Where transformed tiles go. */
typedef struct target {
    float *data;
    int64_t pitch, step; /* from one tile to the next, from one place to the next */
} target;

/* B^T of every column of a tile row, V_WIDTH channels: columns[width][in][V_WIDTH]. */
SIMD_INLINE void spread_columns(int in, const stage *s, int64_t width, float *columns) {
    for (int64_t x = 0; x < width; x++) {
        vf d[WINOGRAD_IN];
        GEMM_UNROLL
        for (int i = 0; i < in; i++)
            d[i] = v_load(s->data + i * s->row + x * s->pixel);
        spread_source(in, d);
        GEMM_UNROLL
        for (int i = 0; i < in; i++)
            v_store(columns + (x * in + i) * V_WIDTH, d[i]);
    }
}

/* B^T d B of a tile row, V_WIDTH channels. Tiles share columns. */
SIMD_INLINE void source_row(int in, const stage *s, int64_t tiles, float *columns,
                            const target *to) {
    spread_columns(in, s, OUT * tiles + in - OUT, columns);
    for (int64_t tile = 0; tile < tiles; tile++)
        for (int i = 0; i < in; i++) {
            const float *from = columns + (OUT * tile * in + i) * V_WIDTH;
            vf d[WINOGRAD_IN];
            GEMM_UNROLL
            for (int j = 0; j < in; j++)
                d[j] = v_load(from + j * in * V_WIDTH);
            spread_source(in, d);
            GEMM_UNROLL
            for (int j = 0; j < in; j++)
                v_store(to->data + (i * in + j) * to->step + tile * to->pitch, d[j]);
        }
}

/* A y A^T of a tile row, V_WIDTH channels. */
SIMD_INLINE void outputs_row(int in, const stage *s, int64_t tiles, const target *to) {
    for (int64_t tile = 0; tile < tiles; tile++) {
        const float *from = s->data + OUT * tile * s->pixel;
        vf half[OUT][WINOGRAD_IN];
        GEMM_UNROLL
        for (int j = 0; j < OUT; j++) {
            const vf y[OUT] = {v_load(from + j * s->pixel), v_load(from + j * s->pixel + s->row)};
            spread_outputs(in, y, half[j]);
        }
        GEMM_UNROLL
        for (int i = 0; i < in; i++) {
            const vf y[OUT] = {half[0][i], half[1][i]};
            vf a[WINOGRAD_IN];
            spread_outputs(in, y, a);
            GEMM_UNROLL
            for (int j = 0; j < in; j++)
                v_store(to->data + (i * in + j) * to->step + tile * to->pitch, a[j]);
        }
    }
}

/* ---- bands ------------------------------------------------------------------------------- */

/* Tile rows of one plane. */
typedef struct segment {
    int64_t plane, first, count;
} segment;

/* The segment that starts at tile row `at` of a band that ends with `end`. */
static segment segment_at(const winograd_grid *grid, int64_t at, int64_t end) {
    const int64_t first = at % grid->tile_rows;
    return (segment){at / grid->tile_rows, first, cpu_min(grid->tile_rows - first, end - at)};
}

/* What a segment's tiles read, each `span` elements along an axis, channels last. */
static stage stage_segment(const winograd_grid *grid, const segment *s, const winograd_planes *p,
                           int span, float *scratch) {
    const int64_t pixel = gemm_round_up(p->channels, V_WIDTH);
    const conv_window w = {.source = p->data + s->plane * p->stride[0],
                           .extent = {p->extent[0], p->extent[1]},
                           .stride = {p->stride[2], p->stride[3]},
                           .first = {p->first[0] + OUT * s->first, p->first[1]},
                           .step = {1, 1},
                           .count = {OUT * s->count + span - OUT, OUT * grid->tiles + span - OUT}};
    conv_stage_last(&w, p->channels, p->stride[1], scratch, pixel);
    return (stage){scratch, pixel, pixel * w.count[1]};
}

/* All tiles of a band. `in` and `outputs` are constants where this is inlined. */
SIMD_INLINE void each_row(int in, bool outputs, const winograd_grid *grid, const winograd_planes *p,
                          int64_t begin, int64_t end, float *scratch, target to) {
    float *columns = scratch + grid->pixels * gemm_round_up(p->channels, V_WIDTH);
    for (int64_t at = begin; at < end;) {
        const segment s = segment_at(grid, at, end);
        const stage staged = stage_segment(grid, &s, p, outputs ? OUT : in, scratch);
        for (int64_t row = 0; row < s.count; row++, to.data += grid->tiles * to.pitch)
            for (int64_t c = 0; c < p->channels; c += V_WIDTH) {
                const stage from = {staged.data + OUT * row * staged.row + c, staged.pixel,
                                    staged.row};
                const target place = {to.data + c, to.pitch, to.step};
                if (outputs)
                    outputs_row(in, &from, grid->tiles, &place);
                else
                    source_row(in, &from, grid->tiles, columns, &place);
            }
        at += s.count;
    }
}

void winograd_source(const winograd_grid *grid, const winograd_planes *planes, int64_t begin,
                     int64_t end, float *scratch, float *to, int64_t pitch, int64_t step) {
    if (grid->in == 4)
        each_row(4, false, grid, planes, begin, end, scratch, (target){to, pitch, step});
    else
        each_row(6, false, grid, planes, begin, end, scratch, (target){to, pitch, step});
}

void winograd_outputs(const winograd_grid *grid, const winograd_planes *planes, int64_t begin,
                      int64_t end, float *scratch, float *to, int64_t pitch, int64_t step) {
    if (grid->in == 4)
        each_row(4, true, grid, planes, begin, end, scratch, (target){to, pitch, step});
    else
        each_row(6, true, grid, planes, begin, end, scratch, (target){to, pitch, step});
}
