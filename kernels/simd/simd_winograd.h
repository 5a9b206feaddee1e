/* simd_winograd.h: convolutions with 3x3 and 5x5 taps by F(2x2, 3x3) and F(2x2, 5x5) of Winograd
 * (1980), as Lavin and Gray (2016) put it:
 *
 *     Y = A^T [ sum over channels of (G w G^T) * (B^T d B) ] A
 *
 * for each 2x2 tile Y of outputs and the 4x4 or 6x6 tile d of the source that it reads; * is
 * elementwise. It takes 16 multiplications where the sum itself takes 36, and 36 in place of 100.
 * The gradient by the input is such a sum, too; that by the weight is
 *
 *     dw = G^T [ sum over tiles of (A dY A^T) * (B^T d B) ] G
 *
 * Error: against sums in f64, on normal numbers with 32 to 96 channels, the greatest error of a
 * result, relative to the greatest result, in units of eps sqrt(terms of a sum), eps = 2^-24
 * (tests/test_winograd.c):
 *
 *                              outputs, gradient by the input     gradient by the weight
 *     3x3, Winograd; direct         0.18 to 0.29; 0.50 to 0.79     0.07 to 0.73; 0.10 to 0.64
 *     5x5, Winograd; direct         0.32 to 0.72; 0.46 to 0.76     0.40 to 1.48; 0.15 to 0.79
 *
 * Sums over channels alone are shorter, which outweighs the differences that tiles begin with.
 * Results that read what is not finite are not finite, and no others; what is infinite may become
 * NaN. */
#ifndef QN_WINOGRAD_H
#define QN_WINOGRAD_H

#include "simd_conv_tiles.h"

#define winograd_serves SIMD_NAME(winograd_serves_)
#define winograd_workspace SIMD_NAME(winograd_workspace_)
#define winograd_run SIMD_NAME(winograd_run_)
#define winograd_grad_weight_serves SIMD_NAME(winograd_grad_weight_serves_)
#define winograd_grad_weight_workspace SIMD_NAME(winograd_grad_weight_workspace_)
#define winograd_grad_weight_run SIMD_NAME(winograd_grad_weight_run_)

/** Whether a pass has the form, and is large enough for it to pay. */
bool winograd_serves(const conv_pass *pass);

/** Bytes of scratch that a pass needs on that many threads. */
size_t winograd_workspace(const conv_pass *pass, int threads);

/** Computes a pass. */
void winograd_run(const conv_pass *pass, void *workspace, int threads);

/** The same for a call of conv2d_grad_weight, whose outputs there are some of. */
bool winograd_grad_weight_serves(const qn_call *call);
size_t winograd_grad_weight_workspace(const qn_call *call);
void winograd_grad_weight_run(const qn_call *call);

#endif
