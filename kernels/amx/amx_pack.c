/* amx_pack.c: operands rounded into tiles (see amx_pack.h).
 *
 * Sixteen elements are read at a time, lanes along the index that runs through memory: as one vector where they lie
 * side by side, as two where their run is broken once (a row of a plane ends), else one by one (gather). A tile is
 * thus read along its rows or across them, and turned where the product wants it the other way. */
#include "amx_pack.h"
#include "amx_lanes.h"

enum {
    PAIRS = AMX_DEPTH / 2, /* a tile as rows of pairs: 16 by 16 words of 32 bits */
    PIECES = 2             /* runs of memory that lanes are read from; more are gathered */
};

/* ---- indices ------------------------------------------------------------------------------ */

/* Where an index leads: elements, and the row and column of the plane. */
typedef struct place {
    int64_t offset;
    int32_t row, column;
} place;

/* An index that is counted up. */
typedef struct counter {
    const amx_axis *axis;
    int64_t first, second, third;
} counter;

static counter count_from(const amx_axis *axis, int64_t index) {
    const int64_t rest = index / axis->extent[1];
    return (counter){.axis = axis,
                     .first = rest / axis->extent[0],
                     .second = rest % axis->extent[0],
                     .third = index % axis->extent[1]};
}

/* Where it leads; what the row and column add to the offset is added where the plane has no gaps. */
static place next_place(counter *c, const amx_operand *op) {
    const amx_axis *axis = c->axis;
    place p = {.offset =
                   c->first * axis->step[0] + c->second * axis->step[1] + c->third * axis->step[2],
               .row = (int32_t)(axis->first[0] + c->second * axis->move[0]),
               .column = (int32_t)(axis->first[1] + c->third * axis->move[1])};
    if (op->on_plane)
        p.offset += p.row * op->stride[0] + p.column * op->stride[1];
    if (++c->third == axis->extent[1]) {
        c->third = 0;
        if (++c->second == axis->extent[0]) {
            c->second = 0;
            c->first++;
        }
    }
    return p;
}

/* ---- lanes -------------------------------------------------------------------------------- */

/* Up to sixteen neighbours along an index. */
typedef struct lanes {
    int64_t origin;          /* elements to the first */
    lane_ints offset;        /* elements from there */
    lane_ints row, column;   /* on the plane */
    lane_mask used;          /* those that are there */
    lane_mask piece[PIECES]; /* those of each run */
    int64_t before[PIECES];  /* elements from the origin to where lane 0 of that run would lie */
    int pieces;              /* 0: too many, gather */
} lanes;

/* Cuts the lanes into runs. */
static void find_pieces(const int32_t *offset, int count, lanes *l) {
    int start = 0;
    for (int lane = 1; lane <= count; lane++) {
        if (lane < count && offset[lane] == offset[lane - 1] + 1)
            continue;
        if (l->pieces == PIECES) {
            l->pieces = 0;
            return;
        }
        l->piece[l->pieces] = lanes_between(start, lane);
        l->before[l->pieces++] = offset[start] - start;
        start = lane;
    }
}

/* Lanes that lie side by side, of a matrix. */
static lanes next_run(counter *c, int count) {
    const lanes l = {.origin = c->first, .used = lanes_between(0, count), .pieces = 1};
    c->first += count;
    return l;
}

static lanes next_lanes(counter *c, const amx_operand *op, int count) {
    int32_t offset[LANES] = {0}, row[LANES] = {0}, column[LANES] = {0};
    lanes l = {.used = lanes_between(0, count)};
    for (int lane = 0; lane < count; lane++) {
        const place p = next_place(c, op);
        if (lane == 0)
            l.origin = p.offset;
        offset[lane] = (int32_t)(p.offset - l.origin);
        row[lane] = p.row;
        column[lane] = p.column;
    }
    l.offset = lanes_load_ints(offset);
    l.row = lanes_load_ints(row);
    l.column = lanes_load_ints(column);
    find_pieces(offset, count, &l);
    return l;
}

