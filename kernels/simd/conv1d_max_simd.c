/* conv1d_max_simd.c: convolution along time and its greatest output, in f32.
 *
 * A sample is the product of its windows, overlapping rows of c k floats of which each starts c
 * floats behind the one before, and the weights, packed into panels of columns once a call. Of each
 * tile only the greatest of every column, and its row, stay. */
#include "simd_windows.h"

/* Multiplications below which threads do not pay. */
static const double threaded = 1e6;

typedef struct search {
    const qn_view *x, *w, *bias, *lengths, *y, *index;
    int64_t steps, channels, kernel, outputs, padding, windows;
    int64_t length;     /* of a window: kernel * channels */
    int64_t stage_size; /* floats of a staged sample */
    bool staged;        /* samples are copied, with their padding or into order */
    float *panels;      /* packed weights */
    float *stage;       /* a staged sample for each strand of samples */
    int64_t strands;    /* samples i, i + strands, ... are one strand, worked off in order */
} search;

static int64_t panel_floats(const search *s) {
    return gemm_round_up(s->outputs, V_WIDTH) * s->length + V_WIDTH;
}

static search search_of(const qn_call *call) {
    search s = {.x = &call->in[QN_CONV1D_MAX_X],
                .w = &call->in[QN_CONV1D_MAX_W],
                .bias = call->n_in > 2 && call->in[QN_CONV1D_MAX_BIAS].data
                            ? &call->in[QN_CONV1D_MAX_BIAS]
                            : NULL,
                .lengths = call->n_in > 3 && call->in[QN_CONV1D_MAX_LENGTHS].data
                               ? &call->in[QN_CONV1D_MAX_LENGTHS]
                               : NULL,
                .y = &call->out[QN_CONV1D_MAX_OUT_Y],
                .index = &call->out[QN_CONV1D_MAX_OUT_INDEX],
                .padding = ((const qn_conv1d_max_attrs *)call->attrs)->padding};
    s.steps = s.x->shape[1];
    s.channels = s.x->shape[2];
    s.kernel = s.w->shape[2];
    s.outputs = s.w->shape[0];
    s.windows = s.steps + 2 * s.padding - s.kernel + 1;
    s.length = s.kernel * s.channels;
    s.staged = s.padding > 0 || s.x->stride[2] != 1 || s.x->stride[1] != s.channels;
    s.stage_size = gemm_round_up((s.steps + 2 * s.padding) * s.channels + V_WIDTH, 16);
    const double work = (double)s.x->shape[0] * (double)s.windows * (double)s.length;
    s.strands = work * (double)s.outputs < threaded ? 1 : cpu_min(call->threads, s.x->shape[0]);
    s.panels = call->workspace;
    s.stage = s.panels + gemm_round_up(panel_floats(&s), 16);
    return s;
}

/* ---- packing ----------------------------------------------------------------------------- */

/* Weights of V_WIDTH filters from o on into their half of a panel: row j c + i has weight [o, i,
 * j]. */
static void pack_task(const void *arg, int64_t index) {
    const search *s = arg;
    const int64_t o = index * V_WIDTH, panel = o / GEMM_COLS * GEMM_COLS;
    const int64_t pitch = gemm_pitch(s->outputs - panel);
    const int lanes = (int)cpu_min(V_WIDTH, s->outputs - o);
    const float *src = (const float *)s->w->data + o * s->w->stride[0];
    float *dst = s->panels + panel * s->length + o - panel;
    for (int64_t j = 0; j < s->kernel; j++)
        gemm_pack(src + j * s->w->stride[2], s->w->stride[0], s->w->stride[1], lanes, s->channels,
                  dst + j * s->channels * pitch, pitch);
}

/* The sample's steps in order, with zeros around them, as far as `windows` windows reach. */
static const float *stage(const search *s, int64_t sample, int64_t windows, float *dst) {
    const float *x = (const float *)s->x->data + sample * s->x->stride[0];
    if (!s->staged)
        return x;
    const int64_t end = windows + s->kernel - 1, before = s->padding * s->channels;
    const int64_t rows = cpu_min(s->steps, end > s->padding ? end - s->padding : 0);
    memset(dst, 0, (size_t)before * sizeof(float));
    windows_rows(x, s->x->stride[1], s->x->stride[2], rows, s->channels, dst + before);
    const int64_t filled = s->padding + rows;
    if (end > filled)
        memset(dst + filled * s->channels, 0,
               (size_t)((end - filled) * s->channels) * sizeof(float));
    return dst;
}

/* ---- the greatest ------------------------------------------------------------------------ */

