/* conv1d.c: convolution along time, a convolution of planes one row high. */
#include "internal.h"

/** A setting of which 0 means 1. */
static int or_one(int setting) { return setting == 0 ? 1 : setting; }

qn_tensor *qn_conv1d(qn_tensor *x, qn_tensor *weight, qn_tensor *bias, const qn_conv1d_opts *opts) {
    static const qn_conv1d_opts defaults = {0};
    if (!qni_given("conv1d", (qn_tensor *[]){x, weight}, 2))
        return NULL;
    if (!opts)
        opts = &defaults;
    if (x->view.rank != 3 || weight->view.rank != 3) {
        qn_context_fail(x->ctx, QN_SHAPE_MISMATCH,
                        "conv1d: expects x [n, c, t] and weight [o, c / groups, k], got %s and %s",
                        qni_text(x).s, qni_text(weight).s);
        return NULL;
    }
    const qn_conv2d_opts plane = {.stride = {1, or_one(opts->stride)},
                                  .padding = {0, opts->padding},
                                  .dilation = {1, or_one(opts->dilation)},
                                  .groups = opts->groups};
    qn_tensor *y = qn_conv2d(qn_unsqueeze(x, 2), qn_unsqueeze(weight, 2), bias, &plane);
    return qn_squeeze(y, 2);
}
