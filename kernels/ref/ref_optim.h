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

/** Weight decay, then the update, for every element, or of the rows seen; inputs are p, gradient,
 * one or two states, hyper, seen. */
static inline qn_status ref_optim_step(const qn_call *call, ref_update update) {
    int states = call->n_in - 4;
    const qn_view *hyper = &call->in[call->n_in - 2];
    const qn_view *seen = &call->in[call->n_in - 1];
    if (ref_load(hyper, QN_HYPER_SKIP) != 0)
        return QN_OK;
    const ref_step step = {call->attrs, ref_load(hyper, QN_HYPER_LR),
                           ref_load(hyper, QN_HYPER_STEP), ref_load(hyper, QN_HYPER_CLIP)};
    const qn_view *views[4] = {&call->in[0], &call->in[1], &call->in[2], &call->in[3]};
    double decay = step.attrs->weight_decay;
    for (ref_walk w = ref_start(2 + states, views); w.left > 0; ref_next(&w)) {
        if (!ref_row_seen(seen, w.index[0]))
            continue;
        double p = ref_load(views[0], w.at[0]), grad = step.clip * ref_load(views[1], w.at[1]);
        double state[2] = {0};
        for (int i = 0; i < states; i++)
            if (views[2 + i]->data)
                state[i] = ref_load(views[2 + i], w.at[2 + i]);
        if (step.attrs->decoupled)
            p *= 1 - step.lr * decay;
        else if (decay != 0)
            grad += decay * p;
        update(&step, grad, &p, state);
        ref_store(views[0], w.at[0], p);
        for (int i = 0; i < states; i++)
            if (views[2 + i]->data)
                ref_store(views[2 + i], w.at[2 + i], state[i]);
    }
    return QN_OK;
}

#endif
