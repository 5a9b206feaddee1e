/* sgd_step: v = momentum v + (1 - dampening) g (first step: v = g); p -= lr v, or with Nesterov
 * p -= lr (g + momentum v); without velocity p -= lr g. */
#include "ref_optim.h"

static void plain(const ref_step *step, double grad, double *p, double state[2]) {
    (void)state;
    *p -= step->lr * grad;
}

static void with_velocity(const ref_step *step, double grad, double *p, double state[2]) {
    const qn_optim_attrs *attrs = step->attrs;
    state[0] =
        step->number <= 1 ? grad : attrs->momentum * state[0] + (1 - attrs->dampening) * grad;
    *p -= step->lr * (attrs->nesterov ? grad + attrs->momentum * state[0] : state[0]);
}

static qn_status run(const qn_call *call) {
    return ref_optim_step(call, call->in[QN_SGD_STEP_VELOCITY].data ? with_velocity : plain);
}

const qn_kernel qnk_ref_sgd_step = {
    .size = sizeof(qn_kernel), .op = "sgd_step", .run = run, .attrs_size = sizeof(qn_optim_attrs)};
