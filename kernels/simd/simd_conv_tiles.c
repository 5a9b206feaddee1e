/* simd_conv_tiles.c: see simd_conv_tiles.h.
 *
 *     for images, groups, bands of output rows:      in parallel
 *       stage the band's source rows
 *       for blocks of the sum over channels and taps:
 *         for blocks of output channels:             packed weights in half of L2
 *           for runs of GEMM_COLS outputs:           source in L1
 *             for row panels: one tile
 *       store the band, with bias
 *
 * A row of outputs is followed by the columns of zeros between two rows of the staged plane; what
 * is computed there is not stored. Left and right zeros share these columns. */
#include "simd_winograd.h"

#include <math.h>

/* Block sizes, in floats where nothing else is said, for 1 MB of L2. */
static const struct {
    int64_t band;    /* staged rows and results of a band */
    int64_t k;       /* terms of the sums between two visits of a tile */
    int64_t weights; /* packed weights of a block of output channels */
    int64_t short_k; /* terms up to which tiles had better store each output row themselves;
                        none by AVX2, whose stores of a part of a vector are slow */
    double threaded; /* multiplications below which threads do not pay */
} block = {.band = 112 * 1024,
           .k = 2048,
           .weights = 112 * 1024,
           .short_k = V_WIDTH == 16 ? 64 : 0,
           .threaded = 1e6};

/* Where things lie in the staged planes; all follows from the pass. */
typedef struct layout {
    const conv_pass *pass;
    int64_t lowest[2]; /* least source position that output 0 reads */
    int64_t phases[2]; /* planes that the step splits a channel into */
    int64_t reach[2];  /* outputs by which the farthest tap shifts */
    int64_t pitch;     /* staged row to row */
    int64_t shared;    /* columns that are the right zeros of one row and the left of the next */
    bool whole;        /* the outputs of a band are one run, in the destination as well */
    bool direct;       /* tiles are stored in the destination, else in scratch memory first */
    int64_t band_rows, bands;
    int64_t plane, channel; /* floats of one staged phase, of all phases of a channel */
    int64_t k;              /* terms of a sum */
    int64_t panels, panel_size;
    int64_t stage_size, c_step;
    int64_t tasks, slots;
    float *weights;  /* packed, group by group */
    int32_t *offset; /* where term p's run starts in the staged planes */
    float *scratch;  /* of slot 0: stage, then results */
    int64_t per_slot;
} layout;

/* ---- layout ------------------------------------------------------------------------------ */

static void layout_axis(layout *l, int i) {
    const conv_axis *axis = &l->pass->axis[i];
    const int64_t far = axis->taps > 0 ? (axis->taps - 1) * axis->shift_step : 0;
    const int64_t span = far < 0 ? -far : far;
    l->lowest[i] = axis->shift_first + cpu_min(far, 0);
    l->phases[i] = cpu_min(axis->step, span + 1);
    l->reach[i] = span / axis->step;
}

/* Bands of output rows: as few as keep stage and results in the cache, and even. */
static void layout_bands(layout *l) {
    const conv_pass *pass = l->pass;
    const int64_t out = pass->axis[0].out;
    const int64_t staged = pass->channels * l->phases[0] * l->phases[1] * l->pitch;
    const int64_t row = cpu_max(1, staged + pass->rows * l->pitch); /* no channels at all: 0 */
    const int64_t fit = cpu_max(1, (block.band - staged * l->reach[0]) / row);
    l->bands = (out + fit - 1) / fit;
    l->band_rows = l->bands ? (out + l->bands - 1) / l->bands : 0;
}

/* Whether tiles may go straight to the destination. Where zeros lie between the rows of
 * outputs, a tile then ends with its row, which pays for short sums and rows that
 * nearly fill their vectors. */
