/* cuda.c: NVIDIA GPUs as a device: opening and closing, and the order in
 * which kernels are asked. */
#include <cudnn.h>
#include <stdio.h>
#include <stdlib.h>

#include "cuda_device.h"

/* Tables generated from the kernel folders (kernels/tables.cmake), and how two of them open. */
extern const qn_kernel *const qnk_cudnn_table[];
extern const qn_kernel *const qnk_cublas_table[];
extern const qn_kernel *const qnk_cuda_table[];
extern qn_status qnk_cudnn_open(void *queue, void **state, char *reason);
extern qn_status qnk_cublas_open(void *queue, void **state, char *reason);
extern void qnk_cudnn_close(void *state);
extern void qnk_cublas_close(void *state);

__attribute__((visibility("default"))) const qn_backend *qn_backend_entry_v1(const qn_host *host);

/* Well above the CPU's 1: `auto` takes a GPU where there is one. */
enum { SCORE = 100 };

/* ---- errors ------------------------------------------------------------------------------ */

qn_status cuda_failed(cuda_device *device, cudaError_t error, const char *what, char *reason) {
    const char *last = device->queue.last_op;
    cudaGetLastError(); /* errors that are not for good are forgotten */
    snprintf(reason, QN_REASON_SIZE, "%s: %s (CUDA error %d%s%s)", what, cudaGetErrorString(error),
             (int)error, last ? "; queued last: " : "", last ? last : "");
    return error == cudaErrorMemoryAllocation ? QN_OUT_OF_MEMORY : QN_DEVICE_ERROR;
}

qn_status cuda_enter(cuda_device *device, char *reason) {
    cudaError_t error = cudaSetDevice(device->index);
    return error == cudaSuccess ? QN_OK : cuda_failed(device, error, "choosing the device", reason);
}

/* ---- opening ----------------------------------------------------------------------------- */

/** Whether the plug-in has code for a device; the thread's current one stays what it was. */
static cudaError_t find_code(int index) {
    int before = 0;
    cudaError_t error = cudaGetDevice(&before);
    if (error == cudaSuccess)
        error = cudaSetDevice(index);
    if (error != cudaSuccess)
        return error;
    error = qnk_cuda_code();
    cudaSetDevice(before);
    return error;
}

static int cuda_score(int index, char *reason) {
    int count = 0; /* left as it is when the call fails */
    cudaError_t error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess) {
        cudaGetLastError();
        snprintf(reason, QN_REASON_SIZE, "no usable NVIDIA driver: %s (CUDA error %d)",
                 cudaGetErrorString(error), (int)error);
        return 0;
    }
    if (index < 0 || index >= count) {
        snprintf(reason, QN_REASON_SIZE, "there are %d CUDA devices, numbered from 0", count);
        return 0;
    }
    error = find_code(index);
    if (error == cudaSuccess)
        return SCORE;
    cudaGetLastError();
    if (error == cudaErrorNoKernelImageForDevice)
        snprintf(reason, QN_REASON_SIZE,
                 "this libquern-cuda.so was built for other GPUs than this one; "
                 "-DQUERN_CUDA_ARCHITECTURES names those to build for");
    else
        snprintf(reason, QN_REASON_SIZE, "the GPU cannot be used: %s (CUDA error %d)",
                 cudaGetErrorString(error), (int)error);
    return 0;
}

static void describe(cuda_device *device, const struct cudaDeviceProp *properties) {
    int runtime = 0;
    cudaRuntimeGetVersion(&runtime);
    snprintf(device->description, sizeof(device->description),
             "%.128s, %.0f GiB, compute capability %d.%d, CUDA %d.%d, cuDNN %zu", properties->name,
             (double)properties->totalGlobalMem / (1 << 30), properties->major, properties->minor,
             runtime / 1000, runtime % 1000 / 10, cudnnGetVersion());
}

