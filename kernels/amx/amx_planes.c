/* amx_planes.c: images as rows of bfloat16 numbers among zeros, and sums as images (see
 * amx_pack.h). */
#include "amx_lanes.h"
#include "amx_pack.h"

void AMX_NAME(pack)(const amx_operand *operand, const amx_part *part, bool pairs, uint16_t *tiles);

/* ---- planes ---------------------------------------------------------------------------------- */

static lane_mask lanes_of(int64_t count) {
    return lanes_between(0, count < LANES ? (int)count : LANES);
}

static int64_t place_in(const amx_planes *layout, int64_t plane, int64_t row) {
    return plane * layout->plane + (row + layout->padding[0]) * layout->width + layout->padding[1];
}

static void planes(const amx_image *image, const amx_planes *layout, uint16_t *to) {
    const int64_t *stride = image->stride;
    for (int64_t c = 0; c < image->extent[0]; c++)
        for (int64_t y = 0; y < image->extent[1]; y++) {
            const float *row = image->data + c * stride[0] + y * stride[1];
            uint16_t *out = to + place_in(layout, c, y);
            for (int64_t x = 0; x < image->extent[2]; x += LANES)
                lanes_store_row(out + x, lanes_load_steps(row + x * stride[2], stride[2],
                                                          lanes_of(image->extent[2] - x)));
        }
}

static void paired_planes(const amx_image *image, const amx_planes *layout, uint16_t *to) {
    const int64_t *stride = image->stride;
    for (int64_t c = 0; c < image->extent[0]; c += 2)
        for (int64_t y = 0; y < image->extent[1]; y++) {
            const float *even = image->data + c * stride[0] + y * stride[1];
            uint16_t *out = to + 2 * place_in(layout, c / 2, y);
            for (int64_t x = 0; x < image->extent[2]; x += LANES) {
                const lane_mask there = lanes_of(image->extent[2] - x);
                const float *at = even + x * stride[2];
                lanes_store_pairs(out + 2 * x, lanes_load_steps(at, stride[2], there),
                                  c + 1 < image->extent[0]
                                      ? lanes_load_steps(at + stride[0], stride[2], there)
                                      : lanes_zero());
            }
        }
}

/* ---- sums ------------------------------------------------------------------------------- */

/* Neighbouring lanes that go to neighbouring elements of a row. */
typedef struct run {
    lane_mask mask;
    int64_t to; /* where lane 0 of it would go */
} run;

/* Cuts sixteen positions into runs; returns how many there are. */
static int find_runs(const amx_spread *s, int64_t position, run runs[LANES]) {
    int count = 0;
    int64_t y = position / s->width, x = position % s->width;
    for (int lane = 0; lane < LANES && y < s->extent[0]; y++, x = 0) {
        const int64_t left = s->width - x, there = s->extent[1] - x;
        const int end = left < LANES - lane ? lane + (int)left : LANES;
        const int last = there < end - lane ? lane + (int)there : end;
        if (last > lane)
            runs[count++] = (run){lanes_between(lane, last), y * s->extent[1] + x - lane};
        lane = end;
    }
    return count;
}

static void spread(const amx_spread *s) {
    for (int64_t first = 0; first < AMX_SIDE; first += LANES) {
        run runs[LANES];
        const int count = find_runs(s, s->position + first, runs);
        for (int64_t row = 0; row < s->rows; row++) {
            const float *from = s->sums + row * AMX_SIDE + first;
            const lane_floats sums = lanes_load(from, lanes_between(0, LANES));
            const lane_floats x = s->relu ? lanes_relu(sums) : sums;
            for (int i = 0; i < count; i++)
                lanes_store(s->c + row * s->c_row + runs[i].to, x, runs[i].mask);
        }
    }
}

static void turn(const uint16_t *from, int64_t from_pitch, uint16_t *to, int64_t to_pitch) {
    lanes_turn(from, from_pitch, to, to_pitch);
}

const amx_vectors AMX_NAME(vectors) = {.pack = AMX_NAME(pack),
                                       .planes = planes,
                                       .paired_planes = paired_planes,
                                       .turn = turn,
                                       .spread = spread};
