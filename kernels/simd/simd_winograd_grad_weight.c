/* simd_winograd_grad_weight.c: the gradient by the weight of simd_winograd.h.
 *
 *     for parts of the batch, groups, blocks of o:           in parallel; a part has its own sums
 *       for bands of tile rows of the part, n tiles:
 *         B^T d B                                            v[places][n][channels]
 *         for some row panels of o: A g A^T                  a[panels][places][n][o]
 *           for the places: a product, added to the sums     sums[places][o][channels]
 *     for rows of dw: sum of the parts, in order, G^T .. G   in parallel */
#include "simd_winograd.h"
#include "simd_winograd_tiles.h"

/* Row panels of the products whose gradients are transformed together. */
enum { PANELS = V_WIDTH == 16 ? 2 : 4 };

static const struct {
    int64_t v;       /* floats of a band's transformed tiles of the source */
    int64_t tiles;   /* but so many tiles, over which the products sum */
    int64_t parts;   /* most parts of the batch */
    int64_t sums;    /* most floats in the sums of all parts */
    int64_t tasks;   /* tasks are made smaller until there are so many */
    double threaded; /* multiplications below which threads do not pay */
} block = {
    .v = 128 * 1024, .tiles = 96, .parts = 16, .sums = 4 << 20, .tasks = 16, .threaded = 1e6};

/* Sizes and places; all but slots and pointers follow from the shapes. */
typedef struct layout {
    const qn_view *x, *g;
    const qn_conv2d_attrs *attrs;
    winograd_grid grid;                     /* of the images of a part */
    int64_t images, groups, channels, rows; /* channels and rows (output channels) of a group */
    int64_t taps, places;
    int64_t panels, block_panels, blocks; /* row panels; of a task; tasks of a group and part */
    int64_t parts, sums;                  /* floats of one part's sums */
    int64_t pitch;                        /* floats of a tile's channels in v */
    int64_t v_step, a_step;               /* floats from one place to the next */
    int64_t tasks, slots;
    float *part_sums; /* [parts, groups, places, rows, channels] */
    float *scratch;   /* of slot 0: what transforms take, v, a */
} layout;

/* ---- layout ------------------------------------------------------------------------------ */

static void layout_tasks(layout *l, int threads) {
    l->panels = gemm_row_panels(l->rows);
    l->sums = l->groups * l->places * l->rows * l->channels;
    l->parts = cpu_min(block.parts, cpu_min(l->images, block.sums / l->sums));
    l->parts = cpu_max(1, l->parts);
    l->block_panels = cpu_max(1, l->parts * l->groups * l->panels / block.tasks);
    l->block_panels = cpu_min(l->block_panels, l->panels);
    l->blocks = (l->panels + l->block_panels - 1) / l->block_panels;
    l->tasks = l->parts * l->groups * l->blocks;
    const double tiles = (double)(l->images * l->grid.tile_rows * l->grid.tiles);
    l->slots =
        (double)l->sums * tiles < block.threaded ? 1 : cpu_max(1, cpu_min(threads, l->tasks));
}

static layout plan(const qn_call *call) {
    const qn_view *x = &call->in[0], *g = &call->in[1], *dw = &call->out[0];
    layout l = {.x = x, .g = g, .attrs = call->attrs, .images = x->shape[0]};
    l.groups = l.attrs->groups;
    l.channels = dw->shape[1];
    l.rows = dw->shape[0] / l.groups;
    l.taps = dw->shape[2];
    l.places = (l.taps + 1) * (l.taps + 1);
    l.grid = winograd_grid_of(l.taps, 1, g->shape[2], g->shape[3], 1);
    l.pitch = gemm_round_up(l.channels, V_WIDTH);
    layout_tasks(&l, call->threads);
    l.grid = winograd_grid_of(l.taps, (l.images + l.parts - 1) / l.parts, g->shape[2], g->shape[3],
                              cpu_max(block.tiles, block.v / (l.places * l.pitch)));
    const int64_t tiles = l.grid.band * l.grid.tiles;
    l.v_step = tiles * l.pitch + WINOGRAD_APART;
    l.a_step = tiles * GEMM_ROWS + V_WIDTH + WINOGRAD_APART;
    return l;
}