/* Greatest outputs so far of the filters of a panel, and the windows that they are from. */
typedef struct leaders {
    float value[GEMM_COLS];
    int32_t index[GEMM_COLS];
} leaders;

/* The first greatest wins, and the first NaN. */
static void challenge(leaders *best, const float *tile, int rows, int64_t first) {
    for (int half = 0; half < GEMM_COLS; half += V_WIDTH) {
        vf value = v_load(best->value + half);
        vi index = v_load_int(best->index + half);
        for (int row = 0; row < rows; row++) {
            const vf next = v_load(tile + row * GEMM_COLS + half);
            const vi wins = ~(next <= value) & (value == value);
            value = v_select(wins, next, value);
            index = (wins & v_set_int((int32_t)(first + row))) | (~wins & index);
        }
        v_store(best->value + half, value);
        v_store_int(best->index + half, index);
    }
}

/* One sample and the filters of one panel. */
static void search_panel(const search *s, const float *x, int64_t windows, int64_t o,
                         leaders *best) {
    float out[GEMM_ROWS * GEMM_COLS] __attribute__((aligned(64))) = {0};
    gemm_tile tile = {.cols = cpu_min(GEMM_COLS, s->outputs - o),
                      .k = s->length,
                      .a_step = s->channels,
                      .b = s->panels + o * s->length,
                      .b_step = gemm_pitch(s->outputs - o),
                      .c = out,
                      .c_step = GEMM_COLS};
    for (int i = 0; i < GEMM_COLS; i++)
        best->value[i] = -INFINITY;
    memset(best->index, 0, sizeof(best->index));
    for (int64_t panel = 0; panel < gemm_row_panels(windows); panel++) {
        const int64_t first = gemm_row_start(windows, panel);
        tile.rows = (int)(gemm_row_start(windows, panel + 1) - first);
        tile.a = x + first * s->channels;
        gemm_tile_run(&tile);
        challenge(best, out, tile.rows, first);
    }
}

static int64_t windows_of(const search *s, int64_t sample) {
    if (!s->lengths)
        return s->windows;
    const int64_t *lengths = s->lengths->data;
    int64_t length = lengths[sample * s->lengths->stride[0]];
    length = length < 1 ? 1 : length;
    return length < s->windows - s->padding ? length + s->padding : s->windows;
}

static void strand_task(const void *arg, int64_t strand) {
    const search *s = arg;
    for (int64_t sample = strand; sample < s->x->shape[0]; sample += s->strands) {
        const int64_t windows = windows_of(s, sample);
        const float *x = stage(s, sample, windows, s->stage + strand * s->stage_size);
        float *y = (float *)s->y->data + sample * s->outputs;
        int32_t *index = (int32_t *)s->index->data + sample * s->outputs;
        for (int64_t o = 0; o < s->outputs; o += GEMM_COLS) {
            const int64_t cols = cpu_min(GEMM_COLS, s->outputs - o);
            leaders best;
            search_panel(s, x, windows, o, &best);
            for (int64_t i = 0; i < cols; i++) {
                const float *bias =
                    s->bias ? (const float *)s->bias->data + (o + i) * s->bias->stride[0] : NULL;
                y[o + i] = best.value[i] + (bias ? *bias : 0.0f);
                index[o + i] = best.index[i];
            }
        }
    }
}

/* ---- the kernel -------------------------------------------------------------------------- */

static const char *declines(const qn_call *call) {
    if (call->in[QN_CONV1D_MAX_X].dtype != QN_F32)
        return "f32 only";
    return call->in[QN_CONV1D_MAX_X].shape[2] == 0 ? "needs a channel" : NULL;
}

static size_t workspace(const qn_call *call) {
    const search s = search_of(call);
    const int64_t staged = s.staged ? s.strands * s.stage_size : 0;
    return (size_t)(gemm_round_up(panel_floats(&s), 16) + staged) * sizeof(float);
}

/* x [n, t, c], w [o, c, k] (+ bias [o], lengths [n]) -> y [n, o], index [n, o] */
static qn_status run(const qn_call *call) {
    const search s = search_of(call);
    simd_parallel((int)s.strands, (s.outputs + V_WIDTH - 1) / V_WIDTH, pack_task, &s);
    simd_parallel((int)s.strands, s.strands, strand_task, &s);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(conv1d_max) = {.size = sizeof(qn_kernel),
                                           .op = "conv1d_max",
                                           .declines = declines,
                                           .workspace = workspace,
                                           .run = run,
                                           .attrs_size = sizeof(qn_conv1d_max_attrs)};
