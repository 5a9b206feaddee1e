/* cuda_map.h: elementwise operations. An operation is a functor; here are the walks: four elements
 * at a time where all operands lie densely, any strides otherwise.
 *
 * The output may be one of the inputs: each element is read and written by one thread. */
#ifndef QN_CUDA_MAP_H
#define QN_CUDA_MAP_H

#include <utility>

#include "cuda_math.h"
#include "cuda_walk.h"

enum { MAP_BLOCK = 256, MAP_PACK = 4 };

/** Elements that are loaded and stored as one. */
template <class T> struct alignas(MAP_PACK * sizeof(T)) map_pack { T v[MAP_PACK]; };

template <class F, class Out, class... In>
__device__ inline void map_apply_pack(F f, map_pack<Out> *out, map_pack<In>... x) {
    map_pack<Out> y;
    for (int j = 0; j < MAP_PACK; j++)
        y.v[j] = f(x.v[j]...);
    *out = y;
}

template <class F, class Out, class... In>
__global__ void map_dense(F f, int64_t count, Out *out, const In *...in) {
    int64_t packs = count / MAP_PACK;
    for (int64_t i = gpu_first(); i < packs; i += gpu_step())
        map_apply_pack<F, Out, In...>(f, reinterpret_cast<map_pack<Out> *>(out) + i,
                                      reinterpret_cast<const map_pack<In> *>(in)[i]...);
    for (int64_t i = packs * MAP_PACK + gpu_first(); i < count; i += gpu_step())
        out[i] = f(in[i]...);
}

template <class F, class Out, class... In, size_t... k>
__device__ inline void map_apply_at(F f, const int64_t *at, std::index_sequence<k...>, Out *out,
                                    const In *...in) {
    out[at[0]] = f(in[at[k + 1]]...);
}

template <class F, class Out, class... In>
__global__ void map_strided(F f, cuda_walk walk, Out *out, const In *...in) {
    int64_t at[1 + sizeof...(In)];
    for (int64_t i = gpu_first(); i < walk.count; i += gpu_step()) {
        cuda_walk_at<1 + (int)sizeof...(In)>(walk, i, at);
        map_apply_at(f, at, std::index_sequence_for<In...>(), out, in...);
    }
}

/** Whether packs of an operand can be loaded as one. */
template <class T> inline bool map_aligned(const void *data) {
    return (uintptr_t)data % alignof(map_pack<T>) == 0;
}

template <class F, class Out, class... In, size_t... k>
inline qn_status map_run(const qn_call *call, F f, std::index_sequence<k...>) {
    const qn_view *views[] = {&call->out[0], &call->in[k]...};
    cuda_walk walk = cuda_walk_of(1 + (int)sizeof...(In), views);
    Out *out = (Out *)call->out[0].data;
    bool dense = map_aligned<Out>(out) && (map_aligned<In>(call->in[k].data) && ...);
    for (size_t i = 0; i <= sizeof...(In); i++)
        dense = dense && cuda_walk_is_dense(walk, (int)i);
    if (dense)
        return gpu_launch(call, map_dense<F, Out, In...>,
                          gpu_blocks(call, (walk.count + MAP_PACK - 1) / MAP_PACK, MAP_BLOCK),
                          MAP_BLOCK, 0, f, walk.count, out, (const In *)call->in[k].data...);
    return gpu_launch(call, map_strided<F, Out, In...>, gpu_blocks(call, walk.count, MAP_BLOCK),
                      MAP_BLOCK, 0, f, walk, out, (const In *)call->in[k].data...);
}

/** out = f(in[0], ...), element by element; the types of output and inputs follow F. */
template <class Out, class... In, class F> inline qn_status map_launch(const qn_call *call, F f) {
    return map_run<F, Out, In...>(call, f, std::index_sequence_for<In...>());
}

/* The common forms: operands and output of one floating-point type T, a functor F<T> made of
 * numbers. */

template <template <class> class F, class... Numbers>
inline qn_status map_unary(const qn_call *call, Numbers... numbers) {
    if (call->out->dtype == QN_F64)
        return map_launch<double, double>(call, F<double>{(double)numbers...});
    return map_launch<float, float>(call, F<float>{(float)numbers...});
}

template <template <class> class F, class... Numbers>
inline qn_status map_binary(const qn_call *call, Numbers... numbers) {
    if (call->out->dtype == QN_F64)
        return map_launch<double, double, double>(call, F<double>{(double)numbers...});
    return map_launch<float, float, float>(call, F<float>{(float)numbers...});
}

/** A comparison: two operands of any one type, F<T> gives 0 or 1. */
template <template <class> class F> inline qn_status map_compare(const qn_call *call) {
    switch (call->in[0].dtype) {
    case QN_F32:
        return map_launch<uint8_t, float, float>(call, F<float>{});
    case QN_F64:
        return map_launch<uint8_t, double, double>(call, F<double>{});
    case QN_I32:
        return map_launch<uint8_t, int32_t, int32_t>(call, F<int32_t>{});
    case QN_I64:
        return map_launch<uint8_t, int64_t, int64_t>(call, F<int64_t>{});
    case QN_U8:
        return map_launch<uint8_t, uint8_t, uint8_t>(call, F<uint8_t>{});
    case QN_BF16:
    case QN_F16:
    case QN_DTYPE_COUNT:
        break;
    }
    return QN_INTERNAL_ERROR; // no dtype that the kernel takes
}

#endif
