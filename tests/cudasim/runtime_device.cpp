/* runtime_device.cpp: libcudart's devices and versions. The prototypes are NVIDIA's own. */
#include <cuda_runtime_api.h>

#include <cstring>

#include "engine.h"
#include "faults.h"
#include "settings.h"

using namespace cudasim;

/* Few multiprocessors, so that grids stay small and loops over them go round. */
enum { MULTIPROCESSORS = 2, SHARED_BYTES = 48 * 1024 };

static thread_local int current; /* each thread begins on the first device */

int cudasim::current_device() { return current; }

static bool device_exists(int device) { return device >= 0 && device < settings().devices; }

cudaError_t cudaGetDeviceCount(int *count) {
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess && settings().devices < 1)
        return call_ends(cudaErrorNoDevice);
    if (error == cudaSuccess)
        *count = settings().devices;
    return error;
}

cudaError_t cudaGetDevice(int *device) {
    cudaError_t error = call_begins(__func__);
    if (error == cudaSuccess)
        *device = current_device();
    return error;
}

cudaError_t cudaSetDevice(int device) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess || !device_exists(device))
        return call_ends(error != cudaSuccess ? error : cudaErrorInvalidDevice);
    current = device;
    return cudaSuccess;
}

/* As a toolkit of CUDA 13 builds: what is older than its first architecture has no code. */
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes *attributes, const void *function) {
    enum { FIRST_CAPABILITY = 75 };
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess || !function)
        return call_ends(error != cudaSuccess ? error : cudaErrorInvalidDeviceFunction);
    if (settings().capability < FIRST_CAPABILITY)
        return call_ends(cudaErrorNoKernelImageForDevice);
    memset(attributes, 0, sizeof(*attributes));
    return cudaSuccess;
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp *properties, int device) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess || !device_exists(device))
        return call_ends(error != cudaSuccess ? error : cudaErrorInvalidDevice);
    memset(properties, 0, sizeof(*properties));
    strcpy(properties->name, "simulated GPU");
    properties->major = settings().capability / 10;
    properties->minor = settings().capability % 10;
    properties->multiProcessorCount = MULTIPROCESSORS;
    properties->warpSize = 32;
    properties->totalGlobalMem = settings().memory;
    properties->sharedMemPerBlock = SHARED_BYTES;
    properties->maxThreadsPerBlock = 1024;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int device) {
    cudaError_t error = call_begins(__func__);
    if (error != cudaSuccess || !device_exists(device))
        return call_ends(error != cudaSuccess ? error : cudaErrorInvalidDevice);
    switch (attribute) {
    case cudaDevAttrMultiProcessorCount:
        *value = MULTIPROCESSORS;
        break;
    case cudaDevAttrComputeCapabilityMajor:
        *value = settings().capability / 10;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = settings().capability % 10;
        break;
    case cudaDevAttrMemoryPoolsSupported:
        *value = 1;
        break;
    default:
        return call_ends(cudaErrorInvalidValue);
    }
    return cudaSuccess;
}

cudaError_t cudaDriverGetVersion(int *version) {
    *version = CUDART_VERSION;
    return call_begins(__func__);
}

cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = CUDART_VERSION;
    return call_begins(__func__);
}
