/* adam_step: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; with t the step's number
 * p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon). */
#include "ref_optim.h"

static void update(const ref_step *step, double grad, double *p, double state[2]) {
    const qn_optim_attrs *attrs = step->attrs;
    state[0] = attrs->beta1 * state[0] + (1 - attrs->beta1) * grad;
    state[1] = attrs->beta2 * state[1] + (1 - attrs->beta2) * grad * grad;
    double m = state[0] / (1 - pow(attrs->beta1, step->number));
    double v = state[1] / (1 - pow(attrs->beta2, step->number));
    *p -= step->lr * m / (sqrt(v) + attrs->epsilon);
}

static qn_status run(const qn_call *call) { return ref_optim_step(call, update); }

const qn_kernel qnk_ref_adam_step = {
    .size = sizeof(qn_kernel), .op = "adam_step", .run = run, .attrs_size = sizeof(qn_optim_attrs)};
