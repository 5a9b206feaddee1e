/* rmsprop_step_simd.c: RMSprop (Hinton 2012), with momentum where there is a buffer. With the
 * gradient g clipped:
 *
 *     g += decay p          or, decoupled, p -= lr decay p
 *     square = alpha square + (1 - alpha) g^2
 *     d = g / (sqrt(square) + epsilon)
 *     p -= lr d             or buffer = momentum buffer + d, p -= lr buffer */
#include "simd_step.h"

enum { ALPHA = STEP_OWN, NEW, EPSILON, MOMENTUM };

SIMD_INLINE vf rmsprop_direction(vf *lane, const vf *constant) {
    vf g = simd_step_gradient(lane, constant);
    lane[STEP_FIRST] = v_fma(constant[ALPHA], lane[STEP_FIRST], constant[NEW] * g * g);
    return g / (v_sqrt(lane[STEP_FIRST]) + constant[EPSILON]);
}

SIMD_INLINE void plain_body(vf lane[STEP_ARRAYS], const vf *constant) {
    simd_step_move(lane, constant, rmsprop_direction(lane, constant));
}

SIMD_INLINE void momentum_body(vf lane[STEP_ARRAYS], const vf *constant) {
    vf d = rmsprop_direction(lane, constant);
    lane[STEP_SECOND] = v_fma(constant[MOMENTUM], lane[STEP_SECOND], d);
    simd_step_move(lane, constant, lane[STEP_SECOND]);
}

static void plain_task(const void *arg, int64_t index) {
    simd_step_piece(arg, index, STEP_SECOND, plain_body);
}

static void momentum_task(const void *arg, int64_t index) {
    simd_step_piece(arg, index, STEP_ARRAYS, momentum_body);
}

static qn_status rmsprop_step_run(const qn_call *call) {
    const qn_optim_attrs *attrs = call->attrs;
    simd_step step;
    simd_step_open(call, &step);
    step.constant[ALPHA] = v_set((float)attrs->alpha);
    step.constant[NEW] = v_set((float)(1 - attrs->alpha));
    step.constant[EPSILON] = v_set((float)attrs->epsilon);
    step.constant[MOMENTUM] = v_set((float)attrs->momentum);
    return simd_step_run(call, &step, step.array[STEP_SECOND] ? momentum_task : plain_task);
}

const qn_kernel SIMD_KERNEL(rmsprop_step) = {
    .size = sizeof(qn_kernel),
    .op = "rmsprop_step",
    .declines = simd_step_declines,
    .run = rmsprop_step_run,
    .attrs_size = sizeof(qn_optim_attrs),
};
