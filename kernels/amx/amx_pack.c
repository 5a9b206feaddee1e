/* amx_pack.c: operands rounded into tiles (see amx_pack.h).
 *
 * Sixteen elements are read at a time, along the index that runs through memory. A tile is thus
 * read along its rows or across them, and turned where the product wants it the other way. */
#include "amx_pack.h"
#include "amx_lanes.h"

void AMX_NAME(pack)(const amx_operand *operand, const amx_part *part, bool pairs, uint16_t *tiles);

static int lanes_left(int64_t count) { return count < 0 ? 0 : count < LANES ? (int)count : LANES; }

/* Rows of numbers along k. */
static void tile_along(const float *data, int64_t outer, int64_t inner, int rows, int64_t count,
                       uint16_t *tile) {
    const lane_mask low = lanes_between(0, lanes_left(count));
    const lane_mask high = lanes_between(0, lanes_left(count - LANES));
    for (int row = 0; row < AMX_ROWS; row++, data += outer, tile += AMX_DEPTH) {
        if (row >= rows) {
            memset(tile, 0, AMX_DEPTH * sizeof(*tile));
            continue;
        }
        lanes_store_row(tile, lanes_load_steps(data, inner, low));
        lanes_store_row(tile + LANES, lanes_load_steps(data + LANES * inner, inner, high));
    }
}

/* Rows of pairs along k, of sixteen outer indices. */
static void tile_across(const float *data, int64_t outer, int64_t inner, int rows, int64_t count,
                        uint16_t *tile) {
    const lane_mask there = lanes_between(0, rows);
    for (int p = 0; p < AMX_PAIRS; p++, tile += AMX_DEPTH, data += 2 * inner) {
        const lane_floats even =
            2 * p < count ? lanes_load_steps(data, outer, there) : lanes_zero();
        const lane_floats odd =
            2 * p + 1 < count ? lanes_load_steps(data + inner, outer, there) : lanes_zero();
        lanes_store_pairs(tile, even, odd);
    }
}

void AMX_NAME(pack)(const amx_operand *operand, const amx_part *part, bool pairs, uint16_t *tiles) {
    const int64_t outer = operand->outer, inner = operand->inner;
    const bool across = inner != 1 && (outer == 1 || pairs);
    const float *data = operand->data + part->outer * outer + part->inner * inner;
    uint16_t other_way[AMX_TILE] __attribute__((aligned(64)));
    for (int64_t at = 0; at < part->inner_count; at += AMX_DEPTH, tiles += AMX_TILE) {
        uint16_t *tile = across == pairs ? tiles : other_way;
        (across ? tile_across : tile_along)(data + at * inner, outer, inner, (int)part->outer_count,
                                            part->inner_count - at, tile);
        if (tile == other_way)
            lanes_turn(other_way, AMX_DEPTH, tiles, AMX_DEPTH);
    }
}
