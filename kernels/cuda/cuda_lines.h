/* cuda_lines.h: lines of views along one axis. */
#ifndef QN_CUDA_LINES_H
#define QN_CUDA_LINES_H

#include "cuda_walk.h"

/** The lines along an axis of two views of one shape: where each begins, and the steps along it. */
struct cuda_lines {
    cuda_walk first;
    int64_t length, step[2];
};

inline cuda_lines cuda_lines_of(int axis, const qn_view *a, const qn_view *b) {
    qn_view first_a = *a, first_b = *b;
    first_a.shape[axis] = first_b.shape[axis] = 1;
    return {cuda_walk_of(&first_a, &first_b), a->shape[axis], {a->stride[axis], b->stride[axis]}};
}

#endif
