/* cuda_copy.h: elements moved, bit for bit, and set, between views of any strides. */
#ifndef QN_CUDA_COPY_H
#define QN_CUDA_COPY_H

#include "gpu.h"

/** Copies all elements of `from` to `to`, a view of its shape and dtype (copy_cuda.cu). */
qn_status cuda_copy(const qn_call *call, const qn_view *to, const qn_view *from);

/** Sets every element of a view (fill_cuda.cu). */
qn_status cuda_fill(const qn_call *call, const qn_view *view, double value);

#endif
