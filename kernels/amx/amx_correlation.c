/* amx_correlation.c: convolutions, and their gradients by the input (see amx_conv.h).
 *
 *     rows: output channels    columns: positions    sums: taps, then channels, by pairs of planes
 */
#include "amx_conv.h"
#include "amx_field.h"

/* A correlation of one group at work. */
typedef struct correlating {
    const amx_correlation *of;
    const amx_vectors *vectors;
    amx_field field;
    amx_planes layout;           /* of pairs */
    int64_t taps, depth, panels; /* tiles of channels; panels of 16 rows */
    int64_t group, slots;
    int64_t phase_room, planes_room; /* numbers that the planes of a phase, of an image amx_take */
    uint16_t *weights, *planes;
    int32_t *offsets;
} correlating;

/* Work is 32 rows of an image, image by image. */
static int64_t row_blocks(const amx_correlation *conv) {
    return amx_ceil_div(conv->rows, AMX_SIDE);
}

static correlating begin(const amx_correlation *conv, int threads, amx_room *room) {
    correlating c = {.of = conv,
                     .vectors = qnk_amx_vectors(),
                     .field = qnk_amx_field_of(conv->out, conv->taps, conv->stride, conv->dilation,
                                               conv->padding),
                     .taps = conv->taps[0] * conv->taps[1],
                     .depth = amx_ceil_div(conv->channels, AMX_DEPTH),
                     .panels = amx_ceil_div(conv->rows, AMX_ROWS),
                     .slots = cpu_min(threads, conv->images * row_blocks(conv))};
    c.layout =
        (amx_planes){.width = c.field.extent[1], .plane = amx_odd_lines(2 * c.field.length) / 2};
    c.phase_room = c.depth * AMX_PAIRS * 2 * c.layout.plane;
    c.planes_room = amx_phases(&c.field) * c.phase_room;
    const size_t number = sizeof(uint16_t);
    c.weights = amx_take(room, (size_t)(c.panels * c.taps * c.depth * AMX_TILE) * number);
    c.offsets = amx_take(room, (size_t)(c.taps * c.depth) * sizeof(int32_t));
    c.planes = amx_take(room, (size_t)(c.slots * c.planes_room) * number);
    return c;
}

static void set_offsets(correlating *c) {
    for (int64_t i = 0; i < c->taps; i++) {
        const amx_tap tap = qnk_amx_tap_at(&c->field, i);
        for (int64_t d = 0; d < c->depth; d++)
            c->offsets[i * c->depth + d] = (int32_t)(tap.phase * c->phase_room + 2 * tap.shift +
                                                     d * AMX_PAIRS * 2 * c->layout.plane);
    }
}

/* Weights of 16 rows, tap by tap. */
static void weights_task(const void *arg, int64_t panel) {
    const correlating *c = arg;
    const amx_correlation *conv = c->of;
    const amx_part part = {.outer = panel * AMX_ROWS,
                           .outer_count = cpu_min(AMX_ROWS, conv->rows - panel * AMX_ROWS),
                           .inner_count = conv->channels};
    amx_operand w = {.outer = conv->weight_row, .inner = conv->weight_channel};
    for (int64_t tap = 0; tap < c->taps; tap++) {
        w.data = conv->weight + c->group * conv->weight_group +
                 tap / conv->taps[1] * conv->weight_tap[0] +
                 tap % conv->taps[1] * conv->weight_tap[1];
        c->vectors->pack(&w, &part, false,
                         c->weights + (panel * c->taps + tap) * c->depth * AMX_TILE);
    }
}

/* Biases of 32 rows, along columns. */
static void set_bias(const correlating *c, int64_t row, int64_t rows, float *start) {
    const amx_correlation *conv = c->of;
    for (int64_t i = 0; i < rows; i++)
        for (int j = 0; j < AMX_SIDE; j++)
            start[i * AMX_SIDE + j] =
                conv->bias[(c->group * conv->rows + row + i) * conv->bias_step];
}

