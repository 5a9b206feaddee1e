/* simd_gemm.h: the matrix-product core of this provider, shared by matmul and the convolutions.
 *
 * The scheme is that of Goto and van de Geijn (2008) as BLIS arranged it (Van Zee and van de Geijn
 * 2015): operands are packed into panels that the innermost kernel reads in order, and that kernel
 * keeps one tile of C in registers over the whole of a block of k:
 *
 *     for p in 0..k-1:  c[0..rows-1][0..cols-1] += a[p][0..rows-1] (x) b[p][0..cols-1]
 *
 * A tile has up to GEMM_ROWS rows and GEMM_COLS columns, two vectors. Every height from 1 to
 * GEMM_ROWS has a kernel of its own, and rows are cut into panels of nearly equal height, so that
 * the edges waste nothing. Convolutions read b through a table of offsets instead of packing it
 * (the indirect convolution of Dukhan 2019). */
#ifndef QN_GEMM_H
#define QN_GEMM_H

#include "simd.h"

/* Every height of a tile: the accumulators, two vectors of b and one of a must fit 16 or 32
 * registers. */
#if V_WIDTH == 16
#define GEMM_ROWS 14
#define GEMM_ROWS_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14)
#else
#define GEMM_ROWS 6
#define GEMM_ROWS_LIST(X) X(1) X(2) X(3) X(4) X(5) X(6)
#endif
#define GEMM_COLS (2 * V_WIDTH)

/** Loops over registers must vanish, or the registers become memory. */
#ifdef __clang__
#define GEMM_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GEMM_UNROLL _Pragma("GCC unroll 32")
#endif

/** One tile: c[rows x cols] = a[rows x k] b[k x cols], plus what c held if `accumulate`. */
typedef struct gemm_tile {
    int rows;                /**< 1 to GEMM_ROWS */
    int64_t cols;            /**< 1 to GEMM_COLS */
    int64_t k;               /**< length of the sums */
    const float *a;          /**< packed panel: element (i, p) at a[p * rows + i] */
    int64_t a_step;          /**< not 0: a is not packed, element (i, p) at a[i * a_step + p] */
    const float *b;          /**< row p at b + p * b_step, or b + b_offset[p] */
    int64_t b_step;          /**< elements from one row of b to the next */
    const int32_t *b_offset; /**< NULL, or where each row of b starts */
    float *c;                /**< row i at c + i * c_step */
    int64_t c_step;          /**< elements from one row of c to the next */
    const float *start;      /**< NULL, or: where the sums of each row start, instead of at 0 */
    bool accumulate;         /**< add to c */
    bool relu;               /**< c = max(c, 0), NaN and -0 stay */
} gemm_tile;

#define gemm_tile_run SIMD_NAME(gemm_tile_run_)
#define gemm_pack SIMD_NAME(gemm_pack_)
#define gemm_pack_panels SIMD_NAME(gemm_pack_panels_)
#define gemm_transpose SIMD_NAME(gemm_transpose_)

/** Computes one tile. Rows of b are read in whole vectors: up to V_WIDTH - 1 floats behind the last
 * column must be readable. c is written in its rows x cols elements only. */
void gemm_tile_run(const gemm_tile *tile);

/** Packs `lanes` (at most V_WIDTH) rows or columns of an operand: element (lane, p), found at
 * src[lane * lane_step + p * k_step], goes to dst[p * pitch + lane]. Writes whole vectors in order
 * of p, zeros in the lanes that are missing: where pitch < V_WIDTH the next p overwrites them, and
 * behind the last p there must be room for V_WIDTH floats. */
void gemm_pack(const float *src, int64_t lane_step, int64_t k_step, int lanes, int64_t k,
               float *dst, int64_t pitch);

/** Packs `cols` columns that lie side by side, element (p, j) at src[p * k_step + j],
 * into panels of GEMM_COLS columns, one after the other. The pitch of a panel is
 * gemm_pitch() of its columns. */
void gemm_pack_panels(const float *src, int64_t k_step, int64_t cols, int64_t k, float *dst);

/** dst[j * dst_step + i] = src[i * src_step + j], or += if `accumulate`, for i < rows (at most
 * V_WIDTH) and j < cols. src is read in whole vectors. */
void gemm_transpose(const float *src, int64_t src_step, int rows, int64_t cols, float *dst,
                    int64_t dst_step, bool accumulate);

/** Number of row panels that `rows` are cut into, and the first row of panel `index`. */
SIMD_INLINE int64_t gemm_row_panels(int64_t rows) { return (rows + GEMM_ROWS - 1) / GEMM_ROWS; }

SIMD_INLINE int64_t gemm_row_start(int64_t rows, int64_t index) {
    return rows * index / gemm_row_panels(rows);
}

/** Floats from one row of a packed column panel to the next. */
SIMD_INLINE int64_t gemm_pitch(int64_t cols) { return cols > V_WIDTH ? GEMM_COLS : V_WIDTH; }

/** n rounded up to a multiple of `unit`. */
SIMD_INLINE int64_t gemm_round_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }

#endif
