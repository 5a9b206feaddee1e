/* avg_pool2d_cuda.cu: the sum of each window by its size, padding counted or not; the gradient
 * hands every element of a window its share. */
#include "cuda_planes.h"

namespace {

qn_status run(const qn_call *call) {
    return planes_launch<mean_of_window>(call, pool_windows_of(call, call->in, call->out));
}

qn_status run_grad(const qn_call *call) {
    return planes_launch<shares_of_pixel>(call, pool_windows_of(call, call->out, call->in));
}

} // namespace

extern "C" const qn_kernel qnk_cuda_avg_pool2d;
const qn_kernel qnk_cuda_avg_pool2d = {.size = sizeof(qn_kernel),
                                       .op = "avg_pool2d",
                                       .run = run,
                                       .attrs_size = sizeof(qn_pool2d_attrs)};

extern "C" const qn_kernel qnk_cuda_avg_pool2d_grad;
const qn_kernel qnk_cuda_avg_pool2d_grad = {.size = sizeof(qn_kernel),
                                            .op = "avg_pool2d_grad",
                                            .run = run_grad,
                                            .attrs_size = sizeof(qn_pool2d_attrs)};
