/* normal_cuda.cu: y = mean + deviation z, z from pairs of Philox's words (Box and Muller 1958). A
 * thread takes a block of four words, which give four numbers. Drawn in double: weights then start
 * as on the CPU. */
#include "cuda_philox.h"

namespace {

/** Element j of the four that a block gives. */
__device__ inline double box_muller(const philox_words &words, int j) {
    const uint32_t first = words.word[j / 2 * 2], second = words.word[j / 2 * 2 + 1];
    const double radius = sqrt(-2 * log(((double)(first >> 8) + 1) * 0x1p-24));
    const double turns = (double)philox_uniform(second);
    return radius * (j % 2 == 0 ? m_cos_turns(turns) : m_sin_turns(turns));
}

template <class T>
__global__ void normal_blocks(cuda_walk walk, double mean, double deviation, const uint64_t *state,
                              T *y) {
    for (int64_t b = gpu_first(); b * PHILOX_WORDS < walk.count; b += gpu_step()) {
        const philox_words words = philox(state[0], state[1] + (uint64_t)b);
        for (int j = 0; j < PHILOX_WORDS && b * PHILOX_WORDS + j < walk.count; j++) {
            int64_t at;
            cuda_walk_at<1>(walk, b * PHILOX_WORDS + j, &at);
            y[at] = (T)(mean + deviation * box_muller(words, j));
        }
    }
}

template <class T> qn_status run_as(const qn_call *call) {
    const qn_range_attrs *range = (const qn_range_attrs *)call->attrs;
    const cuda_walk walk = cuda_walk_of(call->out);
    uint64_t *state = (uint64_t *)call->in[0].data;
    const qn_status status =
        gpu_launch(call, normal_blocks<T>,
                   gpu_blocks(call, philox_blocks(walk.count), PHILOX_BLOCK), PHILOX_BLOCK, 0, walk,
                   range->low, range->high, (const uint64_t *)state, (T *)call->out->data);
    return status != QN_OK ? status : philox_advance_launch(call, state, walk.count);
}

qn_status run(const qn_call *call) {
    return call->out->dtype == QN_F64 ? run_as<double>(call) : run_as<float>(call);
}

} // namespace

extern "C" const qn_kernel qnk_cuda_normal;
const qn_kernel qnk_cuda_normal = {
    .size = sizeof(qn_kernel), .op = "normal", .run = run, .attrs_size = sizeof(qn_range_attrs)};
