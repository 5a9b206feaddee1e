/* adadelta_step_cuda.cu: s = rho s + (1 - rho) g^2; d = sqrt(u + epsilon) / sqrt(s + epsilon) g;
 * u = rho u + (1 - rho) d^2; p -= lr d. */
#include "cuda_step.h"

namespace {

struct adadelta {
    double rho, epsilon;

    __device__ adadelta(const qn_optim_attrs &attrs, double)
        : rho(attrs.rho), epsilon(attrs.epsilon) {}
    __device__ void operator()(double lr, double grad, double *p, double *state) const {
        state[0] = rho * state[0] + (1 - rho) * grad * grad;
        const double d = sqrt(state[1] + epsilon) / sqrt(state[0] + epsilon) * grad;
        state[1] = rho * state[1] + (1 - rho) * d * d;
        *p -= lr * d;
    }
};

qn_status run(const qn_call *call) { return step_run<adadelta>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_adadelta_step;
const qn_kernel qnk_cuda_adadelta_step = {.size = sizeof(qn_kernel),
                                          .op = "adadelta_step",
                                          .run = run,
                                          .attrs_size = sizeof(qn_optim_attrs)};