static void layout_direct(layout *l) {
    const conv_pass *pass = l->pass;
    const conv_axis *y = &pass->axis[0], *x = &pass->axis[1];
    const bool filled = 4 * x->out >= 3 * gemm_round_up(x->out, V_WIDTH);
    l->whole = l->pitch == x->out && x->out == pass->out_extent[1] && y->to_step == 1;
    l->direct = x->to_step == 1 && l->k <= block.k && (!pass->bias || pass->bias_step == 1) &&
                (l->whole || (filled && l->k <= block.short_k));
}

static layout plan(const conv_pass *pass, int threads) {
    layout l = {.pass = pass};
    layout_axis(&l, 0);
    layout_axis(&l, 1);
    const conv_axis *wide = &pass->axis[1];
    if (wide->step == 1) {
        const int64_t right = wide->out + l.reach[1] + l.lowest[1] - wide->in;
        l.shared = cpu_max(0, cpu_min(l.reach[1], cpu_min(-l.lowest[1], right)));
    }
    l.pitch = cpu_max(1, wide->out + l.reach[1] - l.shared);
    layout_bands(&l);
    l.plane = (l.band_rows + l.reach[0]) * l.pitch;
    l.channel = l.plane * l.phases[0] * l.phases[1];
    l.k = pass->channels * pass->axis[0].taps * wide->taps;
    layout_direct(&l);
    l.panels = gemm_row_panels(pass->rows);
    l.panel_size = GEMM_ROWS * l.k + V_WIDTH;
    l.stage_size = gemm_round_up(pass->channels * l.channel + l.shared + GEMM_COLS, 16);
    l.c_step = gemm_round_up(l.band_rows * l.pitch, 16);
    l.per_slot = l.stage_size + (l.direct ? 0 : l.c_step * pass->rows);
    l.tasks = pass->batch * pass->groups * l.bands;
    const double work = (double)l.tasks * (double)l.c_step * (double)pass->rows * (double)l.k;
    l.slots = work < block.threaded ? 1 : cpu_max(1, cpu_min(threads, l.tasks));
    return l;
}

static int64_t weights_size(const layout *l) {
    return gemm_round_up(l->pass->groups * l->panels * l->panel_size, 16);
}

size_t conv_pass_workspace(const conv_pass *pass, int threads) {
    if (winograd_serves(pass))
        return winograd_workspace(pass, threads);
    const layout l = plan(pass, threads);
    return (size_t)(weights_size(&l) + gemm_round_up(l.k, 16) + l.slots * l.per_slot) *
           sizeof(float);
}

static void fill_offsets(const layout *l) {
    const conv_axis *y = &l->pass->axis[0], *x = &l->pass->axis[1];
    int32_t *offset = l->offset;
    for (int64_t c = 0; c < l->pass->channels; c++)
        for (int64_t i = 0; i < y->taps; i++)
            for (int64_t j = 0; j < x->taps; j++) {
                const int64_t v = y->shift_first + i * y->shift_step - l->lowest[0];
                const int64_t u = x->shift_first + j * x->shift_step - l->lowest[1];
                const int64_t phase = v % y->step * l->phases[1] + u % x->step;
                *offset++ = (int32_t)(c * l->channel + phase * l->plane + v / y->step * l->pitch +
                                      u / x->step);
            }
}

/* ---- weights ----------------------------------------------------------------------------- */

/* Packs one row panel of one group: term p of row i at p * rows + i. */
static void pack_task(const void *arg, int64_t index) {
    const layout *l = arg;
    const conv_pass *pass = l->pass;
    const int64_t panel = index % l->panels, group = index / l->panels;
    const int64_t row = gemm_row_start(pass->rows, panel);
    const int64_t rows = gemm_row_start(pass->rows, panel + 1) - row;
    const conv_axis *y = &pass->axis[0], *x = &pass->axis[1];
    float *dst = l->weights + index * l->panel_size;
    const float *src = pass->weight + group * pass->weight_group + row * pass->weight_row;
    for (int64_t c = 0; c < pass->channels; c++)
        for (int64_t i = 0; i < y->taps; i++)
            for (int64_t j = 0; j < x->taps; j++) {
                const float *tap = src + c * pass->weight_channel +
                                   (y->tap_first + i * y->tap_step) * pass->weight_tap[0] +
                                   (x->tap_first + j * x->tap_step) * pass->weight_tap[1];
                for (int64_t m = 0; m < rows; m++)
                    *dst++ = tap[m * pass->weight_row];
            }
}

