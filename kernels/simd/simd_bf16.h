/* simd_bf16.h: products in precision bf16 on processors without tiles for it.
 *
 * The two operands are rounded to bfloat16, kept as floats, into workspace; the f32 kernel then
 * multiplies them. What AMX computes differs by the order of its sums alone. */
#ifndef QN_SIMD_BF16_H
#define QN_SIMD_BF16_H

#include "simd.h"

/** A kernel's own functions, which know nothing of rounding. */
typedef size_t (*simd_workspace_function)(const qn_call *call);
typedef qn_status (*simd_run_function)(const qn_call *call);

#define simd_product_workspace SIMD_NAME(product_workspace_)
#define simd_product_run SIMD_NAME(product_run_)

/** Workspace of a product kernel: its own, and that of the rounded operands where the call asks for
 * bf16. */
size_t simd_product_workspace(const qn_call *call, simd_workspace_function own);

/** Runs a product kernel on the operands, or, where the call asks for bf16, on rounded ones. */
qn_status simd_product_run(const qn_call *call, simd_run_function own);

#endif
