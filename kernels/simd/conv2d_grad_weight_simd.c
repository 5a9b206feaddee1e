/* conv2d_grad_weight_simd.c: the gradient of conv2d by its weight, f32.
 *
 *     dw[o][c][j] = sum over images and outputs q of g[o][q] x[c][q stride + j dilation - padding]
 *
 * For each tap j this is a product whose sums run over outputs: a is g, packed, and b has a row an
 * output with a column a channel. With x staged channels last and zeros around it, such a row is a
 * run of memory and a tap is a shift, so b needs no packing (see simd_gemm.h). Where channels are
 * too few to fill a vector, the rows are gathered instead, channels times taps long.
 *
 *     for parts of the batch, groups, blocks of o:   in parallel; a part has its own sums
 *       for images of the part, bands of outputs:    staged x and packed g in L2
 *         for taps, column tiles, row panels: one tile, added to the part's sums
 *     for rows of dw: sum of the parts, in order     in parallel */
#include "simd_bf16.h"
#include "simd_winograd.h"

static const struct {
    int64_t band;    /* floats of a band's staged x and packed g, for 1 MB of L2 */
    int64_t parts;   /* most parts of the batch */
    int64_t sums;    /* most floats in the sums of all parts */
    int64_t panels;  /* most row panels in a task */
    int64_t tasks;   /* tasks are made smaller until there are so many */
    double threaded; /* multiplications below which threads do not pay */
} block = {
    .band = 112 * 1024, .parts = 16, .sums = 4 << 20, .panels = 8, .tasks = 16, .threaded = 1e6};

/* Sizes and places; all but slots and pointers follow from the shapes. */
typedef struct layout {
    const qn_view *x, *g;
    const qn_conv2d_attrs *attrs;
    int64_t images, groups, channels, rows; /* channels and rows (output channels) of a group */
    int64_t out_h, out_w, taps;
    bool in_place; /* g is read where it is, not packed */
    bool gathered; /* rows of b are gathered: channels times taps long */
    int64_t cols;  /* columns of b */
    int64_t pitch; /* floats from one row of b, or one staged pixel, to the next */
    int64_t width; /* staged pixels in a row */
    int64_t band_rows, bands, staged_rows;
    int64_t panels, block_panels, blocks;
    int64_t parts, sums; /* floats of one part's sums */
    int64_t a_panel, a_size, stage_size, b_size;
    int64_t tasks, slots;
    float *part_sums;
    int32_t *offset;
    float *scratch; /* of slot 0: packed g, staged x, gathered rows */
    int64_t per_slot;
} layout;

/* ---- layout ------------------------------------------------------------------------------ */

/* Source rows (axis 0) or columns (axis 1) that `outputs` outputs in a row read. */
static int64_t source_extent(const qn_conv2d_attrs *attrs, int axis, int64_t outputs) {
    return (outputs - 1) * attrs->stride[axis] + (attrs->kernel[axis] - 1) * attrs->dilation[axis] +
           1;
}

/* Bands of output rows: as few as fit the cache, and even. */
static void layout_bands(layout *l) {
    const int64_t pixel = l->gathered ? l->channels : l->pitch;
    const int64_t row = l->width * pixel * l->attrs->stride[0] +
                        l->out_w * (l->block_panels * GEMM_ROWS + (l->gathered ? l->pitch : 0));
    const int64_t fit = cpu_max(1, block.band / row);
    l->bands = (l->out_h + fit - 1) / fit;
    l->band_rows = (l->out_h + l->bands - 1) / l->bands;
    l->staged_rows = source_extent(l->attrs, 0, l->band_rows);
}

static void layout_tasks(layout *l, int threads) {
    l->panels = gemm_row_panels(l->rows);
    l->sums = l->groups * l->rows * l->channels * l->taps;
    l->parts = cpu_min(block.parts, cpu_min(l->images, block.sums / l->sums));
    l->parts = cpu_max(1, l->parts);
    l->block_panels = l->parts * l->groups * l->panels / block.tasks;
    l->block_panels = cpu_max(1, cpu_min(l->block_panels, block.panels));
    l->blocks = (l->panels + l->block_panels - 1) / l->block_panels;
    l->tasks = l->parts * l->groups * l->blocks;
    const double work = (double)l->sums * (double)(l->images * l->out_h * l->out_w);
    l->slots = work < block.threaded ? 1 : cpu_max(1, cpu_min(threads, l->tasks));
}

