/* simd_conv_tiles.h: correlation of planes, the common part of conv2d and conv2d_grad_input.
 *
 * Both sum, over channels and taps, a weight times a source element whose position is affine in the
 * output's position. The source is copied once, with its zeros around it, into scratch memory where
 * each tap is a shift: then a row of simd_gemm.h's matrix b, all outputs of a plane for one channel
 * and one tap, is a run of memory that needs no packing, and the table of offsets names these runs.
 * A stride splits a plane into phases (every second column, say), so that runs stay unbroken. */
#ifndef QN_CONV_TILES_H
#define QN_CONV_TILES_H

#include "simd_gemm.h"

/** One spatial axis of a pass. Output t under tap j reads source position
 * shift_first + j * shift_step + t * step, or zero where the source has none. */
typedef struct conv_axis {
    int64_t in;          /**< extent of the source */
    int64_t out;         /**< number of outputs */
    int64_t step;        /**< source positions from one output to the next */
    int64_t taps;        /**< number of taps, 0 allowed */
    int64_t tap_first;   /**< index in the kernel of tap 0 */
    int64_t tap_step;    /**< indices in the kernel from one tap to the next */
    int64_t shift_first; /**< source position of output 0 under tap 0 */
    int64_t shift_step;  /**< source positions from one tap to the next */
    int64_t to_first;    /**< output t is element to_first + t * to_step of the destination */
    int64_t to_step;
} conv_axis;

/** One pass: for every image, group and row m (an output channel of the group),
 * out[m][t] = bias[m] + sum over channels c and taps j of weight[m][c][j] source[c][t, j], then
 * relu. */
typedef struct conv_pass {
    conv_axis axis[2]; /**< height, width */
    int64_t batch, groups;
    int64_t channels;         /**< source channels of a group */
    int64_t rows;             /**< output channels of a group */
    const float *source;      /**< [batch, groups * channels, height, width] */
    int64_t source_stride[4]; /**< its strides */
    const float *weight;
    int64_t weight_group, weight_row, weight_channel, weight_tap[2]; /**< its strides */
    const float *bias; /**< [groups * rows], or NULL */
    int64_t bias_step;
    bool relu;             /**< out = max(out, 0) */
    bool winograd;         /**< simd_winograd.h may compute it */
    float *out;            /**< [batch, groups * rows, out_height, out_width], contiguous */
    int64_t out_extent[2]; /**< height and width of the destination */
} conv_pass;

#define conv_pass_workspace SIMD_NAME(conv_pass_workspace_)
#define conv_pass_run SIMD_NAME(conv_pass_run_)
#define conv_stage SIMD_NAME(conv_stage_)
#define conv_stage_last SIMD_NAME(conv_stage_last_)

/** Bytes of scratch that a pass needs on that many threads. */
size_t conv_pass_workspace(const conv_pass *pass, int threads);

/** Computes a pass, by simd_winograd.h where that serves it. */
void conv_pass_run(const conv_pass *pass, void *workspace, int threads);

/** Copies a window of a plane, with zeros where the plane has no elements:
 * dst[i * count[1] + j] = source[y * stride[0] + x * stride[1]], y = first[0] + i * step[0] and
 * x = first[1] + j * step[1], or 0 where (y, x) is not inside extent. */
typedef struct conv_window {
    const float *source;
    int64_t extent[2], stride[2]; /**< of the plane */
    int64_t first[2], step[2];    /**< positions in the plane, which may be negative */
    int64_t count[2];             /**< rows and columns of the window */
} conv_window;

void conv_stage(const conv_window *window, float *dst);

/** The same of `channels` planes, `channel_stride` apart, channels last: element (i, j) of channel
 * c goes to dst[(i * count[1] + j) * pitch + c], where pitch is a multiple of V_WIDTH and its other
 * floats become 0. */
void conv_stage_last(const conv_window *window, int64_t channels, int64_t channel_stride,
                     float *dst, int64_t pitch);

#endif
