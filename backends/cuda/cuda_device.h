/* cuda_device.h: an opened CUDA device, between the files of this folder. */
#ifndef QN_CUDA_DEVICE_H
#define QN_CUDA_DEVICE_H

#include "cuda_queue.h"

/** Slots of the way to the device, and bytes of each; bytes of the way back. */
enum { STAGING_SLOTS = 4, STAGING_BYTES = 1 << 20, BOUNCE_BYTES = 1 << 20 };

/** A slot: host memory that the device can read by itself, and a place on the device. */
typedef struct staging_slot {
    void *host, *device;
    cudaEvent_t arrived;  /**< on the device: what the work stream waits for */
    cudaEvent_t consumed; /**< in its place: what the next use of the slot waits for */
} staging_slot;

typedef struct cuda_device {
    int index;
    cuda_queue queue;    /**< of the work; first made, last to go */
    cudaStream_t copies; /**< to the device, beside the work */
    staging_slot slot[STAGING_SLOTS];
    int next_slot;
    void *bounce;              /**< pinned, BOUNCE_BYTES: where results arrive */
    cuda_fault *arrived_fault; /**< pinned: the copy of queue.fault */
    bool pools;                /**< memory comes in the order of the queue (cudaMallocAsync) */
    char description[QN_REASON_SIZE];
} cuda_device;

/** A status for an error of CUDA, which is then forgotten as far as CUDA lets it; `what` was being
 * done. Late errors of kernels come out at any call, so the operation queued last is named, too. */
qn_status cuda_failed(cuda_device *device, cudaError_t error, const char *what, char *reason);
/** Makes the device the thread's current one: contexts of several may live on a thread. */
qn_status cuda_enter(cuda_device *device, char *reason);

/* cuda_memory.c */
qn_status cuda_alloc(void *device, size_t bytes, void **memory, char *reason);
void cuda_free(void *device, void *memory);
void cuda_trim(void *device);

/* cuda_copies.c */
qn_status cuda_staging_open(cuda_device *device, char *reason);
void cuda_staging_close(cuda_device *device);
qn_status cuda_to_device(void *device, void *dst, const void *src, size_t bytes, char *reason);
qn_status cuda_to_host(void *device, void *dst, const void *src, size_t bytes, char *reason);
qn_status cuda_synchronize(void *device, char *reason);

/* cuda_graph.c */
qn_status cuda_capture_begin(void *device, char *reason);
qn_status cuda_capture_end(void *device, void **graph, char *reason);
qn_status cuda_graph_launch(void *device, void *graph, char *reason);
void cuda_graph_free(void *device, void *graph);

#endif
