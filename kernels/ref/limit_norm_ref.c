/* limit_norm: rows whose Euclidean norm is above the limit are scaled down to it, in place. */
#include "ref.h"

static double square_sum(const qn_view *x, int64_t begin, int64_t end) {
    double total = 0;
    for (int64_t i = begin; i < end; i++)
        total += ref_load(x, i) * ref_load(x, i);
    return total;
}

static qn_status run(const qn_call *call) {
    const qn_view *x = &call->in[0]; /* contiguous */
    const double limit = ((const qn_scalar_attrs *)call->attrs)->value;
    const int64_t count = qn_view_count(x), width = count > 0 ? count / x->shape[0] : 0;
    for (int64_t begin = 0; begin < count; begin += width) {
        double norm = sqrt(square_sum(x, begin, begin + width));
        for (int64_t i = begin; norm > limit && i < begin + width; i++)
            ref_store(x, i, ref_load(x, i) * (limit / norm));
    }
    return QN_OK;
}

const qn_kernel qnk_ref_limit_norm = {.size = sizeof(qn_kernel),
                                      .op = "limit_norm",
                                      .run = run,
                                      .attrs_size = sizeof(qn_scalar_attrs)};
