/* ref_optim.h: what the optimizer steps share. */
#ifndef QN_REF_OPTIM_H
#define QN_REF_OPTIM_H

#include "ref.h"

/** The settings of one step. */
typedef struct ref_step {
    const qn_optim_attrs *attrs;
    double lr, number, clip;
} ref_step;

/** Moves one parameter: p and the two states are changed in place, grad is clipped and has the
 * weight decay in it. An absent state is 0 before and forgotten after. */
typedef void (*ref_update)(const ref_step *step, double grad, double *p, double state[2]);

/* The operands with which every step begins; hyper and seen are the last. */
enum { REF_STEP_P, REF_STEP_G, REF_STEP_STATES };

/** Weight decay, then the update, for every element, or of the rows seen; inputs are p, gradient,
 * one or two states, hyper, seen. */
static inline qn_status ref_optim_step(const qn_call *call, ref_update update) {
    int states = call->n_in - 2 - REF_STEP_STATES;
    const qn_view *hyper = &call->in[call->n_in - 2];
    const qn_view *seen = &call->in[call->n_in - 1];
    if (ref_load(hyper, QN_HYPER_SKIP) != 0)
        return QN_OK;
    const ref_step step = {call->attrs, ref_load(hyper, QN_HYPER_LR),
                           ref_load(hyper, QN_HYPER_STEP), ref_load(hyper, QN_HYPER_CLIP)};
    const qn_view *views[] = {&call->in[REF_STEP_P], &call->in[REF_STEP_G],
                              &call->in[REF_STEP_STATES], &call->in[REF_STEP_STATES + 1]};
    double decay = step.attrs->weight_decay;
    for (ref_walk w = ref_start(REF_STEP_STATES + states, views); w.left > 0; ref_next(&w)) {
        if (!ref_row_seen(seen, w.index[0]))
            continue;
        double p = ref_load(views[REF_STEP_P], w.at[REF_STEP_P]);
        double grad = step.clip * ref_load(views[REF_STEP_G], w.at[REF_STEP_G]);
        double state[2] = {0};
        for (int i = 0; i < states; i++)
            if (views[REF_STEP_STATES + i]->data)
                state[i] = ref_load(views[REF_STEP_STATES + i], w.at[REF_STEP_STATES + i]);
        if (step.attrs->decoupled)
            p *= 1 - step.lr * decay;
        else if (decay != 0)
            grad += decay * p;
        update(&step, grad, &p, state);
        ref_store(views[REF_STEP_P], w.at[REF_STEP_P], p);
        for (int i = 0; i < states; i++)
            if (views[REF_STEP_STATES + i]->data)
                ref_store(views[REF_STEP_STATES + i], w.at[REF_STEP_STATES + i], state[i]);
    }
    return QN_OK;
}

#endif