/* There is something to compute: no extent but the number of images may be 0. */
static layout plan(const qn_call *call) {
    const qn_view *x = &call->in[0], *g = &call->in[1], *dw = &call->out[0];
    layout l = {.x = x, .g = g, .attrs = call->attrs};
    l.images = x->shape[0];
    l.groups = l.attrs->groups;
    l.channels = dw->shape[1];
    l.rows = dw->shape[0] / l.groups;
    l.out_h = g->shape[2];
    l.out_w = g->shape[3];
    l.taps = dw->shape[2] * dw->shape[3];
    l.gathered = l.channels < V_WIDTH;
    l.cols = l.gathered ? l.channels * l.taps : l.channels;
    l.pitch = l.gathered ? l.cols + V_WIDTH : gemm_round_up(l.cols, V_WIDTH);
    l.width = source_extent(l.attrs, 1, l.out_w);
    l.in_place = l.gathered && g->stride[3] == 1 && g->stride[2] == l.out_w &&
                 g->stride[1] % 1024 != 0; /* rows must not fall into one set of L1 */
    layout_tasks(&l, call->threads);
    layout_bands(&l);
    const int64_t k = l.band_rows * l.out_w;
    l.a_panel = GEMM_ROWS * k + V_WIDTH;
    l.a_size = gemm_round_up(l.block_panels * l.a_panel, 16);
    const int64_t pixels = l.staged_rows * l.width;
    l.stage_size = gemm_round_up(pixels * (l.gathered ? l.channels : l.pitch) + GEMM_COLS, 16);
    l.b_size = l.gathered ? gemm_round_up(k * l.pitch + GEMM_COLS, 16) : 0;
    l.per_slot = l.a_size + l.stage_size + l.b_size;
    return l;
}

static bool is_empty(const qn_call *call) {
    return qn_view_count(&call->out[0]) == 0 || call->in[1].shape[2] * call->in[1].shape[3] == 0;
}

static size_t workspace_f32(const qn_call *call) {
    if (is_empty(call))
        return 0;
    if (winograd_grad_weight_serves(call))
        return winograd_grad_weight_workspace(call);
    const layout l = plan(call);
    const int64_t floats = gemm_round_up(l.parts * l.sums, 16) +
                           gemm_round_up(l.band_rows * l.out_w, 16) + l.slots * l.per_slot;
    return (size_t)floats * sizeof(float);
}

/* ---- staging x ---------------------------------------------------------------------------- */

/* First element of x in a group's first channel of an image. */
static const float *group_source(const layout *l, int64_t image, int64_t group) {
    return (const float *)l->x->data + image * l->x->stride[0] +
           group * l->channels * l->x->stride[1];
}

/* First element of g in a group's first channel of an image. */
static const float *group_gradient(const layout *l, int64_t image, int64_t group) {
    return (const float *)l->g->data + image * l->g->stride[0] + group * l->rows * l->g->stride[1];
}

static void zero_run(float *dst, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        dst[i] = 0;
}

/* The rows of a channel that the band at output row `top` reads. */
static conv_window band_window(const layout *l, const float *source, int64_t top) {
    return (conv_window){
        .source = source,
        .extent = {l->x->shape[2], l->x->shape[3]},
        .stride = {l->x->stride[2], l->x->stride[3]},
        .first = {top * l->attrs->stride[0] - l->attrs->padding[0], -l->attrs->padding[1]},
        .step = {1, 1},
        .count = {l->staged_rows, l->width}};
}

/* Stages these rows, channel by channel. */
static void stage_planes(const layout *l, const float *source, int64_t top, float *dst) {
    conv_window w = band_window(l, source, top);
    for (int64_t c = 0; c < l->channels; c++, w.source += l->x->stride[1])
        conv_stage(&w, dst + c * l->staged_rows * l->width);
}