/* ---- staging ----------------------------------------------------------------------------- */

SIMD_INLINE void zero_run(float *dst, int64_t count) {
    for (int64_t i = 0; i < count; i += V_WIDTH)
        v_store_part(dst + i, (vf){0}, cpu_min(V_WIDTH, count - i));
}

SIMD_INLINE void copy_run(const float *src, float *dst, int64_t count) {
    int64_t i = 0;
    for (; i + V_WIDTH <= count; i += V_WIDTH)
        v_store(dst + i, v_load(src + i));
    if (i < count)
        v_store_part(dst + i, v_load_part(src + i, count - i), count - i);
}

/* Number of i >= 0, up to `count`, with first + i * step < bound. */
static int64_t positions_below(int64_t bound, int64_t first, int64_t step, int64_t count) {
    return bound <= first ? 0 : cpu_min(count, (bound - first + step - 1) / step);
}

/* The columns of a window that the plane has, and where the first of them lies in a row of the
 * plane. */
typedef struct inside {
    int64_t begin, end, at;
} inside;

static inside columns_inside(const conv_window *w) {
    const int64_t begin = positions_below(0, w->first[1], w->step[1], w->count[1]);
    const int64_t bound = positions_below(w->extent[1], w->first[1], w->step[1], w->count[1]);
    return (inside){begin, cpu_max(begin, bound),
                    (w->first[1] + begin * w->step[1]) * w->stride[1]};
}

/* Row i of a window in its plane; NULL where it has none. */
static const float *row_inside(const conv_window *w, const inside *columns, int64_t i) {
    const int64_t y = w->first[0] + i * w->step[0];
    if (y < 0 || y >= w->extent[0] || columns->begin == columns->end)
        return NULL;
    return w->source + y * w->stride[0] + columns->at;
}

void conv_stage(const conv_window *w, float *dst) {
    const inside columns = columns_inside(w);
    const int64_t begin = columns.begin, end = columns.end, step = w->stride[1] * w->step[1];
    for (int64_t i = 0; i < w->count[0]; i++, dst += w->count[1]) {
        const float *src = row_inside(w, &columns, i);
        if (!src) {
            zero_run(dst, w->count[1]);
            continue;
        }
        zero_run(dst, begin);
        if (step == 1) {
            copy_run(src, dst + begin, end - begin);
        } else {
            for (int64_t j = begin; j < end; j++, src += step)
                dst[j] = *src;
        }
        zero_run(dst + end, w->count[1] - end);
    }
}

void conv_stage_last(const conv_window *w, int64_t channels, int64_t channel_stride, float *dst,
                     int64_t pitch) {
    const inside columns = columns_inside(w);
    const int64_t begin = columns.begin, end = columns.end, step = w->stride[1] * w->step[1];
    for (int64_t i = 0; i < w->count[0]; i++, dst += w->count[1] * pitch) {
        const float *src = row_inside(w, &columns, i);
        if (!src) {
            zero_run(dst, w->count[1] * pitch);
            continue;
        }
        zero_run(dst, begin * pitch);
        for (int64_t c = 0; c < channels; c += V_WIDTH)
            gemm_pack(src + c * channel_stride, channel_stride, step,
                      (int)cpu_min(V_WIDTH, channels - c), end - begin, dst + begin * pitch + c,
                      pitch);
        zero_run(dst + end * pitch, (w->count[1] - end) * pitch);
    }
}

