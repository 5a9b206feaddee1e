/* simd_winograd.h: correlation with 3x3 kernels by F(2x2, 3x3) of Winograd (1980), as Lavin and Gray (2016) put it:
 *
 *     Y = A^T [ sum over channels of (G w G^T) * (B^T d B) ] A
 *
 * for each 2x2 tile Y of outputs and the 4x4 tile d of the source that it reads; * is elementwise. It takes 16
 * multiplications where the sum itself takes 36.
 *
 * Error: against sums in f64, on normal numbers with 32 to 64 channels, the greatest error of an output was
 * 0.18 to 0.29 in units of eps sqrt(9 channels), eps = 2^-24, relative to the greatest output; that of the direct sum was
 * 0.50 to 0.79. Sums over channels alone are shorter, which outweighs the differences that tiles begin with
 * (tests/test_winograd.c). What is not finite makes the whole tiles that read it NaN. */
#ifndef QN_WINOGRAD_H
#define QN_WINOGRAD_H

#include "simd_conv_tiles.h"

#define winograd_serves SIMD_NAME(winograd_serves_)
#define winograd_workspace SIMD_NAME(winograd_workspace_)
#define winograd_run SIMD_NAME(winograd_run_)

/** Whether a pass has the form, and is large enough for it to pay. */
bool winograd_serves(const conv_pass *pass);

/** Bytes of scratch that a pass needs on that many threads. */
size_t winograd_workspace(const conv_pass *pass, int threads);

/** Computes a pass. */
void winograd_run(const conv_pass *pass, void *workspace, int threads);

#endif
