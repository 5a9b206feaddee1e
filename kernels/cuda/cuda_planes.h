/* cuda_planes.h: windows on the planes of [n, c, h, w], for the pooling kernels.
 *
 * Gradients gather: each pixel adds up what the windows that cover it hand down, in their order. */
#ifndef QN_CUDA_PLANES_H
#define QN_CUDA_PLANES_H

#include "cuda_reduce.h"

/** The positions first .. end - 1. */
struct plane_span {
    int64_t first, end;
};

/** Windows of a pooling with kernel, stride and padding. `extent`: of the plane, `count`: of
 * windows. */
struct pool_windows {
    qn_pool2d_attrs attrs;
    int64_t extent[2], count[2];

    /** What window i covers along an axis; padding is left out. */
    __device__ plane_span of(int axis, int64_t i) const {
        const int64_t first = i * attrs.stride[axis] - attrs.padding[axis];
        const int64_t end = first + attrs.kernel[axis];
        return {first > 0 ? first : 0, end < extent[axis] ? end : extent[axis]};
    }

    /** The windows that cover a position along an axis. */
    __device__ plane_span covering(int axis, int64_t position) const {
        const int64_t last = (position + attrs.padding[axis]) / attrs.stride[axis];
        const int64_t before = position + attrs.padding[axis] - attrs.kernel[axis];
        return {before < 0 ? 0 : before / attrs.stride[axis] + 1,
                last < count[axis] ? last + 1 : count[axis]};
    }

    /** What the sum of a window is divided by. */
    __device__ int64_t size(plane_span rows, plane_span columns) const {
        if (attrs.count_include_pad)
            return (int64_t)attrs.kernel[0] * attrs.kernel[1];
        return (rows.end - rows.first) * (columns.end - columns.first);
    }
};

inline pool_windows pool_windows_of(const qn_call *call, const qn_view *plane,
                                    const qn_view *windows) {
    return {*(const qn_pool2d_attrs *)call->attrs,
            {plane->shape[2], plane->shape[3]},
            {windows->shape[2], windows->shape[3]}};
}

/** An element's place in a view [n, c, h, w]; planes are counted over n and c. */
struct plane_position {
    int64_t plane, at[2];
};

__device__ inline plane_position plane_position_of(int64_t i, const int64_t *extent) {
    const int64_t row = i / extent[1];
    return {row / extent[0], {row % extent[0], i % extent[1]}};
}

/** A view [n, c, h, w] as planes. */
template <class T> struct cuda_planes {
    const T *data;
    int64_t channels, stride[4];

    __device__ const T *plane(int64_t i) const {
        return data + i / channels * stride[0] + i % channels * stride[1];
    }
};

template <class T> inline cuda_planes<T> cuda_planes_of(const qn_view *view) {
    return {(const T *)view->data,
            view->shape[1],
            {view->stride[0], view->stride[1], view->stride[2], view->stride[3]}};
}

/** y = the mean of each window. */
template <class T, class Windows> struct mean_of_window {
    Windows windows;
    cuda_planes<T> x;
    T *y;

    __device__ void operator()(int64_t i) const {
        const plane_position p = plane_position_of(i, windows.count);
        const plane_span rows = windows.of(0, p.at[0]), columns = windows.of(1, p.at[1]);
        const T *plane = x.plane(p.plane);
        gpu_sum<T> sum;
        for (int64_t row = rows.first; row < rows.end; row++)
            for (int64_t column = columns.first; column < columns.end; column++)
                sum.add(plane[row * x.stride[2] + column * x.stride[3]]);
        y[i] = (T)(sum.value() / (double)windows.size(rows, columns));
    }
};

/** dx = the shares that the windows on each pixel hand down. */
template <class T, class Windows> struct shares_of_pixel {
    Windows windows;
    cuda_planes<T> g;
    T *dx;

    __device__ void operator()(int64_t i) const {
        const plane_position p = plane_position_of(i, windows.extent);
        const plane_span rows = windows.covering(0, p.at[0]);
        const plane_span columns = windows.covering(1, p.at[1]);
        const T *plane = g.plane(p.plane);
        gpu_sum<T> sum;
        for (int64_t row = rows.first; row < rows.end; row++)
            for (int64_t column = columns.first; column < columns.end; column++) {
                const int64_t size = windows.size(windows.of(0, row), windows.of(1, column));
                sum.add(plane[row * g.stride[2] + column * g.stride[3]] / (T)size);
            }
        dx[i] = (T)sum.value();
    }
};

/** Launches Work<T, Windows>, one of the two above, for f32 or f64. */
template <template <class, class> class Work, class Windows>
inline qn_status planes_launch(const qn_call *call, const Windows &windows) {
    const int64_t count = qn_view_count(call->out);
    if (call->out->dtype == QN_F64)
        return each_launch(call, count,
                           Work<double, Windows>{windows, cuda_planes_of<double>(call->in),
                                                 (double *)call->out->data});
    return each_launch(
        call, count,
        Work<float, Windows>{windows, cuda_planes_of<float>(call->in), (float *)call->out->data});
}

#endif