/* Stages what the band at output row `top` reads: every phase of every channel. */
static void stage(const layout *l, int64_t image, int64_t group, int64_t top, float *dst) {
    const conv_pass *pass = l->pass;
    const conv_axis *y = &pass->axis[0], *x = &pass->axis[1];
    conv_window w = {.source = pass->source + image * pass->source_stride[0] +
                               group * pass->channels * pass->source_stride[1],
                     .extent = {y->in, x->in},
                     .stride = {pass->source_stride[2], pass->source_stride[3]},
                     .step = {y->step, x->step},
                     .count = {l->band_rows + l->reach[0], l->pitch}};
    for (int64_t c = 0; c < pass->channels; c++, w.source += pass->source_stride[1])
        for (int64_t v = 0; v < l->phases[0]; v++)
            for (int64_t u = 0; u < l->phases[1]; u++, dst += l->plane) {
                w.first[0] = l->lowest[0] + top * y->step + v;
                w.first[1] = l->lowest[1] + u;
                conv_stage(&w, dst);
            }
    zero_run(dst, l->shared + GEMM_COLS);
}

/* ---- products ---------------------------------------------------------------------------- */

/* Outputs in a row: where they are read and written. */
typedef struct run {
    const float *weights; /* packed, of the group */
    const float *staged;
    float *c; /* row m of the results at c + m * c_step */
    int64_t c_step;
    int64_t count;     /* outputs */
    const float *bias; /* by row, or NULL */
    bool relu;         /* results are finished, and this is to be done to them */
} run;

/* Row panels [panel, end) of a run over terms [p, p + k). */
static void multiply_block(const layout *l, const run *r, int64_t panel, int64_t end, int64_t p,
                           int64_t k) {
    const int64_t all = l->pass->rows;
    for (int64_t q = 0; q < r->count; q += GEMM_COLS)
        for (int64_t i = panel; i < end; i++) {
            const int64_t row = gemm_row_start(all, i), rows = gemm_row_start(all, i + 1) - row;
            const gemm_tile t = {.rows = (int)rows,
                                 .cols = cpu_min(GEMM_COLS, r->count - q),
                                 .k = k,
                                 .a = r->weights + i * l->panel_size + p * rows,
                                 .b = r->staged + q,
                                 .b_offset = l->offset + p,
                                 .c = r->c + row * r->c_step + q,
                                 .c_step = r->c_step,
                                 .start = r->bias ? r->bias + row : NULL,
                                 .accumulate = p > 0,
                                 .relu = r->relu};
            gemm_tile_run(&t);
        }
}

/* Results of a band into scratch memory, rows of the staged planes' pitch. */
static void multiply_band(const layout *l, run *r, int64_t band_rows) {
    r->count = (band_rows - 1) * l->pitch + l->pass->axis[1].out;
    int64_t p = 0;
    do { /* sums over nothing are to be stored as well */
        const int64_t k = cpu_min(block.k, l->k - p);
        const int64_t together = cpu_max(1, block.weights / (GEMM_ROWS * cpu_max(1, k)));
        for (int64_t i = 0; i < l->panels; i += together)
            multiply_block(l, r, i, cpu_min(i + together, l->panels), p, k);
        p += k;
    } while (p < l->k);
}

/* Results of a band straight to `out`, row 0 of the first output channel's plane. */
static void multiply_direct(const layout *l, run *r, int64_t top, int64_t band_rows, float *out) {
    const conv_pass *pass = l->pass;
    const conv_axis *y = &pass->axis[0], *x = &pass->axis[1];
    const int64_t runs = l->whole ? 1 : band_rows;
    r->c_step = pass->out_extent[0] * pass->out_extent[1];
    r->count = l->whole ? band_rows * l->pitch : x->out;
    for (int64_t i = 0; i < runs; i++, r->staged += l->pitch) {
        const int64_t row = y->to_first + (top + i) * y->to_step;
        r->c = out + row * pass->out_extent[1] + x->to_first;
        multiply_block(l, r, 0, l->panels, 0, l->k);
    }
}

