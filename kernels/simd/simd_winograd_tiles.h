/* simd_winograd_tiles.h: the transforms of Winograd's form, for tiles of 2x2 outputs under 3x3 or
 * 5x5 taps.
 *
 * The outputs of a tile along one axis are the first two coefficients that a polynomial's product
 * leaves (Winograd 1980): numbers are multiplied at points, one more of them than there are taps,
 * and infinity is one of them. With the matrices B (of the source), G (of the weights) and A (of
 * the outputs), two outputs are
 *
 *     y = A^T [ (G w) * (B^T d) ]
 *
 * and two axes are one inside the other. The other two passes have the same three matrices: the
 * form is linear in each of d, w and y, so that the gradient by the weight is G^T [ (A y) * (B^T d)
 * ].
 *
 * The points are 0, 1, -1 for 3 taps; 0, 3/4, -3/4, 3/2, -3/2 for 5: of the pairs tried they lose
 * least among those whose matrices B and A are exact in binary. */
#ifndef QN_WINOGRAD_TILES_H
#define QN_WINOGRAD_TILES_H

#include "simd_conv_tiles.h"

/** Outputs of a tile along an axis; the most elements that it reads, of places of its transform,
 * and of taps. */
enum { WINOGRAD_OUT = 2, WINOGRAD_IN = 6, WINOGRAD_PLACES = 36, WINOGRAD_TAPS = 5 };

/** Floats that keep the same element of two places apart in the cache: powers of 2 between them
 * would put all into one set. */
enum { WINOGRAD_APART = 16 };

/** The points of 5 taps, and their squares. */
#define WINOGRAD_P 0.75f
#define WINOGRAD_Q 1.5f
#define WINOGRAD_PP (WINOGRAD_P * WINOGRAD_P)
#define WINOGRAD_QQ (WINOGRAD_Q * WINOGRAD_Q)

/** The tiles of some planes of outputs, each cut alike. A tile row is the tiles of a plane side by
 * side; a band is some tile rows, counted through all planes. */
typedef struct winograd_grid {
    int in; /**< elements that a tile reads along an axis, 4 or 6: one more than taps */
    int64_t tile_rows, tiles; /**< of a plane, of a tile row */
    int64_t rows;             /**< tile rows of all planes */
    int64_t band;             /**< tile rows of a band */
    int64_t pixels;           /**< elements of a channel that a band reads of one plane */
    int64_t columns;          /**< floats of scratch that transforms take besides them */
} winograd_grid;

/** Planes [images, channels, height, width] of any strides. */
typedef struct winograd_planes {
    const float *data;
    int64_t channels, extent[2], stride[4];
    int64_t first[2]; /**< position from which the first tile reads, which may be negative */
} winograd_planes;

#define winograd_pays SIMD_NAME(winograd_pays_)
#define winograd_grid_of SIMD_NAME(winograd_grid_of_)
#define winograd_source SIMD_NAME(winograd_source_)
#define winograd_outputs SIMD_NAME(winograd_outputs_)

/** Whether `channels` and `rows` (output channels) are enough for planes of out_h x out_w and taps
 * x taps. */
bool winograd_pays(int64_t taps, int64_t channels, int64_t rows, int64_t out_h, int64_t out_w);

/** Cuts planes into tiles, in bands of at most `most` tiles where that is one tile row or more. */
winograd_grid winograd_grid_of(int64_t taps, int64_t planes, int64_t out_h, int64_t out_w,
                               int64_t most);

/** Floats of scratch for the transforms of so many channels. */
SIMD_INLINE int64_t winograd_scratch(const winograd_grid *grid, int64_t channels) {
    return grid->pixels * gemm_round_up(channels, V_WIDTH) + grid->columns;
}

/** B^T d B of a band's tiles, tile rows `begin` to `end`: channel c of tile n goes at place p to
 * to[p * step + n * pitch + c]. Whole vectors are written, in order of n: what they put behind the
 * channels is overwritten, or lies in the last V_WIDTH floats behind a place. */
