/* ptx_kernels.h: what translated kernels and the launching part know of each other. */
#ifndef CUDASIM_PTX_KERNELS_H
#define CUDASIM_PTX_KERNELS_H

#include <cstddef>
#include <cstdint>

namespace cudasim {

/** Where a parameter lies in the block of parameters that a kernel reads; of `bytes` 0 after the
 * last one. */
struct PtxParameter {
    unsigned offset, bytes;
};

constexpr int ptx_most_parameters = 40;

struct PtxKernel {
    const char *name; /**< mangled, as the host registers it */
    void (*run)(const unsigned char *parameters);
    unsigned static_bytes; /**< of shared memory; dynamic shared memory follows */
    PtxParameter parameters[ptx_most_parameters];
};

/** The kernels of one translated file; known to the launching part while it lives. Found by its
 * PTX, since two files may have kernels of the same name. */
struct PtxModule {
    uint32_t bytes, crc32; /**< of the PTX */
    const PtxKernel *kernels;
    size_t count;

    PtxModule(uint32_t ptx_bytes, uint32_t ptx_crc32, const PtxKernel *given, size_t number);
};

} // namespace cudasim
#endif