/* dst[i * step] = max(src[i] + shift, lowest), NaN and -0 stay */
SIMD_INLINE void finish_run(const float *src, float *dst, int64_t step, int64_t count, float shift,
                            float lowest) {
    const vf add = v_set(shift), least = v_set(lowest);
    for (int64_t i = 0; i < count; i += V_WIDTH) {
        const int64_t part = cpu_min(V_WIDTH, count - i);
        const vf x = part == V_WIDTH ? v_load(src + i) : v_load_part(src + i, part);
        const vf y = v_max(least, x + add);
        if (step != 1)
            for (int64_t j = 0; j < part; j++)
                dst[(i + j) * step] = y[j];
        else if (part == V_WIDTH)
            v_store(dst + i, y);
        else
            v_store_part(dst + i, y, part);
    }
}

/* Stores the results of a band without the columns between rows, plus bias, after relu. */
static void store_band(const layout *l, int64_t first_channel, int64_t top, int64_t band_rows,
                       const float *c, float *plane) {
    const conv_pass *pass = l->pass;
    const conv_axis *y = &pass->axis[0], *x = &pass->axis[1];
    const float lowest = pass->relu ? 0 : -INFINITY;
    for (int64_t m = 0; m < pass->rows; m++) {
        const float bias = pass->bias ? pass->bias[(first_channel + m) * pass->bias_step] : 0;
        for (int64_t i = 0; i < band_rows; i++) {
            const float *src = c + m * l->c_step + i * l->pitch;
            float *dst =
                plane + (y->to_first + (top + i) * y->to_step) * pass->out_extent[1] + x->to_first;
            finish_run(src, dst, x->to_step, x->out, bias, lowest);
        }
        plane += pass->out_extent[0] * pass->out_extent[1];
    }
}

/* One band of one group of one image. */
static void compute_band(const layout *l, int64_t image, int64_t group, int64_t top,
                         float *scratch) {
    const conv_pass *pass = l->pass;
    const int64_t band_rows = cpu_min(l->band_rows, pass->axis[0].out - top);
    if (band_rows <= 0)
        return;
    const int64_t channel = group * pass->rows;
    float *out = pass->out + (image * pass->groups * pass->rows + channel) * pass->out_extent[0] *
                                 pass->out_extent[1];
    run r = {.weights = l->weights + group * l->panels * l->panel_size, .staged = scratch};
    stage(l, image, group, top, scratch);
    if (l->direct) {
        r.bias = pass->bias ? pass->bias + channel : NULL;
        r.relu = pass->relu;
        multiply_direct(l, &r, top, band_rows, out);
    } else {
        r.c = scratch + l->stage_size;
        r.c_step = l->c_step;
        multiply_band(l, &r, band_rows);
        store_band(l, channel, top, band_rows, r.c, out);
    }
}

/* The tasks of one slot, which has scratch memory of its own. */
static void slot_task(const void *arg, int64_t slot) {
    const layout *l = arg;
    const int64_t end = l->tasks * (slot + 1) / l->slots;
    for (int64_t task = l->tasks * slot / l->slots; task < end; task++) {
        const int64_t plane = task / l->bands;
        compute_band(l, plane / l->pass->groups, plane % l->pass->groups,
                     task % l->bands * l->band_rows, l->scratch + slot * l->per_slot);
    }
}

void conv_pass_run(const conv_pass *pass, void *workspace, int threads) {
    if (winograd_serves(pass)) {
        winograd_run(pass, workspace, threads);
        return;
    }
    layout l = plan(pass, threads);
    if (l.tasks == 0 || pass->rows == 0 || pass->axis[1].out == 0)
        return;
    l.weights = workspace;
    l.offset = (int32_t *)(l.weights + weights_size(&l));
    l.scratch = l.weights + weights_size(&l) + gemm_round_up(l.k, 16);
    fill_offsets(&l);
    simd_parallel((int)l.slots, pass->groups * l.panels, pack_task, &l);
    simd_parallel((int)l.slots, l.slots, slot_task, &l);
}