/* The lanes that have an element at `other`, the place that the other index leads to. */
LANES_INLINE lane_mask valid_lanes(const amx_operand *op, const lanes *l, place other) {
    return lanes_and(l->used,
                     lanes_and(lanes_within(l->row, other.row, (int32_t)op->extent[0]),
                               lanes_within(l->column, other.column, (int32_t)op->extent[1])));
}

/* The elements of the lanes at `other`, zeros where there are none. All but the pointers are constants where this is
 * inlined. */
LANES_INLINE lane_floats fetch(const amx_operand *op, const lanes *l, place other, bool on_plane,
                               int pieces) {
    const float *from = op->data + (l->origin + other.offset);
    const lane_mask valid = on_plane ? valid_lanes(op, l, other) : l->used;
    if (pieces == 1)
        return lanes_load(from, valid);
    if (pieces == 0)
        return lanes_gather(from, l->offset, valid);
    return lanes_either(lanes_load(from + l->before[0], lanes_and(valid, l->piece[0])),
                        lanes_load(from + l->before[1], lanes_and(valid, l->piece[1])));
}

/* ---- planes with gaps ---------------------------------------------------------------------- */

/* The position along an axis of a plane; -1 where there is no element. */
static int64_t on_axis(int64_t at, int64_t divisor, int64_t extent) {
    if (at < 0 || at % divisor != 0)
        return -1;
    at /= divisor;
    return at < extent ? at : -1;
}

static float element(const amx_operand *op, int64_t outer, int64_t inner) {
    counter a = count_from(&op->outer, outer), b = count_from(&op->inner, inner);
    amx_operand steps = *op;
    steps.on_plane = false; /* row and column are divided before they become an offset */
    const place p = next_place(&a, &steps), q = next_place(&b, &steps);
    const int64_t y = on_axis(p.row + q.row, op->divisor[0], op->extent[0]);
    const int64_t x = on_axis(p.column + q.column, op->divisor[1], op->extent[1]);
    if (y < 0 || x < 0)
        return 0;
    return op->data[p.offset + q.offset + y * op->stride[0] + x * op->stride[1]];
}

/* ---- tiles ----------------------------------------------------------------------------------- */

/* Elements that lie side by side along an index. */
static int64_t run_of(const amx_operand *op, const amx_axis *axis) {
    if (axis->extent[1] > 1)
        return axis->step[2] + (op->on_plane ? axis->move[1] * op->stride[1] : 0) == 1
                   ? axis->extent[1]
                   : 1;
    if (axis->extent[0] > 1)
        return axis->step[1] + (op->on_plane ? axis->move[0] * op->stride[0] : 0) == 1
                   ? axis->extent[0]
                   : 1;
    return axis->step[0] == 1 ? INT32_MAX : 1;
}

static int lanes_left(int64_t count) { return count < 0 ? 0 : count < LANES ? (int)count : LANES; }

/* Lanes along the outer index: rows of pairs. */
LANES_INLINE void across(const amx_operand *op, const lanes *l, counter *inner, int64_t count,
                         uint16_t *tile, bool on_plane, int pieces) {
    for (int p = 0; p < PAIRS; p++) {
        lane_floats x[2] = {lanes_zero(), lanes_zero()};
        for (int i = 0; i < 2; i++)
            if (2 * p + i < count)
                x[i] = fetch(op, l, next_place(inner, op), on_plane, pieces);
        lanes_store_pairs(tile + p * AMX_DEPTH, x[0], x[1]);
    }
}

static void tile_across(const amx_operand *op, const lanes *l, counter *inner, int64_t count,
                        uint16_t *tile) {
    if (!op->on_plane && l->pieces == 1)
        across(op, l, inner, count, tile, false, 1);
    else if (!op->on_plane)
        across(op, l, inner, count, tile, false, 0);
    else if (l->pieces == 1)
        across(op, l, inner, count, tile, true, 1);
    else if (l->pieces == 2)
        across(op, l, inner, count, tile, true, 2);
    else
        across(op, l, inner, count, tile, true, 0);
}

