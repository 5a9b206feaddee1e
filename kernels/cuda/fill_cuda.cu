/* fill_cuda.cu: every element becomes one value. */
#include "cuda_copy.h"
#include "cuda_map.h"

namespace {

template <class T> struct constant_f {
    T value;
    __device__ T operator()() const { return value; }
};

template <class T> qn_status fill_as(const qn_call *call, const qn_view *view, T value) {
    const cuda_walk w = cuda_walk_of(view);
    T *out = (T *)view->data;
    const constant_f<T> f = {value};
    if (cuda_walk_is_dense(w, 0) && map_aligned<T>(out))
        return gpu_launch(call, map_dense<constant_f<T>, T>,
                          gpu_blocks(call, (w.count + MAP_PACK - 1) / MAP_PACK, MAP_BLOCK),
                          MAP_BLOCK, 0, f, w.count, out);
    return gpu_launch(call, map_strided<constant_f<T>, T>, gpu_blocks(call, w.count, MAP_BLOCK),
                      MAP_BLOCK, 0, f, w, out);
}

qn_status run(const qn_call *call) {
    return cuda_fill(call, call->out, ((const qn_scalar_attrs *)call->attrs)->value);
}

} // namespace

qn_status cuda_fill(const qn_call *call, const qn_view *view, double value) {
    switch (view->dtype) {
    case QN_F32:
        return fill_as<float>(call, view, (float)value);
    case QN_F64:
        return fill_as<double>(call, view, value);
    case QN_I32:
        return fill_as<int32_t>(call, view, (int32_t)qn_saturate(value, INT32_MIN, INT32_MAX));
    case QN_I64:
        return fill_as<int64_t>(call, view, qn_saturate(value, INT64_MIN, INT64_MAX));
    case QN_U8:
        return fill_as<uint8_t>(call, view, (uint8_t)qn_saturate(value, 0, UINT8_MAX));
    case QN_BF16:
        return fill_as<qn_bf16>(call, view, qn_bf16_from((float)value));
    case QN_F16:
        return fill_as<qn_f16>(call, view, qn_f16_from((float)value));
    case QN_DTYPE_COUNT:
        break;
    }
    return QN_INTERNAL_ERROR; // there is no such dtype
}

extern "C" const qn_kernel qnk_cuda_fill;
const qn_kernel qnk_cuda_fill = {.size = sizeof(qn_kernel),
                                 .op = "fill",
                                 .run = run,
                                 .attrs_size = sizeof(qn_scalar_attrs),
                                 .dtypes = 1u << QN_BF16 | 1u << QN_F16};
