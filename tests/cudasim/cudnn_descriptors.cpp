/* cudnn_descriptors.cpp: tensors, filters, convolutions, poolings and activations, and the shapes that follow. */
#include "cudnn_records.h"

#include <cstdint>
#include <string>

#include "engine.h"
#include "objects.h"

using namespace cudasim;

namespace {

template <class Record> cudnnStatus_t make(Record **record, const char *call) {
    if (call_should_fail(call))
        return CUDNN_STATUS_INTERNAL_ERROR;
    *record = new Record();
    object_made(*record);
    return CUDNN_STATUS_SUCCESS;
}

template <class Record> cudnnStatus_t destroy(Record *record) {
    if (!object_freed(record))
        return CUDNN_STATUS_BAD_PARAM;
    delete record;
    return CUDNN_STATUS_SUCCESS;
}

bool known(cudnnDataType_t type) { return type == CUDNN_DATA_FLOAT || type == CUDNN_DATA_DOUBLE; }

/** Places that a window takes along an axis. */
int places(int extent, int window, int padding, int stride, int dilation) {
    return (extent + 2 * padding - (dilation * (window - 1) + 1)) / stride + 1;
}

} // namespace

namespace cudasim {

size_t tensor_bytes(const cudnnTensorStruct *tensor) {
    size_t elements = 1;
    for (int axis = 0; axis < tensor->rank; axis++)
        elements += (size_t)(tensor->extent[axis] - 1) * (size_t)tensor->stride[axis];
    return elements * type_bytes(tensor->type);
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
        if (tensor->extent[axis] <= 0)
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

/* ---- tensors and filters ------------------------------------------------------------------------- */

cudnnStatus_t cudnnCreateTensorDescriptor(cudnnTensorDescriptor_t *tensor) {
    return make(tensor, __func__);
}

cudnnStatus_t cudnnDestroyTensorDescriptor(cudnnTensorDescriptor_t tensor) {
    return destroy(tensor);
}

cudnnStatus_t cudnnSetTensorNdDescriptor(cudnnTensorDescriptor_t tensor, cudnnDataType_t type,
                                         int rank, const int *extent, const int *stride) {
    if (call_should_fail(__func__) || !object_exists(tensor) || rank < 4 ||
        rank > CUDASIM_MOST_AXES)
        return CUDNN_STATUS_BAD_PARAM; /* fewer axes than 4 are to be filled up with extents of 1 */
    if (!known(type))
        return CUDNN_STATUS_NOT_SUPPORTED;
    for (int axis = 0; axis < rank; axis++)
        if (extent[axis] <= 0 || stride[axis] <= 0)
            return CUDNN_STATUS_BAD_PARAM;
    tensor->type = type;
    tensor->rank = rank;
    for (int axis = 0; axis < rank; axis++) {
        tensor->extent[axis] = extent[axis];
        tensor->stride[axis] = stride[axis];
    }
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
    if (format == CUDNN_TENSOR_NHWC)
        return cudnnSetTensor4dDescriptorEx(tensor, type, n, c, h, w, h * w * c, 1, w * c, c);
    return cudnnSetTensor4dDescriptorEx(tensor, type, n, c, h, w, c * h * w, h * w, w, 1);
}

cudnnStatus_t cudnnCreateFilterDescriptor(cudnnFilterDescriptor_t *filter) {
    return make(filter, __func__);
}

cudnnStatus_t cudnnDestroyFilterDescriptor(cudnnFilterDescriptor_t filter) {
    return destroy(filter);
}

cudnnStatus_t cudnnSetFilter4dDescriptor(cudnnFilterDescriptor_t filter, cudnnDataType_t type,
                                         cudnnTensorFormat_t format, int k, int c, int h, int w) {
    if (call_should_fail(__func__) || !object_exists(filter) || k <= 0 || c <= 0 || h <= 0 ||
        w <= 0)
        return CUDNN_STATUS_BAD_PARAM;
    if (format != CUDNN_TENSOR_NCHW || !known(type))
        return CUDNN_STATUS_NOT_SUPPORTED;
    *filter = {type, 4, {k, c, h, w}};
    return CUDNN_STATUS_SUCCESS;
}

/* ---- convolutions, poolings, activations ----------------------------------------------------------- */

cudnnStatus_t cudnnCreateConvolutionDescriptor(cudnnConvolutionDescriptor_t *conv) {
    return make(conv, __func__);
}

cudnnStatus_t cudnnDestroyConvolutionDescriptor(cudnnConvolutionDescriptor_t conv) {
    return destroy(conv);
}

cudnnStatus_t cudnnSetConvolution2dDescriptor(cudnnConvolutionDescriptor_t conv, int pad_h,
                                              int pad_w, int u, int v, int dilation_h,
                                              int dilation_w, cudnnConvolutionMode_t mode,
                                              cudnnDataType_t compute) {
    if (call_should_fail(__func__) || !object_exists(conv) || pad_h < 0 || pad_w < 0 || u <= 0 ||
        v <= 0 || dilation_h <= 0 || dilation_w <= 0)
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
    if (call_should_fail(__func__) || !object_exists(conv))
        return CUDNN_STATUS_BAD_PARAM;
    conv->math = math;
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnGetConvolution2dForwardOutputDim(const cudnnConvolutionDescriptor_t conv,
                                                    const cudnnTensorDescriptor_t x,
                                                    const cudnnFilterDescriptor_t filter, int *n,
                                                    int *c, int *h, int *w) {
    if (call_should_fail(__func__) || !object_exists(conv) || !conv->set || !is_image(x) ||
        !object_exists(filter) || x->extent[1] != filter->extent[1] * conv->groups ||
        filter->extent[0] % conv->groups != 0)
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
    return destroy(pooling);
}

cudnnStatus_t cudnnSetPooling2dDescriptor(cudnnPoolingDescriptor_t pooling, cudnnPoolingMode_t mode,
                                          cudnnNanPropagation_t, int window_h, int window_w,
                                          int pad_h, int pad_w, int stride_h, int stride_w) {
    if (call_should_fail(__func__) || !object_exists(pooling) || window_h <= 0 || window_w <= 0 ||
        pad_h < 0 || pad_w < 0 || stride_h <= 0 || stride_w <= 0)
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
    for (int axis = 0; axis < 2; axis++)
        out[axis] = places(x->extent[2 + axis], pooling->window[axis], pooling->padding[axis],
                           pooling->stride[axis], 1);
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
    return destroy(activation);
}

cudnnStatus_t cudnnSetActivationDescriptor(cudnnActivationDescriptor_t activation,
                                           cudnnActivationMode_t mode, cudnnNanPropagation_t,
                                           double) {
    if (call_should_fail(__func__) || !object_exists(activation))
        return CUDNN_STATUS_BAD_PARAM;
    *activation = {true, mode};
    return CUDNN_STATUS_SUCCESS;
}
