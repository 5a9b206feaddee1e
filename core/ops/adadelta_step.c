/* adadelta_step.c: one step of Adadelta (Zeiler 2012). */
#include "internal.h"

const qni_op qni_op_adadelta_step = {
    .name = "adadelta_step",
    .in = "p g square delta hyper seen",
    .inputs = 6,
    .optional = 1u << 5,
    .mutates = 1u << 0 | 1u << 2 | 1u << 3,
    .attrs_size = sizeof(qn_optim_attrs),
    .fields = qni_optim_fields,
    .infer = qni_infer_optim_step,
    .cost = {.of = QNI_PER_INPUT, .each = 18, .marks = 1u << 5},
};

qn_status qn_adadelta_step(qn_tensor *p, qn_tensor *grad, qn_tensor *square, qn_tensor *delta,
                           qn_tensor *hyper, qn_tensor *seen, const qn_optimizer_spec *spec) {
    qn_tensor *in[6] = {p, grad, square, delta, hyper, seen};
    return qni_apply_optim_step(&qni_op_adadelta_step, in, 6, spec);
}
