/* amx_pack.c: operands rounded into tiles (see amx_pack.h). */
#include "amx_pack.h"

/* Where an index leads. */
typedef struct place {
    int64_t offset, row, column;
} place;

static place place_of(const amx_axis *axis, int64_t index) {
    const int64_t third = index % axis->extent[1], rest = index / axis->extent[1];
    const int64_t second = rest % axis->extent[0], first = rest / axis->extent[0];
    return (place){.offset = first * axis->step[0] + second * axis->step[1] + third * axis->step[2],
                   .row = axis->first[0] + second * axis->move[0],
                   .column = axis->first[1] + third * axis->move[1]};
}

static void places_of(const amx_axis *axis, int64_t index, int64_t count, place *out) {
    for (int64_t i = 0; i < count; i++)
        out[i] = place_of(axis, index + i);
}

/* The position along an axis of a plane; -1 where there is no element. */
static int64_t on_axis(int64_t at, int64_t divisor, int64_t extent) {
    if (at < 0)
        return -1;
    if (divisor != 1) {
        if (at % divisor != 0)
            return -1;
        at /= divisor;
    }
    return at < extent ? at : -1;
}

/* A row of a tile from a plane. */
static void gather_row(const amx_operand *op, const place *outer, const place *inner, int64_t count,
                       float *out) {
    for (int64_t i = 0; i < count; i++) {
        const int64_t y = on_axis(outer->row + inner[i].row, op->divisor[0], op->extent[0]);
        const int64_t x = on_axis(outer->column + inner[i].column, op->divisor[1], op->extent[1]);
        out[i] =
            y < 0 || x < 0
                ? 0.0F
                : op->data[outer->offset + inner[i].offset + y * op->stride[0] + x * op->stride[1]];
    }
}

/* Whether an axis runs through memory without gaps. */
static bool is_run(const amx_axis *axis) {
    return axis->step[0] == axis->extent[0] * axis->extent[1] &&
           (axis->extent[0] == 1 || axis->step[1] == axis->extent[1]) &&
           (axis->extent[1] == 1 || axis->step[2] == 1);
}

/* A row of a tile from a matrix. */
static void copy_row(const amx_operand *op, const place *outer, const place *inner, int64_t count,
                     float *out) {
    const float *data = op->data + outer->offset;
    if (is_run(&op->inner))
        for (int64_t i = 0; i < count; i++)
            out[i] = data[inner[0].offset + i];
    else
        for (int64_t i = 0; i < count; i++)
            out[i] = data[inner[i].offset];
}

static void round_tile(const float *numbers, uint16_t *tile) {
    for (int i = 0; i < AMX_TILE; i++)
        tile[i] = qn_bf16_bits(numbers[i]);
}

/* A tile of B: the pairs of A's form, rows and columns exchanged. */
static void round_pairs(const float *numbers, uint16_t *tile) {
    for (int row = 0; row < AMX_ROWS; row++)
        for (int i = 0; i < AMX_DEPTH; i++)
            tile[i / 2 * AMX_DEPTH + 2 * row + i % 2] = qn_bf16_bits(numbers[row * AMX_DEPTH + i]);
}

void qnk_amx_pack(const amx_operand *operand, const amx_part *part, bool pairs, uint16_t *tiles) {
    place outer[AMX_ROWS], inner[AMX_DEPTH];
    places_of(&operand->outer, part->outer, part->outer_count, outer);
    for (int64_t at = 0; at < part->inner_count; at += AMX_DEPTH, tiles += AMX_TILE) {
        const int64_t left = part->inner_count - at, count = left < AMX_DEPTH ? left : AMX_DEPTH;
        float numbers[AMX_TILE] __attribute__((aligned(64))) = {0};
        places_of(&operand->inner, part->inner + at, count, inner);
        for (int64_t row = 0; row < part->outer_count; row++)
            if (operand->on_plane)
                gather_row(operand, &outer[row], inner, count, numbers + row * AMX_DEPTH);
            else
                copy_row(operand, &outer[row], inner, count, numbers + row * AMX_DEPTH);
        if (pairs)
            round_pairs(numbers, tiles);
        else
            round_tile(numbers, tiles);
    }
}
