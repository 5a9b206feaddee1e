/* ptx_launch.cpp: the part of libcudart that objects compiled by nvcc call: registration of their kernels, launches.
 * A kernel's name finds its translation in libcudasim_kernels.so, which lies beside this library. */
#include <cuda_runtime_api.h>
#include <cxxabi.h>
#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "engine.h"
#include "kernel.h"
#include "ptx_kernels.h"

namespace cudasim {

namespace {

/** Translated kernels by mangled name. A function, since libraries register before this file's own variables are
 * set up. */
std::map<std::string, const PtxKernel *> &translated() {
    static std::map<std::string, const PtxKernel *> kernels;
    return kernels;
}

/** Kernels by the address that the host knows them by. */
std::map<const void *, const PtxKernel *> &registered() {
    static std::map<const void *, const PtxKernel *> kernels;
    return kernels;
}

std::string plain_name(const char *mangled) {
    int status = 0;
    char *plain = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
    std::string name = plain ? plain : mangled;
    free(plain);
    return name.substr(0, name.find('('));
}

/** Opens libcudasim_kernels.so, whose modules then make themselves known. */
void open_kernels() {
    static bool opened;
    if (opened)
        return;
    opened = true;
    Dl_info info;
    if (!dladdr(reinterpret_cast<void *>(&open_kernels), &info))
        fail("the stand-in of libcudart does not find itself");
    std::string path = info.dli_fname;
    path = path.substr(0, path.rfind('/') + 1) + "libcudasim_kernels.so";
    if (!dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL))
        fail(std::string("no translated kernels: ") + dlerror());
}

struct PtxLaunch : Launch {
    const PtxKernel &kernel;
    std::vector<uint64_t> words; /**< of parameters, as the kernel reads them */

    PtxLaunch(const PtxKernel &given, void **values) : kernel(given) {
        size_t bytes = 0;
        for (const PtxParameter *p = kernel.parameters; p->bytes; p++)
            bytes = p->offset + p->bytes;
        words.resize(bytes / sizeof(uint64_t) + 1);
        for (int i = 0; kernel.parameters[i].bytes; i++)
            memcpy(reinterpret_cast<char *>(words.data()) + kernel.parameters[i].offset, values[i],
                   kernel.parameters[i].bytes);
        name = plain_name(kernel.name);
        arguments = words.data();
        arguments_bytes = bytes;
    }
    void run_thread() override {
        kernel.run(reinterpret_cast<const unsigned char *>(words.data()));
    }
};

cudaError_t launch(const void *function, dim3 grid, dim3 block, void **values, size_t shared_bytes,
                   cudaStream_t stream) {
    auto found = registered().find(function);
    if (found == registered().end())
        return cudaErrorInvalidDeviceFunction;
    auto made = std::make_shared<PtxLaunch>(*found->second, values);
    made->grid = grid;
    made->block = block;
    made->shared_bytes = found->second->static_bytes + shared_bytes;
    return enqueue_kernel(made, stream);
}

/** Configurations that <<< >>> has pushed and the kernel's host function has not popped yet. */
struct Configuration {
    dim3 grid, block;
    size_t shared_bytes;
    cudaStream_t stream;
};
std::vector<Configuration> &configurations() {
    static std::vector<Configuration> pushed;
    return pushed;
}

} // namespace

PtxModule::PtxModule(const PtxKernel *kernels, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (!translated().emplace(kernels[i].name, &kernels[i]).second)
            fail(std::string("two translated kernels with the name ") + kernels[i].name);
}

} // namespace cudasim

/* ---- what nvcc's host code calls; NVIDIA's headers declare only some of it -------------------------- */

using namespace cudasim;

extern "C" {

void **__cudaRegisterFatBinary(void *) {
    static void *handle;
    return &handle;
}

void __cudaRegisterFatBinaryEnd(void **) {}

void __cudaUnregisterFatBinary(void **) {}

char __cudaInitModule(void **) { return 1; }

void __cudaRegisterFunction(void **, const char *host, char *, const char *name, int, uint3 *,
                            uint3 *, dim3 *, dim3 *, int *) {
    open_kernels();
    auto found = translated().find(name);
    if (found == translated().end())
        fail(std::string("no translation of kernel ") + name +
             ": the library and the kernels beside the stand-in are of different builds");
    registered()[host] = found->second;
}

unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared_bytes,
                                     cudaStream_t stream) {
    configurations().push_back({grid, block, shared_bytes, stream});
    return 0;
}

cudaError_t __cudaPopCallConfiguration(dim3 *grid, dim3 *block, size_t *shared_bytes,
                                       cudaStream_t *stream) {
    if (configurations().empty())
        return cudaErrorMissingConfiguration;
    Configuration last = configurations().back();
    configurations().pop_back();
    *grid = last.grid;
    *block = last.block;
    *shared_bytes = last.shared_bytes;
    *stream = last.stream;
    return cudaSuccess;
}

cudaError_t __cudaGetKernel(cudaKernel_t *kernel, const void *function) {
    *kernel = static_cast<cudaKernel_t>(const_cast<void *>(function));
    return cudaSuccess;
}

cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void **values,
                               size_t shared_bytes, cudaStream_t stream) {
    return launch(kernel, grid, block, values, shared_bytes, stream);
}

cudaError_t cudaLaunchKernel(const void *function, dim3 grid, dim3 block, void **values,
                             size_t shared_bytes, cudaStream_t stream) {
    return launch(function, grid, block, values, shared_bytes, stream);
}

cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t *config, const void *function,
                                void **values) {
    if (config->numAttrs != 0)
        return cudaErrorNotSupported;
    return launch(function, config->gridDim, config->blockDim, values, config->dynamicSmemBytes,
                  config->stream);
}

} // extern "C"