/* Half a tile, lanes along the inner index: rows of lanes. */
LANES_INLINE void along(const amx_operand *op, const lanes *l, const place *outer, int rows,
                        uint16_t *tile, bool on_plane, int pieces) {
    for (int row = 0; row < rows; row++)
        lanes_store_row(tile + row * AMX_DEPTH, fetch(op, l, outer[row], on_plane, pieces));
}

static void half_along(const amx_operand *op, const lanes *l, const place *outer, int rows,
                       uint16_t *tile) {
    if (!op->on_plane && l->pieces == 1)
        along(op, l, outer, rows, tile, false, 1);
    else if (!op->on_plane)
        along(op, l, outer, rows, tile, false, 0);
    else if (l->pieces == 1)
        along(op, l, outer, rows, tile, true, 1);
    else if (l->pieces == 2)
        along(op, l, outer, rows, tile, true, 2);
    else
        along(op, l, outer, rows, tile, true, 0);
}

static void tile_along(const amx_operand *op, const place *outer, int rows, counter *inner,
                       int64_t count, uint16_t *tile) {
    const bool run = !op->on_plane && run_of(op, &op->inner) == INT32_MAX;
    for (int half = 0; half < 2; half++) {
        const int left = lanes_left(count - half * LANES);
        const lanes l = run ? next_run(inner, left) : next_lanes(inner, op, left);
        half_along(op, &l, outer, rows, tile + half * LANES);
    }
    for (uint16_t *row = tile + rows * AMX_DEPTH; row < tile + AMX_TILE; row += AMX_DEPTH)
        memset(row, 0, AMX_DEPTH * sizeof(*row));
}

/* One element after the other. */
static void with_gaps(const amx_operand *op, const amx_part *part, int64_t at, int64_t count,
                      uint16_t *tile) {
    for (int row = 0; row < AMX_ROWS; row++)
        for (int i = 0; i < AMX_DEPTH; i++)
            tile[row * AMX_DEPTH + i] =
                row < part->outer_count && i < count
                    ? qn_bf16_bits(element(op, part->outer + row, part->inner + at + i))
                    : 0;
}

void AMX_NAME(pack)(const amx_operand *operand, const amx_part *part, bool pairs, uint16_t *tiles);

void AMX_NAME(pack)(const amx_operand *operand, const amx_part *part, bool pairs, uint16_t *tiles) {
    const bool gaps = operand->on_plane && (operand->divisor[0] != 1 || operand->divisor[1] != 1);
    const bool crosswise = !gaps && run_of(operand, &operand->outer) >=
                                        run_of(operand, &operand->inner) + (pairs ? 0 : 1);
    counter outer = count_from(&operand->outer, part->outer);
    counter inner = count_from(&operand->inner, part->inner);
    place rows[AMX_ROWS];
    lanes columns = {0};
    if (crosswise)
        columns = next_lanes(&outer, operand, (int)part->outer_count);
    else
        for (int row = 0; row < part->outer_count; row++)
            rows[row] = next_place(&outer, operand);
    uint16_t other_way[AMX_TILE] __attribute__((aligned(64)));
    for (int64_t at = 0; at < part->inner_count; at += AMX_DEPTH, tiles += AMX_TILE) {
        const int64_t count = part->inner_count - at;
        uint16_t *tile = crosswise == pairs ? tiles : other_way;
        if (gaps)
            with_gaps(operand, part, at, count, tile);
        else if (crosswise)
            tile_across(operand, &columns, &inner, count, tile);
        else
            tile_along(operand, rows, (int)part->outer_count, &inner, count, tile);
        if (tile == other_way)
            lanes_turn(other_way, AMX_DEPTH, tiles, AMX_DEPTH);
    }
}