/* The elements under one kernel row, for a row of outputs: `taps` floats for each, `step` apart. */
static void gather_taps(const layout *l, const float *src, float *dst) {
    const int64_t taps = l->attrs->kernel[1], step = l->attrs->dilation[1];
    const int64_t stride = l->attrs->stride[1], pitch = l->pitch;
    if (step == 1 && taps <= V_WIDTH) {
        for (int64_t x = 0; x < l->out_w; x++)
            v_store(dst + x * pitch, v_load(src + x * stride));
        return;
    }
    for (int64_t x = 0; x < l->out_w; x++)
        for (int64_t j = 0; j < taps; j++)
            dst[x * pitch + j] = src[x * stride + j * step];
}

/* Rows of b for a band: channels, kernel rows and kernel columns side by side. What a vector writes
 * behind its taps belongs to the next kernel row, which is gathered later, or to the pitch. */
static void gather(const layout *l, const float *staged, int64_t rows, float *dst) {
    const qn_conv2d_attrs *attrs = l->attrs;
    for (int64_t c = 0; c < l->channels; c++)
        for (int64_t i = 0; i < attrs->kernel[0]; i++, dst += attrs->kernel[1])
            for (int64_t y = 0; y < rows; y++) {
                const int64_t row =
                    c * l->staged_rows + y * attrs->stride[0] + i * attrs->dilation[0];
                gather_taps(l, staged + row * l->width, dst + y * l->out_w * l->pitch);
            }
}

/* ---- products ---------------------------------------------------------------------------- */

/* Packs the row panel of g that starts at src, for a band of `rows` output rows. */
static void pack_gradient(const layout *l, const float *src, int lanes, int64_t rows, float *dst) {
    const int64_t *stride = l->g->stride;
    if (stride[2] == l->out_w * stride[3]) {
        gemm_pack(src, stride[1], stride[3], lanes, rows * l->out_w, dst, lanes);
        return;
    }
    for (int64_t y = 0; y < rows; y++)
        gemm_pack(src + y * stride[2], stride[1], stride[3], lanes, l->out_w,
                  dst + y * l->out_w * lanes, lanes);
}

/* Adds the products of one band to the sums of row panels [panel, end). Rows of a: g in its place
 * or packed panels. */
static void add_band(const layout *l, int64_t panel, int64_t end, int64_t k, const float *g,
                     const float *packed, const float *b, float *sums) {
    const int64_t taps = l->gathered ? 1 : l->taps, kernel_w = l->attrs->kernel[1];
    for (int64_t col = 0; col < l->cols; col += GEMM_COLS)
        for (int64_t tap = 0; tap < taps; tap++) {
            const int64_t y = tap / kernel_w * l->attrs->dilation[0];
            const int64_t x = tap % kernel_w * l->attrs->dilation[1];
            gemm_tile t = {.cols = cpu_min(GEMM_COLS, l->cols - col),
                           .k = k,
                           .a_step = l->in_place ? l->g->stride[1] : 0,
                           .b = b + (y * l->width + x) * l->pitch + col,
                           .b_step = l->pitch,
                           .b_offset = l->gathered ? NULL : l->offset,
                           .c_step = taps * l->cols,
                           .accumulate = true};
            for (int64_t i = panel; i < end; i++) {
                const int64_t row = gemm_row_start(l->rows, i);
                t.rows = (int)(gemm_row_start(l->rows, i + 1) - row);
                t.a = l->in_place ? g + row * t.a_step : packed + (i - panel) * l->a_panel;
                t.c = sums + row * t.c_step + tap * l->cols + col;
                gemm_tile_run(&t);
            }
        }
}

/* One image: stages x and packs g band by band. */
static void add_image(const layout *l, int64_t image, int64_t group, int64_t panel, float *scratch,
                      float *sums) {
    const int64_t end = cpu_min(panel + l->block_panels, l->panels);
    float *a = scratch, *staged = a + l->a_size, *rows_of_b = staged + l->stage_size;
    const float *source = group_source(l, image, group);
    for (int64_t top = 0; top < l->out_h; top += l->band_rows) {
        const int64_t rows = cpu_min(l->band_rows, l->out_h - top);
        if (l->gathered) {
            stage_planes(l, source, top, staged);
            gather(l, staged, rows, rows_of_b);
        } else {
            const conv_window w = band_window(l, source, top);
            conv_stage_last(&w, l->channels, l->x->stride[1], staged, l->pitch);
        }
        const float *g = group_gradient(l, image, group) + top * l->g->stride[2];
        for (int64_t i = panel; i < end && !l->in_place; i++) {
            const int64_t row = gemm_row_start(l->rows, i);
            pack_gradient(l, g + row * l->g->stride[1], (int)(gemm_row_start(l->rows, i + 1) - row),
                          rows, a + (i - panel) * l->a_panel);
        }
        add_band(l, panel, end, rows * l->out_w, g, a, l->gathered ? rows_of_b : staged, sums);
    }
}

