/* cuda_walk.h: the elements of strided views by their number in row-major order. */
#ifndef QN_CUDA_WALK_H
#define QN_CUDA_WALK_H

#include "gpu.h"

enum { WALK_VIEWS = 4 };

/** Extents of a walk, and the strides of each view along them. Passed to kernels by value. */
struct cuda_walk {
    int rank;
    int64_t count; /**< elements in all */
    int64_t shape[QN_MAX_DIMS];
    int64_t stride[WALK_VIEWS][QN_MAX_DIMS];
};

/** A walk through views of the first one's shape. Axes of extent 1 are left out, and those joined
 * that all views step through alike: most walks end up with one or two. */
inline cuda_walk cuda_walk_of(int views, const qn_view *const *view) {
    cuda_walk walk = {};
    walk.count = qn_view_count(view[0]);
    for (int axis = 0; axis < view[0]->rank; axis++) {
        int64_t extent = view[0]->shape[axis];
        if (extent == 1)
            continue;
        bool joins = walk.rank > 0;
        for (int i = 0; i < views && joins; i++)
            joins = walk.stride[i][walk.rank - 1] == view[i]->stride[axis] * extent;
        int to = joins ? walk.rank - 1 : walk.rank++;
        walk.shape[to] = joins ? walk.shape[to] * extent : extent;
        for (int i = 0; i < views; i++)
            walk.stride[i][to] = view[i]->stride[axis];
    }
    return walk;
}

inline cuda_walk cuda_walk_of(const qn_view *a) {
    const qn_view *views[] = {a};
    return cuda_walk_of(1, views);
}

inline cuda_walk cuda_walk_of(const qn_view *a, const qn_view *b) {
    const qn_view *views[] = {a, b};
    return cuda_walk_of(2, views);
}

/** Whether a view's elements lie one after another in the walk's order. */
inline bool cuda_walk_is_dense(const cuda_walk &walk, int view) {
    return walk.rank == 0 || (walk.rank == 1 && walk.stride[view][0] == 1);
}

/** Offsets in `views` views of element `i`. Divisions of 32 bits where they do: those of 64 cost
 * several times as much. */
template <int views>
__device__ inline void cuda_walk_at(const cuda_walk &walk, int64_t i, int64_t *at) {
    for (int v = 0; v < views; v++)
        at[v] = 0;
    for (int axis = walk.rank - 1; axis >= 0; axis--) {
        int64_t quotient, position;
        if (walk.count <= INT32_MAX) {
            quotient = (uint32_t)i / (uint32_t)walk.shape[axis];
            position = (uint32_t)i - (uint32_t)quotient * (uint32_t)walk.shape[axis];
        } else {
            quotient = i / walk.shape[axis];
            position = i - quotient * walk.shape[axis];
        }
        for (int v = 0; v < views; v++)
            at[v] += position * walk.stride[v][axis];
        i = quotient;
    }
}

/** First item of this thread, and the step to its next one. */
__device__ inline int64_t gpu_first() { return (int64_t)blockIdx.x * blockDim.x + threadIdx.x; }
__device__ inline int64_t gpu_step() { return (int64_t)gridDim.x * blockDim.x; }

#endif
