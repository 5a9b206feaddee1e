/* moving_average_cuda.cu: y[i] = the mean of x[i - window / 2] to x[i + window / 2] along an axis,
 * the first and last element repeated outside; gradient: dx[i] = the sum of g / window over all
 * places that read x[i]. A thread takes an element. */
#include "cuda_lines.h"

namespace {

enum { BLOCK = 256 };

__device__ inline int64_t held(int64_t at, int64_t count) {
    return at < 0 ? 0 : at >= count ? count - 1 : at;
}

/** How many of the places around i show element `at`, which is one of them. */
__device__ inline int64_t times_read(int64_t i, int64_t at, int64_t half, int64_t count) {
    const int64_t first = i - half, last = i + half;
    if (count == 1)
        return last - first + 1;
    if (at == 0)
        return first > 0 ? 0 : 1 - first;
    if (at == count - 1)
        return last < at ? 0 : last - at + 1;
    return first <= at && at <= last;
}

template <class T>
__global__ void average_elements(cuda_lines lines, int64_t window, T *y, const T *x) {
    for (int64_t e = gpu_first(); e < lines.first.count * lines.length; e += gpu_step()) {
        const int64_t line = e / lines.length, i = e - line * lines.length;
        int64_t at[2];
        double sum = 0;
        cuda_walk_at<2>(lines.first, line, at);
        for (int64_t j = i - window / 2; j <= i + window / 2; j++)
            sum += (double)x[at[1] + held(j, lines.length) * lines.step[1]];
        y[at[0] + i * lines.step[0]] = (T)(sum / (double)window);
    }
}

template <class T>
__global__ void average_grad_elements(cuda_lines lines, int64_t window, T *dx, const T *g) {
    const int64_t half = window / 2, count = lines.length;
    for (int64_t e = gpu_first(); e < lines.first.count * count; e += gpu_step()) {
        const int64_t line = e / count, i = e - line * count;
        int64_t at[2];
        double sum = 0;
        cuda_walk_at<2>(lines.first, line, at);
        for (int64_t j = held(i - half, count); j <= held(i + half, count); j++)
            sum += (double)times_read(j, i, half, count) * (double)g[at[1] + j * lines.step[1]];
        dx[at[0] + i * lines.step[0]] = (T)(sum / (double)window);
    }
}

template <class T>
qn_status launch(const qn_call *call, void (*kernel)(cuda_lines, int64_t, T *, const T *)) {
    const qn_moving_average_attrs *attrs = (const qn_moving_average_attrs *)call->attrs;
    const cuda_lines lines = cuda_lines_of(attrs->axis, call->out, call->in);
    return gpu_launch(call, kernel, gpu_blocks(call, lines.first.count * lines.length, BLOCK),
                      BLOCK, 0, lines, (int64_t)attrs->window, (T *)call->out->data,
                      (const T *)call->in->data);
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? launch<double>(call, average_elements<double>)
                                      : launch<float>(call, average_elements<float>);
}

qn_status run_grad(const qn_call *call) {
    return call->out->dtype == QN_F64 ? launch<double>(call, average_grad_elements<double>)
                                      : launch<float>(call, average_grad_elements<float>);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_moving_average;
const qn_kernel qnk_cuda_moving_average = {.size = sizeof(qn_kernel),
                                           .op = "moving_average",
                                           .run = run,
                                           .attrs_size = sizeof(qn_moving_average_attrs)};

extern "C" const qn_kernel qnk_cuda_moving_average_grad;
const qn_kernel qnk_cuda_moving_average_grad = {.size = sizeof(qn_kernel),
                                                .op = "moving_average_grad",
                                                .run = run_grad,
                                                .attrs_size = sizeof(qn_moving_average_attrs)};
