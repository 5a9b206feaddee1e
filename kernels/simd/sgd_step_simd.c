/* sgd_step_simd.c: stochastic gradient descent, with momentum where there is a velocity. With the
 * gradient g clipped:
 *
 *     g += decay p          or, decoupled, p -= lr decay p
 *     velocity = momentum velocity + (1 - dampening) g, at step 1 plain g
 *     p -= lr velocity      or, Nesterov, p -= lr (g + momentum velocity) */
#include "simd_step.h"

enum { MOMENTUM = STEP_OWN, OLD, NEW };

SIMD_INLINE void plain_body(vf lane[STEP_ARRAYS], const vf *constant) {
    simd_step_move(lane, constant, simd_step_gradient(lane, constant));
}

SIMD_INLINE void momentum_body(vf lane[STEP_ARRAYS], const vf *constant) {
    vf g = simd_step_gradient(lane, constant);
    lane[STEP_FIRST] = v_fma(constant[OLD], lane[STEP_FIRST], constant[NEW] * g);
    simd_step_move(lane, constant, lane[STEP_FIRST]);
}

SIMD_INLINE void nesterov_body(vf lane[STEP_ARRAYS], const vf *constant) {
    vf g = simd_step_gradient(lane, constant);
    lane[STEP_FIRST] = v_fma(constant[OLD], lane[STEP_FIRST], constant[NEW] * g);
    simd_step_move(lane, constant, v_fma(constant[MOMENTUM], lane[STEP_FIRST], g));
}

static void plain_task(const void *arg, int64_t index) {
    simd_step_piece(arg, index, STEP_FIRST, plain_body);
}

static void momentum_task(const void *arg, int64_t index) {
    simd_step_piece(arg, index, STEP_SECOND, momentum_body);
}

static void nesterov_task(const void *arg, int64_t index) {
    simd_step_piece(arg, index, STEP_SECOND, nesterov_body);
}

static qn_status sgd_step_run(const qn_call *call) {
    const qn_optim_attrs *attrs = call->attrs;
    simd_step step;
    bool first = simd_step_open(call, &step)[QN_HYPER_STEP] <= 1;
    step.constant[MOMENTUM] = v_set((float)attrs->momentum);
    step.constant[OLD] = v_set(first ? 0.0f : (float)attrs->momentum);
    step.constant[NEW] = v_set(first ? 1.0f : (float)(1 - attrs->dampening));
    if (!step.array[STEP_FIRST])
        return simd_step_run(call, &step, plain_task);
    return simd_step_run(call, &step, attrs->nesterov ? nesterov_task : momentum_task);
}

const qn_kernel SIMD_KERNEL(sgd_step) = {
    .size = sizeof(qn_kernel),
    .op = "sgd_step",
    .declines = simd_step_declines,
    .run = sgd_step_run,
    .attrs_size = sizeof(qn_optim_attrs),
};
