/* simd_winograd.c: the correlation of simd_winograd.h. Channels come last in all that is
 * transformed.
 *
 * A task takes a band of tile rows, n tiles in all, of one group:
 *
 *     B^T d B of the n tiles                            v[places][n][channels]
 *     for panels of GEMM_COLS output channels:
 *       for the places: a product with G w G^T          m[places][n][panel]
 *       A^T m A, bias, relu, and back to planes         to the destination */
#include "simd_winograd.h"

#include <math.h>

#include "simd_winograd_tiles.h"

enum { OUT = WINOGRAD_OUT };

static const struct {
    int64_t v;       /* floats of a band's transformed tiles */
    int64_t tiles;   /* but so many tiles, to keep the products' pipelines busy */
    double threaded; /* multiplications below which threads do not pay */
} block = {.v = 64 * 1024, .tiles = 2 * GEMM_ROWS, .threaded = 1e6};

/* Where things lie; all follows from the pass. */
typedef struct layout {
    const conv_pass *pass;
    winograd_grid grid;
    int64_t places, taps;
    int64_t lowest[2];          /* least source position that output 0 reads */
    int64_t panels, panel_size; /* of the weights of a group at one place */
    int64_t pitch;              /* floats of a tile's channels in v */
    int64_t v_step, m_step;     /* floats from one place of v, of m, to the next */
    int64_t y_size;             /* floats of a tile row's outputs */
    int64_t tasks, slots;       /* tasks of all groups */
    float *weights;             /* [groups, panels, places, channels, GEMM_COLS] */
    float *scratch;             /* of slot 0: what transforms take, v, m, y */
} layout;

/* ---- layout ------------------------------------------------------------------------------ */

static bool axis_serves(const conv_axis *axis) {
    return (axis->taps == 3 || axis->taps == 5) && axis->step == 1 && axis->to_step == 1 &&
           (axis->shift_step == 1 || axis->shift_step == -1);
}

bool winograd_serves(const conv_pass *pass) {
    const conv_axis *y = &pass->axis[0], *x = &pass->axis[1];
    return pass->winograd && axis_serves(y) && axis_serves(x) && y->taps == x->taps &&
           winograd_pays(y->taps, pass->channels, pass->rows, y->out, x->out);
}

static layout plan(const conv_pass *pass, int threads) {
    layout l = {.pass = pass, .taps = pass->axis[0].taps};
    l.places = (l.taps + 1) * (l.taps + 1);
    for (int i = 0; i < 2; i++)
        l.lowest[i] = pass->axis[i].shift_first - (pass->axis[i].shift_step < 0 ? l.taps - 1 : 0);
    l.pitch = gemm_round_up(pass->channels, V_WIDTH);
    l.grid = winograd_grid_of(l.taps, pass->batch, pass->axis[0].out, pass->axis[1].out,
                              cpu_max(block.tiles, block.v / (l.places * l.pitch)));
    l.panels = (pass->rows + GEMM_COLS - 1) / GEMM_COLS;
    l.panel_size = GEMM_COLS * pass->channels + WINOGRAD_APART;
    l.v_step = l.grid.band * l.grid.tiles * l.pitch + WINOGRAD_APART;
    l.m_step = l.grid.band * l.grid.tiles * GEMM_COLS + WINOGRAD_APART;
    l.y_size = OUT * OUT * l.grid.tiles * GEMM_COLS;
    l.tasks = l.grid.rows ? pass->groups * ((l.grid.rows + l.grid.band - 1) / l.grid.band) : 0;
    const double work = (double)(l.grid.rows * l.grid.tiles) * (double)l.places *
                        (double)(pass->channels * pass->rows);
    l.slots = work < block.threaded ? 1 : cpu_max(1, cpu_min(threads, l.tasks));
    return l;
}

static int64_t weights_size(const layout *l) {
    return l->pass->groups * l->places * l->panels * l->panel_size;
}

static int64_t slot_size(const layout *l) {
    return gemm_round_up(winograd_scratch(&l->grid, l->pass->channels) +
                             l->places * (l->v_step + l->m_step) + l->y_size,
                         16);
}

size_t winograd_workspace(const conv_pass *pass, int threads) {
    const layout l = plan(pass, threads);
    return (size_t)(weights_size(&l) + l.slots * slot_size(&l)) * sizeof(float);
}

/* ---- weights ----------------------------------------------------------------------------- */