/* 32 rows at all positions of an image. */
static void correlate_rows(const correlating *c, const uint16_t *planes, int64_t row, float *y) {
    const amx_correlation *conv = c->of;
    const int64_t steps = c->taps * c->depth;
    const uint16_t *w = c->weights + row / AMX_ROWS * steps * AMX_TILE;
    float sums[AMX_SIDE * AMX_SIDE] __attribute__((aligned(AMX_ALIGNMENT)));
    float start[AMX_SIDE * AMX_SIDE] __attribute__((aligned(AMX_ALIGNMENT)));
    const amx_panels a = {.first = w,
                          .second = w + steps * AMX_TILE,
                          .count = row + AMX_ROWS < conv->rows ? 2 : 1,
                          .pitch = AMX_DEPTH * sizeof(uint16_t),
                          .step = AMX_TILE};
    amx_panels b = {
        .count = 2, .pitch = 2 * (size_t)c->layout.plane * sizeof(uint16_t), .offset = c->offsets};
    amx_sums to = {.c = sums, .pitch = AMX_SIDE * sizeof(float)};
    amx_spread out = {.sums = sums,
                      .rows = cpu_min(AMX_SIDE, conv->rows - row),
                      .width = c->field.extent[1],
                      .extent = {conv->out[0], conv->out[1]},
                      .c = y + row * conv->out[0] * conv->out[1],
                      .c_row = conv->out[0] * conv->out[1],
                      .relu = conv->relu};
    if (conv->bias) {
        set_bias(c, row, out.rows, start);
        to.start = start;
        to.start_pitch = to.pitch;
    }
    for (; out.position < c->field.positions; out.position += AMX_SIDE) {
        b.first = planes + 2 * out.position;
        b.second = b.first + AMX_DEPTH;
        qnk_amx_multiply(a, b, steps, to);
        c->vectors->spread(&out);
    }
}

static void round_phases(const correlating *c, const amx_image *image, uint16_t *planes) {
    for (int64_t phase = 0; phase < amx_phases(&c->field); phase++) {
        amx_planes layout = c->layout;
        const amx_image part = qnk_amx_phase_image(&c->field, phase, *image, &layout);
        c->vectors->paired_planes(&part, &layout, planes + phase * c->phase_room);
    }
}

/* A run of the work, on planes that are rounded where an image begins, or the run does. */
static void run_task(const void *arg, int64_t slot) {
    const correlating *c = arg;
    const amx_correlation *conv = c->of;
    const int64_t blocks = row_blocks(conv), work = conv->images * blocks;
    const int64_t plane = conv->out[0] * conv->out[1], first = work * slot / c->slots;
    uint16_t *planes = c->planes + slot * c->planes_room;
    memset(planes, 0, (size_t)c->planes_room * sizeof(*planes));
    qnk_amx_begin();
    for (int64_t at = first; at < work * (slot + 1) / c->slots; at++) {
        const int64_t n = at / blocks, row = at % blocks * AMX_SIDE;
        if (row == 0 || at == first) {
            amx_image image = conv->image;
            image.data += n * conv->image_next + c->group * conv->image_group;
            round_phases(c, &image, planes);
        }
        correlate_rows(c, planes, row,
                       conv->y + (n * conv->groups + c->group) * conv->rows * plane);
    }
    qnk_amx_end();
}

bool qnk_amx_correlation_fits(const amx_correlation *conv) {
    if (conv->images == 0 || conv->rows == 0 || conv->channels < AMX_FEWEST_CHANNELS ||
        conv->padding[0] < 0 || conv->padding[1] < 0)
        return false;
    amx_room none = {0};
    const correlating c = begin(conv, 1, &none);
    return qnk_amx_field_is_dense(&c.field, conv->out) &&
           amx_columns_in_reach(&conv->image, conv->stride[1]) && c.planes_room < INT32_MAX;
}

size_t qnk_amx_correlation_workspace(const amx_correlation *conv, int threads) {
    amx_room room = {0};
    begin(conv, threads, &room);
    return room.used;
}

void qnk_amx_correlation_run(const amx_correlation *conv, void *workspace, int threads) {
    amx_room room = {.memory = workspace};
    correlating c = begin(conv, threads, &room);
    set_offsets(&c);
    for (c.group = 0; c.group < conv->groups; c.group++) {
        qnk_amx_parallel(threads, c.panels, weights_task, &c);
        qnk_amx_parallel(threads, c.slots, run_task, &c);
    }
}