void winograd_source(const winograd_grid *grid, const winograd_planes *planes, int64_t begin,
                     int64_t end, float *scratch, float *to, int64_t pitch, int64_t step);

/** The same with A y A^T of planes of outputs. */
void winograd_outputs(const winograd_grid *grid, const winograd_planes *planes, int64_t begin,
                      int64_t end, float *scratch, float *to, int64_t pitch, int64_t step);

/** A^T m: two of `in` numbers. */
SIMD_INLINE void winograd_sums(int in, const vf *m, vf y[WINOGRAD_OUT]) {
    const vf sum = m[1] + m[2], difference = m[1] - m[2];
    if (in == 4) {
        y[0] = m[0] + sum;
        y[1] = difference - m[3];
        return;
    }
    y[0] = m[0] + (sum + (m[3] + m[4]));
    y[1] = v_fma(v_set(WINOGRAD_P), difference, v_fma(v_set(WINOGRAD_Q), m[3] - m[4], m[5]));
}

/** G^T u: taps of `in` numbers. */
SIMD_INLINE void winograd_taps(int in, const vf *u, vf *w) {
    const vf sum = u[1] + u[2], difference = u[1] - u[2];
    if (in == 4) {
        const vf even = 0.5f * sum;
        w[0] = u[0] + even;
        w[1] = 0.5f * difference;
        w[2] = even + u[3];
        return;
    }
    const float p = 1 / (2 * WINOGRAD_PP * (WINOGRAD_PP - WINOGRAD_QQ));
    const float q = 1 / (2 * WINOGRAD_QQ * (WINOGRAD_QQ - WINOGRAD_PP));
    const vf even_p = p * sum, odd_p = p * WINOGRAD_P * difference;
    const vf even_q = q * (u[3] + u[4]), odd_q = q * WINOGRAD_Q * (u[3] - u[4]);
    w[0] = v_fma(v_set(1 / (WINOGRAD_PP * WINOGRAD_QQ)), u[0], even_p + even_q);
    w[1] = odd_p + odd_q;
    w[2] = WINOGRAD_PP * even_p + WINOGRAD_QQ * even_q;
    w[3] = WINOGRAD_PP * odd_p + WINOGRAD_QQ * odd_q;
    w[4] = WINOGRAD_PP * WINOGRAD_PP * even_p + (WINOGRAD_QQ * WINOGRAD_QQ * even_q + u[5]);
}

/** G w of in - 1 numbers `step` apart. */
SIMD_INLINE void winograd_weights(int in, const float *w, int64_t step, float *u, int64_t u_step) {
    const float even = w[0] + w[2 * step], odd = w[step];
    u[0] = w[0];
    if (in == 4) {
        u[u_step] = 0.5f * (even + odd);
        u[2 * u_step] = 0.5f * (even - odd);
        u[3 * u_step] = w[2 * step];
        return;
    }
    const float p = 1 / (2 * WINOGRAD_PP * (WINOGRAD_PP - WINOGRAD_QQ));
    const float q = 1 / (2 * WINOGRAD_QQ * (WINOGRAD_QQ - WINOGRAD_PP));
    const float *last = w + 4 * step;
    const float even_p = w[0] + WINOGRAD_PP * (w[2 * step] + WINOGRAD_PP * *last);
    const float even_q = w[0] + WINOGRAD_QQ * (w[2 * step] + WINOGRAD_QQ * *last);
    const float odd_p = WINOGRAD_P * (odd + WINOGRAD_PP * w[3 * step]);
    const float odd_q = WINOGRAD_Q * (odd + WINOGRAD_QQ * w[3 * step]);
    u[0] *= 1 / (WINOGRAD_PP * WINOGRAD_QQ);
    u[u_step] = p * (even_p + odd_p);
    u[2 * u_step] = p * (even_p - odd_p);
    u[3 * u_step] = q * (even_q + odd_q);
    u[4 * u_step] = q * (even_q - odd_q);
    u[5 * u_step] = *last;
}

#endif
