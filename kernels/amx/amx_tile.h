/* amx_tile.h: products of packed tiles: 16 rows of 32 bfloat16 numbers of A, and of B 16 rows, each
 * the pairs of numbers (2 p, 2 p + 1) along k of 16 columns. */
#ifndef QN_AMX_TILE_H
#define QN_AMX_TILE_H

#include <stddef.h>
#include <stdint.h>

/** Rows (columns) of a tile; its numbers along k; its numbers; the side of a block of C. */
enum {
    AMX_ROWS = 16,
    AMX_DEPTH = 32,
    AMX_PAIRS = AMX_DEPTH / 2, /**< rows of a tile of B */
    AMX_TILE = AMX_ROWS * AMX_DEPTH,
    AMX_SIDE = 2 * AMX_ROWS
};

/** Sets the calling thread's tiles up, and gives them back. Products go in between. */
void qnk_amx_begin(void);
void qnk_amx_end(void);

/** One panel of tiles, or two: tiles along k, `step` elements from one to the next or where
 * `offset` says. */
typedef struct amx_panels {
    const uint16_t *first, *second;
    int count;
    size_t pitch; /**< bytes from one row of a tile to the next */
    int64_t step;
    const int32_t *offset; /**< NULL, or elements from the start of a panel to each of its tiles */
} amx_panels;

/** Where the sums of a block [32, 32] start, and where they go. */
typedef struct amx_sums {
    const float *start; /**< NULL: at 0 */
    size_t start_pitch; /**< bytes from one row to the next; 0: all start alike */
    float *c;           /**< may be `start` */
    size_t pitch;
} amx_sums;

/** c = start + A B over `blocks` tiles along k, sums in f32; where there is one panel only its half
 * is touched. */
void qnk_amx_multiply(amx_panels a, amx_panels b, int64_t blocks, amx_sums sums);

#endif
