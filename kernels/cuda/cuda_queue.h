/* cuda_queue.h: what qn_call.queue is on a CUDA device, for the kernels of cuda/, cublas/ and
 * cudnn/ and for backends/cuda, which makes it. C and C++. */
#ifndef QN_CUDA_QUEUE_H
#define QN_CUDA_QUEUE_H

#include <cuda_runtime_api.h>

#include "quern_backend.h"

#ifdef __cplusplus
extern "C" {
#endif

/** What was wrong with data. */
typedef enum cuda_fault_kind {
    CUDA_FAULT_NONE,
    CUDA_FAULT_INDEX,  /**< "index %value at position %position is outside 0 .. %last" */
    CUDA_FAULT_TARGET, /**< "target of row %position is %value, expected 0 .. %last" */
    CUDA_FAULT_LENGTH  /**< "length of sample %position is %value, expected 0 .. %last" */
} cuda_fault_kind;

/** The first fault in data that a kernel met since the last synchronisation. It lies
 * in device memory, all zero when there is none; the next synchronising call reads
 * it, says it and clears it. */
typedef struct cuda_fault {
    int32_t kind;
    int32_t unused;
    int64_t value, position, last;
    uint64_t op; /**< the operation's name: the host's pointer, not to be followed on the device */
} cuda_fault;

/** A device's queue of work, and what kernels ask about the device. */
typedef struct cuda_queue {
    cudaStream_t stream;
    int multiprocessors;
    int capability;      /**< compute capability, 10 major + minor: 75, 80, 90 ... */
    const char *last_op; /**< the operation queued last: late failures come under its name */
    cuda_fault *fault;   /**< device memory */
    cudaError_t entered; /**< whether the device became the thread's current one */
} cuda_queue;

/** cudaSuccess where the kernels were compiled for the thread's current device, or can be by its
 * driver; else what is wrong, cudaErrorNoKernelImageForDevice mostly (code_cuda.cu). */
cudaError_t qnk_cuda_code(void);

static inline cuda_queue *cuda_queue_of(const qn_call *call) { return (cuda_queue *)call->queue; }

/** Ends a kernel's run(): QN_OK, or a status with CUDA's own words in call->reason. */
static inline qn_status cuda_end(const qn_call *call, cudaError_t error) {
    cuda_queue_of(call)->last_op = call->op;
    if (error == cudaSuccess)
        error = cuda_queue_of(call)->entered;
    if (error == cudaSuccess)
        return QN_OK;
    const char *words = cudaGetErrorString(error);
    size_t i = 0;
    for (; words[i] && i + 1 < QN_REASON_SIZE; i++)
        call->reason[i] = words[i];
    call->reason[i] = '\0';
    return error == cudaErrorMemoryAllocation ? QN_OUT_OF_MEMORY : QN_DEVICE_ERROR;
}

#ifdef __cplusplus
}
#endif
#endif
