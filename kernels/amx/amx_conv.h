/* amx_conv.h: convolutions whose windows are tiles where they lie.
 *
 * The images are rounded once, with zeros around (amx_planes). Windows at neighbouring positions of
 * a row then lie side by side, and a tap is a shift: no window is gathered. Positions run through
 * whole rows of the padded image, those behind an output's last column included, which are computed
 * and dropped. With a stride of s, every s-th row and column lie together, in s x s phases of the
 * image, and a tap is a shift in one of them. */
#ifndef QN_AMX_CONV_H
#define QN_AMX_CONV_H

#include "amx_product.h"

/** y[n, r, i, j] = sum over c, u, v of
 * w[r, c, u, v] x[n, c, i stride + u dilation - padding, j stride + v dilation - padding]. */
typedef struct amx_correlation {
    int64_t images, groups, rows, channels; /**< rows and channels of a group */
    int64_t taps[2], stride[2], dilation[2], padding[2], out[2];
    amx_image image; /**< the first, the channels of one group */
    int64_t image_next, image_group;
    const float *weight; /**< at (0, 0, 0, 0) */
    int64_t weight_row, weight_channel, weight_tap[2], weight_group;
    const float *bias; /**< NULL: none */
    int64_t bias_step;
    float *y; /**< [images, groups * rows, out] without gaps */
    bool relu;
} amx_correlation;

/** Whether it can be done so, and pays. */
bool qnk_amx_correlation_fits(const amx_correlation *conv);
size_t qnk_amx_correlation_workspace(const amx_correlation *conv, int threads);
void qnk_amx_correlation_run(const amx_correlation *conv, void *workspace, int threads);

/** dw[r, c, u, v] = sum over n, i, j of
 * g[n, r, i, j] x[n, c, i stride + u dilation - padding, j stride + v dilation - padding]. */
typedef struct amx_grad_weight {
    int64_t images, groups, rows, channels;
    int64_t taps[2], stride[2], dilation[2], padding[2];
    amx_image g, x; /**< the first images, the channels of one group */
    int64_t g_next, g_group, x_next, x_group;
    float *dw; /**< [groups * rows, channels, taps] without gaps */
} amx_grad_weight;

bool qnk_amx_grad_weight_fits(const amx_grad_weight *conv);
size_t qnk_amx_grad_weight_workspace(const amx_grad_weight *conv);
void qnk_amx_grad_weight_run(const amx_grad_weight *conv, void *workspace, int threads);

#endif
