/* adam_step_cuda.cu: m = beta1 m + (1 - beta1) g; v = beta2 v + (1 - beta2) g^2; with t the step's
 * number p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon). */
#include "cuda_step.h"

namespace {

struct adam {
    double beta1, beta2, epsilon, scale1, scale2;

    __device__ adam(const qn_optim_attrs &attrs, double number)
        : beta1(attrs.beta1), beta2(attrs.beta2), epsilon(attrs.epsilon),
          scale1(1 / (1 - pow(attrs.beta1, number))), scale2(1 / (1 - pow(attrs.beta2, number))) {}
    __device__ void operator()(double lr, double grad, double *p, double *state) const {
        state[0] = beta1 * state[0] + (1 - beta1) * grad;
        state[1] = beta2 * state[1] + (1 - beta2) * grad * grad;
        *p -= lr * scale1 * state[0] / (sqrt(scale2 * state[1]) + epsilon);
    }
};

qn_status run(const qn_call *call) { return step_run<adam>(call); }

} // namespace

extern "C" const qn_kernel qnk_cuda_adam_step;
const qn_kernel qnk_cuda_adam_step = {
    .size = sizeof(qn_kernel), .op = "adam_step", .run = run, .attrs_size = sizeof(qn_optim_attrs)};