/* G w G^T of an output channel and a source channel. All but the pointers are constants where this
 * is inlined. */
SIMD_INLINE void transform_weight(int in, const conv_pass *pass, const float *w, float *u) {
    const conv_axis *y = &pass->axis[0], *x = &pass->axis[1];
    const int taps = in - 1;
    float half[WINOGRAD_TAPS][WINOGRAD_IN];
    for (int i = 0; i < taps; i++) {
        const int64_t row = y->shift_step < 0 ? taps - 1 - i : i;
        float tap[WINOGRAD_TAPS];
        for (int j = 0; j < taps; j++) {
            const int64_t col = x->shift_step < 0 ? taps - 1 - j : j;
            tap[j] = w[(y->tap_first + row * y->tap_step) * pass->weight_tap[0] +
                       (x->tap_first + col * x->tap_step) * pass->weight_tap[1]];
        }
        winograd_weights(in, tap, 1, half[i], 1);
    }
    for (int j = 0; j < in; j++)
        winograd_weights(in, &half[0][j], WINOGRAD_IN, &u[j], in);
}

/* Packs one panel of one group: at each place, channel c of column i at c * pitch + i. */
static void pack_task(const void *arg, int64_t index) {
    const layout *l = arg;
    const conv_pass *pass = l->pass;
    const int64_t panel = index % l->panels, group = index / l->panels, row = panel * GEMM_COLS;
    const int64_t cols = cpu_min(GEMM_COLS, pass->rows - row), pitch = gemm_pitch(cols);
    float *dst = l->weights + index * l->places * l->panel_size;
    for (int64_t c = 0; c < pass->channels; c++)
        for (int64_t i = 0; i < pitch; i++) {
            const float *w = pass->weight + group * pass->weight_group +
                             (row + i) * pass->weight_row + c * pass->weight_channel;
            float u[WINOGRAD_PLACES] = {0};
            if (i < cols && l->taps == 3)
                transform_weight(4, pass, w, u);
            else if (i < cols)
                transform_weight(6, pass, w, u);
            for (int64_t place = 0; place < l->places; place++)
                dst[place * l->panel_size + c * pitch + i] = u[place];
        }
}

/* ---- products ---------------------------------------------------------------------------- */

/* m of n tiles for a panel of `cols` output channels. */
static void multiply(const layout *l, const float *weights, int64_t cols, int64_t n, const float *v,
                     float *m) {
    for (int64_t place = 0; place < l->places; place++)
        for (int64_t panel = 0; panel < gemm_row_panels(n); panel++) {
            const int64_t tile = gemm_row_start(n, panel);
            const gemm_tile t = {.rows = (int)(gemm_row_start(n, panel + 1) - tile),
                                 .cols = cols,
                                 .k = l->pass->channels,
                                 .a = v + place * l->v_step + tile * l->pitch,
                                 .a_step = l->pitch,
                                 .b = weights + place * l->panel_size,
                                 .b_step = gemm_pitch(cols),
                                 .c = m + place * l->m_step + tile * GEMM_COLS,
                                 .c_step = GEMM_COLS};
            gemm_tile_run(&t);
        }
}

/* ---- tiles of the output ----------------------------------------------------------------- */

/* The tile Y of V_WIDTH output channels from m: y[row][column]. */
SIMD_INLINE void finish_tile(int in, const float *m, int64_t step, vf y[OUT][OUT]) {
    vf half[OUT][WINOGRAD_IN];
    GEMM_UNROLL
    for (int j = 0; j < in; j++) {
        vf column[WINOGRAD_IN], two[OUT];
        GEMM_UNROLL
        for (int i = 0; i < in; i++)
            column[i] = v_load(m + (i * in + j) * step);
        winograd_sums(in, column, two);
        half[0][j] = two[0];
        half[1][j] = two[1];
    }
    winograd_sums(in, half[0], y[0]);
    winograd_sums(in, half[1], y[1]);
}

/* A panel of output channels: the first of them, how many, and their bias. */
typedef struct outputs {
    const layout *l;
    int64_t channel, cols; /* counted through all groups */
    float bias[GEMM_COLS];
} outputs;

