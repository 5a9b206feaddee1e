/* matmul_amx.c: matrix products in bf16 on tiles. */
#include "amx_product.h"

/* The leading axes of a view. */
static qn_view leading(const qn_view *view) {
    qn_view lead = *view;
    lead.rank -= 2;
    return lead;
}

static amx_product product_of(const qn_call *call) {
    const qn_view *a = &call->in[QN_MATMUL_A], *b = &call->in[QN_MATMUL_B];
    const int rows = a->rank - 2, cols = a->rank - 1;
    amx_product p = {.m = a->shape[rows],
                     .n = b->shape[cols],
                     .k = a->shape[cols],
                     .a = {.data = a->data, .outer = a->stride[rows], .inner = a->stride[cols]},
                     .b = {.data = b->data, .outer = b->stride[cols], .inner = b->stride[rows]},
                     .a_lead = leading(a),
                     .b_lead = leading(b),
                     .c = call->out[0].data,
                     .relu = ((const qn_matmul_attrs *)call->attrs)->relu != 0};
    p.count = p.m * p.n == 0 ? 0 : qn_view_count(&call->out[0]) / (p.m * p.n);
    if (call->n_in > QN_MATMUL_BIAS && call->in[QN_MATMUL_BIAS].data) {
        p.bias = call->in[QN_MATMUL_BIAS].data;
        p.bias_step = call->in[QN_MATMUL_BIAS].stride[0];
    }
    return p;
}

static size_t workspace(const qn_call *call) {
    const amx_product p = product_of(call);
    return qnk_amx_product_workspace(&p);
}

/* [.., m, k] x [.., k, n] (+ bias [n]) -> [.., m, n], then relu if asked for. */
static qn_status run(const qn_call *call) {
    const amx_product p = product_of(call);
    qnk_amx_product_run(&p, call->workspace, call->threads);
    return QN_OK;
}

const qn_kernel qnk_amx_matmul = {.size = sizeof(qn_kernel),
                                  .op = "matmul",
                                  .declines = qnk_amx_declines,
                                  .workspace = workspace,
                                  .run = run,
                                  .attrs_size = sizeof(qn_matmul_attrs)};
