/* simd_step.h: optimizer steps, one fused pass over parameters, gradients and state.
 *
 * A step reads each array once and writes each but the gradient once, and is bound by memory.
 * Arrays are cut into pieces of about SIMD_STEP_PIECE elements, one task each; rows that are not
 * seen are passed over. */
#ifndef QN_SIMD_STEP_H
#define QN_SIMD_STEP_H

#include "simd_table.h"

enum { SIMD_STEP_PIECE = 16384 };

/** Places of the arrays, of their lanes, and of their views in the call. */
enum { STEP_P, STEP_G, STEP_FIRST, STEP_SECOND, STEP_ARRAYS };

/** Places of the constants that every step has; an operation's own start at STEP_OWN. */
enum {
    STEP_CLIP,    /**< factor on the gradient */
    STEP_COUPLED, /**< weight decay that is added to the gradient */
    STEP_KEEP,    /**< factor on the parameter: 1, or 1 - lr decay where decay is decoupled */
    STEP_RATE,    /**< learning rate */
    STEP_OWN,
    STEP_CONSTANTS = STEP_OWN + 6
};

typedef struct simd_step {
    float *array[STEP_ARRAYS]; /**< parameters, gradients, state */
    int64_t count, piece;      /**< elements, and those of a task */
    simd_seen rows;            /**< that take part */
    bool skip;                 /**< nothing moves */
    vf constant[STEP_CONSTANTS];
} simd_step;

/** Changes the lanes of parameters and state. */
typedef void (*simd_step_body)(vf lane[STEP_ARRAYS], const vf *constant);

/** The gradient as the optimizer sees it: clipped, and with coupled weight decay. Without it a
 * parameter that is not finite leaves the state alone: 0 times infinity would be NaN. */
SIMD_INLINE vf simd_step_gradient(const vf *lane, const vf *constant) {
    const vf gradient = constant[STEP_CLIP] * lane[STEP_G], decay = constant[STEP_COUPLED];
    return v_select(decay != 0, v_fma(decay, lane[STEP_P], gradient), gradient);
}

/** p -= rate * direction, after decoupled weight decay. */
SIMD_INLINE void simd_step_move(vf *lane, const vf *constant, vf direction) {
    lane[STEP_P] = v_fma(-constant[STEP_RATE], direction, constant[STEP_KEEP] * lane[STEP_P]);
}

/** For qn_kernel.declines: f32 and contiguous, in all inputs that are there. */
static inline const char *simd_step_declines(const qn_call *call) {
    if (call->in[0].dtype != QN_F32)
        return "f32 only";
    for (int k = 0; k < call->n_in; k++)
        if (call->in[k].data && !qn_view_is_contiguous(&call->in[k]))
            return "contiguous arrays only";
    return NULL;
}

/** The step of a call: its arrays and common constants. The last inputs are hyper, which is
 * returned, and seen. */
static inline const float *simd_step_open(const qn_call *call, simd_step *step) {
    const qn_optim_attrs *attrs = call->attrs;
    const float *hyper = call->in[call->n_in - 2].data;
    double lr = hyper[QN_HYPER_LR], decay = attrs->weight_decay;
    step->skip = hyper[QN_HYPER_SKIP] != 0;
    step->count = qn_view_count(&call->in[0]);
    step->rows = simd_seen_open(&call->in[0], &call->in[call->n_in - 1]);
    step->piece = simd_seen_piece(&step->rows, SIMD_STEP_PIECE);
    for (int k = 0; k < STEP_ARRAYS; k++)
        step->array[k] = k < call->n_in - 2 ? call->in[k].data : NULL;
    step->constant[STEP_CLIP] = v_set(hyper[QN_HYPER_CLIP]);
    step->constant[STEP_COUPLED] = v_set(attrs->decoupled ? 0.0f : (float)decay);
    step->constant[STEP_KEEP] = v_set(attrs->decoupled ? (float)(1 - lr * decay) : 1.0f);
    step->constant[STEP_RATE] = v_set((float)lr);
    return hyper;
}

static inline qn_status simd_step_run(const qn_call *call, const simd_step *step, simd_task task) {
    int64_t pieces = step->skip ? 0 : (step->count + step->piece - 1) / step->piece;
    simd_parallel(simd_threads(call, 4 * step->count), pieces, task, step);
    return QN_OK;
}

/** The body over elements i .. end - 1 of the first `arrays` arrays. */
SIMD_INLINE void simd_step_stretch(const simd_step *step, int64_t i, int64_t end, int arrays,
                                   simd_step_body body) {
    vf lane[STEP_ARRAYS];
    for (; i + V_WIDTH <= end; i += V_WIDTH) {
        for (int k = 0; k < arrays; k++)
            lane[k] = v_load(step->array[k] + i);
        body(lane, step->constant);
        for (int k = 0; k < arrays; k++)
            if (k != STEP_G)
                v_store(step->array[k] + i, lane[k]);
    }
    if (i < end) {
        for (int k = 0; k < arrays; k++)
            lane[k] = v_load_part(step->array[k] + i, end - i);
        body(lane, step->constant);
        for (int k = 0; k < arrays; k++)
            if (k != STEP_G)
                v_store_part(step->array[k] + i, lane[k], end - i);
    }
}

/** Template of a task: the body over what takes part in piece `index`. */
SIMD_INLINE void simd_step_piece(const void *arg, int64_t index, int arrays, simd_step_body body) {
    const simd_step step = *(const simd_step *)arg;
    int64_t i = index * step.piece, stop;
    int64_t end = i + step.piece < step.count ? i + step.piece : step.count;
    for (; simd_seen_next(&step.rows, &i, end, &stop); i = stop)
        simd_step_stretch(&step, i, stop, arrays, body);
}

#endif
