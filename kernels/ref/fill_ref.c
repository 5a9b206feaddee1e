/* fill: every element becomes one value. */
#include "ref.h"

static qn_status run(const qn_call *call) {
    const qn_scalar_attrs *attrs = call->attrs;
    ref_fill(call->out, attrs->value);
    return QN_OK;
}

const qn_kernel qnk_ref_fill = {
    .size = sizeof(qn_kernel), .op = "fill", .run = run, .attrs_size = sizeof(qn_scalar_attrs)};
