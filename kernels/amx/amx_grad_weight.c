/* amx_grad_weight.c: gradients of convolutions by their weights (see amx_conv.h).
 *
 *     rows: output channels    columns: channels    sums: positions of one image after the other */
#include "amx_conv.h"
#include "amx_field.h"

enum { CHUNKS = 8 }; /* runs of images whose sums are kept apart */

static const int64_t most_sums = 4 << 20; /* floats kept in all chunks */

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
                  .field = qnk_amx_field_of(&conv->g.extent[1], conv->taps, conv->stride,
                                            conv->dilation, conv->padding),
                  .taps = conv->taps[0] * conv->taps[1],
                  .rows = amx_round_up(conv->rows, AMX_ROWS),
                  .channels = amx_round_up(conv->channels, AMX_ROWS),
                  .chunks = cpu_min(conv->images, CHUNKS)};
    const int64_t sums = w.taps * w.rows * w.channels, phases = amx_phases(&w.field);
    while (w.chunks > 1 && w.chunks * sums > most_sums)
        w.chunks--;
    w.g_pitch = amx_odd_lines(w.field.positions + AMX_ROWS);
    w.x_pitch = amx_odd_lines(amx_round_up(w.field.length, AMX_DEPTH) + AMX_DEPTH);
    w.pair_rows = amx_round_up(w.field.length, AMX_DEPTH) / 2;
    w.x_room = w.channels * w.x_pitch;
    w.pairs_room = w.pair_rows * 2 * w.channels;
    for (int64_t i = 0; i < w.chunks; i++) {
        const size_t number = sizeof(uint16_t);
        w.room[i].x = amx_take(room, (size_t)(phases * w.x_room) * number);
        w.room[i].g = amx_take(room, (size_t)(w.rows * w.g_pitch) * number);
        for (int odd = 0; odd < 2; odd++)
            w.room[i].pairs[odd] = amx_take(room, (size_t)(phases * w.pairs_room) * number);
        w.room[i].sums = amx_take(room, (size_t)sums * sizeof(float));
    }
    return w;
}

/* Rounds a phase of x, and turns it into pairs of positions. */
static void prepare_phase(const weighing *w, const chunk_room *room, const amx_image *x,
                          int64_t phase) {
    uint16_t *rows = room->x + phase * w->x_room;
    amx_planes layout = {.width = w->field.extent[1], .plane = w->x_pitch};
    const amx_image part = qnk_amx_phase_image(&w->field, phase, *x, &layout);
    w->vectors->planes(&part, &layout, rows);
    for (int odd = 0; odd < 2; odd++)
        for (int64_t pair = 0; pair < w->pair_rows; pair += AMX_PAIRS)
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
    for (int64_t phase = 0; phase < amx_phases(&w->field); phase++)
        prepare_phase(w, room, &x, phase);
}

/* Adds a tap's sums over the positions of an image; the first image sets them. */
static void weigh_tap(const weighing *w, const chunk_room *room, int64_t tap, bool first) {
    const amx_tap at = qnk_amx_tap_at(&w->field, tap);
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
                                  .step = AMX_PAIRS * pair_pitch};
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
    memset(room->x, 0, (size_t)(amx_phases(&w->field) * w->x_room) * sizeof(*room->x));
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
    const amx_field field =
        qnk_amx_field_of(out, conv->taps, conv->stride, conv->dilation, conv->padding);
    return conv->images > 0 && conv->rows > 0 && conv->channels >= AMX_FEWEST_CHANNELS &&
           qnk_amx_field_is_dense(&field, out) && amx_columns_in_reach(&conv->x, conv->stride[1]);
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