/* The outputs of a tile row, channels last: y[OUT][OUT * tiles][GEMM_COLS]. */
SIMD_INLINE void finish_row(int in, const outputs *o, const float *m, float *y) {
    const int64_t tiles = o->l->grid.tiles;
    const vf lowest = v_set(o->l->pass->relu ? 0 : -INFINITY);
    for (int64_t tile = 0; tile < tiles; tile++)
        for (int64_t c = 0; c < o->cols; c += V_WIDTH) {
            const vf bias = v_load(o->bias + c);
            float *to = y + OUT * tile * GEMM_COLS + c;
            vf two[OUT][OUT];
            finish_tile(in, m + tile * GEMM_COLS + c, o->l->m_step, two);
            for (int i = 0; i < OUT; i++)
                for (int j = 0; j < OUT; j++)
                    v_store(to + (i * OUT * tiles + j) * GEMM_COLS,
                            v_max(lowest, two[i][j] + bias));
        }
}

/* A tile row's outputs to their planes: row `top` of the pass's outputs in `image`, and the one
 * below. */
static void store_row(const outputs *o, int64_t image, int64_t top, const float *y) {
    const conv_pass *pass = o->l->pass;
    const conv_axis *down = &pass->axis[0], *across = &pass->axis[1];
    const int64_t pitch = pass->out_extent[1], plane = pass->out_extent[0] * pitch;
    float *dst = pass->out + (image * pass->groups * pass->rows + o->channel) * plane +
                 (down->to_first + top) * pitch + across->to_first;
    for (int64_t i = 0; i < cpu_min(OUT, down->out - top); i++)
        for (int64_t x = 0; x < across->out; x += V_WIDTH)
            gemm_transpose(y + (i * OUT * o->l->grid.tiles + x) * GEMM_COLS, GEMM_COLS,
                           (int)cpu_min(V_WIDTH, across->out - x), o->cols, dst + i * pitch + x,
                           plane, false);
}

/* The outputs of a panel of channels from m. */
static void finish_panel(const outputs *o, int64_t begin, int64_t end, const float *m, float *y) {
    const winograd_grid *grid = &o->l->grid;
    for (int64_t at = begin; at < end; at++, m += grid->tiles * GEMM_COLS) {
        if (grid->in == 4)
            finish_row(4, o, m, y);
        else
            finish_row(6, o, m, y);
        store_row(o, at / grid->tile_rows, OUT * (at % grid->tile_rows), y);
    }
}

/* ---- tasks ------------------------------------------------------------------------------- */

static outputs outputs_of(const layout *l, int64_t group, int64_t panel) {
    const conv_pass *pass = l->pass;
    const int64_t row = panel * GEMM_COLS;
    outputs o = {
        .l = l, .channel = group * pass->rows + row, .cols = cpu_min(GEMM_COLS, pass->rows - row)};
    for (int64_t i = 0; pass->bias && i < o.cols; i++)
        o.bias[i] = pass->bias[(o.channel + i) * pass->bias_step];
    return o;
}

static void compute(const layout *l, int64_t group, int64_t begin, int64_t end, float *scratch) {
    const conv_pass *pass = l->pass;
    float *v = scratch + winograd_scratch(&l->grid, pass->channels), *m = v + l->places * l->v_step;
    winograd_planes planes = {.data =
                                  pass->source + group * pass->channels * pass->source_stride[1],
                              .channels = pass->channels,
                              .extent = {pass->axis[0].in, pass->axis[1].in},
                              .first = {l->lowest[0], l->lowest[1]}};
    for (int axis = 0; axis < 4; axis++)
        planes.stride[axis] = pass->source_stride[axis];
    winograd_source(&l->grid, &planes, begin, end, scratch, v, l->pitch, l->v_step);
    for (int64_t panel = 0; panel < l->panels; panel++) {
        const outputs o = outputs_of(l, group, panel);
        multiply(l, l->weights + (group * l->panels + panel) * l->places * l->panel_size, o.cols,
                 (end - begin) * l->grid.tiles, v, m);
        finish_panel(&o, begin, end, m, m + l->places * l->m_step);
    }
}

/* The tasks of one slot, which has scratch memory of its own. */
static void slot_task(const void *arg, int64_t slot) {
    const layout *l = arg;
    const int64_t band = l->grid.band, bands = l->tasks / l->pass->groups;
    for (int64_t task = l->tasks * slot / l->slots; task < l->tasks * (slot + 1) / l->slots;
         task++) {
        const int64_t begin = task % bands * band;
        compute(l, task / bands, begin, cpu_min(begin + band, l->grid.rows),
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
