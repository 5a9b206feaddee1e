/* simd_fill.h: one value into contiguous memory. */
#ifndef QN_SIMD_FILL_H
#define QN_SIMD_FILL_H

#include "simd.h"

#define simd_fill SIMD_NAME(fill_)
#define simd_fill_declines SIMD_NAME(fill_declines_)

/** Sets every element of a contiguous view. */
void simd_fill(const qn_call *call, const qn_view *view, double value);

/** Why simd_fill() cannot serve a view and a value: it does f32, and zeros of any dtype. */
const char *simd_fill_declines(const qn_view *view, double value);

#endif
