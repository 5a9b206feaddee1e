/* adaptive_avg_pool2d_cuda.cu: means over windows that divide the plane evenly: output i covers
 * floor(i h / oh) up to ceil((i + 1) h / oh). */
#include "cuda_planes.h"

namespace {

struct even_windows {
    int64_t extent[2], count[2];

    __device__ plane_span of(int axis, int64_t i) const {
        return {i * extent[axis] / count[axis],
                ((i + 1) * extent[axis] + count[axis] - 1) / count[axis]};
    }

    /* Window o covers position i where o h < (i + 1) oh and (o + 1) h > i oh. */
    __device__ plane_span covering(int axis, int64_t position) const {
        return {position * count[axis] / extent[axis],
                ((position + 1) * count[axis] + extent[axis] - 1) / extent[axis]};
    }

    __device__ int64_t size(plane_span rows, plane_span columns) const {
        return (rows.end - rows.first) * (columns.end - columns.first);
    }
};

even_windows windows_of(const qn_view *plane, const qn_view *windows) {
    return {{plane->shape[2], plane->shape[3]}, {windows->shape[2], windows->shape[3]}};
}

qn_status run(const qn_call *call) {
    return planes_launch<mean_of_window>(call, windows_of(call->in, call->out));
}

qn_status run_grad(const qn_call *call) {
    return planes_launch<shares_of_pixel>(call, windows_of(call->out, call->in));
}

} // namespace

extern "C" const qn_kernel qnk_cuda_adaptive_avg_pool2d;
const qn_kernel qnk_cuda_adaptive_avg_pool2d = {.size = sizeof(qn_kernel),
                                                .op = "adaptive_avg_pool2d",
                                                .run = run,
                                                .attrs_size = sizeof(qn_extent2d_attrs)};

extern "C" const qn_kernel qnk_cuda_adaptive_avg_pool2d_grad;
const qn_kernel qnk_cuda_adaptive_avg_pool2d_grad = {.size = sizeof(qn_kernel),
                                                     .op = "adaptive_avg_pool2d_grad",
                                                     .run = run_grad,
                                                     .attrs_size = sizeof(qn_extent2d_attrs)};