static cudaError_t open_streams(cuda_device *device) {
    struct cudaDeviceProp properties;
    int pools = 0;
    cudaError_t error = cudaGetDeviceProperties(&properties, device->index);
    if (error == cudaSuccess)
        error = cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, device->index);
    if (error == cudaSuccess)
        error = cudaStreamCreateWithFlags(&device->queue.stream, cudaStreamNonBlocking);
    if (error == cudaSuccess)
        error = cudaStreamCreateWithFlags(&device->copies, cudaStreamNonBlocking);
    if (error != cudaSuccess)
        return error;
    device->pools = pools;
    device->queue.multiprocessors = properties.multiProcessorCount;
    device->queue.capability = 10 * properties.major + properties.minor;
    describe(device, &properties);
    return cudaSuccess;
}

/** Freed memory stays in the pool of cudaMallocAsync instead of going back to the driver at each
 * wait. */
static cudaError_t keep_pool(const cuda_device *device) {
    cudaMemPool_t pool;
    uint64_t all = UINT64_MAX;
    cudaError_t error = cudaDeviceGetDefaultMemPool(&pool, device->index);
    return error != cudaSuccess
               ? error
               : cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all);
}

static void cuda_close(void *opened) {
    cuda_device *device = opened;
    cudaSetDevice(device->index);
    if (device->queue.stream)
        cudaStreamSynchronize(device->queue.stream);
    cuda_staging_close(device);
    if (device->copies)
        cudaStreamDestroy(device->copies);
    if (device->queue.stream)
        cudaStreamDestroy(device->queue.stream);
    cudaGetLastError();
    free(device);
}

static qn_status open_all(cuda_device *device, char *reason) {
    qn_status status = cuda_enter(device, reason);
    if (status != QN_OK)
        return status;
    cudaError_t error = open_streams(device);
    if (error == cudaSuccess && device->pools)
        error = keep_pool(device);
    if (error != cudaSuccess)
        return cuda_failed(device, error, "opening the device", reason);
    return cuda_staging_open(device, reason);
}

static qn_status cuda_open(int index, void **opened, char *reason) {
    cuda_device *device = calloc(1, sizeof(*device));
    if (!device) {
        snprintf(reason, QN_REASON_SIZE, "out of memory");
        return QN_OUT_OF_MEMORY;
    }
    device->index = index;
    qn_status status = open_all(device, reason);
    if (status == QN_OK)
        *opened = device;
    else
        cuda_close(device);
    return status;
}

static const char *cuda_describe(void *opened) { return ((cuda_device *)opened)->description; }

static const qn_provider *cuda_providers(void *opened) {
    static const qn_provider providers[] = {
        {.name = "cudnn",
         .kernels = qnk_cudnn_table,
         .open = qnk_cudnn_open,
         .close = qnk_cudnn_close},
        {.name = "cublas",
         .kernels = qnk_cublas_table,
         .open = qnk_cublas_open,
         .close = qnk_cublas_close},
        {.name = "cuda", .kernels = qnk_cuda_table},
        {.name = NULL},
    };
    (void)opened;
    return providers;
}

/** The queue; kernels are launched on the thread's current device. */
static void *cuda_queue_handle(void *opened) {
    cuda_device *device = opened;
    device->queue.entered = cudaSetDevice(device->index); /* the call that follows says it */
    return &device->queue;
}

static int cuda_default_threads(void *opened) {
    (void)opened;
    return 0;
}

const qn_backend *qn_backend_entry_v1(const qn_host *host) {
    static const qn_backend backend = {
        .size = sizeof(qn_backend),
        .abi = QN_BACKEND_ABI,
        .name = "cuda",
        .score = cuda_score,
        .open = cuda_open,
        .close = cuda_close,
        .describe = cuda_describe,
        .providers = cuda_providers,
        .alloc = cuda_alloc,
        .free = cuda_free,
        .to_device = cuda_to_device,
        .to_host = cuda_to_host,
        .synchronize = cuda_synchronize,
        .queue = cuda_queue_handle,
        .host_addressable = false,
        .default_threads = cuda_default_threads,
        .capture_begin = cuda_capture_begin,
        .capture_end = cuda_capture_end,
        .graph_launch = cuda_graph_launch,
        .graph_free = cuda_graph_free,
        .provider_size = sizeof(qn_provider),
        .trim = cuda_trim,
        .precisions = 1u << QN_PRECISION_TF32 | 1u << QN_PRECISION_BF16 | 1u << QN_PRECISION_F16,
    };
    return host->abi == QN_BACKEND_ABI ? &backend : NULL;
}
