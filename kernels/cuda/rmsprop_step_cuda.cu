/* rmsprop_step_cuda.cu: s = alpha s + (1 - alpha) g^2; d = g / (sqrt(s) + epsilon); p -= lr d, or
 * with a buffer b = momentum b + d; p -= lr b. */
#include "cuda_step.h"

namespace {

template <bool buffered> struct rmsprop {
    double alpha, epsilon, momentum;

    __device__ rmsprop(const qn_optim_attrs &attrs, double)
        : alpha(attrs.alpha), epsilon(attrs.epsilon), momentum(attrs.momentum) {}
    __device__ void operator()(double lr, double grad, double *p, double *state) const {
        state[0] = alpha * state[0] + (1 - alpha) * grad * grad;
        double direction = grad / (sqrt(state[0]) + epsilon);
        if (buffered)
            direction = state[1] = momentum * state[1] + direction;
        *p -= lr * direction;
    }
};

qn_status run(const qn_call *call) {
    return call->in[QN_RMSPROP_STEP_BUFFER].data ? step_run<rmsprop<true>>(call)
                                                 : step_run<rmsprop<false>>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_rmsprop_step;
const qn_kernel qnk_cuda_rmsprop_step = {.size = sizeof(qn_kernel),
                                         .op = "rmsprop_step",
                                         .run = run,
                                         .attrs_size = sizeof(qn_optim_attrs)};
