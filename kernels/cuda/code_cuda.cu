/* code_cuda.cu: whether there is code for the current device in what nvcc made. No operation: a
 * backend asks before it offers a device. */
#include "gpu.h"

namespace {

/** Compiled for the architectures of all others. */
__global__ void code_probe() {}

} // namespace

cudaError_t qnk_cuda_code(void) {
    cudaFuncAttributes attributes;
    return cudaFuncGetAttributes(&attributes, reinterpret_cast<const void *>(code_probe));
}
