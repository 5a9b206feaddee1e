/* fill_simd.c: every element becomes one value. */
#include "simd_fill.h"

static const char *fill_declines(const qn_call *call) {
    return simd_fill_declines(&call->out[0], ((const qn_scalar_attrs *)call->attrs)->value);
}

static qn_status fill_run(const qn_call *call) {
    simd_fill(call, &call->out[0], ((const qn_scalar_attrs *)call->attrs)->value);
    return QN_OK;
}

const qn_kernel SIMD_KERNEL(fill) = {
    .size = sizeof(qn_kernel),
    .op = "fill",
    .declines = fill_declines,
    .run = fill_run,
    .attrs_size = sizeof(qn_scalar_attrs),
};
