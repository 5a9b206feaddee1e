/* amx_tile.h: products of packed tiles: 16 rows of 32 bfloat16 numbers of A, and of B 16 rows, each the pairs
 * of numbers (2 p, 2 p + 1) along k of 16 columns. */
#ifndef QN_AMX_TILE_H
#define QN_AMX_TILE_H

#include <stdint.h>

/** Rows (columns) of a tile; its numbers along k; its numbers; the side of a block of C. */
enum { AMX_ROWS = 16, AMX_DEPTH = 32, AMX_TILE = AMX_ROWS * AMX_DEPTH, AMX_SIDE = 2 * AMX_ROWS };

/** Sets the calling thread's tiles up, and gives them back. Products go in between. */
void qnk_amx_begin(void);
void qnk_amx_end(void);

/** One panel of tiles, or two. */
typedef struct amx_panels {
    const uint16_t *first, *second;
    int count;
} amx_panels;

/** c [32, 32] = A B over `blocks` tiles along k, sums in f32; where there is one panel only its half is set. */
void qnk_amx_multiply(amx_panels a, amx_panels b, int64_t blocks, float *c);

#endif
