/* cudnn_objects.h: a handle and descriptors of cuDNN for tests, given back at the end of their
 * lives. */
#ifndef CUDASIM_CUDNN_OBJECTS_H
#define CUDASIM_CUDNN_OBJECTS_H

#include <cudnn.h>

#include <string>

#include "results.h"

/** An image's extents and strides, in elements. */
struct Extents {
    int n, c, h, w;
    int stride[4];

    /** By rows, as [n, c, h, w], or with channels last. */
    static Extents of(int n, int c, int h, int w, bool channels_last = false) {
        return channels_last ? Extents{n, c, h, w, {c * h * w, 1, w * c, c}}
                             : Extents{n, c, h, w, {c * h * w, h * w, w, 1}};
    }
    size_t elements() const { return (size_t)n * (size_t)c * (size_t)h * (size_t)w; }
    size_t at(int i, int j, int k, int l) const {
        return (size_t)i * (size_t)stride[0] + (size_t)j * (size_t)stride[1] +
               (size_t)k * (size_t)stride[2] + (size_t)l * (size_t)stride[3];
    }
};

inline void expect_success(cudnnStatus_t status, const std::string &what) {
    expect(status == CUDNN_STATUS_SUCCESS, what + ": " + cudnnGetErrorString(status));
}

class CudnnHandle {
  public:
    CudnnHandle() { expect_success(cudnnCreate(&handle_), "cudnnCreate"); }
    ~CudnnHandle() { cudnnDestroy(handle_); }
    CudnnHandle(const CudnnHandle &) = delete;
    CudnnHandle &operator=(const CudnnHandle &) = delete;
    cudnnHandle_t get() const { return handle_; }

  private:
    cudnnHandle_t handle_ = nullptr;
};

class CudnnTensor {
  public:
    CudnnTensor(cudnnDataType_t type, const Extents &e) {
        cudnnCreateTensorDescriptor(&tensor_);
        expect_success(cudnnSetTensor4dDescriptorEx(tensor_, type, e.n, e.c, e.h, e.w, e.stride[0],
                                                    e.stride[1], e.stride[2], e.stride[3]),
                       "tensor");
    }
    ~CudnnTensor() { cudnnDestroyTensorDescriptor(tensor_); }
    CudnnTensor(const CudnnTensor &) = delete;
    CudnnTensor &operator=(const CudnnTensor &) = delete;
    cudnnTensorDescriptor_t get() const { return tensor_; }

  private:
    cudnnTensorDescriptor_t tensor_ = nullptr;
};

/** The type of float, double or bf16. */
template <class T> constexpr cudnnDataType_t cudnn_type() {
    return sizeof(T) == 8   ? CUDNN_DATA_DOUBLE
           : sizeof(T) == 2 ? CUDNN_DATA_BFLOAT16
                            : CUDNN_DATA_FLOAT;
}

#endif
