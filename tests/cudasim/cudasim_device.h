/* cudasim_device.h: the device's language for a plain C++ compiler. gpu.h includes it where nvcc
 * does not compile.
 *
 * Approximate instructions are computed exactly. Shared arrays are plain static ones: blocks run
 * one after another, and the checker knows them by where they lie. */
#ifndef CUDASIM_DEVICE_H
#define CUDASIM_DEVICE_H

#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kernel.h"

#undef __shared__
#define __shared__ static
#undef __launch_bounds__
#define __launch_bounds__(...)
#undef __constant__
#define __constant__ static const

static constexpr int warpSize = 32;

/* ---- launches ------------------------------------------------------------------------------- */

namespace cudasim {

template <class... Parameters> struct SourceLaunch : Launch {
    void (*kernel)(Parameters...);
    std::tuple<Parameters...> values;

    SourceLaunch(void (*entry)(Parameters...), Parameters... given)
        : kernel(entry), values(given...) {
        function = reinterpret_cast<const void *>(entry);
        arguments = this;
        arguments_bytes = sizeof(*this);
        (note(given), ...);
    }
    void run_thread() override { std::apply(kernel, values); }

  private:
    template <class Value> void note(const Value &value) {
        if constexpr (std::is_pointer_v<Value>)
            pointers.push_back(reinterpret_cast<const void *>(value));
    }
};

template <class... Parameters, class... Arguments>
cudaError_t launch(const cudaLaunchConfig_t *config, void (*kernel)(Parameters...),
                   Arguments &&...arguments) {
    auto made = std::make_shared<SourceLaunch<Parameters...>>(
        kernel, static_cast<Parameters>(arguments)...);
    made->grid = config->gridDim;
    made->block = config->blockDim;
    made->shared_bytes = config->dynamicSmemBytes;
    return enqueue_kernel(made, config->stream);
}

template <class Value> uint64_t to_word(Value value) {
    static_assert(sizeof(Value) <= sizeof(uint64_t) && std::is_trivially_copyable_v<Value>);
    uint64_t word = 0;
    memcpy(&word, &value, sizeof(value));
    return word;
}

template <class Value> Value from_word(uint64_t word) {
    Value value;
    memcpy(&value, &word, sizeof(value));
    return value;
}

/** What lane `source` brought; this thread's own value where there is no such lane in the segment;
 * all bits set from a lane that takes no part, which on hardware is undefined. */
template <class Value>
Value shuffle(unsigned mask, Value value, int source, bool inside, const char *file, int line) {
    unsigned present = 0;
    const uint64_t *words =
        warp_exchange(mask, to_word(value), WarpOp::shuffle, &present, file, line);
    if (!inside)
        return value;
    return from_word<Value>(present >> source & 1u ? words[source] : ~UINT64_C(0));
}

} // namespace cudasim

#define cudaLaunchKernelEx(...) cudasim::launch(__VA_ARGS__)

/* ---- blocks and warps ------------------------------------------------------------------------ */

/* Where a call stands, for reports: default arguments are evaluated at the call. */
#define CUDASIM_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(CUDASIM_HERE) { cudasim::block_barrier(false, file, line); }
inline int __syncthreads_count(int predicate, CUDASIM_HERE) {
    return cudasim::block_barrier(predicate != 0, file, line);
}
inline int __syncthreads_or(int predicate, CUDASIM_HERE) {
    return cudasim::block_barrier(predicate != 0, file, line) != 0;
}
inline int __syncthreads_and(int predicate, CUDASIM_HERE) {
    return cudasim::block_barrier(predicate == 0, file, line) == 0;
}
inline void __syncwarp(unsigned mask = ~0u, CUDASIM_HERE) {
    unsigned present;
    cudasim::warp_exchange(mask, 0, cudasim::WarpOp::sync, &present, file, line);
}
inline void __threadfence() {}
inline void __threadfence_block() {}

