/* cuda_softmax.h: what softmax, log_softmax and cross_entropy share: log(sum(e^x)) of a line
 * without overflow, and a driver for the operations on lines along one axis. */
#ifndef QN_CUDA_SOFTMAX_H
#define QN_CUDA_SOFTMAX_H

#include "cuda_math.h"
#include "cuda_rows.h"

/** The greater of two, NaN left out. */
struct greater_number {
    template <class T> __device__ T operator()(T a, T b) const { return b > a ? b : a; }
};

/** The greatest element of a line, and the sum of e^(x - greatest). NaN is left out of the one and
 * in the other. */
template <class T> struct line_exponentials { T greatest, sum; };

/** Of elements x[start + i stride], i < count, by a team. */
template <int team, class T>
__device__ inline line_exponentials<T> line_sum_exp(const T *x, int64_t stride, int64_t count,
                                                    int lane) {
    T greatest = m_lowest<T>();
    for (int64_t i = lane; i < count; i += team)
        greatest = greater_number{}(greatest, x[i * stride]);
    greatest = team_reduce<team>(greatest, greater_number{});
    gpu_sum<T> sum;
    for (int64_t i = lane; i < count; i += team)
        sum.add(m_exp(x[i * stride] - greatest));
    return {greatest, (T)team_sum<team>(sum.value())};
}

/** Lines along one axis of an output and of up to two inputs of its shape. */
template <class T> struct axis_lines {
    cuda_walk outer; /**< where lines start in output and inputs */
    int64_t count, stride[3];
    T *out;
    const T *in[2];
};

/** Runs Line<T> on every line along the axis: F32 or F64, one or two inputs. */
template <template <class> class Line, class T>
inline qn_status axis_lines_launch(const qn_call *call) {
    const int axis = ((const qn_axis_attrs *)call->attrs)->axis;
    const qn_view *views[] = {call->out, &call->in[0], &call->in[call->n_in - 1]};
    const cuda_rows lines = cuda_rows_of(3, views, UINT32_C(1) << axis);
    Line<T> line;
    line.outer = lines.outer;
    line.count = call->out->shape[axis];
    for (int i = 0; i < 3; i++)
        line.stride[i] = views[i]->stride[axis];
    line.out = (T *)call->out->data;
    line.in[0] = (const T *)views[1]->data;
    line.in[1] = (const T *)views[2]->data;
    return team_launch(call, lines_team(lines), lines.outer.count, line);
}

template <template <class> class Line> inline qn_status axis_lines_run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? axis_lines_launch<Line, double>(call)
                                      : axis_lines_launch<Line, float>(call);
}

#endif
