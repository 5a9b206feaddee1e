/* cuda_step.h: optimizer steps in one pass over parameters, gradients and states, whatever their
 * strides. */
#ifndef QN_CUDA_STEP_H
#define QN_CUDA_STEP_H

#include "cuda_math.h"
#include "cuda_walk.h"

enum { STEP_BLOCK = 256, STEP_STATES = 2 };

/* The operands with which every step begins; hyper and seen are the last. */
enum { STEP_P, STEP_G, STEP_FIRST_STATE };

/** Where a step reads and writes; an absent state is NULL. */
template <class T> struct step_data {
    T *p;
    const T *grad;
    T *state[STEP_STATES];
    const T *hyper;
    const uint8_t *seen;
    int64_t seen_step, width; /**< elements of a row, where only rows that are seen count */
};

/** Weight decay, then F::update(attrs, lr, number, grad, p, state) for every element. An absent
 * state is 0 before and forgotten after. Computed in double: the cost is that of the memory. */
template <class T, class F>
__global__ void step_elements(cuda_walk walk, step_data<T> d, qn_optim_attrs attrs) {
    if (d.hyper[QN_HYPER_SKIP] != (T)0)
        return;
    const double lr = (double)d.hyper[QN_HYPER_LR], number = (double)d.hyper[QN_HYPER_STEP];
    const double clip = (double)d.hyper[QN_HYPER_CLIP];
    const F update(attrs, number);
    for (int64_t i = gpu_first(); i < walk.count; i += gpu_step()) {
        if (d.seen && !d.seen[i / d.width * d.seen_step])
            continue;
        int64_t at[WALK_VIEWS];
        cuda_walk_at<WALK_VIEWS>(walk, i, at);
        double p = (double)d.p[at[0]], grad = clip * (double)d.grad[at[1]],
               state[STEP_STATES] = {0, 0};
        for (int s = 0; s < STEP_STATES; s++)
            if (d.state[s])
                state[s] = (double)d.state[s][at[STEP_FIRST_STATE + s]];
        if (attrs.decoupled)
            p *= 1 - lr * attrs.weight_decay;
        else if (attrs.weight_decay != 0)
            grad += attrs.weight_decay * p;
        update(lr, grad, &p, state);
        d.p[at[0]] = (T)p;
        for (int s = 0; s < STEP_STATES; s++)
            if (d.state[s])
                d.state[s][at[STEP_FIRST_STATE + s]] = (T)state[s];
    }
}

/** Inputs are p, gradient, one or two states, hyper, seen. */
template <class T, class F> inline qn_status step_as(const qn_call *call) {
    const int states = call->n_in - 2 - STEP_FIRST_STATE;
    const qn_view *p = &call->in[STEP_P], *seen = &call->in[call->n_in - 1];
    step_data<T> d = {};
    d.p = (T *)p->data;
    d.grad = (const T *)call->in[STEP_G].data;
    d.hyper = (const T *)call->in[call->n_in - 2].data;
    d.seen = (const uint8_t *)seen->data;
    d.seen_step = seen->data ? seen->stride[0] : 0;
    const qn_view *views[WALK_VIEWS] = {p, &call->in[STEP_G], p, p};
    for (int s = 0; s < states; s++)
        if (call->in[STEP_FIRST_STATE + s].data) {
            d.state[s] = (T *)call->in[STEP_FIRST_STATE + s].data;
            views[STEP_FIRST_STATE + s] = &call->in[STEP_FIRST_STATE + s];
        }
    const cuda_walk walk = cuda_walk_of(WALK_VIEWS, views);
    d.width = seen->data && p->shape[0] > 0 && walk.count > 0 ? walk.count / p->shape[0] : 1;
    return gpu_launch(call, step_elements<T, F>, gpu_blocks(call, walk.count, STEP_BLOCK),
                      STEP_BLOCK, 0, walk, d, *(const qn_optim_attrs *)call->attrs);
}

template <class F> inline qn_status step_run(const qn_call *call) {
    return call->in->dtype == QN_F64 ? step_as<double, F>(call) : step_as<float, F>(call);
}

#endif
