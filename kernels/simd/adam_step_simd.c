/* adam_step_simd.c: Adam (Kingma and Ba 2015), and AdamW (Loshchilov and Hutter 2019) where weight
 * decay is decoupled. At step t, with the gradient g clipped:
 *
 *     g += decay p          or, decoupled, p -= lr decay p
 *     m = beta1 m + (1 - beta1) g
 *     v = beta2 v + (1 - beta2) g^2
 *     p -= lr / (1 - beta1^t) m / (sqrt(v / (1 - beta2^t)) + epsilon) */
#include "simd_step.h"
#include <math.h>
enum { BETA1 = STEP_OWN, NEW1, BETA2, NEW2, SCALE, EPSILON };

SIMD_INLINE void adam_body(vf lane[STEP_ARRAYS], const vf *constant) {
    vf g = simd_step_gradient(lane, constant);
    vf m = v_fma(constant[BETA1], lane[STEP_FIRST], constant[NEW1] * g);
    vf v = v_fma(constant[BETA2], lane[STEP_SECOND], constant[NEW2] * g * g);
    vf size = v_fma(v_sqrt(v), constant[SCALE], constant[EPSILON]);
    simd_step_move(lane, constant, m / size);
    lane[STEP_FIRST] = m;
    lane[STEP_SECOND] = v;
}

static void adam_task(const void *arg, int64_t index) {
    simd_step_piece(arg, index, STEP_ARRAYS, adam_body);
}

static qn_status adam_step_run(const qn_call *call) {
    const qn_optim_attrs *attrs = call->attrs;
    simd_step step;
    const float *hyper = simd_step_open(call, &step);
    double t = hyper[QN_HYPER_STEP];
    step.constant[STEP_RATE] = v_set((float)(hyper[QN_HYPER_LR] / (1 - pow(attrs->beta1, t))));
    step.constant[BETA1] = v_set((float)attrs->beta1);
    step.constant[NEW1] = v_set((float)(1 - attrs->beta1));
    step.constant[BETA2] = v_set((float)attrs->beta2);
    step.constant[NEW2] = v_set((float)(1 - attrs->beta2));
    step.constant[SCALE] = v_set((float)(1 / sqrt(1 - pow(attrs->beta2, t))));
    step.constant[EPSILON] = v_set((float)attrs->epsilon);
    return simd_step_run(call, &step, adam_task);
}

const qn_kernel SIMD_KERNEL(adam_step) = {
    .size = sizeof(qn_kernel),
    .op = "adam_step",
    .declines = simd_step_declines,
    .run = adam_step_run,
    .attrs_size = sizeof(qn_optim_attrs),
};
