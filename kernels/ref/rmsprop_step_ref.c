/* rmsprop_step: s = alpha s + (1 - alpha) g^2; d = g / (sqrt(s) + epsilon); p -= lr d, or with a
 * buffer b = momentum b + d; p -= lr b. */
#include "ref_optim.h"

static double direction(const qn_optim_attrs *attrs, double grad, double *square) {
    *square = attrs->alpha * *square + (1 - attrs->alpha) * grad * grad;
    return grad / (sqrt(*square) + attrs->epsilon);
}

static void plain(const ref_step *step, double grad, double *p, double state[2]) {
    *p -= step->lr * direction(step->attrs, grad, &state[0]);
}

static void with_buffer(const ref_step *step, double grad, double *p, double state[2]) {
    state[1] = step->attrs->momentum * state[1] + direction(step->attrs, grad, &state[0]);
    *p -= step->lr * state[1];
}

static qn_status run(const qn_call *call) {
    return ref_optim_step(call, call->in[QN_RMSPROP_STEP_BUFFER].data ? with_buffer : plain);
}

const qn_kernel qnk_ref_rmsprop_step = {.size = sizeof(qn_kernel),
                                        .op = "rmsprop_step",
                                        .run = run,
                                        .attrs_size = sizeof(qn_optim_attrs)};
