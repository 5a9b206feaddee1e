/* uniform_cuda.cu: y = low + u (high - low), u in [0, 1) from the words of Philox. A thread takes a
 * block of them. */
#include "cuda_philox.h"

namespace {

/** low + u width, product and sum rounded apart as on the CPU, so that every provider gives the
 * same bits: written as one expression, the compiler would join them to a fused multiply-add. */
__device__ inline double scaled(double u, double low, double width) {
    return low + fma(u, width, -0.0);
}

template <class T>
__global__ void uniform_blocks(cuda_walk walk, double low, double width, const uint64_t *state,
                               T *y) {
    for (int64_t b = gpu_first(); b * PHILOX_WORDS < walk.count; b += gpu_step()) {
        const philox_words words = philox(state[0], state[1] + (uint64_t)b);
        for (int j = 0; j < PHILOX_WORDS && b * PHILOX_WORDS + j < walk.count; j++) {
            int64_t at;
            cuda_walk_at<1>(walk, b * PHILOX_WORDS + j, &at);
            y[at] = (T)scaled((double)philox_uniform(words.word[j]), low, width);
        }
    }
}

template <class T> qn_status run_as(const qn_call *call) {
    const qn_range_attrs *range = (const qn_range_attrs *)call->attrs;
    const cuda_walk walk = cuda_walk_of(call->out);
    uint64_t *state = (uint64_t *)call->in[0].data;
    const qn_status status = gpu_launch(call, uniform_blocks<T>,
                                        gpu_blocks(call, philox_blocks(walk.count), PHILOX_BLOCK),
                                        PHILOX_BLOCK, 0, walk, range->low, range->high - range->low,
                                        (const uint64_t *)state, (T *)call->out->data);
    return status != QN_OK ? status : philox_advance_launch(call, state, walk.count);
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_uniform;
const qn_kernel qnk_cuda_uniform = {
    .size = sizeof(qn_kernel), .op = "uniform", .run = run, .attrs_size = sizeof(qn_range_attrs)};
