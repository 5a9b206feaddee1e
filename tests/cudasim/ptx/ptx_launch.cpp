/* ptx_launch.cpp: the part of libcudart that objects compiled by nvcc call: registration of their
 * kernels, launches. Their translations are in libcudasim_kernels.so, which lies beside this
 * library. */
#include <cuda_runtime_api.h>
#include <cxxabi.h>
#include <dlfcn.h>
#include <zlib.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine.h"
#include "kernel.h"
#include "ptx_kernels.h"

namespace cudasim {

namespace {

/** Translated files by size and checksum of their PTX. A function, since libraries register before
 * this file's own variables are set up. */
std::map<std::pair<uint32_t, uint32_t>, const PtxModule *> &translated() {
    static std::map<std::pair<uint32_t, uint32_t>, const PtxModule *> modules;
    return modules;
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
    const std::string outside = "(anonymous namespace)::";
    for (size_t at; (at = name.find(outside)) != name.npos;)
        name.erase(at, outside.size());
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

/** What nvcc's objects register: `data` begins with a header that tells how long all of it is. */
struct FatBinary {
    int magic, version;
    const char *data;
    void *unused;
};
struct FatBinaryHeader {
    uint32_t magic;
    uint16_t version, header_bytes;
    uint64_t bytes;
};

/** The PTX in a fat binary that was made for one virtual architecture and not compressed. */
std::string_view ptx_in(const FatBinary &binary) {
    FatBinaryHeader header;
    memcpy(&header, binary.data, sizeof(header));
    const std::string_view all(binary.data, header.header_bytes + header.bytes);
    const size_t start = all.find("\n.version ");
    if (start == all.npos)
        fail("no PTX in the library: it is to be built with -DQUERN_CUDA_ARCHITECTURES=80-virtual");
    return all.substr(start + 1, all.find('\0', start) - start - 1);
}

/** NULL where there is none, or no kernel in it. */
const PtxModule *translation_of(const FatBinary &binary) {
    const std::string_view ptx = ptx_in(binary);
    const auto *bytes = reinterpret_cast<const unsigned char *>(ptx.data());
    const uint32_t size = static_cast<uint32_t>(ptx.size());
    auto found = translated().find({size, static_cast<uint32_t>(crc32(0, bytes, size))});
    return found == translated().end() ? nullptr : found->second;
}

const PtxKernel *kernel_named(const PtxModule *module, const char *name) {
    for (size_t i = 0; module && i < module->count; i++)
        if (strcmp(module->kernels[i].name, name) == 0)
            return &module->kernels[i];
    fail(std::string("no translation of kernel ") + name +
         ": the library and the kernels beside the stand-in are of different builds");
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

PtxModule::PtxModule(uint32_t ptx_bytes, uint32_t ptx_crc32, const PtxKernel *given, size_t number)
    : bytes(ptx_bytes), crc32(ptx_crc32), kernels(given), count(number) {
    /* Files without kernels are alike. */
    if (count > 0 && !translated().emplace(std::pair(bytes, crc32), this).second)
        fail(std::string("two translated files with the same PTX, of ") + given->name);
}

} // namespace cudasim

/* ---- what nvcc's host code calls; NVIDIA's headers declare only some of it -------------- */

using namespace cudasim;

extern "C" {

void **__cudaRegisterFatBinary(void *binary) {
    open_kernels();
    const PtxModule *module = translation_of(*static_cast<const FatBinary *>(binary));
    return reinterpret_cast<void **>(const_cast<PtxModule *>(module));
}

void __cudaRegisterFatBinaryEnd(void **) {}

void __cudaUnregisterFatBinary(void **) {}

char __cudaInitModule(void **) { return 1; }

void __cudaRegisterFunction(void **module, const char *host, char *, const char *name, int, uint3 *,
                            uint3 *, dim3 *, dim3 *, int *) {
    registered()[host] = kernel_named(reinterpret_cast<const PtxModule *>(module), name);
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
