/* softmax: y = e^x / sum(e^x) along an axis; gradient: y (g - sum(g y)). */
#include "ref_lines.h"

static void softmax_line(const qn_view *in, const qn_view *out, const void *attrs) {
    (void)attrs;
    double greatest = ref_line_greatest(in), total = 0;
    for (int64_t i = 0; i < in->shape[0]; i++)
        total += exp(ref_load(in, i * in->stride[0]) - greatest);
    for (int64_t i = 0; i < in->shape[0]; i++)
        ref_store(out, i * out->stride[0], exp(ref_load(in, i * in->stride[0]) - greatest) / total);
}

static qn_status run(const qn_call *call) {
    return ref_lines(call, ((const qn_axis_attrs *)call->attrs)->axis, softmax_line);
}

const qn_kernel qnk_ref_softmax = {
    .size = sizeof(qn_kernel), .op = "softmax", .run = run, .attrs_size = sizeof(qn_axis_attrs)};

static void softmax_grad_line(const qn_view *in, const qn_view *out, const void *attrs) {
    (void)attrs;
    const qn_view *g = &in[0], *y = &in[1];
    double total = 0;
    for (int64_t i = 0; i < g->shape[0]; i++)
        total += ref_load(g, i * g->stride[0]) * ref_load(y, i * y->stride[0]);
    for (int64_t i = 0; i < g->shape[0]; i++)
        ref_store(out, i * out->stride[0],
                  ref_load(y, i * y->stride[0]) * (ref_load(g, i * g->stride[0]) - total));
}

static qn_status run_grad(const qn_call *call) {
    return ref_lines(call, ((const qn_axis_attrs *)call->attrs)->axis, softmax_grad_line);
}

const qn_kernel qnk_ref_softmax_grad = {.size = sizeof(qn_kernel),
                                        .op = "softmax_grad",
                                        .run = run_grad,
                                        .attrs_size = sizeof(qn_axis_attrs)};
