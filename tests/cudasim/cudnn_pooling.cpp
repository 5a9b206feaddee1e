/* cudnn_pooling.cpp: averages of windows, with the padding counted or not, and their gradients. */
#include "cudnn_records.h"

#include <algorithm>
#include <vector>

#include "apart.h"
#include "engine.h"
#include "objects.h"

using namespace cudasim;

namespace {

struct Problem {
    cudnnTensorStruct x, y;
    cudnnPoolingStruct pooling;
};

cudnnStatus_t check(cudnnHandle_t handle, const cudnnPoolingStruct *pooling,
                    const cudnnTensorStruct *x, const cudnnTensorStruct *y, Problem *problem) {
    int out[4];
    if (!object_exists(handle) || !is_image(y))
        return CUDNN_STATUS_BAD_PARAM;
    cudnnStatus_t status = cudnnGetPooling2dForwardOutputDim(
        const_cast<cudnnPoolingStruct *>(pooling), const_cast<cudnnTensorStruct *>(x), &out[0],
        &out[1], &out[2], &out[3]);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    for (int axis = 0; axis < 4; axis++)
        if (y->extent[axis] != out[axis])
            return CUDNN_STATUS_BAD_PARAM;
    if (x->type != y->type || x->type == CUDNN_DATA_BFLOAT16 ||
        pooling->mode == CUDNN_POOLING_MAX || pooling->mode == CUDNN_POOLING_MAX_DETERMINISTIC)
        return CUDNN_STATUS_NOT_SUPPORTED; /* the library has bfloat16 and maxima; this stand-in
                                              does not */
    for (int axis = 0; axis < 2; axis++)
        if (pooling->padding[axis] < 0 || pooling->padding[axis] >= pooling->window[axis])
            return CUDNN_STATUS_NOT_SUPPORTED; /* what windows of padding alone give is nowhere said
                                                */
    *problem = {*x, *y, *pooling};
    return CUDNN_STATUS_SUCCESS;
}

size_t offset(const cudnnTensorStruct &t, int n, int c, int h, int w) {
    return (size_t)n * t.stride[0] + (size_t)c * t.stride[1] + (size_t)h * t.stride[2] +
           (size_t)w * t.stride[3];
}

/** Calls f(x offset, y offset, share) for every pair of an element and a window that holds it. */
template <class F> void each(const Problem &p, F f) {
    for (int n = 0; n < p.y.extent[0]; n++)
        for (int c = 0; c < p.y.extent[1]; c++)
            for (int i = 0; i < p.y.extent[2]; i++)
                for (int j = 0; j < p.y.extent[3]; j++) {
                    const int top = i * p.pooling.stride[0] - p.pooling.padding[0];
                    const int left = j * p.pooling.stride[1] - p.pooling.padding[1];
                    const int first[2] = {std::max(top, 0), std::max(left, 0)};
                    const int end[2] = {std::min(top + p.pooling.window[0], p.x.extent[2]),
                                        std::min(left + p.pooling.window[1], p.x.extent[3])};
                    const bool whole =
                        p.pooling.mode == CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING;
                    const double size = whole ? (double)p.pooling.window[0] * p.pooling.window[1]
                                              : (double)(end[0] - first[0]) * (end[1] - first[1]);
                    for (int h = first[0]; h < end[0]; h++)
                        for (int w = first[1]; w < end[1]; w++)
                            f(offset(p.x, n, c, h, w), offset(p.y, n, c, i, j), 1 / size);
                }
}

template <class T> void forward(const Problem &p, const T *x, T *y) {
    std::vector<double> sums(tensor_bytes(&p.y) / sizeof(T));
    each(p, [&](size_t from, size_t to, double share) { sums[to] += share * x[from]; });
    each(p, [&](size_t, size_t to, double) { y[to] = (T)sums[to]; });
}

template <class T> void backward(const Problem &p, const T *dy, T *dx) {
    std::vector<double> sums(tensor_bytes(&p.x) / sizeof(T));
    each(p, [&](size_t to, size_t from, double share) { sums[to] += share * dy[from]; });
    for (int n = 0; n < p.x.extent[0]; n++)
        for (int c = 0; c < p.x.extent[1]; c++)
            for (int h = 0; h < p.x.extent[2]; h++)
                for (int w = 0; w < p.x.extent[3]; w++)
                    dx[offset(p.x, n, c, h, w)] = (T)sums[offset(p.x, n, c, h, w)];
}

} // namespace

cudnnStatus_t cudnnPoolingForward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t pooling,
                                  const void *alpha, const cudnnTensorDescriptor_t x_desc,
                                  const void *x, const void *beta,
                                  const cudnnTensorDescriptor_t y_desc, void *y) {
    Problem p;
    if (call_should_fail(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    cudnnStatus_t status = check(handle, pooling, x_desc, y_desc, &p);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (factor(alpha, p.x.type) != 1 || factor(beta, p.x.type) != 0)
        return CUDNN_STATUS_NOT_SUPPORTED;
    check_device(__func__, x, p.x.type);
    check_device(__func__, y, p.x.type);
    return queued(enqueue_apart(handle->stream, __func__,
                                {{x, tensor_bytes(&p.x), false}, {y, tensor_bytes(&p.y), true}},
                                [=] {
                                    if (p.x.type == CUDNN_DATA_DOUBLE)
                                        forward(p, (const double *)x, (double *)y);
                                    else
                                        forward(p, (const float *)x, (float *)y);
                                }));
}

cudnnStatus_t cudnnPoolingBackward(cudnnHandle_t handle, const cudnnPoolingDescriptor_t pooling,
                                   const void *alpha, const cudnnTensorDescriptor_t y_desc,
                                   const void *y, const cudnnTensorDescriptor_t dy_desc,
                                   const void *dy, const cudnnTensorDescriptor_t x_desc,
                                   const void *x, const void *beta,
                                   const cudnnTensorDescriptor_t dx_desc, void *dx) {
    Problem p, same;
    if (call_should_fail(__func__))
        return CUDNN_STATUS_INTERNAL_ERROR;
    cudnnStatus_t status = check(handle, pooling, dx_desc, dy_desc, &p);
    if (status == CUDNN_STATUS_SUCCESS)
        status = check(handle, pooling, x_desc, y_desc, &same);
    if (status != CUDNN_STATUS_SUCCESS)
        return status;
    if (factor(alpha, p.x.type) != 1 || factor(beta, p.x.type) != 0)
        return CUDNN_STATUS_NOT_SUPPORTED;
    for (const void *pointer : {y, dy, x, (const void *)dx})
        check_device(__func__, pointer, p.x.type);
    return queued(enqueue_apart(handle->stream, __func__,
                                {{dy, tensor_bytes(&p.y), false}, {dx, tensor_bytes(&p.x), true}},
                                [=] {
                                    if (p.x.type == CUDNN_DATA_DOUBLE)
                                        backward(p, (const double *)dy, (double *)dx);
                                    else
                                        backward(p, (const float *)dy, (float *)dx);
                                }));
}
