/* amx_pack.h: operands of products, matrices or windows on planes, rounded to bfloat16 into tiles. */
#ifndef QN_AMX_PACK_H
#define QN_AMX_PACK_H

#include "amx_tile.h"
#include "quern_backend.h"

/** One of the two indices of an operand. It counts up to three parts, the last fastest; `extent` are those of
 * the second and third, 1 where there is none. */
typedef struct amx_axis {
    int64_t extent[2];
    int64_t step[3];  /**< elements from one to the next along each part */
    int64_t first[2]; /**< row and column of the plane at 0 */
    int64_t move[2];  /**< rows that the second part moves, columns that the third does */
} amx_axis;

/** An operand: its element is where the steps of both indices lead or, on a plane, in the row and column that
 * they add up to; there it is 0 outside the plane, and between the multiples of `divisor`. */
typedef struct amx_operand {
    const float *data;
    amx_axis outer; /**< rows of A, columns of B */
    amx_axis inner; /**< along k */
    bool on_plane;
    int64_t extent[2], stride[2], divisor[2]; /**< of the plane */
} amx_operand;

/** An index that is one number. */
static inline amx_axis amx_axis_of(int64_t step) {
    return (amx_axis){.extent = {1, 1}, .step = {step, 0, 0}};
}

/** Tiles that `count` numbers along k take. */
static inline int64_t amx_blocks(int64_t count) { return (count + AMX_DEPTH - 1) / AMX_DEPTH; }

/** Part of an operand: up to 16 of its outer indices, any number of inner ones. */
typedef struct amx_part {
    int64_t outer, outer_count, inner, inner_count;
} amx_part;

/** Packs a part into tiles of A, or, if `pairs`, of B; zeros fill them up. */
typedef void amx_pack(const amx_operand *operand, const amx_part *part, bool pairs,
                      uint16_t *tiles);

/** The same, compiled for two instruction sets. */
amx_pack qnk_amx_pack_avx2, qnk_amx_pack_avx512;

#endif
