/* adadelta_step: s = rho s + (1 - rho) g^2; d = sqrt(u + epsilon) / sqrt(s + epsilon) g;
 * u = rho u + (1 - rho) d^2; p -= lr d. */
#include "ref_optim.h"

static void update(const ref_step *step, double grad, double *p, double state[2]) {
    const qn_optim_attrs *attrs = step->attrs;
    state[0] = attrs->rho * state[0] + (1 - attrs->rho) * grad * grad;
    double d = sqrt(state[1] + attrs->epsilon) / sqrt(state[0] + attrs->epsilon) * grad;
    state[1] = attrs->rho * state[1] + (1 - attrs->rho) * d * d;
    *p -= step->lr * d;
}

static qn_status run(const qn_call *call) { return ref_optim_step(call, update); }

const qn_kernel qnk_ref_adadelta_step = {.size = sizeof(qn_kernel),
                                         .op = "adadelta_step",
                                         .run = run,
                                         .attrs_size = sizeof(qn_optim_attrs)};
