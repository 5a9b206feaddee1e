/* cudnn_records.h: what cuDNN's handles and descriptors are here. */
#ifndef CUDASIM_CUDNN_RECORDS_H
#define CUDASIM_CUDNN_RECORDS_H

#include <cudnn.h>

struct cudnnContext {
    cudaStream_t stream;
};

#endif
