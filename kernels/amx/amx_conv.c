/* amx_conv.c: convolutions whose windows are tiles where they lie (see amx_conv.h).
 *
 *     y:   rows: output channels    columns: positions    sums: taps, then channels, by pairs of planes
 *     dw:  rows: output channels    columns: channels     sums: positions of one image after the other */
#include "amx_conv.h"

enum {
    PAIRS = AMX_DEPTH / 2,
    ALIGNMENT = 64,
    FEWEST_CHANNELS = 16, /* with fewer, tiles are mostly zeros */
    CHUNKS = 8            /* runs of images whose sums are kept apart */
};

static const int64_t most_sums = 4 << 20; /* floats kept in all chunks */

static int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int64_t round_up(int64_t a, int64_t unit) { return ceil_div(a, unit) * unit; }

/* n numbers of bfloat16 rounded up to whole cache lines, an odd number of them: rows that far apart do not all fall into
 * the same sets of L1. */
static int64_t odd_lines(int64_t n) {
    enum { LINE = ALIGNMENT / sizeof(uint16_t) };
    return (ceil_div(n, LINE) | 1) * LINE;
}

/* A workspace as it is handed out; without memory it counts. */
typedef struct amx_room {
    char *memory;
    size_t used;
} amx_room;

static void *take(amx_room *room, size_t bytes) {
    void *part = room->memory ? room->memory + room->used : NULL;
    room->used += (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    return part;
}

/* ---- phases of a padded image ------------------------------------------------------------------ */

/* The padded image, every stride-th row and column of it: rows of a phase, and the positions of outputs on them. */
typedef struct amx_field {
    int64_t taps[2], stride[2], dilation[2], padding[2];
    int64_t extent[2]; /* of a phase */
    int64_t phases[2]; /* that taps reach */
    int64_t positions; /* on all rows of outputs, whole blocks */
    int64_t length;    /* of a phase, with what blocks read behind it */
} amx_field;

/* Where a tap finds the first output's number. */
typedef struct amx_tap {
    int64_t phase, shift;
} amx_tap;

static amx_field field_of(const int64_t out[2], const int64_t taps[2], const int64_t stride[2],
                          const int64_t dilation[2], const int64_t padding[2]) {
    amx_field f;
    int64_t reach[2];
    for (int i = 0; i < 2; i++) {
        f.taps[i] = taps[i];
        f.stride[i] = stride[i];
        f.dilation[i] = dilation[i];
        f.padding[i] = padding[i];
        f.phases[i] = taps[i] > 1 ? stride[i] : 1;
        reach[i] = (taps[i] - 1) * dilation[i] / stride[i];
        f.extent[i] = out[i] + reach[i];
    }
    f.positions = round_up(out[0] * f.extent[1], AMX_SIDE);
    f.length = f.positions + reach[0] * f.extent[1] + reach[1] + AMX_SIDE;
    return f;
}

static int64_t phases_of(const amx_field *f) { return f->phases[0] * f->phases[1]; }

static amx_tap tap_at(const amx_field *f, int64_t tap) {
    const int64_t row = tap / f->taps[1] * f->dilation[0], col = tap % f->taps[1] * f->dilation[1];
    return (amx_tap){.phase = row % f->stride[0] * f->phases[1] + col % f->stride[1],
                     .shift = row / f->stride[0] * f->extent[1] + col / f->stride[1]};
}

/* What of an image lies in a phase; `layout` gets where in it that begins. */
static amx_image phase_image(const amx_field *f, int64_t phase, amx_image image,
                             amx_planes *layout) {
    const int64_t start[2] = {phase / f->phases[1], phase % f->phases[1]};
    for (int i = 0; i < 2; i++) {
        const int64_t before = f->padding[i] - start[i]; /* rows of zeros, on the padded image */
        const int64_t skipped = before > 0 ? ceil_div(before, f->stride[i]) : 0;
        const int64_t first = skipped * f->stride[i] - before;
        const int64_t there = ceil_div(image.extent[1 + i] - first, f->stride[i]);
        const int64_t room = f->extent[i] - skipped;
        image.data += first * image.stride[1 + i];
        image.extent[1 + i] = smaller(there < 0 ? 0 : there, room < 0 ? 0 : room);
        image.stride[1 + i] *= f->stride[i];
        layout->padding[i] = skipped;
    }
    return image;
}

/* Whether outputs are at least half of the positions that are computed. */
static bool is_dense(const int64_t out[2], const int64_t taps[2], const amx_field *f) {
    return out[0] > 0 && out[1] > 0 && taps[0] > 0 && taps[1] > 0 &&
           2 * out[0] * out[1] >= f->positions;
}

/* ---- correlation -------------------------------------------------------------------------------- */

/* A correlation of one group at work. */
typedef struct correlating {
    const amx_correlation *of;
    const amx_vectors *vectors;
    amx_field field;
    amx_planes layout;           /* of pairs */
    int64_t taps, depth, panels; /* tiles of channels; panels of 16 rows */
    int64_t group, slots;
    int64_t phase_room, planes_room; /* numbers that the planes of a phase, of an image take */
    uint16_t *weights, *planes;
    int32_t *offsets;
} correlating;

static correlating begin(const amx_correlation *conv, int threads, amx_room *room) {
    correlating c = {
        .of = conv,
        .vectors = qnk_amx_vectors(),
        .field = field_of(conv->out, conv->taps, conv->stride, conv->dilation, conv->padding),
        .taps = conv->taps[0] * conv->taps[1],
        .depth = ceil_div(conv->channels, AMX_DEPTH),
        .panels = ceil_div(conv->rows, AMX_ROWS),
        .slots = smaller(threads, conv->images)};
    c.layout = (amx_planes){.width = c.field.extent[1], .plane = odd_lines(2 * c.field.length) / 2};
    c.phase_room = c.depth * PAIRS * 2 * c.layout.plane;
    c.planes_room = phases_of(&c.field) * c.phase_room;
    const size_t number = sizeof(uint16_t);
    c.weights = take(room, (size_t)(c.panels * c.taps * c.depth * AMX_TILE) * number);
    c.offsets = take(room, (size_t)(c.taps * c.depth) * sizeof(int32_t));
    c.planes = take(room, (size_t)(c.slots * c.planes_room) * number);
    return c;
}

static void set_offsets(correlating *c) {
    for (int64_t i = 0; i < c->taps; i++) {
        const amx_tap tap = tap_at(&c->field, i);
        for (int64_t d = 0; d < c->depth; d++)
            c->offsets[i * c->depth + d] = (int32_t)(tap.phase * c->phase_room + 2 * tap.shift +
                                                     d * PAIRS * 2 * c->layout.plane);
    }
}

/* Weights of 16 rows, tap by tap. */
static void weights_task(const void *arg, int64_t panel) {
    const correlating *c = arg;
    const amx_correlation *conv = c->of;
    const amx_part part = {.outer = panel * AMX_ROWS,
                           .outer_count = smaller(AMX_ROWS, conv->rows - panel * AMX_ROWS),
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
    float sums[AMX_SIDE * AMX_SIDE] __attribute__((aligned(ALIGNMENT)));
    float start[AMX_SIDE * AMX_SIDE] __attribute__((aligned(ALIGNMENT)));
    const amx_panels a = {.first = w,
                          .second = w + steps * AMX_TILE,
                          .count = row + AMX_ROWS < conv->rows ? 2 : 1,
                          .pitch = AMX_DEPTH * sizeof(uint16_t),
                          .step = AMX_TILE};
    amx_panels b = {
        .count = 2, .pitch = 2 * (size_t)c->layout.plane * sizeof(uint16_t), .offset = c->offsets};
    amx_sums to = {.c = sums, .pitch = AMX_SIDE * sizeof(float)};
    amx_spread out = {.sums = sums,
                      .rows = smaller(AMX_SIDE, conv->rows - row),
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
    for (int64_t phase = 0; phase < phases_of(&c->field); phase++) {
        amx_planes layout = c->layout;
        const amx_image part = phase_image(&c->field, phase, *image, &layout);
        c->vectors->paired_planes(&part, &layout, planes + phase * c->phase_room);
    }
}

/* A run of images, one after the other on the same planes. */
static void images_task(const void *arg, int64_t slot) {
    const correlating *c = arg;
    const amx_correlation *conv = c->of;
    const int64_t plane = conv->out[0] * conv->out[1];
    uint16_t *planes = c->planes + slot * c->planes_room;
    memset(planes, 0, (size_t)c->planes_room * sizeof(*planes));
    amx_image image = conv->image;
    qnk_amx_begin();
    const int64_t end = conv->images * (slot + 1) / c->slots;
    for (int64_t n = conv->images * slot / c->slots; n < end; n++) {
        image.data = conv->image.data + n * conv->image_next + c->group * conv->image_group;
        round_phases(c, &image, planes);
        float *y = conv->y + (n * conv->groups + c->group) * conv->rows * plane;
        for (int64_t row = 0; row < conv->rows; row += AMX_SIDE)
            correlate_rows(c, planes, row, y);
    }
    qnk_amx_end();
}

bool qnk_amx_correlation_fits(const amx_correlation *conv) {
    if (conv->images == 0 || conv->rows == 0 || conv->channels < FEWEST_CHANNELS ||
        conv->padding[0] < 0 || conv->padding[1] < 0)
        return false;
    amx_room none = {0};
    const correlating c = begin(conv, 1, &none);
    return is_dense(conv->out, conv->taps, &c.field) && c.planes_room < INT32_MAX;
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
        qnk_amx_parallel(threads, c.slots, images_task, &c);
    }
}

/* ---- the gradient by the weights ---------------------------------------------------------------- */

/* What one chunk of images needs. */
typedef struct chunk_room {
    uint16_t *x, *g;    /* rows of numbers, position by position; x phase by phase */
    uint16_t *pairs[2]; /* of x, positions (2 p, 2 p + 1) and (2 p + 1, 2 p + 2) of each channel */
    float *sums;        /* [taps, rows, channels], both to whole tiles */
} chunk_room;

typedef struct weighing {
    const amx_grad_weight *of;
    const amx_vectors *vectors;
    amx_field field;
    int64_t taps, rows, channels; /* rows and channels of whole tiles */
    int64_t g_pitch, x_pitch, pair_rows;
    int64_t x_room, pairs_room; /* numbers of a phase */
    int64_t group, chunks;
    chunk_room room[CHUNKS];
} weighing;

static weighing begin_weighing(const amx_grad_weight *conv, amx_room *room) {
    weighing w = {.of = conv,
                  .vectors = qnk_amx_vectors(),
                  .field = field_of(&conv->g.extent[1], conv->taps, conv->stride, conv->dilation,
                                    conv->padding),
                  .taps = conv->taps[0] * conv->taps[1],
                  .rows = round_up(conv->rows, AMX_ROWS),
                  .channels = round_up(conv->channels, AMX_ROWS),
                  .chunks = smaller(conv->images, CHUNKS)};
    const int64_t sums = w.taps * w.rows * w.channels, phases = phases_of(&w.field);
    while (w.chunks > 1 && w.chunks * sums > most_sums)
        w.chunks--;
    w.g_pitch = odd_lines(w.field.positions + AMX_ROWS);
    w.x_pitch = odd_lines(round_up(w.field.length, AMX_DEPTH) + AMX_DEPTH);
    w.pair_rows = round_up(w.field.length, AMX_DEPTH) / 2;
    w.x_room = w.channels * w.x_pitch;
    w.pairs_room = w.pair_rows * 2 * w.channels;
    for (int64_t i = 0; i < w.chunks; i++) {
        const size_t number = sizeof(uint16_t);
        w.room[i].x = take(room, (size_t)(phases * w.x_room) * number);
        w.room[i].g = take(room, (size_t)(w.rows * w.g_pitch) * number);
        for (int odd = 0; odd < 2; odd++)
            w.room[i].pairs[odd] = take(room, (size_t)(phases * w.pairs_room) * number);
        w.room[i].sums = take(room, (size_t)sums * sizeof(float));
    }
    return w;
}

/* Rounds a phase of x, and turns it into pairs of positions. */
static void prepare_phase(const weighing *w, const chunk_room *room, const amx_image *x,
                          int64_t phase) {
    uint16_t *rows = room->x + phase * w->x_room;
    amx_planes layout = {.width = w->field.extent[1], .plane = w->x_pitch};
    const amx_image part = phase_image(&w->field, phase, *x, &layout);
    w->vectors->planes(&part, &layout, rows);
    for (int odd = 0; odd < 2; odd++)
        for (int64_t pair = 0; pair < w->pair_rows; pair += PAIRS)
            for (int64_t c = 0; c < w->channels; c += AMX_ROWS)
                w->vectors->turn(rows + c * w->x_pitch + 2 * pair + odd, w->x_pitch,
                                 room->pairs[odd] + phase * w->pairs_room +
                                     (pair * w->channels + c) * 2,
                                 2 * w->channels);
}

static void prepare_image(const weighing *w, const chunk_room *room, int64_t n) {
    const amx_grad_weight *conv = w->of;
    amx_image g = conv->g, x = conv->x;
    g.data += n * conv->g_next + w->group * conv->g_group;
    x.data += n * conv->x_next + w->group * conv->x_group;
    const amx_planes of_g = {.width = w->field.extent[1], .plane = w->g_pitch};
    w->vectors->planes(&g, &of_g, room->g);
    for (int64_t phase = 0; phase < phases_of(&w->field); phase++)
        prepare_phase(w, room, &x, phase);
}

/* Adds a tap's sums over the positions of an image; the first image sets them. */
static void weigh_tap(const weighing *w, const chunk_room *room, int64_t tap, bool first) {
    const amx_tap at = tap_at(&w->field, tap);
    const int64_t pair_pitch = 2 * w->channels;
    const uint16_t *pairs =
        room->pairs[at.shift % 2] + at.phase * w->pairs_room + at.shift / 2 * pair_pitch;
    for (int64_t row = 0; row < w->rows; row += AMX_SIDE) {
        const uint16_t *g = room->g + row * w->g_pitch;
        const amx_panels a = {.first = g,
                              .second = g + AMX_ROWS * w->g_pitch,
                              .count = row + AMX_ROWS < w->rows ? 2 : 1,
                              .pitch = (size_t)w->g_pitch * sizeof(uint16_t),
                              .step = AMX_DEPTH};
        for (int64_t c = 0; c < w->channels; c += AMX_SIDE) {
            const amx_panels b = {.first = pairs + 2 * c,
                                  .second = pairs + 2 * c + AMX_DEPTH,
                                  .count = c + AMX_ROWS < w->channels ? 2 : 1,
                                  .pitch = (size_t)pair_pitch * sizeof(uint16_t),
                                  .step = PAIRS * pair_pitch};
            float *sums = room->sums + (tap * w->rows + row) * w->channels + c;
            const size_t pitch = (size_t)w->channels * sizeof(float);
            qnk_amx_multiply(
                a, b, w->field.positions / AMX_DEPTH,
                (amx_sums){
                    .start = first ? NULL : sums, .start_pitch = pitch, .c = sums, .pitch = pitch});
        }
    }
}

static void chunk_task(const void *arg, int64_t index) {
    const weighing *w = arg;
    const chunk_room *room = &w->room[index];
    const int64_t images = w->of->images, first = images * index / w->chunks;
    memset(room->x, 0, (size_t)(phases_of(&w->field) * w->x_room) * sizeof(*room->x));
    memset(room->g, 0, (size_t)(w->rows * w->g_pitch) * sizeof(*room->g));
    qnk_amx_begin();
    for (int64_t n = first; n < images * (index + 1) / w->chunks; n++) {
        prepare_image(w, room, n);
        for (int64_t tap = 0; tap < w->taps; tap++)
            weigh_tap(w, room, tap, n == first);
    }
    qnk_amx_end();
}

/* One row of weights: the sums of all chunks, in their order. */
static void join_task(const void *arg, int64_t row) {
    const weighing *w = arg;
    const amx_grad_weight *conv = w->of;
    float *dw = conv->dw + (w->group * conv->rows + row) * conv->channels * w->taps;
    for (int64_t tap = 0; tap < w->taps; tap++)
        for (int64_t c = 0; c < conv->channels; c++) {
            const int64_t at = (tap * w->rows + row) * w->channels + c;
            float sum = w->room[0].sums[at];
            for (int64_t i = 1; i < w->chunks; i++)
                sum += w->room[i].sums[at];
            dw[c * w->taps + tap] = sum;
        }
}

bool qnk_amx_grad_weight_fits(const amx_grad_weight *conv) {
    const int64_t *out = &conv->g.extent[1];
    const amx_field field = field_of(out, conv->taps, conv->stride, conv->dilation, conv->padding);
    return conv->images > 0 && conv->rows > 0 && conv->channels >= FEWEST_CHANNELS &&
           is_dense(out, conv->taps, &field);
}

size_t qnk_amx_grad_weight_workspace(const amx_grad_weight *conv) {
    amx_room room = {0};
    begin_weighing(conv, &room);
    return room.used;
}

void qnk_amx_grad_weight_run(const amx_grad_weight *conv, void *workspace, int threads) {
    amx_room room = {.memory = workspace};
    weighing w = begin_weighing(conv, &room);
    for (w.group = 0; w.group < conv->groups; w.group++) {
        qnk_amx_parallel(threads, w.chunks, chunk_task, &w);
        qnk_amx_parallel(threads, conv->rows, join_task, &w);
    }
}