static bool is_square(const int32_t *pair, int32_t wanted) {
    return pair[0] == wanted && pair[1] == wanted;
}

bool winograd_grad_weight_serves(const qn_call *call) {
    const qn_view *g = &call->in[1], *dw = &call->out[0];
    const qn_conv2d_attrs *attrs = call->attrs;
    const int64_t taps = dw->shape[2];
    if (call->precision == QN_PRECISION_BF16 || (taps != 3 && taps != 5) || dw->shape[3] != taps ||
        !is_square(attrs->stride, 1) || !is_square(attrs->dilation, 1) || g->shape[0] == 0)
        return false;
    const layout l = plan(call);
    const int64_t rows = cpu_min(l.rows, l.block_panels * GEMM_ROWS);
    return winograd_pays(taps, l.channels, rows, g->shape[2], g->shape[3]);
}

/* Floats of what the transforms of the source, or of a row panel of gradients, take. */
static int64_t scratch_size(const layout *l) {
    return winograd_scratch(&l->grid, cpu_max(l->channels, GEMM_ROWS));
}

static int64_t slot_size(const layout *l) {
    return gemm_round_up(scratch_size(l) + l->places * (l->v_step + PANELS * l->a_step) + V_WIDTH,
                         16);
}

size_t winograd_grad_weight_workspace(const qn_call *call) {
    const layout l = plan(call);
    return (size_t)(gemm_round_up(l.parts * l.sums, 16) + l.slots * slot_size(&l)) * sizeof(float);
}

/* ---- bands ------------------------------------------------------------------------------- */

/* Tile rows of one part, counted through all images. */
typedef struct band {
    int64_t group, begin, end;
} band;

/* `count` channels from `first` on of a view [n, c, h, w], whose tiles
 * start `padding` before it. */
static winograd_planes planes_of(const qn_view *view, int64_t first, int64_t count,
                                 const int32_t *padding) {
    winograd_planes planes = {.data = (const float *)view->data + first * view->stride[1],
                              .channels = count,
                              .extent = {view->shape[2], view->shape[3]},
                              .first = {-padding[0], -padding[1]}};
    for (int axis = 0; axis < 4; axis++)
        planes.stride[axis] = view->stride[axis];
    return planes;
}

/* The gradients of row panels [panel, end), a panel after the other. */
static void transform_gradients(const layout *l, const band *b, int64_t panel, int64_t end,
                                float *scratch, float *a) {
    static const int32_t no_padding[2] = {0, 0};
    for (; panel < end; panel++, a += l->places * l->a_step) {
        const int64_t row = gemm_row_start(l->rows, panel);
        const int64_t rows = gemm_row_start(l->rows, panel + 1) - row;
        const winograd_planes planes = planes_of(l->g, b->group * l->rows + row, rows, no_padding);
        winograd_outputs(&l->grid, &planes, b->begin, b->end, scratch, a, rows, l->a_step);
    }
}

/* Adds the products of row panels [panel, end) at all places to a group's sums, or starts them. */
static void multiply(const layout *l, int64_t panel, int64_t end, int64_t n, const float *a,
                     const float *v, float *sums, bool accumulate) {
    for (int64_t place = 0; place < l->places; place++)
        for (int64_t c = 0; c < l->channels; c += GEMM_COLS)
            for (int64_t i = panel; i < end; i++) {
                const int64_t row = gemm_row_start(l->rows, i);
                const gemm_tile t = {.rows = (int)(gemm_row_start(l->rows, i + 1) - row),
                                     .cols = cpu_min(GEMM_COLS, l->channels - c),
                                     .k = n,
                                     .a = a + ((i - panel) * l->places + place) * l->a_step,
                                     .b = v + place * l->v_step + c,
                                     .b_step = l->pitch,
                                     .c = sums + (place * l->rows + row) * l->channels + c,
                                     .c_step = l->channels,
                                     .accumulate = accumulate};
                gemm_tile_run(&t);
            }
}