template <class Value>
Value __shfl_sync(unsigned mask, Value value, int source, int width = 32, CUDASIM_HERE) {
    int lane = (int)cudasim::lane_id();
    return cudasim::shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)), true, file,
                            line);
}
template <class Value>
Value __shfl_xor_sync(unsigned mask, Value value, int bits, int width = 32, CUDASIM_HERE) {
    int lane = (int)cudasim::lane_id(), source = lane ^ bits;
    bool inside = source < (lane & ~(width - 1)) + width;
    return cudasim::shuffle(mask, value, source & 31, inside, file, line);
}
template <class Value>
Value __shfl_down_sync(unsigned mask, Value value, unsigned delta, int width = 32, CUDASIM_HERE) {
    int lane = (int)cudasim::lane_id(), source = lane + (int)delta;
    bool inside = source < (lane & ~(width - 1)) + width;
    return cudasim::shuffle(mask, value, source & 31, inside, file, line);
}
template <class Value>
Value __shfl_up_sync(unsigned mask, Value value, unsigned delta, int width = 32, CUDASIM_HERE) {
    int lane = (int)cudasim::lane_id(), source = lane - (int)delta;
    return cudasim::shuffle(mask, value, source & 31, source >= (lane & ~(width - 1)), file, line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, CUDASIM_HERE) {
    unsigned present = 0, ballot = 0;
    const uint64_t *words =
        cudasim::warp_exchange(mask, predicate != 0, cudasim::WarpOp::vote, &present, file, line);
    for (unsigned lane = 0; lane < 32; lane++)
        if (present >> lane & 1u && words[lane])
            ballot |= 1u << lane;
    return ballot;
}
inline int __any_sync(unsigned mask, int predicate, CUDASIM_HERE) {
    return __ballot_sync(mask, predicate, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, CUDASIM_HERE) {
    return __ballot_sync(mask, !predicate, file, line) == 0;
}
inline unsigned __activemask() { return cudasim::live_lanes(); }

/* ---- atomics: one thread runs at a time, so plain code between two marks is one --------- */

namespace cudasim {
template <class Value, class Function> Value modify(Value *at, Function function) {
    atomic_begin();
    Value old = *at;
    *at = function(old);
    atomic_end();
    return old;
}
} // namespace cudasim

template <class Value> Value atomicAdd(Value *at, std::common_type_t<Value> value) {
    return cudasim::modify(at, [value](Value old) { return (Value)(old + value); });
}
template <class Value> Value atomicSub(Value *at, std::common_type_t<Value> value) {
    return cudasim::modify(at, [value](Value old) { return (Value)(old - value); });
}
template <class Value> Value atomicMax(Value *at, std::common_type_t<Value> value) {
    return cudasim::modify(at, [value](Value old) { return old > value ? old : value; });
}
template <class Value> Value atomicMin(Value *at, std::common_type_t<Value> value) {
    return cudasim::modify(at, [value](Value old) { return old < value ? old : value; });
}
template <class Value> Value atomicExch(Value *at, std::common_type_t<Value> value) {
    return cudasim::modify(at, [value](Value) { return value; });
}
template <class Value>
Value atomicCAS(Value *at, std::common_type_t<Value> expected, std::common_type_t<Value> value) {
    return cudasim::modify(at, [=](Value old) { return old == expected ? value : old; });
}

/* ---- loads, bits, arithmetic ------------------------------------------------------------ */

template <class Value> Value __ldg(const Value *at) { return *at; }
template <class Value> Value __ldcs(const Value *at) { return *at; }
template <class Value> void __stcs(Value *at, Value value) { *at = value; }

using std::max;
using std::min;

inline float __int_as_float(int bits) { return cudasim::from_word<float>((uint32_t)bits); }
inline int __float_as_int(float value) { return (int)cudasim::to_word(value); }
inline unsigned __float_as_uint(float value) { return (unsigned)cudasim::to_word(value); }
inline float __uint_as_float(unsigned bits) { return cudasim::from_word<float>(bits); }
inline double __longlong_as_double(long long bits) {
    return cudasim::from_word<double>((uint64_t)bits);
}
inline long long __double_as_longlong(double value) { return (long long)cudasim::to_word(value); }
inline unsigned __umulhi(unsigned a, unsigned b) { return (unsigned)((uint64_t)a * b >> 32); }
inline int __popc(unsigned bits) { return __builtin_popcount(bits); }
inline int __clz(int bits) { return bits ? __builtin_clz((unsigned)bits) : 32; }
inline int __clzll(long long bits) { return bits ? __builtin_clzll((unsigned long long)bits) : 64; }
inline int __ffs(int bits) { return __builtin_ffs(bits); }

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float a) { return 1.0f / a; }
inline float __saturatef(float x) { return x > 1 ? 1 : x > 0 ? x : 0; }
inline float cospif(float x) { return (float)cos((double)x * M_PI); }
inline float sinpif(float x) { return (float)sin((double)x * M_PI); }
inline double cospi(double x) { return cos(x * M_PI); }
inline double sinpi(double x) { return sin(x * M_PI); }

#endif
