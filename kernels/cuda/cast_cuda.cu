/* cast_cuda.cu: the same values in another dtype; what does not fit an integer saturates, NaN
 * becomes 0. */
#include "cuda_map.h"
#include "cuda_sixteen.h"

namespace {

/** Numbers go through double, as everywhere in the library: integers are exact up to 2^53. */
template <class To> struct integer_limits;
template <> struct integer_limits<int32_t> {
    static constexpr double low = -2147483648.0, high = 2147483647.0;
};
template <> struct integer_limits<int64_t> {
    static constexpr double low = -9223372036854775808.0, high = 9223372036854775808.0;
};
template <> struct integer_limits<uint8_t> { static constexpr double low = 0.0, high = 255.0; };

template <class To> __device__ inline To saturated(double x, To least, To most) {
    if (x != x)
        return 0;
    if (x <= integer_limits<To>::low)
        return least;
    return x >= integer_limits<To>::high ? most : (To)x;
}

__device__ inline void convert(double x, float *y) { *y = (float)x; }
__device__ inline void convert(double x, double *y) { *y = x; }
__device__ inline void convert(double x, int32_t *y) { *y = saturated(x, INT32_MIN, INT32_MAX); }
__device__ inline void convert(double x, int64_t *y) {
    *y = saturated<int64_t>(x, INT64_MIN, INT64_MAX);
}
__device__ inline void convert(double x, uint8_t *y) { *y = saturated<uint8_t>(x, 0, UINT8_MAX); }

__device__ inline void convert(double x, qn_bf16 *y) { *y = sixteen_bf16((float)x); }
__device__ inline void convert(double x, qn_f16 *y) { *y = sixteen_f16((float)x); }

template <class T> __device__ inline double number(T x) { return (double)x; }
__device__ inline double number(qn_bf16 x) { return sixteen_value(x); }
__device__ inline double number(qn_f16 x) { return sixteen_value(x); }

template <class To, class From> struct cast_f {
    __device__ To operator()(From x) const {
        To y;
        convert(number(x), &y);
        return y;
    }
};

template <class From> qn_status run_from(const qn_call *call) {
    switch (call->out->dtype) {
    case QN_F32:
        return map_launch<float, From>(call, cast_f<float, From>{});
    case QN_F64:
        return map_launch<double, From>(call, cast_f<double, From>{});
    case QN_I32:
        return map_launch<int32_t, From>(call, cast_f<int32_t, From>{});
    case QN_I64:
        return map_launch<int64_t, From>(call, cast_f<int64_t, From>{});
    case QN_U8:
        return map_launch<uint8_t, From>(call, cast_f<uint8_t, From>{});
    case QN_BF16:
        return map_launch<qn_bf16, From>(call, cast_f<qn_bf16, From>{});
    case QN_F16:
        return map_launch<qn_f16, From>(call, cast_f<qn_f16, From>{});
    case QN_DTYPE_COUNT:
        break;
    }
    return QN_INTERNAL_ERROR; // there is no such dtype
}

qn_status run(const qn_call *call) {
    switch (call->in->dtype) {
    case QN_F32:
        return run_from<float>(call);
    case QN_F64:
        return run_from<double>(call);
    case QN_I32:
        return run_from<int32_t>(call);
    case QN_I64:
        return run_from<int64_t>(call);
    case QN_U8:
        return run_from<uint8_t>(call);
    case QN_BF16:
        return run_from<qn_bf16>(call);
    case QN_F16:
        return run_from<qn_f16>(call);
    case QN_DTYPE_COUNT:
        break;
    }
    return QN_INTERNAL_ERROR; // there is no such dtype
}

} // namespace

extern "C" const qn_kernel qnk_cuda_cast;
const qn_kernel qnk_cuda_cast = {.size = sizeof(qn_kernel),
                                 .op = "cast",
                                 .run = run,
                                 .attrs_size = sizeof(qn_cast_attrs),
                                 .dtypes = 1u << QN_BF16 | 1u << QN_F16};
