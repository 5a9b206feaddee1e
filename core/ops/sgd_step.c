/* sgd_step.c: one step of stochastic gradient descent, with or without momentum. */
#include "internal.h"

const qni_op qni_op_sgd_step = {
    .name = "sgd_step",
    .in = "p g velocity hyper seen",
    .inputs = 5,
    .optional = 1u << 2 | 1u << 4,
    .mutates = 1u << 0 | 1u << 2,
    .attrs_size = sizeof(qn_optim_attrs),
    .fields = qni_optim_fields,
    .infer = qni_infer_optim_step,
    .cost = {.of = QNI_PER_INPUT, .each = 7, .marks = 1u << 4},
};

qn_status qn_sgd_step(qn_tensor *p, qn_tensor *grad, qn_tensor *velocity, qn_tensor *hyper,
                      qn_tensor *seen, const qn_optimizer_spec *spec) {
    qn_tensor *in[5] = {p, grad, velocity, hyper, seen};
    return qni_apply_optim_step(&qni_op_sgd_step, in, 5, spec);
}
