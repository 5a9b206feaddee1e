/* amx_pack.h: operands of products and convolutions, rounded to bfloat16. */
#ifndef QN_AMX_PACK_H
#define QN_AMX_PACK_H

#include "amx_tile.h"
#include "quern_backend.h"

/** A matrix: rows of A or columns of B, and numbers along k. */
typedef struct amx_operand {
    const float *data;
    int64_t outer; /**< elements from one row (column) to the next */
    int64_t inner; /**< elements from one number along k to the next */
} amx_operand;

/** Tiles that `count` numbers along k take. */
static inline int64_t amx_blocks(int64_t count) { return (count + AMX_DEPTH - 1) / AMX_DEPTH; }

/** Part of an operand: up to 16 of its outer indices, any number of inner ones. */
typedef struct amx_part {
    int64_t outer, outer_count, inner, inner_count;
} amx_part;

/** An image [channels, height, width]. */
typedef struct amx_image {
    const float *data;
    int64_t extent[3], stride[3];
} amx_image;

/** Where the elements of an image lie among zeros: each plane in rows of `width` numbers, planes
 * `plane` numbers apart, element (0, 0) in row and column `padding`. Whole vectors are written: 15
 * numbers behind the last row are set to 0. */
typedef struct amx_planes {
    int64_t width, plane, padding[2];
} amx_planes;

/** Where 32 by 32 sums go: their rows are planes of `extent`, `c_row` elements apart, their columns
 * positions on rows of `width`, from `position` on; those beyond an extent go nowhere. */
typedef struct amx_spread {
    const float *sums;
    int64_t rows, position, width, extent[2];
    float *c;
    int64_t c_row;
    bool relu;
} amx_spread;

/** What is done on vectors, compiled for an instruction set. */
typedef struct amx_vectors {
    /** Packs a part of an operand into tiles of A, or, if `pairs`, of B; zeros fill them up. */
    void (*pack)(const amx_operand *operand, const amx_part *part, bool pairs, uint16_t *tiles);
    /** Rounds the planes of an image. Only numbers of the image, and zeros behind its rows, are
     * written. */
    void (*planes)(const amx_image *image, const amx_planes *layout, uint16_t *to);
    /** The same with numbers of two channels side by side: (0, 1), (2, 3), ..., zeros where there
     * is none. */
    void (*paired_planes)(const amx_image *image, const amx_planes *layout, uint16_t *to);
    /** Exchanges rows and columns of 16 by 16 pairs; rows are `pitch` elements apart. */
    void (*turn)(const uint16_t *from, int64_t from_pitch, uint16_t *to, int64_t to_pitch);
    /** Writes sums to their images. */
    void (*spread)(const amx_spread *spread);
} amx_vectors;

extern const amx_vectors qnk_amx_vectors_avx2, qnk_amx_vectors_avx512;

#endif
