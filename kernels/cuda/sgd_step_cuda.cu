/* sgd_step_cuda.cu: v = momentum v + (1 - dampening) g (first step: v = g); p -= lr v, or with
 * Nesterov p -= lr (g + momentum v); without velocity p -= lr g. */
#include "cuda_step.h"

namespace {

struct plain {
    __device__ plain(const qn_optim_attrs &, double) {}
    __device__ void operator()(double lr, double grad, double *p, double *) const {
        *p -= lr * grad;
    }
};

struct with_velocity {
    double momentum, share;
    bool first, nesterov;

    __device__ with_velocity(const qn_optim_attrs &attrs, double number)
        : momentum(attrs.momentum), share(1 - attrs.dampening), first(number <= 1),
          nesterov(attrs.nesterov) {}
    __device__ void operator()(double lr, double grad, double *p, double *state) const {
        state[0] = first ? grad : momentum * state[0] + share * grad;
        *p -= lr * (nesterov ? grad + momentum * state[0] : state[0]);
    }
};

qn_status run(const qn_call *call) {
    return call->in[QN_SGD_STEP_VELOCITY].data ? step_run<with_velocity>(call)
                                               : step_run<plain>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_sgd_step;
const qn_kernel qnk_cuda_sgd_step = {
    .size = sizeof(qn_kernel), .op = "sgd_step", .run = run, .attrs_size = sizeof(qn_optim_attrs)};
