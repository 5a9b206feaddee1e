/* simd_copy.h: elements from one layout into another. */
#ifndef QN_SIMD_COPY_H
#define QN_SIMD_COPY_H

#include "simd.h"

#define simd_copy SIMD_NAME(copy_)

/** Copies src into dst: one shape, one dtype, any strides. Rows that are contiguous on both sides
 * are moved whole; where one side is the other's transpose, square tiles are turned. */
void simd_copy(const qn_call *call, const qn_view *dst, const qn_view *src);

#endif