/* One band and the row panels of one task. */
static void add_band(const layout *l, const band *b, int64_t panel, int64_t end, float *scratch,
                     float *sums, bool accumulate) {
    float *v = scratch + scratch_size(l), *a = v + l->places * l->v_step;
    const winograd_planes planes =
        planes_of(l->x, b->group * l->channels, l->channels, l->attrs->padding);
    winograd_source(&l->grid, &planes, b->begin, b->end, scratch, v, l->pitch, l->v_step);
    for (; panel < end; panel += PANELS) {
        const int64_t next = cpu_min(panel + PANELS, end);
        transform_gradients(l, b, panel, next, scratch, a);
        multiply(l, panel, next, (b->end - b->begin) * l->grid.tiles, a, v, sums, accumulate);
    }
}

/* The tasks of one slot, which has scratch memory of its own. */
static void slot_task(const void *arg, int64_t slot) {
    const layout *l = arg;
    const int64_t last = l->tasks * (slot + 1) / l->slots;
    for (int64_t task = l->tasks * slot / l->slots; task < last; task++) {
        const int64_t panel = task % l->blocks * l->block_panels;
        const int64_t group = task / l->blocks % l->groups, part = task / l->blocks / l->groups;
        const int64_t begin = l->images * part / l->parts * l->grid.tile_rows;
        const int64_t stop = l->images * (part + 1) / l->parts * l->grid.tile_rows;
        float *sums = l->part_sums + part * l->sums + group * l->places * l->rows * l->channels;
        for (int64_t row = begin; row < stop; row += l->grid.band) {
            const band b = {group, row, cpu_min(row + l->grid.band, stop)};
            add_band(l, &b, panel, cpu_min(panel + l->block_panels, l->panels),
                     l->scratch + slot * slot_size(l), sums, row > begin);
        }
    }
}

/* ---- the sum of the parts ---------------------------------------------------------------- */

typedef struct reduction {
    const layout *of;
    float *out;
} reduction;

/* The sums of all parts, of V_WIDTH channels or fewer, at all places. */
static void add_parts(const layout *l, const float *sums, int64_t count, vf *u) {
    for (int64_t place = 0; place < l->places; place++) {
        const float *p = sums + place * l->rows * l->channels;
        u[place] = v_load_part(p, count);
        for (int64_t part = 1; part < l->parts; part++)
            u[place] += v_load_part(p + part * l->sums, count);
    }
}

/* G^T u G: w[tap][lane]. */
SIMD_INLINE void finish_taps(int in, const vf *u, vf *w) {
    const int taps = in - 1;
    vf half[WINOGRAD_TAPS][WINOGRAD_IN];
    for (int j = 0; j < in; j++) {
        vf column[WINOGRAD_IN], t[WINOGRAD_TAPS];
        for (int i = 0; i < in; i++)
            column[i] = u[i * in + j];
        winograd_taps(in, column, t);
        for (int i = 0; i < taps; i++)
            half[i][j] = t[i];
    }
    for (int i = 0; i < taps; i++)
        winograd_taps(in, half[i], w + i * taps);
}

/* One row of dw. */
static void reduce_task(const void *arg, int64_t index) {
    const reduction *r = arg;
    const layout *l = r->of;
    const int64_t group = index / l->rows, row = index % l->rows, taps = l->taps * l->taps;
    const float *sums = l->part_sums + (group * l->places * l->rows + row) * l->channels;
    float *out = r->out + index * l->channels * taps;
    for (int64_t c = 0; c < l->channels; c += V_WIDTH) {
        const int64_t count = cpu_min(V_WIDTH, l->channels - c);
        vf u[WINOGRAD_PLACES], w[WINOGRAD_TAPS * WINOGRAD_TAPS];
        add_parts(l, sums + c, count, u);
        if (l->taps == 3)
            finish_taps(4, u, w);
        else
            finish_taps(6, u, w);
        for (int64_t lane = 0; lane < count; lane++)
            for (int64_t tap = 0; tap < taps; tap++)
                *out++ = w[tap][lane];
    }
}

void winograd_grad_weight_run(const qn_call *call) {
    layout l = plan(call);
    l.part_sums = call->workspace;
    l.scratch = l.part_sums + gemm_round_up(l.parts * l.sums, 16);
    simd_parallel((int)l.slots, l.slots, slot_task, &l);
    simd_parallel((int)l.slots, l.groups * l.rows, reduce_task,
                  &(reduction){.of = &l, .out = call->out[0].data});
}
