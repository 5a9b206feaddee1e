/* argmax_cuda.cu: position of the first greatest element along an axis; NaN counts as greatest. */
#include "cuda_rows.h"

namespace {

template <class T> struct place {
    T value;
    int64_t at; /**< -1: none yet */
};

template <class T> __device__ place<T> gpu_shuffle_xor(place<T> mine, int bits) {
    return {(T)__shfl_xor_sync(0xffffffffu, mine.value, bits),
            (int64_t)__shfl_xor_sync(0xffffffffu, (long long)mine.at, bits)};
}

/** The place of the greater element, the first of equals. */
struct better_place {
    template <class T> __device__ place<T> operator()(place<T> a, place<T> b) const {
        if (a.at < 0 || b.at < 0)
            return a.at < 0 ? b : a;
        const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
        if (a_nan != b_nan)
            return a_nan ? a : b;
        if (!a_nan && a.value != b.value)
            return a.value > b.value ? a : b;
        return a.at < b.at ? a : b;
    }
};

template <class T> struct argmax_lines {
    cuda_rows lines;
    const T *x;
    int64_t *out;

    template <int team> __device__ void run(int64_t line, int lane) const {
        int64_t start, at;
        lines_at<1>(lines.outer, line, &start);
        place<T> best = {T(0), -1};
        for (int64_t i = lane; i < lines.inner.count; i += team) {
            lines_at<1>(lines.inner, i, &at);
            best = better_place{}(best, place<T>{x[start + at], i});
        }
        best = team_reduce<team>(best, better_place{});
        if (lane == 0)
            out[line] = best.at < 0 ? 0 : best.at;
    }
};

template <class T> qn_status argmax(const qn_call *call) {
    const qn_view *x = &call->in[0];
    const int32_t axis = ((const qn_axis_attrs *)call->attrs)->axis;
    argmax_lines<T> work{cuda_rows_of(1, &x, UINT32_C(1) << axis), (const T *)x->data,
                         (int64_t *)call->out->data};
    return team_launch(call, lines_team(work.lines), work.lines.outer.count, work);
}

qn_status run(const qn_call *call) {
    switch (call->in->dtype) {
    case QN_F32:
        return argmax<float>(call);
    case QN_F64:
        return argmax<double>(call);
    case QN_I32:
        return argmax<int32_t>(call);
    case QN_I64:
        return argmax<int64_t>(call);
    case QN_U8:
        return argmax<uint8_t>(call);
    case QN_BF16:
    case QN_F16:
    case QN_DTYPE_COUNT:
        break;
    }
    return QN_INTERNAL_ERROR; // no dtype that the kernel takes
}

} // namespace

extern "C" const qn_kernel qnk_cuda_argmax;
const qn_kernel qnk_cuda_argmax = {
    .size = sizeof(qn_kernel), .op = "argmax", .run = run, .attrs_size = sizeof(qn_axis_attrs)};
