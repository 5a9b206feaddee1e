/* bfloat16_cuda.cu: dense numbers as bfloat16 and back, bit for bit as qn_bf16_bits() and
 * qn_bf16_value() do it. No operation: cuDNN's convolutions read and write the copies. */
#include "cuda_bfloat16.h"
#include "cuda_map.h"

namespace {

struct to_bf16_f {
    __device__ uint16_t operator()(float x) const {
        const uint32_t bits = __float_as_uint(x), magnitude = bits & 0x7fffffffu;
        if (magnitude < 0x00800000u) /* denormal */
            return (uint16_t)((bits & 0x80000000u) >> 16);
        if (magnitude > 0x7f800000u) /* NaN, not to become infinite */
            return (uint16_t)((bits | 0x00400000u) >> 16);
        return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
    }
};

struct from_bf16_f {
    __device__ float operator()(uint16_t bits) const {
        return __uint_as_float((uint32_t)bits << 16);
    }
};

template <class F, class Out, class In>
qn_status convert(const qn_call *call, int64_t count, const In *from, Out *to) {
    if (map_aligned<Out>(to) && map_aligned<In>(from))
        return gpu_launch(call, map_dense<F, Out, In>,
                          gpu_blocks(call, (count + MAP_PACK - 1) / MAP_PACK, MAP_BLOCK), MAP_BLOCK,
                          0, F{}, count, to, from);
    const cuda_walk line = {1, count, {count}, {{1}, {1}}};
    return gpu_launch(call, map_strided<F, Out, In>, gpu_blocks(call, count, MAP_BLOCK), MAP_BLOCK,
                      0, F{}, line, to, from);
}

} // namespace

qn_status qnk_cuda_to_bf16(const qn_call *call, int64_t count, const float *from, uint16_t *to) {
    return convert<to_bf16_f>(call, count, from, to);
}

qn_status qnk_cuda_from_bf16(const qn_call *call, int64_t count, const uint16_t *from, float *to) {
    return convert<from_bf16_f>(call, count, from, to);
}
