/* ref_lines.h: operations that work on each line along one axis by itself. */
#ifndef QN_REF_LINES_H
#define QN_REF_LINES_H

#include "ref.h"

/** Computes one line: views of rank 1 on the inputs and the output, and the call's attributes. */
typedef void (*ref_line)(const qn_view *in, const qn_view *out, const void *attrs);

/** The line along `axis` of a view that starts at an offset. */
static inline qn_view ref_line_at(const qn_view *view, int axis, int64_t at) {
    qn_view line = ref_at(view, at);
    line.rank = 1;
    line.shape[0] = view->shape[axis];
    line.stride[0] = view->stride[axis];
    return line;
}

/** Calls f on every line along `axis`, for one or two inputs of the output's shape. */
static inline qn_status ref_lines(const qn_call *call, int axis, ref_line f) {
    const qn_view *views[3] = {call->out, &call->in[0], &call->in[call->n_in - 1]};
    qn_view first = *call->out;
    first.shape[axis] = 1;
    for (ref_walk w = ref_start(3, (const qn_view *[]){&first, views[1], views[2]}); w.left > 0;
         ref_next(&w)) {
        qn_view out = ref_line_at(views[0], axis, w.at[0]);
        const qn_view in[2] = {ref_line_at(views[1], axis, w.at[1]),
                               ref_line_at(views[2], axis, w.at[2])};
        f(in, &out, call->attrs);
    }
    return QN_OK;
}

/** The greatest element of a line, NaN left out. */
static inline double ref_line_greatest(const qn_view *x) {
    double greatest = -INFINITY;
    for (int64_t i = 0; i < x->shape[0]; i++) {
        double value = ref_load(x, i * x->stride[0]);
        greatest = value > greatest ? value : greatest;
    }
    return greatest;
}

/** log(sum(e^x)) of a line, without overflow (NaN is carried through). */
static inline double ref_line_log_sum_exp(const qn_view *x) {
    double greatest = ref_line_greatest(x), total = 0;
    for (int64_t i = 0; i < x->shape[0]; i++)
        total += exp(ref_load(x, i * x->stride[0]) - greatest);
    return greatest + log(total);
}

#endif