/* The tasks of one slot, which has scratch memory of its own. */
static void slot_task(const void *arg, int64_t slot) {
    const layout *l = arg;
    const int64_t size = l->rows * l->channels * l->taps; /* sums of one group */
    const int64_t last = l->tasks * (slot + 1) / l->slots;
    for (int64_t task = l->tasks * slot / l->slots; task < last; task++) {
        const int64_t panel = task % l->blocks * l->block_panels;
        const int64_t group = task / l->blocks % l->groups, part = task / l->blocks / l->groups;
        float *sums = l->part_sums + part * l->sums + group * size;
        const int64_t begin = gemm_row_start(l->rows, panel);
        const int64_t end = gemm_row_start(l->rows, cpu_min(panel + l->block_panels, l->panels));
        zero_run(sums + begin * l->channels * l->taps, (end - begin) * l->channels * l->taps);
        const int64_t stop = l->images * (part + 1) / l->parts;
        for (int64_t image = l->images * part / l->parts; image < stop; image++)
            add_image(l, image, group, panel, l->scratch + slot * l->per_slot, sums);
    }
}

/* ---- the sum of the parts ---------------------------------------------------------------- */

typedef struct reduction {
    const layout *of;
    float *out;
} reduction;

/* One row of dw: adds the parts in order, then puts channels before taps. */
static void reduce_task(const void *arg, int64_t row) {
    const reduction *r = arg;
    const layout *l = r->of;
    const int64_t size = l->channels * l->taps;
    float *sum = l->part_sums + row * size, *out = r->out + row * size;
    for (int64_t part = 1; part < l->parts; part++) {
        const float *next = sum + part * l->sums;
        for (int64_t i = 0; i < size; i++)
            sum[i] += next[i];
    }
    const int64_t taps = l->gathered ? 1 : l->taps;
    for (int64_t c = 0; c < l->cols; c++)
        for (int64_t tap = 0; tap < taps; tap++)
            *out++ = sum[tap * l->cols + c];
}

static const char *declines(const qn_call *call) {
    return call->in[0].dtype == QN_F32 ? NULL : "f32 only";
}

/* x [n, c, h, w], g [n, o, oh, ow] -> dw [o, c / groups, kh, kw] */
static qn_status run_f32(const qn_call *call) {
    if (is_empty(call)) {
        zero_run(call->out[0].data, qn_view_count(&call->out[0]));
        return QN_OK;
    }
    if (winograd_grad_weight_serves(call)) {
        winograd_grad_weight_run(call);
        return QN_OK;
    }
    layout l = plan(call);
    const int64_t k = l.band_rows * l.out_w;
    l.part_sums = call->workspace;
    l.offset = (int32_t *)(l.part_sums + gemm_round_up(l.parts * l.sums, 16));
    l.scratch = (float *)l.offset + gemm_round_up(k, 16);
    for (int64_t q = 0; q < k; q++)
        l.offset[q] = (int32_t)((q / l.out_w * l.attrs->stride[0] * l.width +
                                 q % l.out_w * l.attrs->stride[1]) *
                                l.pitch);
    simd_parallel((int)l.slots, l.slots, slot_task, &l);
    const reduction sum = {.of = &l, .out = call->out[0].data};
    simd_parallel((int)l.slots, l.groups * l.rows, reduce_task, &sum);
    return QN_OK;
}

static size_t workspace(const qn_call *call) { return simd_product_workspace(call, workspace_f32); }

static qn_status run(const qn_call *call) { return simd_product_run(call, run_f32); }

const qn_kernel SIMD_KERNEL(conv2d_grad_weight) = {.size = sizeof(qn_kernel),
                                                   .op = "conv2d_grad_weight",
                                                   .declines = declines,
                                                   .workspace = workspace,
                                                   .run = run,
                                                   .attrs_size = sizeof(qn_conv2d_attrs)};
