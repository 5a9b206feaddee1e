/* cudnn_descriptors.cpp: tensors, filters, convolutions, poolings and activations, and the shapes
 * that follow. */
#include "cudnn_records.h"

#include <climits>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "engine.h"
#include "objects.h"

using namespace cudasim;

namespace {

template <class Record> cudnnStatus_t make(Record **record, const char *call) {
    if (call_should_fail(call))
        return CUDNN_STATUS_INTERNAL_ERROR;
    if (!record)
        return CUDNN_STATUS_BAD_PARAM;
    *record = new Record();
    object_made(*record);
    return CUDNN_STATUS_SUCCESS;
}

/** Null is no error; what is no live descriptor ends the process, as the library would free it
 * again. */
template <class Record> cudnnStatus_t destroy(Record *record, const char *call) {
    if (!record)
        return CUDNN_STATUS_SUCCESS;
    if (!object_freed(record))
        fail(std::string(call) + ": no such descriptor, or destroyed before");
    delete record;
    return CUDNN_STATUS_SUCCESS;
}

bool is_type(cudnnDataType_t type) {
    return type >= CUDNN_DATA_FLOAT && type <= CUDNN_DATA_COMPLEX_FP64;
}

/** Whether a convolution may sum in a type. */
bool sums_in(cudnnDataType_t type) {
    return type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_DOUBLE || type == CUDNN_DATA_HALF ||
           type == CUDNN_DATA_INT32;
}

bool is_nan_rule(cudnnNanPropagation_t nan) {
    return nan == CUDNN_NOT_PROPAGATE_NAN || nan == CUDNN_PROPAGATE_NAN;
}

bool known(cudnnDataType_t type) {
    return type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_DOUBLE || type == CUDNN_DATA_BFLOAT16;
}

/** Places that a window takes along an axis; 0 where it is longer than the padded axis. */
int places(int extent, int window, int padding, int stride, int dilation) {
    const int room = extent + 2 * padding - (dilation * (window - 1) + 1);
    return room < 0 ? 0 : room / stride + 1;
}

/** Elements from a tensor's first to its last in memory. */
long long span(const cudnnTensorStruct &tensor) {
    long long elements = 1;
    for (int axis = 0; axis < tensor.rank; axis++)
        elements += (long long)(tensor.extent[axis] - 1) * std::abs(tensor.stride[axis]);
    return elements;
}

} // namespace

namespace cudasim {

size_t tensor_bytes(const cudnnTensorStruct *tensor) {
    return (size_t)span(*tensor) * type_bytes(tensor->type);
}

size_t filter_bytes(const cudnnFilterStruct *filter) {
    size_t elements = 1;
    for (int axis = 0; axis < filter->rank; axis++)
        elements *= (size_t)filter->extent[axis];
    return elements * type_bytes(filter->type);
}

bool is_image(const cudnnTensorStruct *tensor) {
    if (!object_exists(tensor) || tensor->rank != 4)
        return false;
    for (int axis = 0; axis < 4; axis++)
        if (tensor->stride[axis] < 0)
            return false;
    return true;
}

void check_device(const char *call, const void *pointer, cudnnDataType_t type) {
    if (!is_device_pointer(pointer))
        fail(std::string(call) + ": a pointer is not device memory");
    if (reinterpret_cast<uintptr_t>(pointer) % type_bytes(type) != 0)
        fail(std::string(call) + ": a pointer is not aligned to its elements");
}

} // namespace cudasim

/* ---- tensors and filters ---------------------------------------------------------------- */

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *tensor) {
    return make(tensor, __func__);
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) {
    return destroy(tensor, __func__);
}

cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, cudnnDataType_t type,
                                         int rank, const int *extent, const int *stride) {
    if (call_should_fail(__func__) || !object_exists(tensor) || !is_type(type) || rank < 2)
        return CUDNN_STATUS_BAD_PARAM;
    if (!known(type) || rank > CUDASIM_MOST_AXES)
        return CUDNN_STATUS_NOT_SUPPORTED;
    cudnnTensorStruct made = {type, rank, {}, {}};
    for (int axis = 0; axis < rank; axis++) {
        if (extent[axis] <= 0 || (stride[axis] == 0 && extent[axis] != 1))
            return CUDNN_STATUS_BAD_PARAM;
        made.extent[axis] = extent[axis];
        made.stride[axis] = stride[axis];
    }
    if (span(made) > INT_MAX)
        return CUDNN_STATUS_NOT_SUPPORTED;
    *tensor = made;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetTensor4dDescriptorEx(cudnnTensorDescriptor_t tensor, cudnnDataType_t type,
                                           int n, int c, int h, int w, int n_stride, int c_stride,
                                           int h_stride, int w_stride) {
    const int extent[] = {n, c, h, w}, stride[] = {n_stride, c_stride, h_stride, w_stride};
    return cudnnSetTensorNdDescriptor(tensor, type, 4, extent, stride);
}

cudnnStatus_t cudnnSetTensor4dDescriptor(cudnnTensorDescriptor_t tensor, cudnnTensorFormat_t format,
                                         cudnnDataType_t type, int n, int c, int h, int w) {
    if (n <= 0 || c <= 0 || h <= 0 || w <= 0)
        return CUDNN_STATUS_BAD_PARAM;
    if ((long long)n * c > INT_MAX || (long long)h * w > INT_MAX ||
        (long long)n * c * h * w > INT_MAX)
        return CUDNN_STATUS_NOT_SUPPORTED;
    if (format == CUDNN_TENSOR_NHWC)
        return cudnnSetTensor4dDescriptorEx(tensor, type, n, c, h, w, h * w * c, 1, w * c, c);
    if (format != CUDNN_TENSOR_NCHW)
        return CUDNN_STATUS_BAD_PARAM;
    return cudnnSetTensor4dDescriptorEx(tensor, type, n, c, h, w, c * h * w, h * w, w, 1);
}

cudnnStatus_t cudnnGetTensor4dDescriptor(const cudnnTensorDescriptor_t tensor,
                                         cudnnDataType_t *type, int *n, int *c, int *h, int *w,
                                         int *n_stride, int *c_stride, int *h_stride,
                                         int *w_stride) {
    if (call_should_fail(__func__) || !object_exists(tensor))
        return CUDNN_STATUS_BAD_PARAM;
    int *const extent[] = {n, c, h, w}, *const stride[] = {n_stride, c_stride, h_stride, w_stride};
    *type = tensor->type;
    for (int axis = 0; axis < 4; axis++) {
        *extent[axis] = tensor->extent[axis];
        *stride[axis] = tensor->stride[axis];
    }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetTensorSizeInBytes(const cudnnTensorDescriptor_t tensor, size_t *bytes) {
    if (call_should_fail(__func__) || !object_exists(tensor) || tensor->rank == 0)
        return CUDNN_STATUS_BAD_PARAM;
    *bytes = tensor_bytes(tensor);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *filter) {
    return make(filter, __func__);
}

cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter) {
    return destroy(filter, __func__);
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
    if (call_should_fail(__func__) || !object_exists(filter) || k <= 0 || c <= 0 || h <= 0 ||
        w <= 0 || !is_type(type) || format < CUDNN_TENSOR_NCHW || format > CUDNN_TENSOR_NCHW_VECT_C)
        return CUDNN_STATUS_BAD_PARAM;
    if (format != CUDNN_TENSOR_NCHW || !known(type))
        return CUDNN_STATUS_NOT_SUPPORTED;
    *filter = {type, 4, {k, c, h, w}};
    return CUDNN_STATUS_SUCCESS;
}

/* ---- convolutions, poolings, activations ------------------------------------------------ */

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *conv) {
    return make(conv, __func__);
}

cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t conv) {
    return destroy(conv, __func__);
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t conv, int pad_h,
                                              int pad_w, int u, int v, int dilation_h,
                                              int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
    if (call_should_fail(__func__) || !object_exists(conv) || pad_h < 0 || pad_w < 0 || u <= 0 ||
        v <= 0 || dilation_h <= 0 || dilation_w <= 0 ||
        (mode != CUDNN_CONVOLUTION && mode != CUDNN_CROSS_CORRELATION) || !sums_in(compute))
        return CUDNN_STATUS_BAD_PARAM;
    *conv = {true, {pad_h, pad_w}, {u, v},  {dilation_h, dilation_w},
             1,    mode,           compute, CUDNN_DEFAULT_MATH};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionGroupCount(cudnnConvolutionDescriptor_t conv, int groups) {
    if (call_should_fail(__func__) || !object_exists(conv) || groups <= 0)
        return CUDNN_STATUS_BAD_PARAM;
    conv->groups = groups;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetConvolutionMathType(cudnnConvolutionDescriptor_t conv, cudnnMathType_t math) {
    if (call_should_fail(__func__) || !object_exists(conv) || math < CUDNN_DEFAULT_MATH ||
        math > CUDNN_FMA_MATH)
        return CUDNN_STATUS_BAD_PARAM;
    conv->math = math;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(const cudnnConvolutionDescriptor_t conv,
                                                    const cudnnTensorDescriptor_t x,
                                                    const cudnnFilterDescriptor_t filter, int *n,
                                                    int *c, int *h, int *w) {
    if (call_should_fail(__func__) || !object_exists(conv) || !conv->set || !is_image(x) ||
        !object_exists(filter) || filter->rank == 0 ||
        x->extent[1] != filter->extent[1] * conv->groups)
        return CUDNN_STATUS_BAD_PARAM;
    int out[2];
    for (int axis = 0; axis < 2; axis++) {
        out[axis] = places(x->extent[2 + axis], filter->extent[2 + axis], conv->padding[axis],
                           conv->stride[axis], conv->dilation[axis]);
        if (out[axis] <= 0)
            return CUDNN_STATUS_BAD_PARAM;
    }
    *n = x->extent[0];
    *c = filter->extent[0];
    *h = out[0];
    *w = out[1];
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreatePoolingDescriptor(cudnnPoolingDescriptor_t *pooling) {
    return make(pooling, __func__);
}

cudnnStatus_t cudnnDestroyPoolingDescriptor(cudnnPoolingDescriptor_t pooling) {
    return destroy(pooling, __func__);
}

cudnnStatus_t cudnnSetPooling2dDescriptor(cudnnPoolingDescriptor_t pooling, cudnnPoolingMode_t mode,
                                          cudnnNanPropagation_t nan, int window_h, int window_w,
                                          int pad_h, int pad_w, int stride_h, int stride_w) {
    if (call_should_fail(__func__) || !object_exists(pooling) || window_h <= 0 || window_w <= 0 ||
        stride_h <= 0 || stride_w <= 0 || mode < CUDNN_POOLING_MAX ||
        mode > CUDNN_POOLING_MAX_DETERMINISTIC || !is_nan_rule(nan))
        return CUDNN_STATUS_BAD_PARAM;
    *pooling = {true, mode, {window_h, window_w}, {pad_h, pad_w}, {stride_h, stride_w}};
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetPooling2dForwardOutputDim(const cudnnPoolingDescriptor_t pooling,
                                                const cudnnTensorDescriptor_t x, int *n, int *c,
                                                int *h, int *w) {
    if (call_should_fail(__func__) || !object_exists(pooling) || !pooling->set || !is_image(x))
        return CUDNN_STATUS_BAD_PARAM;
    int out[2];
    for (int axis = 0; axis < 2; axis++) {
        out[axis] = places(x->extent[2 + axis], pooling->window[axis], pooling->padding[axis],
                           pooling->stride[axis], 1);
        if (out[axis] <= 0)
            return CUDNN_STATUS_BAD_PARAM;
    }
    *n = x->extent[0];
    *c = x->extent[1];
    *h = out[0];
    *w = out[1];
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnCreateActivationDescriptor(cudnnActivationDescriptor_t *activation) {
    return make(activation, __func__);
}

cudnnStatus_t cudnnDestroyActivationDescriptor(cudnnActivationDescriptor_t activation) {
    return destroy(activation, __func__);
}

cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t activation,
                                           cudnnActivationMode_t mode, cudnnNanPropagation_t nan,
                                           double) {
    if (call_should_fail(__func__) || !object_exists(activation) || !is_nan_rule(nan) ||
        mode < CUDNN_ACTIVATION_SIGMOID || mode > CUDNN_ACTIVATION_SWISH)
        return CUDNN_STATUS_BAD_PARAM;
    *activation = {true, mode};
    return CUDNN_STATUS_SUCCESS;
}
