/* adadelta_step_simd.c: Adadelta (Zeiler 2012). With the gradient g clipped:
 *
 *     g += decay p          or, decoupled, p -= lr decay p
 *     square = rho square + (1 - rho) g^2
 *     d = sqrt(delta + epsilon) / sqrt(square + epsilon) g
 *     delta = rho delta + (1 - rho) d^2
 *     p -= lr d */
#include "simd_step.h"

enum { RHO = STEP_OWN, NEW, EPSILON };

SIMD_INLINE void adadelta_body(vf lane[STEP_ARRAYS], const vf *constant) {
    vf g = simd_step_gradient(lane, constant);
    vf square = v_fma(constant[RHO], lane[STEP_FIRST], constant[NEW] * g * g);
    vf delta = lane[STEP_SECOND];
    vf d = v_sqrt((delta + constant[EPSILON]) / (square + constant[EPSILON])) * g;
    simd_step_move(lane, constant, d);
    lane[STEP_FIRST] = square;
    lane[STEP_SECOND] = v_fma(constant[RHO], delta, constant[NEW] * d * d);
}

static void adadelta_task(const void *arg, int64_t index) {
    simd_step_piece(arg, index, STEP_ARRAYS, adadelta_body);
}

static qn_status adadelta_step_run(const qn_call *call) {
    const qn_optim_attrs *attrs = call->attrs;
    simd_step step;
    simd_step_open(call, &step);
    step.constant[RHO] = v_set((float)attrs->rho);
    step.constant[NEW] = v_set((float)(1 - attrs->rho));
    step.constant[EPSILON] = v_set((float)attrs->epsilon);
    return simd_step_run(call, &step, adadelta_task);
}

const qn_kernel SIMD_KERNEL(adadelta_step) = {
    .size = sizeof(qn_kernel),
    .op = "adadelta_step",
    .declines = simd_step_declines,
    .run = adadelta_step_run,
    .attrs_size = sizeof(qn_optim_attrs),
};
