/* cudnn_records.h: what cuDNN's handles and descriptors are here, and what its calls share. */
#ifndef CUDASIM_CUDNN_RECORDS_H
#define CUDASIM_CUDNN_RECORDS_H

#include <cudnn.h>

#include <cstddef>

struct cudnnContext {
    cudaStream_t stream;
};

enum { CUDASIM_MOST_AXES = 8 };

struct cudnnTensorStruct {
    cudnnDataType_t type;
    int rank; /**< 0: not set */
    int extent[CUDASIM_MOST_AXES], stride[CUDASIM_MOST_AXES];
};

struct cudnnFilterStruct {
    cudnnDataType_t type;
    int rank;
    int extent[CUDASIM_MOST_AXES];
};

struct cudnnConvolutionStruct {
    bool set;
    int padding[2], stride[2], dilation[2], groups;
    cudnnConvolutionMode_t mode;
    cudnnDataType_t compute;
    cudnnMathType_t math;
};

struct cudnnPoolingStruct {
    bool set;
    cudnnPoolingMode_t mode;
    int window[2], padding[2], stride[2];
};

struct cudnnActivationStruct {
    bool set;
    cudnnActivationMode_t mode;
};

namespace cudasim {

/** Bytes of an element: float, double or bfloat16. */
inline size_t type_bytes(cudnnDataType_t type) {
    return type == CUDNN_DATA_DOUBLE ? 8 : type == CUDNN_DATA_BFLOAT16 ? 2 : 4;
}

/** Bytes from a tensor's first element to its last. */
size_t tensor_bytes(const cudnnTensorStruct *tensor);
size_t filter_bytes(const cudnnFilterStruct *filter);

/** Whether a tensor has 4 axes; it then has elements, and no stride below 0. */
bool is_image(const cudnnTensorStruct *tensor);

/** A factor in host memory: double for tensors of double, else float. */
inline double factor(const void *value, cudnnDataType_t type) {
    return type == CUDNN_DATA_DOUBLE ? *static_cast<const double *>(value)
                                     : (double)*static_cast<const float *>(value);
}

/** Device pointers must be that, and aligned to their elements. Ends the process otherwise. */
void check_device(const char *call, const void *pointer, cudnnDataType_t type);

/** A status for what was queued. */
inline cudnnStatus_t queued(cudaError_t error) {
    return error == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}

} // namespace cudasim
#endif
